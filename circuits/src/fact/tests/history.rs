//! What views mean.

use super::*;

fn one_query(text: &str, as_of: &str) -> Query {
    let schema = schema();
    Query::new(
        &schema,
        facts(&schema, &[text]),
        agencies(1),
        period(as_of),
        HitPolicy::NoHit,
    )
    .expect("valid")
}

fn holder(months: &[(&str, &str)]) -> Holder {
    let reports = months
        .iter()
        .map(|(e, r)| (period(e), period(r), vec![10, 100, 0, 5, 0]))
        .collect();
    Holder::new(&CommitmentKey::new(&schema()), reports, &mut rng(3))
}

fn status(query: &Query, holder: &Holder) -> Status {
    AgencyPlan::new(query, AgencyId(1), &holder.view(query))
        .expect("valid")
        .statuses()[0]
}

#[test]
fn suffix_begins_before_what_matters() {
    let h = holder(&[
        ("2005-01", "2005-01"),
        ("2005-02", "2005-04"),
        ("2005-05", "2005-05"),
        ("2005-06", "2005-06"),
    ]);
    for (needed, start) in [
        (None, 4),
        (Some("2005-01"), 0),
        (Some("2005-04"), 0),
        (Some("2005-05"), 1),
        (Some("2005-06"), 2),
        (Some("2005-07"), 3),
    ] {
        assert_eq!(
            suffix_start(&h.entries, needed.map(period)),
            start,
            "{needed:?}"
        );
    }
    let query = one_query("total(payments, 2m) >= total(balance, 2005-02)", "2005-06");
    assert_eq!(query.log_needed(), Some(period("2005-02")));
    let query = one_query("total(balance) >= 0", "2005-06");
    assert_eq!(query.log_needed(), None);
}

#[test]
fn a_suffix_that_is_too_short_or_out_of_order_is_invalid() {
    let query = one_query("total(payments, 2m) >= 0", "2005-06");
    let h = holder(&[
        ("2005-03", "2005-03"),
        ("2005-05", "2005-05"),
        ("2005-06", "2005-06"),
    ]);
    let View::Record(view) = h.view(&query) else {
        unreachable!()
    };
    assert!(AgencyPlan::new(&query, AgencyId(1), &View::Record(view)).is_ok());
    for cut in 1..=3 {
        let short = RecordView {
            entries: &view.entries[cut..],
            from_start: false,
            ..view
        };
        assert_eq!(
            AgencyPlan::new(&query, AgencyId(1), &View::Record(short)).err(),
            Some(HistoryError::SuffixTooShort {
                needed: period("2005-05")
            }),
            "{cut}"
        );
    }
    // More than needed is allowed, and changes nothing.
    let h = holder(&[
        ("2005-01", "2005-01"),
        ("2005-03", "2005-03"),
        ("2005-06", "2005-06"),
    ]);
    let short = AgencyPlan::new(&query, AgencyId(1), &h.view(&query)).expect("valid");
    let View::Record(view) = h.view(&query) else {
        unreachable!()
    };
    assert_eq!(view.entries.len(), 2);
    let longer = RecordView {
        entries: &h.entries,
        from_start: true,
        ..view
    };
    let long = AgencyPlan::new(&query, AgencyId(1), &View::Record(longer)).expect("valid");
    assert_eq!(
        short.sources()[0].commitment(),
        long.sources()[0].commitment()
    );
    assert_eq!(short.statuses(), long.statuses());

    for (entries, entry) in [
        ([("2005-01", "2005-01"), ("2005-06", "2005-05")], 1),
        ([("2005-02", "2005-02"), ("2005-01", "2005-01")], 1),
        ([("2005-02", "2005-01"), ("2005-06", "2005-06")], 0),
    ] {
        let h = holder(&entries);
        let all = RecordView {
            entries: &h.entries,
            from_start: true,
            ..view
        };
        assert_eq!(
            AgencyPlan::new(&query, AgencyId(1), &View::Record(all)).err(),
            Some(HistoryError::OutOfOrder { entry })
        );
    }
}

#[test]
fn insufficient_history() {
    let window = one_query("total(payments, 3m) >= 0", "2005-06");
    let from = |months: &[(&str, &str)]| status(&window, &holder(months));
    // The window starts in 2005-04.
    assert_eq!(
        from(&[("2005-05", "2005-05"), ("2005-06", "2005-06")]),
        Status::InsufficientHistory
    );
    assert_eq!(
        from(&[("2005-04", "2005-04"), ("2005-06", "2005-06")]),
        Status::Form(0)
    );
    assert_eq!(
        from(&[("2005-01", "2005-01"), ("2005-06", "2005-06")]),
        Status::Form(0)
    );
    // A late report about an earlier month reaches back.
    assert_eq!(
        from(&[
            ("2005-05", "2005-05"),
            ("2005-04", "2005-06"),
            ("2005-06", "2005-06")
        ]),
        Status::Form(0)
    );
    let past = one_query("total(balance, 2005-04) >= 0", "2005-06");
    let from = |months: &[(&str, &str)]| status(&past, &holder(months));
    assert_eq!(
        from(&[("2005-03", "2005-03"), ("2005-06", "2005-06")]),
        Status::InsufficientHistory
    );
    assert_eq!(
        from(&[("2005-04", "2005-04"), ("2005-06", "2005-06")]),
        Status::Form(0)
    );
}

#[test]
fn unavailable() {
    for text in [
        "total(balance) >= 0",
        "total(payments, 1m) >= 0",
        "total(balance, 2005-01) >= 0",
    ] {
        let query = one_query(text, "2005-06");
        let stale = holder(&[("2005-01", "2005-01"), ("2005-05", "2005-06")]);
        assert_eq!(status(&query, &stale), Status::Unavailable, "{text}");
        let newer = holder(&[("2005-01", "2005-01"), ("2005-07", "2005-07")]);
        assert_eq!(status(&query, &newer), Status::Form(0), "{text}");
        let silent = AgencyPlan::new(&query, AgencyId(1), &View::NoAnswer).expect("valid");
        assert_eq!(silent.statuses(), &[Status::Unavailable]);
        let plan = Plan::new(&query, &[View::NoAnswer]).expect("valid");
        let agency = AgencyId(1);
        assert_eq!(
            plan.outcomes(),
            &[Outcome::Decided(Verdict::Unavailable { agency })]
        );
    }
    // 121 entries in one month leave the bound.
    let query = one_query("total(payments, 1m) >= 0", "2005-06");
    let mut months = vec![("2005-05", "2005-05")];
    months.extend([("2005-06", "2005-06"); 120]);
    assert_eq!(status(&query, &holder(&months)), Status::Form(0));
    months.push(("2005-06", "2005-06"));
    assert_eq!(status(&query, &holder(&months)), Status::Unavailable);
}

#[test]
fn the_right_records_are_summed() {
    let query = one_query("total(payments, 2m) >= total(balance, 2005-05)", "2005-06");
    let h = holder(&[
        ("2005-04", "2005-04"),
        ("2005-05", "2005-05"),
        ("2005-06", "2005-06"),
        ("2005-05", "2005-06"),
        ("2005-04", "2005-07"),
        ("2005-07", "2005-07"),
    ]);
    let plan = AgencyPlan::new(&query, AgencyId(1), &h.view(&query)).expect("valid");
    let records: Vec<_> = plan
        .sources()
        .iter()
        .map(Source::records)
        .cloned()
        .collect();
    // The last entry about 2005-05; the window's entries, late ones included, later ones not.
    assert_eq!(
        records,
        [Records::Entry(3), Records::Entries(vec![1, 2, 3])]
    );
    assert_eq!(plan.sources()[0].commitment(), h.entries[3].stocks);
    // -balance has the addend -1·min = 1,000,000.
    assert_eq!(plan.forms()[0].offset(), 1_000_000);
}

#[test]
fn a_point_that_is_none_is_invalid() {
    let query = one_query("total(balance) >= 0", "2005-06");
    let h = holder(&[("2005-06", "2005-06")]);
    let View::Record(view) = h.view(&query) else {
        unreachable!()
    };
    let bad = RecordView {
        stocks: PointBytes([0xff; 32]),
        ..view
    };
    assert_eq!(
        AgencyPlan::new(&query, AgencyId(1), &View::Record(bad)).err(),
        Some(HistoryError::Point)
    );
    let error = Plan::new(&query, &[View::Record(bad)]).err();
    assert_eq!(
        error,
        Some(PlanError::View {
            agency: AgencyId(1),
            error: HistoryError::Point
        })
    );
    assert_eq!(
        Plan::new(&query, &[]).err(),
        Some(PlanError::Views {
            expected: 1,
            got: 0
        })
    );
}

#[test]
fn nobody_holds_a_record() {
    let schema = schema();
    let decide = |text: &str, hit| {
        let query = Query::new(
            &schema,
            facts(&schema, &[text]),
            agencies(2),
            period("2005-06"),
            hit,
        )
        .expect("valid");
        let plan = Plan::new(&query, &[View::NoRecord; 2]).expect("valid");
        let (verdicts, proof) =
            prove_verdicts(&CONTEXT, &plan, &[&[], &[]], &[&[], &[]], &[], &mut rng(1))
                .expect("nothing to prove");
        let verify =
            |v: &[Verdict]| verify_verdicts(&CONTEXT, &plan, &[&[], &[]], v, &proof, &mut rng(1));
        assert_eq!(verify(&verdicts), Ok(()));
        let lie = if verdicts[0] == Verdict::True {
            Verdict::False {
                at: None,
                side: Side::Below,
            }
        } else {
            Verdict::True
        };
        assert_eq!(verify(&[lie]), Err(VerifyError));
        verdicts[0]
    };
    let no = |side| Verdict::False { at: None, side };
    assert_eq!(
        decide("total(balance) <= 5", HitPolicy::Zero),
        Verdict::True
    );
    assert_eq!(
        decide("total(balance) >= 5", HitPolicy::Zero),
        no(Side::Below)
    );
    assert_eq!(
        decide("total(balance) == 0", HitPolicy::Zero),
        Verdict::True
    );
    assert_eq!(
        decide("total(balance) == 5", HitPolicy::Zero),
        no(Side::Below)
    );
    assert_eq!(
        decide("total(balance) == -5", HitPolicy::Zero),
        no(Side::Above)
    );
    assert_eq!(decide("each(balance) >= 5", HitPolicy::Zero), Verdict::True);
    let none = Verdict::InsufficientHistory { at: None };
    assert_eq!(decide("total(balance) <= 5", HitPolicy::NoHit), none);
    assert_eq!(decide("each(balance) <= 5", HitPolicy::NoHit), none);
}
