//! A negative test per claim, with a prover that cheats as far as it can.

use super::claims;
use super::prove::{ClaimOpening, prove_claims};
use super::*;
use crate::commitment::CommitmentKey;
use crate::encoding::{Digest32, PointBytes};
use crate::error::{ProveError, VerifyError};
use crate::fact::tests::{
    Answer, CONTEXT, Holder, agencies, answer, facts, holders, on_time, period, points, query, rng,
    schema, slices,
};
use crate::fact::{FormOpening, HitPolicy, Images, Plan, Query, View};
use curve25519_dalek::scalar::Scalar;

/// Proves verdicts whatever the openings say: values leave their range by wrapping around 2^64.
pub(in crate::fact) fn forge(answer: &Answer, verdicts: &[Verdict]) -> VerdictProof {
    let p = points(&answer.images);
    let openings = slices(&answer.openings);
    let decoded = claims::decode_images(&answer.plan, &p).expect("points");
    let claims = claims::claims(&answer.plan, verdicts).expect("possible under the plan");
    let opened: Vec<ClaimOpening> = claims
        .iter()
        .map(|claim| ClaimOpening {
            value: claim.value(|a, f| openings[a][f].value).expect("small") as u64,
            blinding: claim.blinding(|a, f| &openings[a][f].blinding),
        })
        .collect();
    let encoded: Vec<PointBytes> = claims
        .iter()
        .map(|c| PointBytes::from(c.point(&decoded)))
        .collect();
    let t = claims::absorb(&CONTEXT, &answer.plan, &p, verdicts, &claims, &encoded);
    prove_claims(t, &claims, &opened, &openings, &mut rng(3)).expect("sizes are right")
}

fn no(side: Side) -> Verdict {
    Verdict::False { at: None, side }
}

fn at(agency: u32, side: Side) -> Verdict {
    Verdict::False {
        at: Some(AgencyId(agency)),
        side,
    }
}

/// That `right` is what the wallet proves, and that none of `wrong` can be proven.
fn only(text: &str, right: Verdict, wrong: &[Verdict]) {
    let mut answer = answer(&[text]);
    assert_eq!(answer.verdicts, [right], "{text}");
    assert_eq!(answer.verify(), Ok(()), "{text}");
    // The forger's tools work when the verdict is right.
    answer.proof = forge(&answer, &[right]);
    assert_eq!(answer.verify(), Ok(()), "{text}");
    let honest = answer.proof.clone();
    for wrong in wrong {
        answer.verdicts = vec![*wrong];
        answer.proof = honest.clone();
        assert_eq!(
            answer.verify_verdicts(),
            Err(VerifyError),
            "{text}: {wrong}"
        );
        answer.proof = forge(&answer, &[*wrong]);
        assert_eq!(
            answer.verify_verdicts(),
            Err(VerifyError),
            "{text}: {wrong}"
        );
    }
}

use Side::{Above, Below};

#[test]
fn inequalities_have_one_verdict() {
    // The sum of balances is 1000.
    only("total(balance) <= 1000", Verdict::True, &[no(Below)]);
    only("total(balance) <= 999", no(Below), &[Verdict::True]);
    only("total(balance) >= 1000", Verdict::True, &[no(Below)]);
    only("total(balance) >= 1001", no(Below), &[Verdict::True]);
    only("total(balance) <= 500000", Verdict::True, &[no(Below)]);
    only("total(balance) >= 500000", no(Below), &[Verdict::True]);
}

#[test]
fn equations_have_one_verdict_and_side() {
    only(
        "total(balance) == 1000",
        Verdict::True,
        &[no(Below), no(Above)],
    );
    only(
        "total(balance) == 999",
        no(Above),
        &[Verdict::True, no(Below)],
    );
    only(
        "total(balance) == 1001",
        no(Below),
        &[Verdict::True, no(Above)],
    );
    only(
        "total(months_90_late, 6m) == 0",
        no(Above),
        &[Verdict::True, no(Below)],
    );
    only(
        "total(months_90_late, 1m) == 0",
        Verdict::True,
        &[no(Below), no(Above)],
    );
}

#[test]
fn each_has_a_claim_for_every_holder() {
    only(
        "each(months_in_arrears) <= 2",
        at(4, Below),
        &[Verdict::True, at(1, Below), at(3, Below)],
    );
    only(
        "each(months_in_arrears) <= 3",
        Verdict::True,
        &[at(1, Below), at(3, Below), at(4, Below)],
    );
    only(
        "each(balance) == 100",
        answer(&["each(balance) == 100"]).verdicts[0],
        &[Verdict::True, at(1, Below), at(1, Above)],
    );
    only(
        "each(months_90_late, 1m) == 0",
        Verdict::True,
        &[at(1, Above), at(4, Below)],
    );
}

#[test]
fn verdicts_that_the_plan_excludes() {
    let texts = [
        "total(balance) <= 5",
        "each(balance) <= 5",
        "total(payments, 9m) >= 0",
    ];
    let mut answer = answer(&texts);
    let honest = answer.verdicts.clone();
    assert_eq!(
        honest[2],
        Verdict::InsufficientHistory {
            at: Some(AgencyId(1))
        }
    );
    assert_eq!(answer.verify(), Ok(()));
    for (fact, wrong) in [
        // Made up lack of history or of an answer.
        (
            0,
            Verdict::InsufficientHistory {
                at: Some(AgencyId(1)),
            },
        ),
        (0, Verdict::InsufficientHistory { at: None }),
        (
            0,
            Verdict::Unavailable {
                agency: AgencyId(1),
            },
        ),
        // An inequality is not missed above, and a total not at an agency.
        (0, no(Above)),
        (0, at(1, Below)),
        // An `each` fails at an agency, which is listed and holds a record.
        (1, no(Below)),
        (1, at(2, Below)),
        (1, at(5, Below)),
        (1, at(4, Above)),
        // Where history is short there is no verdict by values.
        (2, Verdict::True),
        (2, no(Below)),
        (
            2,
            Verdict::InsufficientHistory {
                at: Some(AgencyId(3)),
            },
        ),
        (2, Verdict::InsufficientHistory { at: None }),
        // Declined after the proof was made.
        (0, Verdict::Refused),
    ] {
        answer.verdicts = honest.clone();
        answer.verdicts[fact] = wrong;
        assert_eq!(
            answer.verify_verdicts(),
            Err(VerifyError),
            "{fact}: {wrong}"
        );
    }
    for count in [0, 1, 2, 4] {
        answer.verdicts = honest.iter().cycle().copied().take(count).collect();
        assert_eq!(answer.verify_verdicts(), Err(VerifyError));
    }
}

#[test]
fn which_failing_agency_is_named_is_random() {
    let mut named = std::collections::BTreeSet::new();
    let key = CommitmentKey::new(&schema());
    let query = query(&["each(balance) >= 5000"]);
    for seed in 0..24 {
        let answer = Answer::make(&query, &holders(&key), seed);
        assert_eq!(answer.verify(), Ok(()));
        let Verdict::False { at: Some(at), .. } = answer.verdicts[0] else {
            panic!("{}", answer.verdicts[0]);
        };
        named.insert(at.0);
    }
    assert_eq!(named.into_iter().collect::<Vec<_>>(), [1, 3, 4]);
}

#[test]
fn an_agency_cannot_be_left_out() {
    let texts = ["total(balance) >= 1000", "each(months_in_arrears) <= 3"];
    let key = CommitmentKey::new(&schema());
    let query = query(&texts);
    let honest = answer(&texts);
    assert_eq!(honest.verify(), Ok(()));
    // Somebody assembles without the third holder; the lender knows that it holds a record.
    let mut without = holders(&key);
    without[3] = None;
    let partial = Answer::make(&query, &without, 2);
    assert_eq!(partial.verify(), Ok(()));
    assert_ne!(partial.verdicts, honest.verdicts);
    let check = |images: &[&[PointBytes]]| {
        super::verify_verdicts(
            &CONTEXT,
            &honest.plan,
            images,
            &partial.verdicts,
            &partial.proof,
            &mut rng(1),
        )
    };
    assert_eq!(check(&points(&partial.images)), Err(VerifyError));
    assert_eq!(check(&points(&honest.images)), Err(VerifyError));
    let identities = [PointBytes::IDENTITY; 2];
    let mut padded = points(&partial.images);
    padded[3] = &identities;
    assert_eq!(check(&padded), Err(VerifyError));
    assert_eq!(check(&padded[..3]), Err(VerifyError));
}

#[test]
fn what_the_transcript_binds() {
    let texts = ["total(balance) <= 5000", "total(months_90_late, 1m) == 0"];
    let honest = answer(&texts);
    let images = points(&honest.images);
    let check = |context: &Digest32, plan: &Plan, images: &[&[PointBytes]], v: &[Verdict]| {
        super::verify_verdicts(context, plan, images, v, &honest.proof, &mut rng(1))
    };
    let verdicts = honest.verdicts.as_slice();
    assert_eq!(check(&CONTEXT, &honest.plan, &images, verdicts), Ok(()));
    assert_eq!(
        check(&[8; 32], &honest.plan, &images, verdicts),
        Err(VerifyError)
    );
    // Images moved between agencies: the sums are the same.
    let mut moved = images.clone();
    moved.swap(0, 2);
    assert_eq!(
        check(&CONTEXT, &honest.plan, &moved, verdicts),
        Err(VerifyError)
    );
    // Other facts, agencies, times, policies with the same claims.
    let schema = schema();
    let key = CommitmentKey::new(&schema);
    let holders = holders(&key);
    let plan = |texts: &[&str], ids: Vec<AgencyId>, as_of: &str, hit| {
        let query =
            Query::new(&schema, facts(&schema, texts), ids, period(as_of), hit).expect("valid");
        let views: Vec<View<'_>> = holders
            .iter()
            .map(|h| h.as_ref().map_or(View::NoRecord, |h| h.view(&query)))
            .collect();
        Plan::new(&query, &views).expect("valid")
    };
    let same = plan(&texts, agencies(4), "2005-09", HitPolicy::Zero);
    assert_eq!(check(&CONTEXT, &same, &images, verdicts), Ok(()));
    let ids = [1, 2, 3, 9].map(AgencyId).to_vec();
    for other in [
        plan(
            &["total(balance) <= 5001", texts[1]],
            agencies(4),
            "2005-09",
            HitPolicy::Zero,
        ),
        plan(
            &[texts[0], "total(months_90_late, 2m) == 0"],
            agencies(4),
            "2005-09",
            HitPolicy::Zero,
        ),
        plan(&texts, ids, "2005-09", HitPolicy::Zero),
        plan(&texts, agencies(4), "2005-08", HitPolicy::Zero),
        plan(&texts, agencies(4), "2005-09", HitPolicy::NoHit),
    ] {
        assert_eq!(check(&CONTEXT, &other, &images, verdicts), Err(VerifyError));
    }
}

#[test]
fn proofs_of_wrong_shape() {
    let honest = answer(&["total(balance) <= 5000", "total(months_90_late, 1m) == 0"]);
    let broken = |change: fn(&mut VerdictProof)| {
        let mut answer = answer(&["total(balance) <= 5000", "total(months_90_late, 1m) == 0"]);
        change(&mut answer.proof);
        assert_eq!(answer.verify_verdicts(), Err(VerifyError));
    };
    assert_eq!(honest.verify(), Ok(()));
    broken(|p| p.zero = None);
    broken(|p| p.ranges.clear());
    broken(|p| p.ranges.push(p.ranges[0].clone()));
    broken(|p| p.ranges[0].truncate(640));
    broken(|p| p.ranges[0].extend([0; 64]));
    broken(|p| p.zero = p.zero.map(|(t, z)| (t, ScalarBytes(z.0 + Scalar::ONE))));
    broken(|p| p.zero = p.zero.map(|(_, z)| (PointBytes::IDENTITY, z)));
    // A proof of zero claims where there are none.
    let mut plain = answer(&["total(balance) <= 5000"]);
    plain.proof.zero = honest.proof.zero;
    assert_eq!(plain.verify_verdicts(), Err(VerifyError));
}

#[test]
fn zero_claims_do_not_offset_each_other() {
    // Forms 1 and -1: their sum is zero, a random combination is not.
    let texts = ["total(balance) == 999", "total(balance) == 1001"];
    let mut answer = answer(&texts);
    assert_eq!(answer.verdicts, [no(Above), no(Below)]);
    answer.verdicts = vec![Verdict::True; 2];
    answer.proof = forge(&answer, &[Verdict::True; 2]);
    assert_eq!(answer.verify_verdicts(), Err(VerifyError));
}

#[test]
fn the_wallet_checks_what_it_is_given() {
    let answer = answer(&["total(balance) <= 5000", "total(credit_limit) >= 1"]);
    let p = points(&answer.images);
    let prove = |openings: &[Vec<FormOpening>], images: &[&[PointBytes]]| {
        let o = slices(openings);
        (
            check_openings(&answer.plan, images, &o),
            prove_verdicts(&CONTEXT, &answer.plan, images, &o, &[], &mut rng(1)).map(|_| ()),
        )
    };
    assert_eq!(prove(&answer.openings, &p), (Ok(()), Ok(())));
    let change = |value: i64, blinding: Scalar| {
        let mut openings = answer.openings.clone();
        let o = &openings[2][1];
        openings[2][1] = FormOpening::from_parts(o.value + value, o.blinding + blinding);
        openings
    };
    let culprit = BadOpening {
        agency: AgencyId(3),
        fact: 2,
    };
    for openings in [change(1, Scalar::ZERO), change(0, Scalar::ONE)] {
        let (checked, proven) = prove(&openings, &p);
        assert_eq!(checked, Err(culprit));
        assert!(matches!(proven, Err(ProveError::Unsatisfied(_))));
    }
    let mut openings = answer.openings.clone();
    openings[2].pop();
    let (checked, proven) = prove(&openings, &p);
    assert_eq!(checked, Err(culprit));
    assert!(proven.is_err());
    assert!(prove(&answer.openings, &p[..3]).1.is_err());
}

#[test]
fn the_wallet_may_decline_a_fact() {
    let mut answer = answer(&["total(balance) <= 5000", "total(credit_limit) >= 1"]);
    let (p, o) = (points(&answer.images), slices(&answer.openings));
    let (verdicts, proof) =
        prove_verdicts(&CONTEXT, &answer.plan, &p, &o, &[0], &mut rng(1)).expect("provable");
    assert_eq!(verdicts, [Verdict::Refused, Verdict::True]);
    (answer.verdicts, answer.proof) = (verdicts, proof);
    assert_eq!(answer.verify(), Ok(()));
}

#[test]
fn more_claims_than_one_proof_takes() {
    let key = CommitmentKey::new(&schema());
    let schema = schema();
    let texts = [
        "each(balance) >= -1",
        "each(balance) <= 99",
        "each(credit_limit) >= 0",
        "each(months_in_arrears) <= 9",
    ];
    let query = Query::new(
        &schema,
        facts(&schema, &texts),
        agencies(18),
        period("2005-09"),
        HitPolicy::Zero,
    )
    .expect("valid");
    let mut random = rng(4);
    let holders: Vec<Option<Holder>> = (0..18)
        .map(|i| {
            let reports = vec![on_time("2005-09", [i, 100, 0, 0, 0])];
            Some(Holder::new(&key, reports, &mut random))
        })
        .collect();
    let mut answer = Answer::make(&query, &holders, 1);
    assert_eq!(answer.verdicts, [Verdict::True; 4]);
    // 72 claims: 64, and 8 in a second proof.
    assert_eq!(answer.proof.ranges.len(), 2);
    assert_eq!(answer.proof.ranges[1].len(), range_proof_bytes(8));
    assert_eq!(answer.verify(), Ok(()));
    answer.proof.ranges.swap(0, 1);
    assert_eq!(answer.verify_verdicts(), Err(VerifyError));
}

#[test]
fn a_total_is_the_sum_of_images() {
    // The lender's sum is over images that were proven; one that was not is noticed by the image's proof.
    let mut answer = answer(&["total(balance) <= 999"]);
    assert_eq!(answer.verdicts, [no(Below)]);
    let Some(Images { points, .. }) = &mut answer.images[0] else {
        panic!("a holder");
    };
    let shift = crate::fact::pedersen::times_value(&Scalar::ONE);
    points[0] = PointBytes::from(points[0].decode().expect("a point") - shift);
    let opening = &answer.openings[0][0];
    answer.openings[0][0] = FormOpening::from_parts(opening.value - 1, opening.blinding);
    answer.verdicts = vec![no(Below)];
    answer.proof = forge(&answer, &[no(Below)]);
    assert_eq!(answer.verify_verdicts(), Ok(()));
    assert_eq!(answer.verify_images(), Err(VerifyError));
}
