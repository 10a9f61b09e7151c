//! Reports, as the wallet checks them.

use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::directory::vrf_input;
use zkbureau_circuits::encoding::{Document, PointBytes};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::log::EMPTY_LOG;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::LightClient;
use zkbureau_ledger::document::ask::AskBody;
use zkbureau_ledger::document::report::AgencyReport;

use super::ask::{Wallet, chain, send};
use super::lender::people;
use super::world::{World, person, schema};

pub fn report(world: &World, agency: u32, name: &str) -> AgencyReport {
    let wallet = Wallet::new(world, &person(name));
    let reply = send(
        world,
        agency,
        wallet.identity(),
        AskBody::Report,
        &wallet.key,
    )
    .unwrap();
    AgencyReport::from_bytes(&reply).unwrap()
}

#[test]
fn a_report_opens_the_whole_log() {
    let world = World::new(2);
    people(&world);
    let report = report(&world, 1, "ann");
    let light = LightClient::from_genesis(&world.chain.genesis).unwrap();
    let roots = light
        .verify_header(&report.header)
        .unwrap()
        .roots(&report.roots)
        .unwrap();
    let input = vrf_input(chain(&world).as_bytes(), &person("ann"));
    let key = world.chain.genesis.agencies[0].vrf_key;
    let index = key.verify(&input, &report.directory[0].vrf).unwrap();
    let leaf = roots
        .leaf(AgencyId(1), &index, &report.directory[0].leaf)
        .unwrap()
        .unwrap();
    let log = report.log.unwrap();
    log.check(&leaf).unwrap();
    assert_eq!(log.before, EMPTY_LOG);
    assert_eq!(report.openings.len(), 3);
    let key = CommitmentKey::new(&schema());
    for (entry, opening) in log.entries.iter().zip(&report.openings) {
        let stocks = key.commit(Class::Stock, &opening.stocks).unwrap();
        let flows = key.commit(Class::Flow, &opening.flows).unwrap();
        assert_eq!(PointBytes::from(stocks), entry.stocks);
        assert_eq!(PointBytes::from(flows), entry.flows);
        // present, balance 350 above -10,000, arrears; payments, two statements.
        assert_eq!(opening.stocks.encoded(), [1, 10_350, 1]);
        assert_eq!(opening.flows.encoded(), [30, 2]);
    }
}

#[test]
fn a_report_about_nothing_proves_that() {
    let world = World::new(2);
    people(&world);
    let report = report(&world, 2, "bob");
    assert!(report.log.is_none() && report.openings.is_empty());
    let light = LightClient::from_genesis(&world.chain.genesis).unwrap();
    let roots = light
        .verify_header(&report.header)
        .unwrap()
        .roots(&report.roots)
        .unwrap();
    let input = vrf_input(chain(&world).as_bytes(), &person("bob"));
    let key = world.chain.genesis.agencies[1].vrf_key;
    let index = key.verify(&input, &report.directory[0].vrf).unwrap();
    let leaf = roots.leaf(AgencyId(2), &index, &report.directory[0].leaf);
    assert_eq!(leaf, Ok(None));
}
