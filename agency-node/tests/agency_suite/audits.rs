//! Audits, as a regulator checks them.

use rand_core::OsRng;
use zkbureau_agency_node::agency::{AnswerError, Refusal};
use zkbureau_circuits::audit::{ColumnStatement, verify};
use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::document::audit::{AUDIT_SEAL, AuditAnswer, AuditAsk, audit_context};
use zkbureau_ledger::document::sealed::{Sealed, SealingSecretKey};
use zkbureau_ledger::{AuditId, AuditRequest, AuditorId, Height, SecretKey};

use super::ask::{chain, refusal};
use super::world::{World, crowd, period};

const MONTH: &str = "2024-03";

pub fn request(world: &World) -> AuditRequest {
    AuditRequest::sign(
        &chain(world),
        AuditorId(1),
        [5; 32],
        vec![AgencyId(1)],
        vec!["balance".into(), "payments".into(), "statements".into()],
        period(MONTH),
        &world.auditor,
    )
}

pub fn fetch(world: &World, id: AuditId, key: &SecretKey) -> Result<AuditAnswer, AnswerError> {
    let secret = SealingSecretKey::random(&mut OsRng);
    let ask = AuditAsk::new(chain(world), AgencyId(1), id, secret.public(), key);
    let reply = world.agency(1).answer_audit(&ask.to_bytes(), &mut OsRng)?;
    let sealed = Sealed::from_bytes(&reply).unwrap();
    let plain = sealed.open(&secret, AUDIT_SEAL, &ask.digest()).unwrap();
    Ok(AuditAnswer::from_bytes(&plain).unwrap())
}

/// Verifies an answer against the ledger and gives (balance, payments, statements).
pub fn verified(world: &World, answer: &AuditAnswer, at: Height) -> Vec<i128> {
    let column = world.chain.ledger().column(at, AgencyId(1)).unwrap();
    let key = CommitmentKey::new(&world.chain.ledger().schema_at(at).unwrap());
    let mut values = Vec::new();
    for part in &answer.columns {
        let statement = ColumnStatement {
            context: audit_context(&chain(world), &answer.audit, AgencyId(1), at),
            key: &key,
            class: if part.flows {
                Class::Flow
            } else {
                Class::Stock
            },
            column: if part.flows {
                column.flows
            } else {
                column.stocks
            },
            leaves: column.leaves,
            totals: &part.totals,
        };
        verify(&statement, &part.proof).unwrap();
        values.extend(part.totals.iter().map(|t| t.value));
    }
    values
}

#[test]
fn an_audit_opens_the_column_of_its_height() {
    let world = World::new(1);
    world.publish(1, "2024-02", &crowd(20, "2024-02"));
    world.publish(1, MONTH, &crowd(20, MONTH));
    let request = request(&world);
    let height = world.block(vec![request.clone().into()]).header.height;
    let id = request.id();
    let sum: i128 = (0..20).sum();
    let expected = [7 * sum, 2 * 11 * sum, 40];
    let answer = fetch(&world, id, &world.auditor).unwrap();
    assert_eq!(verified(&world, &answer, height), expected);
    // Later batches move the column; the answer stays, also across a restart.
    world.publish(1, "2024-04", &crowd(25, "2024-04"));
    assert_eq!(fetch(&world, id, &world.auditor).unwrap(), answer);
    let world = world.restart();
    assert_eq!(fetch(&world, id, &world.auditor).unwrap(), answer);
    let refused = |result| refusal(result).code();
    let stranger = SecretKey::random(&mut OsRng);
    assert_eq!(refused(fetch(&world, id, &stranger)), "signature");
    let unknown = fetch(&world, AuditId([9; 32]), &world.auditor);
    assert_eq!(refusal(unknown), Refusal::NoAudit);
    // It may be waited for, but not for a stranger.
    assert_eq!(
        refused(fetch(&world, AuditId([9; 32]), &stranger)),
        "signature"
    );
}

#[test]
fn an_audit_of_a_block_that_was_missed_is_caught_up() {
    let world = World::new(1);
    world.publish(1, MONTH, &crowd(20, MONTH));
    let request = request(&world);
    let height = world
        .chain
        .block(vec![request.clone().into()])
        .unwrap()
        .header
        .height;
    // Nobody told the agency. More data come, then a block it hears of.
    world
        .import(1, "2024-04", &crowd(9, "2024-04"), &[], false)
        .unwrap();
    let world = world.restart();
    world.block(Vec::new());
    let answer = fetch(&world, request.id(), &world.auditor).unwrap();
    assert_eq!(verified(&world, &answer, height), [7 * 190, 11 * 190, 20]);
}

#[test]
fn an_audit_of_others_is_refused() {
    let world = World::new(2);
    world.publish(2, MONTH, &crowd(20, MONTH));
    let request = AuditRequest::sign(
        &chain(&world),
        AuditorId(1),
        [5; 32],
        vec![AgencyId(2)],
        vec!["balance".into()],
        period(MONTH),
        &world.auditor,
    );
    world.block(vec![request.clone().into()]);
    assert_eq!(
        refusal(fetch(&world, request.id(), &world.auditor)),
        Refusal::NoAudit
    );
}
