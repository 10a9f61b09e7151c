//! A regulator in its own program: totals of a month, each proven against the ledger, over any
//! nodes.
//!
//! ```console
//! $ cargo run --example auditor GENESIS AUDITOR.KEY 2005-09 balance http://127.0.0.1:7600 [NODE …]
//! ```

use std::path::Path;

use rand_core::OsRng;
use zkbureau_client::audit::{Options, audit};
use zkbureau_client::{chain::Chain, files, nodes::Nodes};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [genesis, key, period, attribute, urls @ ..] = args.as_slice() else {
        return Err("auditor GENESIS AUDITOR.KEY YYYY-MM ATTRIBUTE NODE …".into());
    };
    let chain = Chain::from_genesis(files::read_genesis(Path::new(genesis))?)?;
    let key = files::read_signing_key(Path::new(key))?;
    let options = Options {
        period: period.parse()?,
        attributes: vec![attribute.clone()],
        agencies: None,
    };
    let audited = audit(&chain, &Nodes::new(urls)?, &key, &options, &mut OsRng)?;
    for part in &audited.parts {
        match &part.result {
            Ok(figures) => println!("{}: {} {}", part.name, figures.figures[0].total, attribute),
            Err(failure) => println!("{}: {failure}", part.name),
        }
    }
    Ok(())
}
