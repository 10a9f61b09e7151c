//! Every rule of the state machine, and every refusal with the state unchanged.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use zkbureau_circuits::Scalar;
use zkbureau_circuits::commitment::Opening;
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::log::{self, EMPTY_LOG};
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::block::transactions_root;
use zkbureau_ledger::ids::DAY_MS;
use zkbureau_ledger::machine::BlockErrorKind;
use zkbureau_ledger::state::AnchorStatus;
use zkbureau_ledger::transaction::AuditRequest;
use zkbureau_ledger::{
    AgencyId, AuditorId, Block, Day, Height, Inquiry, Ledger, LedgerError, MemoryStore,
    RevokeConsent, SecretKey, TimeMs, Transaction, TxError,
};

fn ledger() -> Ledger<MemoryStore> {
    Ledger::open(MemoryStore::new(), &genesis(2)).unwrap()
}

fn commit(class: Class, opening: &Opening) -> PointBytes {
    commitment_key().commit(class, opening).unwrap().into()
}

/// Rows of three subjects, enough for the tests' policy of openings.
fn three(effective: &str) -> [Row; 3] {
    [1, 2, 3].map(|n| row(n, effective, 100 * n as i64, n as i64))
}

#[test]
fn a_first_report_makes_a_leaf() {
    let ledger = ledger();
    let rows = [row(1, "2024-10", 500, 7), row(2, "2024-09", 20, 1)];
    let tip = step(
        &ledger,
        &[batch(ledger.chain_id(), ONE, 1, "2024-10", &rows)],
    );
    assert_eq!(tip.height, Height(1));
    let index = Index(rows[0].index);
    let leaf = ledger.leaf(tip.height, ONE, &index).unwrap().unwrap();
    let [stocks, flows] = openings(ONE, 1, &rows[0]);
    assert_eq!(leaf.stocks, commit(Class::Stock, &stocks));
    assert_eq!(leaf.stocks_period, period("2024-10"));
    assert_eq!(leaf.last_reported, period("2024-10"));
    assert_eq!(leaf.entries, 1);
    let entries = ledger.log(tip.height, ONE, &index).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].flows, commit(Class::Flow, &flows));
    assert_eq!(log::chain(&EMPTY_LOG, &entries), leaf.log_head);
    // The other agency knows nothing of it.
    assert_eq!(ledger.leaf(tip.height, TWO, &index).unwrap(), None);
    let column = ledger.column(tip.height, ONE).unwrap();
    assert_eq!((column.leaves, column.records, column.batches), (2, 2, 1));
    assert_eq!(column.period, Some(period("2024-10")));
    assert_eq!(column.changed, 2);
}

#[test]
fn stocks_follow_the_newest_period_and_flows_add_up() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let index = Index(index(1));
    let reports = [
        // (reported, effective, balance, payments, whether the stocks change)
        ("2024-05", "2024-05", 500, 7, true),
        ("2024-06", "2024-06", 400, 6, true),
        ("2024-07", "2024-05", 999, 5, false), // late: an older period than the stocks'
        ("2024-07", "2024-06", 300, 4, true),  // the same period again: a correction
        ("2024-09", "2024-09", 200, 3, true),
    ];
    let mut flows_total = Opening::zero(&schema(), Class::Flow);
    let mut current = None;
    let mut tag = 0;
    for (number, (reported, effective, balance, payments, changes)) in (1u64..).zip(reports) {
        tag += 1;
        let row = Row {
            tag,
            ..row(1, effective, balance, payments)
        };
        let tip = step(&ledger, &[batch(&chain, ONE, number, reported, &[row])]);
        let [stocks, flows] = openings(ONE, number, &row);
        flows_total += &flows;
        if changes {
            current = Some((stocks, period(effective)));
        }
        let (stocks, stocks_period) = current.clone().unwrap();
        let leaf = ledger.leaf(tip.height, ONE, &index).unwrap().unwrap();
        assert_eq!(leaf.stocks, commit(Class::Stock, &stocks));
        assert_eq!(leaf.stocks_period, stocks_period);
        assert_eq!(leaf.last_reported, period(reported));
        assert_eq!(u64::from(leaf.entries), number);
        assert_eq!(leaf.holder_tag.0, [tag; 32]);
        let column = ledger.column(tip.height, ONE).unwrap();
        assert_eq!(column.leaves, 1);
        assert_eq!(column.records, number);
        assert_eq!(column.stocks, commit(Class::Stock, &stocks));
        assert_eq!(column.flows, commit(Class::Flow, &flows_total));
    }
    // The whole log, every suffix of it, and the log as it was at every height.
    let tip = ledger.tip().height;
    let leaf = ledger.leaf(tip, ONE, &index).unwrap().unwrap();
    let all = ledger.log(tip, ONE, &index).unwrap();
    assert_eq!(all.len(), 5);
    for first in 0..=6u32 {
        let suffix = ledger.log_suffix(tip, ONE, &index, first).unwrap();
        assert_eq!(suffix.entries, all[(first as usize).min(5)..]);
        assert_eq!(suffix.from_start(), first == 0);
        assert!(suffix.check(&leaf).is_ok());
        if first < 5 {
            let mut short = suffix.clone();
            short.entries.pop();
            assert!(short.check(&leaf).is_err());
            let mut gap = suffix.clone();
            gap.entries.remove(0);
            assert!(gap.check(&leaf).is_err());
            let mut forged = suffix.clone();
            forged.entries[0].flows = PointBytes([7; 32]);
            assert!(forged.check(&leaf).is_err());
            let mut start = suffix;
            start.before = if first == 0 { [1; 32] } else { EMPTY_LOG };
            assert!(start.check(&leaf).is_err());
        }
    }
    for height in 1..=5u64 {
        let then = ledger.log(Height(height), ONE, &index).unwrap();
        assert_eq!(then, all[..height as usize]);
    }
}

#[test]
fn several_batches_of_several_agencies_fit_in_a_block() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let tip = step(
        &ledger,
        &[
            // Out of order on purpose: the proposer brings them into order.
            batch(&chain, ONE, 2, "2024-10", &[row(1, "2024-10", 2, 2)]),
            batch(&chain, TWO, 1, "2024-10", &three("2024-10")),
            batch(&chain, ONE, 1, "2024-10", &three("2024-09")),
        ],
    );
    let column = ledger.column(tip.height, ONE).unwrap();
    assert_eq!((column.leaves, column.records, column.batches), (3, 4, 2));
    let leaf = ledger.leaf(tip.height, ONE, &Index(index(1))).unwrap();
    assert_eq!(leaf.unwrap().entries, 2);
    assert_eq!(
        ledger.log(tip.height, ONE, &Index(index(1))).unwrap().len(),
        2
    );
    assert_eq!(ledger.leaves(tip.height, ONE).count(), 3);
    assert_eq!(ledger.leaves(tip.height, TWO).count(), 3);
    ledger.check_everything().unwrap();
}

#[test]
fn batches_that_break_a_rule_by_themselves_are_refused() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let (good, rows) = body(ONE, 1, period("2024-10"), &three("2024-10"));
    let refuse = |change: &dyn Fn(&mut zkbureau_ledger::BatchBody)| {
        let mut bad = good.clone();
        change(&mut bad);
        // Signed again, so that only the rule itself can refuse it.
        let argument = seal(&chain, good.clone(), &rows).argument;
        let signed =
            zkbureau_ledger::PublishBatch::sign(&chain, bad, argument, &validator_key(ONE));
        stateless_refusal(&ledger, signed.into())
    };
    let argument = TxError::RangeArgument {
        agency: ONE,
        number: 1,
    };
    assert_eq!(
        refuse(&|b| b.agency = AgencyId(9)),
        TxError::UnknownAgency(AgencyId(9))
    );
    assert_eq!(
        refuse(&|b| b.agency = TWO),
        TxError::Signature { key: "validator" }
    );
    assert_eq!(
        refuse(&|b| b.entries.clear()),
        TxError::Count {
            field: "entries",
            min: 1,
            max: u64::from(MAX_SLOTS),
            got: 0
        }
    );
    assert_eq!(
        refuse(&|b| b.entries.swap(0, 1)),
        TxError::Order {
            field: "entries",
            item: 1
        }
    );
    assert_eq!(
        refuse(&|b| b.entries[2].index = b.entries[1].index),
        TxError::Order {
            field: "entries",
            item: 2
        }
    );
    assert_eq!(
        refuse(&|b| b.schema = 2),
        TxError::Schema {
            expected: 1,
            got: 2
        }
    );
    assert_eq!(
        refuse(&|b| b.entries[1].effective_period = period("2024-11")),
        TxError::EffectivePeriod {
            entry: 1,
            effective: period("2024-11"),
            reported: period("2024-10")
        }
    );
    assert_eq!(
        refuse(&|b| b.entries[1].stocks = PointBytes([0xff; 32])),
        TxError::Point {
            entry: 1,
            class: "stocks"
        }
    );
    assert_eq!(
        refuse(&|b| b.entries[0].flows = PointBytes([0xff; 32])),
        TxError::Point {
            entry: 0,
            class: "flows"
        }
    );
    // Whatever the argument is bound to: points, indexes, periods, tags, number.
    assert_eq!(
        refuse(&|b| b.entries[0].stocks = b.entries[1].stocks),
        argument
    );
    assert_eq!(
        refuse(&|b| b.entries[0].flows = b.entries[1].flows),
        argument
    );
    assert_eq!(refuse(&|b| b.entries[0].index.0[31] ^= 1), argument);
    assert_eq!(
        refuse(&|b| b.entries[0].effective_period = period("2024-09")),
        argument
    );
    assert_eq!(refuse(&|b| b.entries[0].holder_tag.0[0] ^= 1), argument);
    assert_eq!(refuse(&|b| b.period = period("2024-11")), argument);
    assert_eq!(
        refuse(&|b| b.number = 2),
        TxError::RangeArgument {
            agency: ONE,
            number: 2
        }
    );
    assert_eq!(
        refuse(&|b| {
            b.entries.pop();
        }),
        argument
    );
    // A signature of another key, over another chain, over another batch.
    let mut batch = seal(&chain, good.clone(), &rows);
    batch.signature.0[0] ^= 1;
    assert_eq!(
        stateless_refusal(&ledger, batch.into()),
        TxError::Signature { key: "validator" }
    );
    let other_chain = zkbureau_ledger::ChainId([1; 32]);
    assert_eq!(
        stateless_refusal(&ledger, seal(&other_chain, good, &rows).into()),
        TxError::Signature { key: "validator" }
    );
}

#[test]
fn one_bad_argument_among_many_is_named() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let good: Vec<Transaction> = (1..=4)
        .map(|n| batch(&chain, ONE, n, "2024-10", &[row(n, "2024-10", 5, 5)]))
        .collect();
    let mut list = good.clone();
    let Transaction::PublishBatch(third) = &mut list[2] else {
        panic!("a batch");
    };
    let Transaction::PublishBatch(first) = &good[0] else {
        panic!("a batch");
    };
    let body = third.body.clone();
    *third = zkbureau_ledger::PublishBatch::sign(
        &chain,
        body,
        first.argument.clone(),
        &validator_key(ONE),
    );
    let results = ledger.check_stateless(list);
    for (i, result) in results.iter().enumerate() {
        match result {
            Ok(_) => assert_ne!(i, 2),
            Err(error) => assert_eq!(
                (i, error),
                (
                    2,
                    &TxError::RangeArgument {
                        agency: ONE,
                        number: 3
                    }
                )
            ),
        }
    }
}

#[test]
fn batches_come_in_order_and_periods_do_not_go_back() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let at = |number, reported: &str| batch(&chain, ONE, number, reported, &three("2024-01"));
    let number = |expected, got| TxError::Number {
        agency: ONE,
        expected,
        got,
    };
    assert_eq!(refusal(&ledger, at(2, "2024-10")), number(1, 2));
    assert!(number(1, 2).is_temporary());
    assert_eq!(refusal(&ledger, at(0, "2024-10")), number(1, 0));
    assert!(!number(1, 0).is_temporary());
    // January 2025 has begun, February has not.
    assert_eq!(
        refusal(&ledger, at(1, "2025-02")),
        TxError::PeriodAhead {
            limit: period("2025-01"),
            got: period("2025-02")
        }
    );
    step(&ledger, &[at(1, "2024-10")]);
    assert_eq!(refusal(&ledger, at(1, "2024-10")), number(2, 1));
    assert_eq!(
        refusal(&ledger, at(2, "2024-09")),
        TxError::PeriodBack {
            agency: ONE,
            column: period("2024-10"),
            got: period("2024-09")
        }
    );
    step(&ledger, &[at(2, "2024-10")]);
    step(&ledger, &[at(3, "2025-01")]);
    // A gap is kept for later, what follows an invalid batch as well.
    let proposal = propose(&ledger, &[at(5, "2025-01"), at(6, "2025-01")]);
    assert_eq!(proposal.deferred.len(), 2);
    assert!(proposal.executed.block().transactions.is_empty());
}

#[test]
fn anchors_are_used_once_in_time_and_unrevoked() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let day = today(&ledger);
    let tomorrow = anchor(1, Day(day.0 + 1));
    let revoked = anchor(2, Day(day.0 + 30));
    let both = anchor(3, Day(day.0 + 30));
    let inquiry = |id, n| Inquiry::sign(&chain, id, [n; 32], &use_key(n));
    let revocation = |id, n| RevokeConsent::sign(&chain, id, &revocation_key(n));

    // Anchor, revoke and use may stand in one block, in whatever order they arrive.
    let tip = step(
        &ledger,
        &[
            inquiry(both.id(), 3).into(),
            revocation(revoked.id(), 2).into(),
            both.into(),
            revoked.into(),
            tomorrow.into(),
        ],
    );
    let status = |id| {
        let at = ledger.tip();
        let state = ledger.anchor(at.height, id).unwrap();
        state.map(|s| s.status(at.time_ms.day()))
    };
    assert_eq!(status(tomorrow.id()), Some(AnchorStatus::Authorised));
    assert_eq!(status(revoked.id()), Some(AnchorStatus::Revoked));
    assert_eq!(status(both.id()), Some(AnchorStatus::Consumed));
    let consumed = ledger.anchor(tip.height, both.id()).unwrap().unwrap();
    let consumption = consumed.consumed.unwrap();
    assert_eq!(consumption.digest, [3; 32]);
    assert_eq!(consumption.height, tip.height);
    assert_eq!(consumption.time_ms, tip.time_ms);
    assert_eq!(consumed.anchored, tip.height);

    // Twice, unknown, by the wrong key, for the wrong chain, about another request.
    assert_eq!(
        refusal(&ledger, inquiry(both.id(), 3).into()),
        TxError::Consumed(both.id())
    );
    assert_eq!(
        refusal(&ledger, inquiry(revoked.id(), 2).into()),
        TxError::Revoked(revoked.id())
    );
    let nobody = anchor(9, day).id();
    assert_eq!(
        refusal(&ledger, inquiry(nobody, 9).into()),
        TxError::UnknownAnchor(nobody)
    );
    assert_eq!(
        refusal(&ledger, revocation(nobody, 9).into()),
        TxError::UnknownAnchor(nobody)
    );
    let id = tomorrow.id();
    let wrong = TxError::Signature { key: "use" };
    assert_eq!(refusal(&ledger, inquiry(id, 2).into()), wrong);
    let by_revocation_key = Inquiry::sign(&chain, id, [1; 32], &revocation_key(1));
    assert_eq!(refusal(&ledger, by_revocation_key.into()), wrong);
    let other_chain = zkbureau_ledger::ChainId([1; 32]);
    let elsewhere = Inquiry::sign(&other_chain, id, [1; 32], &use_key(1));
    assert_eq!(refusal(&ledger, elsewhere.into()), wrong);
    let mut changed = inquiry(id, 1);
    changed.digest[0] ^= 1;
    assert_eq!(refusal(&ledger, changed.into()), wrong);
    let by_use_key = RevokeConsent::sign(&chain, id, &use_key(1));
    assert_eq!(
        refusal(&ledger, by_use_key.into()),
        TxError::Signature { key: "revocation" }
    );
    assert_eq!(refusal(&ledger, tomorrow.into()), TxError::AnchorExists(id));

    // Revoked after use: on the ledger, so that agencies no longer answer. Not a second time.
    step(&ledger, &[revocation(both.id(), 3).into()]);
    assert_eq!(status(both.id()), Some(AnchorStatus::Revoked));
    assert_eq!(
        refusal(&ledger, revocation(both.id(), 3).into()),
        TxError::Revoked(both.id())
    );

    // The last day still counts, the day after does not.
    let last_moment = TimeMs((u64::from(day.0) + 2) * DAY_MS - 1);
    let use_it = checked(&ledger, &[inquiry(id, 1).into()]);
    assert!(ledger.check_stateful(&use_it[0], last_moment).is_ok());
    let too_late = TimeMs(last_moment.0 + 1);
    let proposal = ledger.propose(ONE, too_late, use_it).unwrap();
    assert_eq!(
        proposal.dropped[0].1,
        TxError::Expired {
            anchor: id,
            expiry: Day(day.0 + 1),
            today: Day(day.0 + 2)
        }
    );
}

#[test]
fn anchors_expire_within_limits_and_are_limited_per_block() {
    let mut genesis = genesis(1);
    genesis.policies.max_anchors_per_block = 2;
    genesis.policies.max_anchor_days = 10;
    let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let day = today(&ledger);
    for bad in [day.0 - 1, day.0 + 11] {
        assert_eq!(
            refusal(&ledger, anchor(1, Day(bad)).into()),
            TxError::AnchorExpiry {
                min: day,
                max: Day(day.0 + 10),
                got: Day(bad)
            }
        );
    }
    let three: Vec<Transaction> = [day.0, day.0 + 10, day.0 + 5]
        .iter()
        .map(|d| anchor(1, Day(*d)).into())
        .collect();
    let proposal = propose(&ledger, &three);
    assert_eq!(proposal.executed.block().transactions, three[..2]);
    assert_eq!(proposal.deferred, vec![three[2].hash()]);
    finish(&ledger, proposal);
    step(&ledger, &three[2..]);
}

#[test]
fn audits_are_at_period_ends_and_far_apart() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let ask = |nonce, agencies: &[AgencyId], at: &str| audit(&chain, nonce, agencies, at);
    let period_error = |agency, column: Option<&str>, requested: &str| TxError::AuditPeriod {
        agency,
        column: column.map(period),
        requested: period(requested),
    };
    let too_soon = |agency, changed| TxError::AuditTooSoon {
        agency,
        changed,
        limit: 3,
    };
    assert_eq!(
        refusal(&ledger, ask(1, &[ONE], "2024-10").into()),
        period_error(ONE, None, "2024-10")
    );
    // Two subjects are too few for the first opening as well.
    step(
        &ledger,
        &[batch(&chain, ONE, 1, "2024-10", &three("2024-10")[..2])],
    );
    assert_eq!(
        refusal(&ledger, ask(1, &[ONE], "2024-10").into()),
        too_soon(ONE, 2)
    );
    step(
        &ledger,
        &[
            batch(&chain, ONE, 2, "2024-10", &[row(3, "2024-10", 5, 5)]),
            batch(&chain, TWO, 1, "2024-09", &three("2024-09")),
        ],
    );
    for other in ["2024-09", "2024-11"] {
        assert_eq!(
            refusal(&ledger, ask(1, &[ONE], other).into()),
            period_error(ONE, Some("2024-10"), other)
        );
    }
    // All agencies named must stand at the period.
    assert_eq!(
        refusal(&ledger, ask(1, &[ONE, TWO], "2024-10").into()),
        period_error(TWO, Some("2024-09"), "2024-10")
    );
    let first = ask(1, &[ONE], "2024-10");
    let tip = step(&ledger, &[first.clone().into()]);
    let state = ledger.audit(tip.height, first.id()).unwrap().unwrap();
    assert_eq!((state.height, state.time_ms), (tip.height, tip.time_ms));
    assert_eq!(state.request, first);
    let column = ledger.column(tip.height, ONE).unwrap();
    assert_eq!(column.changed, 0);
    let opened = column.opened.unwrap();
    assert_eq!(opened.height, tip.height);
    assert_eq!((opened.period, opened.records), (period("2024-10"), 3));

    // The same request twice is refused; another one about the same column is harmless.
    assert_eq!(
        refusal(&ledger, first.clone().into()),
        TxError::AuditExists(first.id())
    );
    let tip = step(&ledger, &[ask(2, &[ONE], "2024-10").into()]);
    let column = ledger.column(tip.height, ONE).unwrap();
    assert_eq!(column.opened, Some(opened));

    // A correction of one subject, then an opening: the difference would be that subject.
    step(
        &ledger,
        &[batch(
            &chain,
            ONE,
            3,
            "2024-10",
            &[row(1, "2024-10", 9, 9), row(9, "2024-10", 9, 9)],
        )],
    );
    assert_eq!(
        refusal(&ledger, ask(3, &[ONE], "2024-10").into()),
        too_soon(ONE, 0)
    );
    // A subject that was new in the opened period counts once, in the next, and the same subject
    // again and again is one subject; late reports do not change the stocks.
    step(
        &ledger,
        &[batch(&chain, ONE, 4, "2024-11", &[row(9, "2024-11", 9, 9)])],
    );
    step(
        &ledger,
        &[batch(&chain, ONE, 5, "2024-11", &[row(9, "2024-11", 8, 8)])],
    );
    step(
        &ledger,
        &[batch(&chain, ONE, 6, "2024-11", &[row(2, "2024-09", 8, 8)])],
    );
    assert_eq!(
        refusal(&ledger, ask(3, &[ONE], "2024-11").into()),
        too_soon(ONE, 1)
    );
    step(
        &ledger,
        &[batch(
            &chain,
            ONE,
            7,
            "2024-11",
            &[row(3, "2024-11", 8, 8), row(4, "2024-11", 8, 8)],
        )],
    );
    let tip = step(&ledger, &[ask(3, &[ONE], "2024-11").into()]);
    let column = ledger.column(tip.height, ONE).unwrap();
    assert_eq!(column.opened.unwrap().height, tip.height);
}

#[test]
fn a_column_stands_still_in_the_block_that_opens_it() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    step(
        &ledger,
        &[
            batch(&chain, ONE, 1, "2024-10", &three("2024-10")),
            batch(&chain, TWO, 1, "2024-10", &three("2024-10")),
        ],
    );
    let more = batch(&chain, ONE, 2, "2024-10", &three("2024-10"));
    let other = batch(&chain, TWO, 2, "2024-10", &three("2024-10"));
    let request: Transaction = audit(&chain, 1, &[ONE], "2024-10").into();
    let proposal = propose(&ledger, &[more.clone(), other.clone(), request.clone()]);
    assert_eq!(proposal.deferred, vec![more.hash()]);
    assert_eq!(
        proposal.executed.block().transactions,
        vec![request.clone(), other]
    );
    // A validator refuses the batch in the block.
    let mut block = proposal.executed.block().clone();
    block.transactions = vec![request, more.clone()];
    let hashes: Vec<_> = block.transactions.iter().map(Transaction::hash).collect();
    block.header.transactions_root = transactions_root(&hashes);
    assert_eq!(
        block_refusal(&ledger, &block),
        BlockErrorKind::Transaction {
            position: 1,
            hash: more.hash(),
            error: TxError::ColumnOpened(ONE)
        }
    );
    finish(&ledger, proposal);
    step(&ledger, &[more]);
}

#[test]
fn audit_requests_that_break_a_rule_by_themselves_are_refused() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let good = audit(&chain, 1, &[ONE, TWO], "2024-10");
    // Signed again by hand, because `sign` brings lists into order.
    let refuse = |change: &dyn Fn(&mut AuditRequest)| {
        let mut bad = good.clone();
        change(&mut bad);
        stateless_refusal(&ledger, bad.into())
    };
    assert_eq!(
        refuse(&|r| r.auditor = AuditorId(2)),
        TxError::UnknownAuditor(AuditorId(2))
    );
    let count = |field, max, got| TxError::Count {
        field,
        min: 1,
        max,
        got,
    };
    assert_eq!(refuse(&|r| r.agencies.clear()), count("agencies", 2, 0));
    assert_eq!(
        refuse(&|r| r.attributes.clear()),
        count("attributes", 64, 0)
    );
    assert_eq!(
        refuse(&|r| r.attributes = (0..65).map(|i| format!("a{i:02}")).collect()),
        count("attributes", 64, 65)
    );
    assert_eq!(
        refuse(&|r| r.agencies.swap(0, 1)),
        TxError::Order {
            field: "agencies",
            item: 1
        }
    );
    assert_eq!(
        refuse(&|r| r.agencies[1] = AgencyId(9)),
        TxError::UnknownAgency(AgencyId(9))
    );
    for bad in ["nothing", "present"] {
        assert_eq!(
            refuse(&|r| r.attributes = vec![bad.into()]),
            TxError::UnknownAttribute(bad.into())
        );
    }
    let signature = TxError::Signature { key: "auditor" };
    assert_eq!(refuse(&|r| r.nonce[0] ^= 1), signature);
    assert_eq!(refuse(&|r| r.period = period("2024-11")), signature);
    assert_eq!(
        refuse(&|r| r.attributes = vec!["payments".into()]),
        signature
    );
    assert_eq!(
        refuse(&|r| {
            r.agencies.pop();
        }),
        signature
    );
    assert_eq!(refuse(&|r| r.signature.0[40] ^= 1), signature);
    // The identifier is what is signed, not how.
    let mut again = good.clone();
    again.signature.0[40] ^= 1;
    assert_eq!(again.id(), good.id());
}

fn block_refusal(ledger: &Ledger<MemoryStore>, block: &Block) -> BlockErrorKind {
    let before = ledger.tip();
    let error = match ledger.execute(block).unwrap_err() {
        LedgerError::Block(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(error.height, block.header.height);
    assert_eq!(ledger.tip(), before);
    error.kind
}

#[test]
fn headers_that_break_a_rule_are_refused() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    step(
        &ledger,
        &[batch(&chain, ONE, 1, "2024-10", &three("2024-10"))],
    );
    let tip = ledger.tip();
    let good = propose(&ledger, &[anchor(1, today(&ledger)).into()]);
    let good = good.executed.block().clone();
    assert!(ledger.execute(&good).is_ok());
    let refuse = |change: &dyn Fn(&mut Block)| {
        let mut bad = good.clone();
        change(&mut bad);
        block_refusal(&ledger, &bad)
    };
    assert_eq!(
        refuse(&|b| b.header.chain_id.0[0] ^= 1),
        BlockErrorKind::Chain
    );
    for height in [0, 1, 3] {
        assert_eq!(
            refuse(&|b| b.header.height = Height(height)),
            BlockErrorKind::Height {
                expected: Height(2)
            }
        );
    }
    assert_eq!(
        refuse(&|b| b.header.previous[0] ^= 1),
        BlockErrorKind::Previous
    );
    for got in [tip.time_ms, TimeMs(0), TimeMs(TimeMs::MAX.0 + 1)] {
        assert_eq!(
            refuse(&|b| b.header.time_ms = got),
            BlockErrorKind::Time {
                last: tip.time_ms,
                got
            }
        );
    }
    assert_eq!(
        refuse(&|b| b.header.proposer = TWO),
        BlockErrorKind::Proposer(TWO)
    );
    assert_eq!(
        refuse(&|b| b.header.validators_hash[0] ^= 1),
        BlockErrorKind::Validators
    );
    assert_eq!(
        refuse(&|b| b.header.next_validators_hash[0] ^= 1),
        BlockErrorKind::Validators
    );
    assert_eq!(
        refuse(&|b| b.header.transactions_root[0] ^= 1),
        BlockErrorKind::TransactionsRoot
    );
    assert_eq!(
        refuse(&|b| b.transactions.clear()),
        BlockErrorKind::TransactionsRoot
    );
    assert_eq!(
        refuse(&|b| b.header.state_root[0] ^= 1),
        BlockErrorKind::StateRoot
    );
    // A batch before a small transaction.
    assert_eq!(
        refuse(&|b| {
            let first = batch(&chain, ONE, 2, "2024-10", &three("2024-10"));
            b.transactions.insert(0, first);
            let hashes: Vec<_> = b.transactions.iter().map(Transaction::hash).collect();
            b.header.transactions_root = transactions_root(&hashes);
        }),
        BlockErrorKind::Order { position: 1 }
    );
    // The same transaction twice.
    let twice = refuse(&|b| {
        b.transactions.push(b.transactions[0].clone());
        let hashes: Vec<_> = b.transactions.iter().map(Transaction::hash).collect();
        b.header.transactions_root = transactions_root(&hashes);
    });
    assert!(matches!(
        twice,
        BlockErrorKind::Transaction {
            position: 1,
            error: TxError::AnchorExists(_),
            ..
        }
    ));
}

#[test]
fn blocks_have_a_limit_that_no_agency_fills_alone() {
    let mut genesis = genesis(2);
    genesis.policies.max_block_bytes = 64 << 10;
    let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let chain = *ledger.chain_id();
    let rows: Vec<Row> = (0..150).map(|n| row(n, "2024-10", 1, 1)).collect();
    let mut candidates: Vec<Transaction> = (1..=4)
        .map(|number| batch(&chain, ONE, number, "2024-10", &rows))
        .collect();
    candidates.push(batch(&chain, TWO, 1, "2024-10", &rows));
    candidates.push(anchor(1, today(&ledger)).into());
    let proposal = propose(&ledger, &candidates);
    let block = proposal.executed.block();
    let agencies: Vec<_> = block
        .transactions
        .iter()
        .filter_map(|t| match t {
            Transaction::PublishBatch(batch) => Some(batch.body.agency),
            _ => None,
        })
        .collect();
    assert!(agencies.contains(&ONE) && agencies.contains(&TWO));
    assert_eq!(block.transactions[0], candidates[5]);
    assert_eq!(
        proposal.deferred.len() + block.transactions.len(),
        candidates.len()
    );
    assert!(!proposal.deferred.is_empty());
    use zkbureau_circuits::encoding::Document;
    let bytes = block.to_bytes().len();
    assert!(bytes <= 64 << 10 && bytes > 32 << 10, "{bytes}");
    // One more does not fit, and a validator says so.
    let mut full = block.clone();
    let more: Vec<Transaction> = candidates
        .iter()
        .filter(|t| proposal.deferred.contains(&t.hash()))
        .cloned()
        .collect();
    full.transactions.extend(more);
    let hashes: Vec<_> = full.transactions.iter().map(Transaction::hash).collect();
    full.header.transactions_root = transactions_root(&hashes);
    let got = full.to_bytes().len() as u64;
    assert_eq!(
        block_refusal(&ledger, &full),
        BlockErrorKind::Size {
            limit: 64 << 10,
            got
        }
    );
    // Everything gets its turn.
    let mut left = candidates;
    for _ in 0..10 {
        left.retain(|t| ledger.transaction(&t.hash()).unwrap().is_none());
        let proposal = propose(&ledger, &left);
        assert_eq!(proposal.dropped, vec![]);
        finish(&ledger, proposal);
    }
    assert!(left.is_empty());
}

#[test]
fn only_the_next_block_with_its_certificate_is_committed() {
    let ledger = ledger();
    let one = propose(&ledger, &[anchor(1, today(&ledger)).into()]).executed;
    let other = propose(&ledger, &[anchor(2, today(&ledger)).into()]).executed;
    let before = ledger.store().snapshot();
    assert!(matches!(
        ledger.commit(one.clone(), certify(&other)),
        Err(LedgerError::Certificate(_))
    ));
    let mut forged = certify(&one);
    forged.signatures[0].1.0[3] ^= 1;
    assert!(matches!(
        ledger.commit(one.clone(), forged),
        Err(LedgerError::Certificate(_))
    ));
    assert_eq!(ledger.store().snapshot(), before);
    let certificate = certify(&one);
    ledger.commit(one.clone(), certificate).unwrap();
    let after = ledger.store().snapshot();
    for late in [one, other] {
        let certificate = certify(&late);
        assert!(matches!(
            ledger.commit(late, certificate),
            Err(LedgerError::NotNext { .. })
        ));
    }
    assert_eq!(ledger.store().snapshot(), after);
}

#[test]
fn what_was_checked_before_is_not_checked_again_but_only_for_its_chain() {
    let ledger = ledger();
    let chain = *ledger.chain_id();
    let list = [
        batch(&chain, ONE, 1, "2024-10", &three("2024-10")),
        anchor(1, today(&ledger)).into(),
    ];
    let known = checked(&ledger, &list);
    let block = propose(&ledger, &list).executed.block().clone();
    let asked = std::cell::Cell::new(0);
    let find = |hash: &zkbureau_ledger::TxHash| {
        asked.set(asked.get() + 1);
        known.iter().find(|c| c.hash() == *hash).cloned()
    };
    let with = ledger.execute_with(&block, &find).unwrap();
    assert_eq!(asked.get(), 2);
    assert_eq!(with.hash(), ledger.execute(&block).unwrap().hash());
    // A cache that gives the wrong transaction is not believed.
    let wrong = |_: &zkbureau_ledger::TxHash| Some(known[0].clone());
    assert_eq!(
        ledger.execute_with(&block, &wrong).unwrap().hash(),
        with.hash()
    );
    // What passed the rules of another chain has passed nothing here.
    let mut genesis = genesis(2);
    genesis.name = "Another".into();
    let other = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let time = TimeMs(START + 1000);
    let proposal = other.propose(ONE, time, known.clone()).unwrap();
    assert_eq!(proposal.dropped.len(), 2);
    assert!(
        proposal
            .dropped
            .iter()
            .all(|(_, e)| *e == TxError::OtherChain)
    );
    assert!(matches!(
        other.check_stateful(&known[0], time),
        Err(LedgerError::Transaction(TxError::OtherChain))
    ));
}

#[test]
fn old_versions_stay_readable_and_are_then_pruned() {
    let mut genesis = genesis(1);
    genesis.policies.answer_blocks = 4;
    genesis.policies.kept_versions = 5;
    let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let chain = *ledger.chain_id();
    let index = Index(index(1));
    let mut leaves = vec![None];
    for number in 1..=12u64 {
        let rows: Vec<Row> = (1..=number)
            .map(|n| row(n, "2024-10", number as i64, 1))
            .collect();
        let tip = step(&ledger, &[batch(&chain, ONE, number, "2024-10", &rows)]);
        leaves.push(ledger.leaf(tip.height, ONE, &index).unwrap());
        for at in 0..=tip.height.0 {
            let kept = at + 5 > tip.height.0;
            let found = ledger.leaf(Height(at), ONE, &index);
            match found {
                Ok(leaf) => {
                    assert!(kept, "{at} at {}", tip.height);
                    assert_eq!(leaf, leaves[at as usize]);
                    assert_eq!(ledger.leaves(Height(at), ONE).count() as u64, at);
                    let log = ledger.log(Height(at), ONE, &index).unwrap();
                    assert_eq!(log.len() as u64, at);
                }
                Err(LedgerError::Pruned { .. }) => assert!(!kept, "{at} at {}", tip.height),
                Err(other) => panic!("{other}"),
            }
        }
        assert!(matches!(
            ledger.roots(tip.height.next()),
            Err(LedgerError::Pruned { .. })
        ));
    }
    // Blocks without changes prune as well; in the end only live nodes are left.
    for _ in 0..6 {
        step(&ledger, &[]);
    }
    let nodes = |tree: u32| {
        let snapshot = ledger.store().snapshot();
        let prefix = tree.to_be_bytes();
        snapshot
            .keys()
            .filter(|(table, key)| {
                *table == zkbureau_ledger::store::Table::Nodes && key.starts_with(&prefix)
            })
            .count()
    };
    let keys: Vec<[u8; 32]> = (1..=12).map(common::index).collect();
    assert_eq!(nodes(1), tree_size(&keys, 0));
    ledger.check_everything().unwrap();
}

/// Nodes of a tree over these keys: inner nodes part by nibbles until a leaf stands alone.
fn tree_size(keys: &[[u8; 32]], depth: usize) -> usize {
    if keys.len() <= 1 {
        return keys.len();
    }
    let nibble = |key: &[u8; 32]| key[depth / 2] >> (4 * (1 - depth % 2)) & 0xf;
    let below = (0..16).map(|n| {
        let inside: Vec<_> = keys.iter().filter(|k| nibble(k) == n).copied().collect();
        tree_size(&inside, depth + 1)
    });
    1 + below.sum::<usize>()
}

#[test]
fn a_store_belongs_to_its_chain_and_says_when_it_is_damaged() {
    use zkbureau_ledger::Store;
    use zkbureau_ledger::store::{ChangeSet, Table};
    let genesis = genesis(2);
    let store = std::sync::Arc::new(MemoryStore::new());
    let ledger = Ledger::open(store.clone(), &genesis).unwrap();
    let chain = *ledger.chain_id();
    step(
        &ledger,
        &[batch(&chain, ONE, 1, "2024-10", &three("2024-10"))],
    );
    let tip = ledger.tip();
    drop(ledger);
    assert_eq!(Ledger::open(store.clone(), &genesis).unwrap().tip(), tip);
    let mut other = genesis.clone();
    other.name = "Another".into();
    assert!(matches!(
        Ledger::open(store.clone(), &other),
        Err(LedgerError::OtherChain { .. })
    ));
    // Every root node, the roots, the last header: one changed byte is noticed.
    let good = store.snapshot();
    let mut noticed = 0;
    for ((table, key), value) in &good {
        let is_root = *table == Table::Nodes && key[12] == 0 && {
            let height = u64::from_be_bytes(key[4..12].try_into().unwrap());
            key[..4] != [0xff; 4] || height == tip.height.0
        };
        let last = key.as_slice() == tip.height.0.to_be_bytes();
        if !(is_root || last && matches!(table, Table::Trees | Table::Headers)) {
            continue;
        }
        let mut bad = value.clone();
        // A byte of a hash: of a child, of a tree, of the state.
        let at = match table {
            Table::Headers => 1 + 32 + 8 + 8 + 32 + 4 + 32 + 3,
            Table::Trees => 12,
            _ => 8,
        };
        bad[at] ^= 1;
        let mut changes = ChangeSet::default();
        changes.put(*table, key.clone(), bad);
        store.commit(&changes).unwrap();
        assert!(Ledger::open(store.clone(), &genesis).is_err(), "{table:?}");
        let mut repair = ChangeSet::default();
        repair.put(*table, key.clone(), value.clone());
        store.commit(&repair).unwrap();
        noticed += 1;
    }
    assert!(noticed >= 4, "{noticed}");
    assert!(Ledger::open(store, &genesis).is_ok());
}

#[test]
fn the_next_block_is_the_same_for_everybody() {
    // Two ledgers, candidates in different orders, one thread and many: the same block.
    let genesis = genesis(2);
    let build = |threads: usize, reverse: bool| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
            let chain = *ledger.chain_id();
            for number in 1..=3u64 {
                let rows: Vec<Row> = (0..100).map(|n| row(n * number, "2024-10", 7, 3)).collect();
                let rows = &rows[..];
                let mut list = vec![
                    batch(&chain, ONE, number, "2024-10", rows),
                    batch(&chain, TWO, number, "2024-10", &rows[..50]),
                ];
                if reverse {
                    list.reverse();
                }
                step(&ledger, &list);
            }
            let mut state = ledger.store().snapshot();
            // Certificates are not part of the state.
            state.retain(|(table, _), _| *table != zkbureau_ledger::store::Table::Headers);
            (ledger.tip(), state)
        })
    };
    // Row indexes repeat at 0 · n; distinct otherwise.
    let reference = build(1, false);
    assert_eq!(build(1, false), reference);
    assert_eq!(build(4, false), reference);
    assert_eq!(build(3, true).0.state_root, reference.0.state_root);
}

#[test]
fn blindings_of_tests_commit_to_what_the_rows_say() {
    // The helper's own check: otherwise every comparison above could be of nonsense.
    let row = row(1, "2024-10", 5, 6);
    let (body, _) = body(ONE, 1, period("2024-10"), &[row]);
    let [stocks, flows] = openings(ONE, 1, &row);
    assert_eq!(body.entries[0].stocks, commit(Class::Stock, &stocks));
    assert_eq!(body.entries[0].flows, commit(Class::Flow, &flows));
    assert_eq!(stocks.encoded(), [1, 5]);
    assert_eq!(flows.encoded(), [6]);
    assert_ne!(stocks.blinding(), &Scalar::ZERO);
    assert_ne!(SecretKey::from_seed(&[1; 32]).public(), use_key(1).public());
}
