//! Time and memory of an import over growing files: `cargo bench -p zkbureau-prover [-- ROWS ...]`.
//!
//! Each size runs in a process of its own, since the peak of resident memory never goes down.
//! The sink drops every batch, so this is the prover's share alone.

use std::convert::Infallible;
use std::io::{BufWriter, Write};
use std::process::{Command, ExitCode};
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zkbureau_circuits::commitment::SubjectSalt;
use zkbureau_circuits::directory::{Index, SubjectId, VrfSecretKey};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::range_batch::ProvingKey;
use zkbureau_circuits::schema::Schema;
use zkbureau_prover::{
    DEFAULT_BATCH, Import, KnownSubject, Mapping, NothingPublished, Options, PublicEntry, Quiet,
    Subjects, Target,
};

const DEFAULT_ROWS: [u64; 3] = [10_000, 100_000, 1_000_000];
/// Tradelines per person.
const ACCOUNTS: u64 = 2;

/// Draws salts and forgets them.
struct Forgetful;

impl Subjects for Forgetful {
    type Error = Infallible;

    fn known(&self, _: &SubjectId) -> Result<Option<KnownSubject>, Infallible> {
        Ok(None)
    }

    fn admit(&self, _: &SubjectId, index: Index) -> Result<KnownSubject, Infallible> {
        Ok(KnownSubject {
            index,
            salt: SubjectSalt::random(&mut rand_core::OsRng),
            holder_tag: [0; 32],
        })
    }

    fn body_hash(&self, _: u64, _: bool, _: &[PublicEntry]) -> Digest32 {
        [0; 32]
    }
}

fn main() -> ExitCode {
    let rows: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    if let Ok(rows) = std::env::var("ZKBUREAU_BENCH_ROWS") {
        measure(rows.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    println!(
        "{:>10} {:>9} {:>9} | {:>8} | {:>9} {:>9} {:>9} {:>9} | {:>9}",
        "rows",
        "records",
        "MiB file",
        "plan s",
        "vrf µs",
        "commit µs",
        "prove µs",
        "total µs",
        "peak MiB"
    );
    let rows = if rows.is_empty() {
        DEFAULT_ROWS.to_vec()
    } else {
        rows
    };
    for n in rows {
        let done = Command::new(std::env::current_exe().expect("own path"))
            .env("ZKBUREAU_BENCH_ROWS", n.to_string())
            .status()
            .expect("started");
        if !done.success() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(rows: u64) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("rows.csv");
    let mut out = BufWriter::new(std::fs::File::create(&path).expect("created"));
    writeln!(
        out,
        "account,subject,period,balance,credit_limit,pay,payment"
    )
    .expect("written");
    for i in 0..rows {
        let (person, account) = (i / ACCOUNTS, i % ACCOUNTS);
        let balance = i * 7919 % 400_000;
        writeln!(
            out,
            "C{account},P{person:08},2005-09,{balance},500000,{},{}",
            i % 5,
            balance / 9
        )
        .expect("written");
    }
    out.into_inner().expect("flushed");

    let schema: Schema =
        toml::from_str(include_str!("../../data/uci_taiwan_default/schema.toml")).expect("valid");
    let mapping = Mapping::parse(include_str!("../tests/prover/uci.toml"), &schema).expect("valid");
    let key = ProvingKey::new(&schema, DEFAULT_BATCH).expect("within limits");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let vrf = VrfSecretKey::random(&mut rng);

    let start = Instant::now();
    let file = std::fs::File::open(&path).expect("opened");
    let size = file.metadata().expect("size").len();
    let import = Import {
        schema: &schema,
        mapping: &mapping,
        options: Options::default(),
        spill_dir: dir.path(),
    };
    let plan = import
        .plan(file, Some(size), &NothingPublished, &Quiet)
        .expect("a usable file");
    let planning = start.elapsed();
    let target = Target {
        chain: [1; 32],
        agency: AgencyId(1),
        key: &key,
        vrf: &vrf,
        reported_period: "2005-09".parse().expect("a period"),
        closes: true,
        first_batch: 1,
        batch_records: DEFAULT_BATCH,
    };
    let summary = plan
        .publish(
            &target,
            &Forgetful,
            false,
            &mut rng,
            |_| Ok::<_, Infallible>(()),
            &Quiet,
        )
        .expect("published");
    let each = |d: std::time::Duration| d.as_secs_f64() * 1e6 / summary.records as f64;
    println!(
        "{rows:>10} {:>9} {:>9} | {:>8.2} | {:>9.1} {:>9.1} {:>9.1} {:>9.1} | {:>9}",
        summary.records,
        size >> 20,
        planning.as_secs_f64(),
        each(summary.timings.directory),
        each(summary.timings.commit),
        each(summary.timings.prove),
        each(summary.elapsed),
        peak_kib() >> 10,
    );
}

/// Peak of resident memory, from the kernel; 0 where there is no `/proc`.
fn peak_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
