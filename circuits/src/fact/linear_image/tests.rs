//! A negative test per equation and per thing that the transcript binds.

use super::prove::prove_unchecked;
use super::statement::Statement;
use super::*;
use crate::commitment::{CommitmentKey, Opening};
use crate::encoding::PointBytes;
use crate::error::{ProveError, VerifyError};
use crate::fact::tests::{CONTEXT, Holder, holders, query, rng, schema};
use crate::fact::{AgencyPlan, FormOpening, Query, pedersen};
use crate::ids::AgencyId;
use crate::schema::{Class, Schema};
use curve25519_dalek::scalar::Scalar;

struct Case {
    key: CommitmentKey,
    plan: AgencyPlan,
    openings: Vec<Opening>,
    images: Images,
    form_openings: Vec<FormOpening>,
}

const TEXTS: [&str; 4] = [
    "10*total(balance) <= 8*total(credit_limit)",
    "total(payments, 2m) >= 40",
    "total(balance) >= total(balance, 2005-03) + total(payments, 6m)",
    "total(present) <= 3",
];

fn at(query: &Query, holder: &Holder) -> Case {
    let key = CommitmentKey::new(&schema());
    let plan = AgencyPlan::new(query, AgencyId(1), &holder.view(query)).expect("valid");
    let openings = holder.openings(&key, query, &plan);
    let (images, form_openings) =
        prove(&key, &CONTEXT, &plan, &openings, &mut rng(5)).expect("openings open");
    Case {
        key,
        plan,
        openings,
        images,
        form_openings,
    }
}

fn case(texts: &[&str]) -> Case {
    let key = CommitmentKey::new(&schema());
    let holders = holders(&key);
    at(&query(texts), holders[0].as_ref().expect("a record"))
}

impl Case {
    fn check(&self, images: &Images) -> Result<(), VerifyError> {
        verify(&self.key, &CONTEXT, &self.plan, images, &mut rng(6))
    }

    /// What a cheating agency makes of given openings and images.
    fn forge(&self, openings: &[Opening], points: &[PointBytes]) -> Images {
        let statement = Statement {
            context: &CONTEXT,
            plan: &self.plan,
            images: points,
        };
        let forms = &self.form_openings;
        let proof = prove_unchecked(&self.key, &statement, openings, forms, &mut rng(7));
        Images {
            points: points.to_vec(),
            proof,
        }
    }

    fn shifted(&self, form: usize, value: i64, blinding: i64) -> Vec<PointBytes> {
        let mut points = self.images.points.clone();
        let shift = pedersen::commit(&pedersen::signed(value), &pedersen::signed(blinding));
        points[form] = PointBytes::from(points[form].decode().expect("a point") + shift);
        points
    }
}

#[test]
fn honest_images_verify_and_open() {
    let case = case(&TEXTS);
    // Latest stocks, the stocks of 2005-03, windows of two and six months.
    assert_eq!(case.plan.sources().len(), 4);
    assert_eq!(case.images.points.len(), 4);
    assert_eq!(case.check(&case.images), Ok(()));
    for (opening, image) in case.form_openings.iter().zip(&case.images.points) {
        assert!(opening.opens(image));
    }
    // 8·1000 - 10·(100 + 1,000,000) over encoded values.
    assert_eq!(case.form_openings[0].value(), 8 * 1000 - 10 * 1_000_100);
    assert_eq!(case.form_openings[1].value(), 100);
    assert_eq!(case.form_openings[2].value(), 100 - 80 - 100);
    assert_eq!(case.form_openings[3].value(), -1);
}

#[test]
fn blindings_and_nonces_are_fresh() {
    let case = case(&TEXTS);
    let again = |seed| {
        prove(
            &case.key,
            &CONTEXT,
            &case.plan,
            &case.openings,
            &mut rng(seed),
        )
        .expect("openings open")
        .0
    };
    assert_eq!(again(5), case.images);
    let other = again(6);
    for (a, b) in other.points.iter().zip(&case.images.points) {
        assert_ne!(a, b);
    }
    for (a, b) in (other.proof.announcements.iter()).zip(&case.images.proof.announcements) {
        assert_ne!(a, b);
    }
    // With the caller's randomness broken, another context still gives other nonces.
    let (broken, _) =
        prove(&case.key, &[1; 32], &case.plan, &case.openings, &mut rng(5)).expect("openings open");
    assert_ne!(broken.points, case.images.points);
    assert_ne!(broken.proof.announcements, case.images.proof.announcements);
}

#[test]
fn an_image_of_another_value_or_blinding() {
    let case = case(&TEXTS);
    for form in 0..4 {
        for (value, blinding) in [(1, 0), (-1, 0), (0, 1), (1, 1)] {
            let points = case.shifted(form, value, blinding);
            let replaced = Images {
                points: points.clone(),
                proof: case.images.proof.clone(),
            };
            assert_eq!(case.check(&replaced), Err(VerifyError));
            // With a proof made for it, from the true openings.
            assert_eq!(
                case.check(&case.forge(&case.openings, &points)),
                Err(VerifyError)
            );
        }
    }
    let mut swapped = case.images.clone();
    swapped.points.swap(0, 1);
    assert_eq!(case.check(&swapped), Err(VerifyError));
    swapped.proof.announcements.swap(4, 5);
    let end = swapped.proof.responses.len();
    swapped.proof.responses.swap(end - 4, end - 3);
    assert_eq!(case.check(&swapped), Err(VerifyError));
}

#[test]
fn openings_that_do_not_open_the_sources() {
    let case = case(&TEXTS);
    assert_eq!(
        case.check(&case.forge(&case.openings, &case.images.points)),
        Ok(())
    );
    for source in 0..case.openings.len() {
        let width = case.openings[source].encoded().len();
        for place in 0..=width {
            let mut openings = case.openings.clone();
            let mut x = openings[source].encoded().to_vec();
            let mut blinding = *openings[source].blinding();
            match x.get_mut(place) {
                Some(x) => *x += 1,
                None => blinding += Scalar::ONE,
            }
            openings[source] = Opening::from_parts(x, blinding);
            // Images of the false values, or of the true ones: neither verifies.
            let values: Vec<Vec<Scalar>> = openings
                .iter()
                .map(|o| o.encoded().iter().map(|x| Scalar::from(*x)).collect())
                .collect();
            let slices: Vec<&[Scalar]> = values.iter().map(Vec::as_slice).collect();
            let points: Vec<PointBytes> = (case.plan.forms().iter())
                .zip(&case.form_openings)
                .map(|(form, o)| {
                    let value = super::prove::apply(form, &slices);
                    PointBytes::from(pedersen::commit(&value, &o.blinding))
                })
                .collect();
            assert_eq!(
                case.check(&case.forge(&openings, &points)),
                Err(VerifyError)
            );
            let forged = case.forge(&openings, &case.images.points);
            assert_eq!(case.check(&forged), Err(VerifyError));
            // An honest prover says so.
            let refused = prove(&case.key, &CONTEXT, &case.plan, &openings, &mut rng(1));
            assert!(matches!(refused, Err(ProveError::Unsatisfied(_))));
        }
    }
}

#[test]
fn another_statement() {
    let honest = case(&TEXTS);
    // Another context, weight, sign, attribute, window, scope order.
    assert_eq!(
        verify(
            &honest.key,
            &[8; 32],
            &honest.plan,
            &honest.images,
            &mut rng(1)
        ),
        Err(VerifyError)
    );
    for (form, text) in [
        (0, "11*total(balance) <= 8*total(credit_limit)"),
        (0, "10*total(balance) >= 8*total(credit_limit)"),
        (0, "10*total(credit_limit) <= 8*total(balance)"),
        (1, "total(payments, 7m) >= 40"),
        (1, "total(months_90_late, 2m) >= 40"),
        (1, "2*total(payments, 2m) >= 40"),
        (
            2,
            "total(balance) >= total(balance, 2005-08) + total(payments, 6m)",
        ),
        (3, "total(credit_limit) <= 3"),
    ] {
        let mut texts = TEXTS;
        texts[form] = text;
        let other = case(&texts);
        assert_eq!(other.check(&honest.images), Err(VerifyError), "{text}");
    }
    // A constant is not part of the image: the verifier adds it.
    let mut texts = TEXTS;
    texts[1] = "total(payments, 2m) >= 41";
    assert_eq!(case(&texts).check(&honest.images), Ok(()));
    // Another agency's record.
    let key = CommitmentKey::new(&schema());
    let holders = holders(&key);
    let other = at(&query(&TEXTS[..2]), holders[3].as_ref().expect("a record"));
    let mine = case(&TEXTS[..2]);
    assert_eq!(other.check(&other.images), Ok(()));
    assert_eq!(other.check(&mine.images), Err(VerifyError));
    // A key of another schema.
    let mut attributes = schema().attributes().to_vec();
    attributes[5].max += 1;
    let changed = Schema::new(2, attributes).expect("valid");
    let key = CommitmentKey::new(&changed);
    assert_eq!(
        verify(&key, &CONTEXT, &mine.plan, &mine.images, &mut rng(1)),
        Err(VerifyError)
    );
    let refused = prove(&key, &CONTEXT, &mine.plan, &mine.openings, &mut rng(1));
    assert!(matches!(refused, Err(ProveError::Unsatisfied(_))));
}

#[test]
fn wrong_counts() {
    let case = case(&TEXTS);
    let broken = |change: fn(&mut Images)| {
        let mut images = case.images.clone();
        change(&mut images);
        assert_eq!(case.check(&images), Err(VerifyError));
    };
    broken(|i| i.points.truncate(3));
    broken(|i| i.points.push(PointBytes::IDENTITY));
    broken(|i| i.points.clear());
    broken(|i| i.proof.announcements.truncate(7));
    broken(|i| i.proof.announcements.push(PointBytes::IDENTITY));
    broken(|i| i.proof.responses.truncate(4));
    broken(|i| i.proof.responses.push(Scalar::ZERO));
    broken(|i| i.points[0] = PointBytes([0xff; 32]));
    broken(|i| i.proof.announcements[0] = PointBytes([0xff; 32]));
    let short = prove(
        &case.key,
        &CONTEXT,
        &case.plan,
        &case.openings[1..],
        &mut rng(1),
    );
    assert!(matches!(
        short,
        Err(ProveError::Length {
            what: "openings",
            ..
        })
    ));
    let none =
        AgencyPlan::new(&query(&TEXTS), AgencyId(1), &crate::fact::View::NoRecord).expect("valid");
    let nothing = prove(&case.key, &CONTEXT, &none, &[], &mut rng(1));
    assert!(matches!(
        nothing,
        Err(ProveError::Size { what: "forms", .. })
    ));
    assert_eq!(
        verify(&case.key, &CONTEXT, &none, &case.images, &mut rng(1)),
        Err(VerifyError)
    );
}

#[test]
fn one_bad_item_fails_a_batch() {
    let key = CommitmentKey::new(&schema());
    let query = query(&TEXTS[..2]);
    let cases: Vec<Case> = holders(&key)
        .iter()
        .flatten()
        .map(|h| at(&query, h))
        .collect();
    let items = |contexts: [u8; 3]| -> Vec<_> {
        let context = |c: u8| if c == 7 { CONTEXT } else { [c; 32] };
        (contexts.into_iter().zip(&cases))
            .map(|(c, case)| (context(c), &case.plan, &case.images))
            .collect()
    };
    assert_eq!(verify_batch(&key, &items([7; 3]), &mut rng(1)), Ok(()));
    assert_eq!(verify_batch(&key, &[], &mut rng(1)), Ok(()));
    for bad in 0..3 {
        let mut contexts = [7; 3];
        contexts[bad] = 8;
        assert_eq!(
            verify_batch(&key, &items(contexts), &mut rng(1)),
            Err(VerifyError)
        );
    }
    // Two errors that cancel in an unweighted sum.
    let mut shifted = [cases[0].images.clone(), cases[1].images.clone()];
    for (images, sign) in shifted.iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
        let end = images.proof.responses.len() - 1;
        images.proof.responses[end] += sign;
    }
    let items = [
        (CONTEXT, &cases[0].plan, &shifted[0]),
        (CONTEXT, &cases[1].plan, &shifted[1]),
    ];
    assert_eq!(verify_batch(&key, &items, &mut rng(1)), Err(VerifyError));
}

#[test]
fn a_window_without_entries_is_zero() {
    // The record of 2005-03 reaches back; 2005-04 to 2005-07 are empty at the first agency.
    let key = CommitmentKey::new(&schema());
    let schema = schema();
    let fact = crate::fact::Fact::parse("total(payments, 2m) >= 0", &schema).expect("valid");
    let query = Query::new(
        &schema,
        vec![fact],
        vec![crate::ids::AgencyId(1)],
        "2005-06".parse().expect("a period"),
        crate::fact::HitPolicy::Zero,
    )
    .expect("valid");
    let holders = holders(&key);
    let case = at(&query, holders[0].as_ref().expect("a record"));
    assert_eq!(case.plan.sources()[0].commitment(), PointBytes::IDENTITY);
    assert_eq!(case.openings[0], Opening::zero(&schema, Class::Flow));
    assert_eq!(case.form_openings[0].value(), 0);
    assert_eq!(case.check(&case.images), Ok(()));
}
