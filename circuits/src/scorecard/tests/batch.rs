//! Many proofs at once.

use super::*;

#[test]
fn a_batch_proves_each_job_and_names_the_one_that_cannot() {
    let card = card();
    let people: Vec<Person> = (0..5)
        .map(|seed| person(&card, &VALUES, 20 + seed))
        .collect();
    let claims = [
        Claim::AtLeast(SCORE),
        Claim::Below(SCORE + 1),
        Claim::AtLeast(SCORE + 1),
        Claim::Exactly(SCORE),
        Claim::AtLeast(0),
    ];
    let jobs: Vec<ProveJob<'_>> = (people.iter().zip(claims))
        .map(|(p, claim)| ProveJob {
            statement: p.claims(prepared(), claim, None),
            openings: &p.openings,
        })
        .collect();
    for threads in [0, 2, 16] {
        let made = prove_batch(key(), &jobs, threads, &mut rng(9));
        assert_eq!(made.len(), jobs.len());
        for (number, (job, proof)) in jobs.iter().zip(made).enumerate() {
            match proof {
                Ok(proof) => assert_eq!(check(&job.statement, &proof), Ok(())),
                Err(error) => {
                    assert_eq!(number, 2);
                    assert_eq!(
                        error,
                        ProveError::Unsatisfied("the score is not as claimed")
                    );
                }
            }
        }
    }
    assert!(prove_batch(key(), &[], 4, &mut rng(9)).is_empty());
}

#[test]
fn equal_jobs_get_different_proofs() {
    let p = person(&card(), &VALUES, 1);
    let job = || ProveJob {
        statement: p.claims(prepared(), Claim::AtLeast(SCORE), None),
        openings: &p.openings,
    };
    let made = prove_batch(key(), &[job(), job()], 2, &mut rng(9));
    let proofs: Vec<_> = made.into_iter().map(|p| p.expect("provable")).collect();
    // With the same nonces, two proofs of one statement would be the same, and of two, tell values.
    assert_ne!(proofs[0], proofs[1]);
}
