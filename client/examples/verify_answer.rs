//! A lender verifies an answer in its own program:
//! `cargo run --example verify_answer GENESIS LENDER.KEY REQUEST ANSWER TYPE ID`.

use std::path::PathBuf;

use zkbureau_circuits::directory::SubjectId;
use zkbureau_client::{chain::Chain, files, lender, time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [genesis, keys, request, answer, id_type, id] = paths.as_slice() else {
        return Err("verify_answer GENESIS LENDER.KEY REQUEST ANSWER TYPE ID".into());
    };
    let chain = Chain::from_genesis(files::read_genesis(genesis)?)?;
    let keys = files::LenderKeys::read(keys)?;
    let request = files::read_document(request)?;
    let answer = files::read_document(answer)?;
    let person = SubjectId::new(&id_type.to_string_lossy(), &id.to_string_lossy())?;
    let (now, age) = (time::now(), lender::DEFAULT_MAX_AGE_MS);
    let rng = &mut rand_core::OsRng;
    let verified = lender::verify(&request, &answer, &chain, &keys, &person, now, age, rng)?;
    for fact in verified.facts {
        println!("{}: {}", fact.fact, fact.verdict);
    }
    Ok(())
}
