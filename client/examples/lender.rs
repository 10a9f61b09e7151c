//! A lender in its own program: makes a request, and later verifies the answer to it. Nodes are
//! asked for nothing but what has changed since the genesis file, and none of them is trusted.
//!
//! ```console
//! $ cargo run --example lender ask GENESIS LENDER.KEY REQUEST TYPE:ID 2005-09 'total(balance) <= 500000'
//! $ cargo run --example lender verify GENESIS LENDER.KEY REQUEST TYPE:ID ANSWER [NODE …]
//! ```

use std::path::Path;

use rand_core::OsRng;
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::fact::HitPolicy;
use zkbureau_client::chain::Chain;
use zkbureau_client::files::{self, LenderKeys};
use zkbureau_client::lender::{self, Ask};
use zkbureau_client::nodes::Nodes;
use zkbureau_client::time;
use zkbureau_ledger::document::request::InquiryType;
use zkbureau_ledger::ids::{DAY_MS, TimeMs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["ask", genesis, keys, request, person, as_of, facts @ ..] => {
            let chain = Chain::from_genesis(files::read_genesis(Path::new(genesis))?)?;
            let ask = Ask {
                lender_name: "Example Bank".into(),
                purpose: "car loan".into(),
                inquiry_type: InquiryType::Hard,
                subject: &subject(person)?,
                facts: &facts.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>(),
                scores: &[],
                cards: &[],
                agencies: None,
                as_of: as_of.parse()?,
                hit_policy: HitPolicy::NoHit,
                expires: TimeMs(time::now().0 + 7 * DAY_MS),
            };
            let keys = LenderKeys::read(Path::new(keys))?;
            let made = lender::make_request(&chain, &keys, ask, time::now(), &mut OsRng)?;
            files::write_document(Path::new(request), &made)?;
        }
        ["verify", genesis, keys, request, person, answer, nodes @ ..] => {
            let chain = Chain::from_genesis(files::read_genesis(Path::new(genesis))?)?;
            if !nodes.is_empty() {
                Nodes::new(nodes)?.newest(&chain)?;
            }
            let verified = lender::verify(
                &files::read_document(Path::new(request))?,
                &files::read_document(Path::new(answer))?,
                &chain,
                &LenderKeys::read(Path::new(keys))?,
                &subject(person)?,
                time::now(),
                lender::DEFAULT_MAX_AGE_MS,
                &mut OsRng,
            )?;
            for fact in &verified.facts {
                println!("{}: {}", fact.fact, fact.verdict);
            }
        }
        _ => return Err("see the top of examples/lender.rs".into()),
    }
    Ok(())
}

fn subject(text: &str) -> Result<SubjectId, Box<dyn std::error::Error>> {
    let (id_type, id) = text.split_once(':').ok_or("TYPE:ID")?;
    Ok(SubjectId::new(id_type, id)?)
}
