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

/// A card over a past balance, the payments of one month, and a month at one agency.
fn score_query(as_of: &str, count: u32) -> Query {
    use crate::scorecard::{Bin, Card, Measure, Question, Reference, ScoreAsk, Span, Variable};
    let variable = |name: &str, attribute: &str, lag, measure, span| Variable {
        name: name.into(),
        reference: Reference {
            attribute: attribute.into(),
            lag,
            measure,
            span,
        },
        reason: String::new(),
        bins: vec![Bin {
            from: -(1 << 38),
            to: 1 << 38,
            points: 0,
            label: String::new(),
        }],
    };
    let one = Span::Agency(AgencyId(2));
    let variables = vec![
        variable("a", "balance", 1, Measure::Level, Span::Total),
        variable("b", "payments", 2, Measure::Flow, Span::Total),
        variable("c", "balance", 0, Measure::Level, one),
        // The same values under another name: no row of its own.
        variable("d", "payments", 2, Measure::Flow, Span::Total),
    ];
    let card = Card::new("rows".into(), 1, 0, false, variables).expect("valid");
    let ask = ScoreAsk {
        card: card.content_hash(),
        question: Question::Exact,
        reasons: 0,
    };
    let schema = schema();
    Query::with_scores(
        &schema,
        facts(&schema, &["total(balance) >= 0"]),
        &[(ask, std::sync::Arc::new(card))],
        agencies(count),
        period(as_of),
        HitPolicy::Zero,
    )
    .expect("valid")
}

#[test]
fn cards_read_one_period_each_value_once_and_at_its_agency() {
    let h = holder(&[
        ("2005-03", "2005-03"),
        ("2005-04", "2005-04"),
        // A second report of the flows of April, and one of May that is late.
        ("2005-04", "2005-05"),
        ("2005-05", "2005-06"),
        ("2005-06", "2005-06"),
    ]);
    let query = score_query("2005-06", 2);
    assert_eq!(query.log_needed(), Some(period("2005-04")));
    assert_eq!(query.earliest_of_score(0), Some(period("2005-04")));
    let plan = |agency| AgencyPlan::new(&query, AgencyId(agency), &h.view(&query)).expect("valid");
    let here = plan(2);
    // The fact, then balance of May, payments of April, balance of June.
    assert_eq!(
        here.statuses(),
        [0, 1, 2, 3].map(Status::Form),
        "the fourth variable shares a row"
    );
    let shown = h.view(&query);
    let View::Record(shown) = shown else {
        panic!("a record")
    };
    let effective = |i: usize| shown.entries[i].effective_period;
    let mut flows = 0;
    for source in here.sources() {
        match source.records() {
            Records::Entries(all) => {
                flows += 1;
                assert_eq!(all.len(), 2);
                assert!(all.iter().all(|i| effective(*i) == period("2005-04")));
            }
            Records::Entry(i) => assert!(effective(*i) >= period("2005-05")),
            Records::Latest => {}
        }
    }
    assert_eq!(flows, 1);
    let elsewhere = plan(1);
    assert_eq!(elsewhere.statuses()[3], Status::Elsewhere);
    assert_eq!(elsewhere.forms().len(), 3);

    // Without a record at the card's agency there is no score, though totals could do without.
    let outcome = |views: &[View<'_>]| {
        let plan = Plan::new(&query, views).expect("valid");
        plan.score_outcomes()[0]
    };
    let (record, none) = (h.view(&query), View::NoRecord);
    let history = |at| Outcome::Decided(Verdict::InsufficientHistory { at });
    assert_eq!(outcome(&[record, record]), Outcome::Open);
    assert_eq!(outcome(&[none, record]), Outcome::Open);
    assert_eq!(outcome(&[record, none]), history(Some(AgencyId(2))));
    assert_eq!(
        outcome(&[View::NoAnswer, record]),
        Outcome::Decided(Verdict::Unavailable {
            agency: AgencyId(1)
        })
    );
    // A log that begins in May says nothing of the payments of April.
    let young = holder(&[("2005-05", "2005-05"), ("2005-06", "2005-06")]);
    let young = young.view(&query);
    assert_eq!(outcome(&[young, record]), history(Some(AgencyId(1))));
}

#[test]
fn a_request_says_what_is_wrong_with_its_scores() {
    use crate::scorecard::{Question, ScoreAsk};
    let good = score_query("2005-06", 2);
    let (ask, card) = (*good.scores()[0].ask(), good.scores()[0].card().clone());
    let schema = schema();
    let with = |scores: &[(ScoreAsk, std::sync::Arc<crate::scorecard::Card>)], count, as_of| {
        Query::with_scores(
            &schema,
            Vec::new(),
            scores,
            agencies(count),
            period(as_of),
            HitPolicy::Zero,
        )
        .map(|_| ())
        .map_err(|e| e.to_string())
    };
    let one = (ask, card.clone());
    assert_eq!(with(std::slice::from_ref(&one), 2, "2005-06"), Ok(()));
    let wrong = |scores: &[_], count, as_of| with(scores, count, as_of).expect_err("wrong");
    assert_eq!(
        wrong(&[(); 5].map(|()| one.clone()), 2, "2005-06"),
        "a request asks for at most 4 scores, not 5"
    );
    assert_eq!(
        wrong(&[], 2, "2005-06"),
        "a request has 1 to 16 facts, none only with scores, not 0"
    );
    let other = ScoreAsk {
        card: [1; 32],
        ..ask
    };
    assert_eq!(
        wrong(&[(other, card.clone())], 2, "2005-06"),
        "score 1: the card is not known"
    );
    assert_eq!(
        wrong(std::slice::from_ref(&one), 1, "2005-06"),
        "score 1: variable \"c\": agency 2 is not listed"
    );
    let far = ScoreAsk {
        question: Question::AtLeast(i64::MAX),
        ..ask
    };
    assert!(wrong(&[one.clone(), (far, card.clone())], 2, "2005-06").starts_with("score 2: "));
    assert_eq!(
        wrong(std::slice::from_ref(&one), 2, "1900-02"),
        "score 1: variable \"b\" reads 2 periods before 1900-02, before 1900-01"
    );
}
