//! Committed vectors under `circuits/vectors/v1/`. They are made again and compared byte by byte, then
//! verified from the files alone; the bad ones must be refused. `ZKBUREAU_BLESS=1` writes them.

use std::fs;
use std::path::PathBuf;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::super::verdict::tests::forge;
use super::language::{BAD, GOOD};
use super::*;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/v1")
}

/// Compares with the committed file, or writes it.
fn committed<T: Serialize>(name: &str, value: &T) {
    let path = directory().join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(value).expect("encodes") + "\n";
    if std::env::var_os("ZKBUREAU_BLESS").is_some() {
        fs::write(&path, &text).expect("writable");
    }
    let old = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(old, text, "{name} differs from the committed vector");
}

fn load<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let text = fs::read_to_string(directory().join(format!("{name}.json"))).expect("committed");
    serde_json::from_str(&text).expect("a vector")
}

/// Names of the committed vectors that start like this.
fn names(prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory())
        .expect("a directory")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter_map(|n| Some(n.strip_suffix(".json")?.to_owned()))
        .filter(|n| n.starts_with(prefix))
        .collect();
    names.sort();
    names
}

fn to_hex<T: BorshSerialize>(value: &T) -> String {
    hex::encode(borsh::to_vec(value).expect("encoding into memory"))
}

fn from_hex<T: BorshDeserialize>(text: &str) -> T {
    T::try_from_slice(&hex::decode(text).expect("hex")).expect("an encoding")
}

#[derive(Serialize)]
struct Language {
    schema: Schema,
    good: Vec<(String, String)>,
    bad: Vec<(String, usize, String)>,
}

#[test]
fn language() {
    let schema = schema();
    let error = |text: &str| Fact::parse(text, &schema).expect_err(text);
    let pair = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    let language = Language {
        good: GOOD.iter().map(pair).collect(),
        bad: BAD
            .iter()
            .map(|(text, column, _)| ((*text).to_owned(), *column, error(text).to_string()))
            .collect(),
        schema: schema.clone(),
    };
    committed("fact_language", &language);
}

/// What an agency shows.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shown {
    NoRecord,
    Record {
        stocks: PointBytes,
        stocks_period: Period,
        from_start: bool,
        entries: Vec<LogEntry>,
    },
}

impl Shown {
    fn view(&self) -> View<'_> {
        match self {
            Self::NoRecord => View::NoRecord,
            Self::Record {
                stocks,
                stocks_period,
                from_start,
                entries,
            } => View::Record(RecordView {
                stocks: *stocks,
                stocks_period: *stocks_period,
                entries,
                from_start: *from_start,
            }),
        }
    }
}

/// A source as the plan derives it, with its opening: values and blinding.
#[derive(Clone, Serialize, Deserialize)]
struct SourceVector {
    class: Class,
    commitment: PointBytes,
    values: Vec<u64>,
    blinding: String,
}

/// A form as the plan derives it, with the opening of its image.
#[derive(Clone, Serialize, Deserialize)]
struct FormVector {
    fact: usize,
    weights: Vec<(u32, u32, i64)>,
    offset: i64,
    value: i64,
    blinding: String,
}

/// One agency's part. Sources and forms explain; a verifier derives its own.
#[derive(Serialize, Deserialize)]
struct AgencyVector {
    agency: AgencyId,
    context: String,
    shown: Shown,
    sources: Vec<SourceVector>,
    forms: Vec<FormVector>,
    images: Option<String>,
}

/// A whole answer.
#[derive(Serialize, Deserialize)]
struct AnswerVector {
    about: String,
    schema: Schema,
    facts: Vec<FactText>,
    as_of: Period,
    hit_policy: HitPolicy,
    agencies: Vec<AgencyVector>,
    context: String,
    verdicts: Vec<Verdict>,
    /// Encoding of the verdicts.
    verdicts_encoded: String,
    proof: String,
}

impl AnswerVector {
    fn new(about: &str, query: &Query, holders: &[Option<Holder>], answer: &Answer) -> Self {
        let agency = |i: usize| {
            let plan = &answer.plan.agencies()[i];
            let (shown, openings) = match &holders[i] {
                None => (Shown::NoRecord, Vec::new()),
                Some(holder) => {
                    let View::Record(view) = holder.view(query) else {
                        unreachable!("a holder shows a record")
                    };
                    let shown = Shown::Record {
                        stocks: view.stocks,
                        stocks_period: view.stocks_period,
                        from_start: view.from_start,
                        entries: view.entries.to_vec(),
                    };
                    (shown, holder.openings(&answer.key, query, plan))
                }
            };
            let source = |(source, opening): (&Source, &Opening)| SourceVector {
                class: source.class(),
                commitment: source.commitment(),
                values: opening.encoded().to_vec(),
                blinding: hex::encode(opening.blinding().as_bytes()),
            };
            let form = |(form, opening): (&Form, &FormOpening)| FormVector {
                fact: form.fact(),
                weights: (form.weights().iter())
                    .map(|w| (w.source, w.place, w.weight))
                    .collect(),
                offset: form.offset(),
                value: opening.value(),
                blinding: hex::encode(opening.blinding.as_bytes()),
            };
            AgencyVector {
                agency: query.agencies()[i],
                context: hex::encode(context_of(i)),
                shown,
                sources: plan.sources().iter().zip(&openings).map(source).collect(),
                forms: (plan.forms().iter().zip(&answer.openings[i]))
                    .map(form)
                    .collect(),
                images: answer.images[i].as_ref().map(to_hex),
            }
        };
        Self {
            about: about.to_owned(),
            schema: schema(),
            facts: query.facts().iter().map(Fact::text).collect(),
            as_of: query.as_of(),
            hit_policy: query.hit_policy(),
            agencies: (0..holders.len()).map(agency).collect(),
            context: hex::encode(CONTEXT),
            verdicts: answer.verdicts.clone(),
            verdicts_encoded: to_hex(&answer.verdicts),
            proof: to_hex(&answer.proof),
        }
    }

    /// Verifies from the file alone: images, then verdicts.
    fn verify(&self) -> (Result<(), VerifyError>, Result<(), VerifyError>) {
        let digest = |text: &str| -> Digest32 {
            hex::decode(text)
                .expect("hex")
                .try_into()
                .expect("32 bytes")
        };
        let ids = self.agencies.iter().map(|a| a.agency).collect();
        let query = Query::parse(
            &self.schema,
            &self.facts,
            &[],
            ids,
            self.as_of,
            self.hit_policy,
        )
        .expect("a query");
        let views: Vec<View<'_>> = self.agencies.iter().map(|a| a.shown.view()).collect();
        let plan = Plan::new(&query, &views).expect("valid views");
        let images: Vec<Option<Images>> = (self.agencies.iter())
            .map(|a| a.images.as_deref().map(from_hex))
            .collect();
        let items: Vec<_> = (self.agencies.iter().zip(plan.agencies()).zip(&images))
            .filter_map(|((a, plan), images)| Some((digest(&a.context), plan, images.as_ref()?)))
            .collect();
        let key = CommitmentKey::new(&self.schema);
        assert_eq!(
            from_hex::<Vec<Verdict>>(&self.verdicts_encoded),
            self.verdicts
        );
        (
            super::super::linear_image::verify_batch(&key, &items, &mut rng(1)),
            verify_verdicts(
                &digest(&self.context),
                &plan,
                &points(&images),
                &self.verdicts,
                &from_hex(&self.proof),
                &mut rng(1),
            ),
        )
    }
}

const TEXTS: [&str; 6] = [
    "total(balance) <= 5000",
    "10*total(balance) <= 8*total(credit_limit)",
    "total(months_90_late, 1m) == 0",
    "each(months_in_arrears) <= 2",
    "total(payments, 9m) >= 1",
    "total(balance, 2005-09) >= 2000",
];

/// An answer over four agencies, and what makes it.
fn parts(texts: &[&str]) -> (Query, Vec<Option<Holder>>, Answer) {
    let key = CommitmentKey::new(&schema());
    let (query, holders) = (query(texts), holders(&key));
    let answer = Answer::make(&query, &holders, 2);
    (query, holders, answer)
}

#[test]
fn good_answers() {
    let (query, holders, answer) = parts(&TEXTS);
    let about = "true, true, an equation, false at agency 4, insufficient history, false";
    committed(
        "verdict",
        &AnswerVector::new(about, &query, &holders, &answer),
    );
    let texts = [
        TEXTS[1],
        "total(balance, 2005-09) + total(payments, 2m) >= 40",
    ];
    let (query, holders, answer) = parts(&texts);
    let about = "three sources: latest stocks, stocks of a past period, a window";
    committed(
        "linear_image",
        &AnswerVector::new(about, &query, &holders, &answer),
    );
    for name in ["verdict", "linear_image"] {
        let vector: AnswerVector = load(name);
        assert_eq!(vector.verify(), (Ok(()), Ok(())), "{name}");
    }
}

/// Changes one agency's images in a vector.
fn change(vector: &mut AnswerVector, agency: usize, f: impl Fn(&mut Images)) {
    let mut images: Images = from_hex(vector.agencies[agency].images.as_deref().expect("a holder"));
    f(&mut images);
    vector.agencies[agency].images = Some(to_hex(&images));
}

#[test]
fn bad_images_are_refused() {
    type Change = fn(&mut AnswerVector);
    let bad: [(&str, &str, Change); 6] = [
        ("image", "an image shifted by P", |v| {
            change(v, 0, |i| {
                let shift = super::super::pedersen::times_value(&Scalar::ONE);
                let point = i.points[0].decode().expect("a point") + shift;
                i.points[0] = PointBytes::from(point);
            });
        }),
        ("blinding", "an image shifted by P'", |v| {
            change(v, 0, |i| {
                let shift = super::super::pedersen::times_blinding(&Scalar::ONE);
                let point = i.points[0].decode().expect("a point") + shift;
                i.points[0] = PointBytes::from(point);
            });
        }),
        ("swapped", "the images of two forms swapped", |v| {
            change(v, 2, |i| i.points.swap(0, 1));
        }),
        ("agency", "the images of two agencies swapped", |v| {
            let first = v.agencies[0].images.take();
            v.agencies[0].images = v.agencies[3].images.take();
            v.agencies[3].images = first;
        }),
        ("context", "the context of another request", |v| {
            v.agencies[3].context = hex::encode([9; 32]);
        }),
        ("weight", "a weight of the request changed", |v| {
            let text = v.facts[0].as_str().replace("8*", "9*");
            v.facts[0] = FactText::new(text).expect("short");
        }),
    ];
    let texts = [
        TEXTS[1],
        "total(balance, 2005-09) + total(payments, 2m) >= 40",
    ];
    let (query, holders, answer) = parts(&texts);
    for (name, about, change) in bad {
        let mut vector = AnswerVector::new(about, &query, &holders, &answer);
        change(&mut vector);
        committed(&format!("linear_image_bad_{name}"), &vector);
    }
    let names = names("linear_image_bad_");
    assert_eq!(names.len(), bad.len());
    for name in names {
        let vector: AnswerVector = load(&name);
        assert_eq!(vector.verify().0, Err(VerifyError), "{name}");
    }
}

#[test]
fn bad_verdicts_are_refused() {
    let no = |at: Option<u32>, side| Verdict::False {
        at: at.map(AgencyId),
        side,
    };
    // (name, about, fact, the verdict that a cheating prover proves as far as it can)
    let bad = [
        ("true", "a false inequality claimed true", 5, Verdict::True),
        (
            "false",
            "a true inequality claimed false",
            0,
            no(None, Side::Below),
        ),
        (
            "zero",
            "an equation claimed false below",
            2,
            no(None, Side::Below),
        ),
        (
            "each",
            "`each` claimed false at an agency where it holds",
            3,
            no(Some(1), Side::Below),
        ),
        (
            "each_true",
            "`each` claimed true although it fails at one agency",
            3,
            Verdict::True,
        ),
    ];
    let (query, holders, mut answer) = parts(&TEXTS);
    let honest = answer.verdicts.clone();
    let proof = answer.proof.clone();
    let mut count = 0;
    let mut write = |name: &str, about: &str, answer: &Answer, f: &dyn Fn(&mut AnswerVector)| {
        let mut vector = AnswerVector::new(about, &query, &holders, answer);
        f(&mut vector);
        committed(&format!("verdict_bad_{name}"), &vector);
        count += 1;
    };
    for (name, about, fact, verdict) in bad {
        answer.verdicts[fact] = verdict;
        answer.proof = forge(&answer, &answer.verdicts);
        write(name, about, &answer, &|_| {});
        answer.verdicts.clone_from(&honest);
    }
    answer.proof = proof;
    let context = |v: &mut AnswerVector| v.context = hex::encode([9; 32]);
    write(
        "context",
        "the context of another request",
        &answer,
        &context,
    );
    let history = Verdict::InsufficientHistory {
        at: Some(AgencyId(1)),
    };
    answer.verdicts[0] = history;
    write(
        "history",
        "insufficient history where it suffices",
        &answer,
        &|_| {},
    );
    answer.verdicts[0] = Verdict::Unavailable {
        agency: AgencyId(1),
    };
    write(
        "unavailable",
        "unavailable where all answered",
        &answer,
        &|_| {},
    );

    let texts = ["total(balance) <= 1000", "total(balance) == 1001"];
    let (query, holders, mut answer) = parts(&texts);
    assert_eq!(answer.verdicts, [Verdict::True, no(None, Side::Below)]);
    let mut write = |name: &str, about: &str, verdicts: [Verdict; 2]| {
        answer.verdicts = verdicts.to_vec();
        answer.proof = forge(&answer, &verdicts);
        let vector = AnswerVector::new(about, &query, &holders, &answer);
        committed(&format!("verdict_bad_{name}"), &vector);
        count += 1;
    };
    let below = no(None, Side::Below);
    write(
        "off_by_one",
        "a form of 0 claimed below zero",
        [below, below],
    );
    write(
        "zero_off_by_one",
        "a form of -1 claimed zero",
        [Verdict::True; 2],
    );
    write(
        "side",
        "a form of -1 claimed above zero",
        [Verdict::True, no(None, Side::Above)],
    );

    let names = names("verdict_bad_");
    assert_eq!(names.len(), count);
    for name in names {
        let vector: AnswerVector = load(&name);
        assert_eq!(vector.verify(), (Ok(()), Err(VerifyError)), "{name}");
    }
}
