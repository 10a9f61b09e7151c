//! The card data's schema, and a vault in memory.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{LazyLock, Mutex};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use zkbureau_circuits::commitment::SubjectSalt;
use zkbureau_circuits::directory::{Index, SubjectId, VrfSecretKey};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::range_batch::ProvingKey;
use zkbureau_circuits::schema::Schema;
use zkbureau_prover::{
    Import, ImportError, KnownSubject, Mapping, Options, Plan, PreparedBatch, PublicEntry,
    PublishError, PublishedView, Quiet, Subjects, Summary, Target, Tradeline,
};

pub const HEADER: &str = "account,subject,period,balance,credit_limit,pay,payment\n";
pub const KIND: &str = "tw-national-id";
pub const CHAIN: Digest32 = [7; 32];
/// Largest batch of the test key.
pub const MAX_BATCH: usize = 16;

pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    toml::from_str(include_str!("../../../data/uci_taiwan_default/schema.toml")).expect("valid")
});
pub static KEY: LazyLock<ProvingKey> =
    LazyLock::new(|| ProvingKey::new(&SCHEMA, MAX_BATCH).expect("small"));
pub static VRF: LazyLock<VrfSecretKey> =
    LazyLock::new(|| VrfSecretKey::random(&mut ChaCha20Rng::seed_from_u64(1)));

pub fn mapping() -> Mapping {
    Mapping::parse(include_str!("uci.toml"), &SCHEMA).expect("valid")
}

pub fn period(text: &str) -> Period {
    text.parse().expect("valid")
}

pub fn subject(id: &str) -> SubjectId {
    SubjectId::new(KIND, id).expect("valid")
}

/// Lines under the header.
pub fn file(lines: &[&str]) -> String {
    let mut text = HEADER.to_owned();
    for line in lines {
        writeln!(text, "{line}").expect("memory");
    }
    text
}

pub fn plan_with<V: PublishedView>(
    text: &str,
    options: Options,
    view: &V,
) -> Result<Plan, ImportError<V::Error>> {
    plan_sized(text, Some(text.len() as u64), options, view)
}

/// A source of unknown size goes through many partitions, a small one through one.
pub fn plan_sized<V: PublishedView>(
    text: &str,
    size: Option<u64>,
    options: Options,
    view: &V,
) -> Result<Plan, ImportError<V::Error>> {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mapping = mapping();
    let import = Import {
        schema: &SCHEMA,
        mapping: &mapping,
        options,
        spill_dir: dir.path(),
    };
    let plan = import.plan(text.as_bytes(), size, view, &Quiet);
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
    plan
}

/// A vault that stores what the pipeline hands over.
#[derive(Default)]
pub struct MemoryVault {
    pub periods: Mutex<HashMap<(SubjectId, Period), Vec<Tradeline>>>,
    pub subjects: Mutex<HashMap<SubjectId, KnownSubject>>,
    pub batches: Vec<PreparedBatch>,
}

impl PublishedView for MemoryVault {
    type Error = Infallible;

    fn published(
        &self,
        subject: &SubjectId,
        period: Period,
    ) -> Result<Option<Vec<Tradeline>>, Infallible> {
        let periods = self.periods.lock().expect("not poisoned");
        Ok(periods.get(&(subject.clone(), period)).cloned())
    }
}

impl Subjects for MemoryVault {
    type Error = Infallible;

    fn known(&self, subject: &SubjectId) -> Result<Option<KnownSubject>, Infallible> {
        Ok(self
            .subjects
            .lock()
            .expect("not poisoned")
            .get(subject)
            .cloned())
    }

    fn admit(&self, _: &SubjectId, index: Index) -> Result<KnownSubject, Infallible> {
        Ok(KnownSubject {
            index,
            salt: SubjectSalt::random(&mut rand_core::OsRng),
            holder_tag: Sha256::digest(index.as_bytes()).into(),
        })
    }

    fn body_hash(&self, number: u64, closes: bool, entries: &[PublicEntry]) -> Digest32 {
        let mut hash = Sha256::new();
        hash.update(number.to_le_bytes());
        hash.update([u8::from(closes)]);
        hash.update(borsh::to_vec(entries).expect("memory"));
        hash.finalize().into()
    }
}

impl MemoryVault {
    pub fn target(&self, batch_records: usize) -> Target<'static> {
        Target {
            chain: CHAIN,
            agency: AgencyId(3),
            key: &KEY,
            vrf: &VRF,
            reported_period: period("2005-09"),
            closes: true,
            first_batch: self.batches.len() as u64 + 1,
            batch_records,
        }
    }

    /// Stores a batch as a real vault would.
    pub fn store(&self, batch: &PreparedBatch) {
        for (kept, entry) in batch.kept.iter().zip(&batch.entries) {
            let mut subjects = self.subjects.lock().expect("not poisoned");
            let before = subjects.insert(kept.subject.clone(), kept.known.clone());
            assert_eq!(
                before.is_none(),
                kept.new_subject,
                "new once, and only once"
            );
            self.periods.lock().expect("not poisoned").insert(
                (kept.subject.clone(), entry.effective_period),
                kept.tradelines.clone(),
            );
        }
    }

    pub fn publish(
        &mut self,
        plan: Plan,
        batch_records: usize,
        allow_rejects: bool,
    ) -> Result<Summary, PublishError<Infallible, Infallible>> {
        let target = self.target(batch_records);
        let mut batches = Vec::new();
        let summary = plan.publish(
            &target,
            self,
            allow_rejects,
            &mut ChaCha20Rng::seed_from_u64(5),
            |batch| {
                self.store(&batch);
                batches.push(batch);
                Ok(())
            },
            &Quiet,
        );
        self.batches.extend(batches);
        summary
    }

    /// Plans and publishes.
    pub fn import(&mut self, text: &str, correct: bool) -> Summary {
        let options = Options {
            correct,
            ..Options::default()
        };
        let plan = plan_with(text, options, self).expect("a usable file");
        assert_eq!(plan.report().rejects, []);
        self.publish(plan, MAX_BATCH, false).expect("published")
    }

    /// Everything published for a subject and period, as real values per report.
    pub fn published_values(&self, id: &str, p: &str) -> Vec<Vec<i64>> {
        let (subject, p) = (subject(id), period(p));
        let mut out = Vec::new();
        for batch in &self.batches {
            for (kept, entry) in batch.kept.iter().zip(&batch.entries) {
                if kept.subject == subject && entry.effective_period == p {
                    out.push(kept.record.values(&SCHEMA));
                }
            }
        }
        out
    }
}
