//! Scores under the keys that a ceremony wrote: `score FOLDER`. Loads both keys as wallets and lenders
//! do, proves a claim with this project's prover and with arkworks' own, and sees keys refused whose
//! minutes were shortened.

use std::error::Error;
use std::path::PathBuf;

use ark_bn254::Bn254;
use ark_groth16::{Groth16, prepare_verifying_key};
use ark_snark::SNARK;
use rand_core::OsRng;
use zkbureau_circuits::Scalar;
use zkbureau_circuits::ceremony::Minutes;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::scorecard::{
    Bin, Card, Claim, Measure, Origin, PreparedCard, ProvingKey, Reference, ScoreStatement, Span,
    ValueOpening, Variable, VerifyingKey, arkworks_instance, prove, verify,
};

fn variable(name: &str, points: [i64; 3]) -> Variable {
    let bin = |i: i64, points: i64| Bin {
        from: i * 100,
        to: (i + 1) * 100,
        points,
        label: String::new(),
    };
    Variable {
        name: name.into(),
        reference: Reference {
            attribute: name.into(),
            lag: 0,
            measure: Measure::Level,
            span: Span::Total,
        },
        reason: String::new(),
        bins: (0..).zip(points).map(|(i, p)| bin(i, p)).collect(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("which folder?")?);
    let provenance: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("provenance.json"))?)?;
    let mut hash: Digest32 = [0; 32];
    hex::decode_to_slice(provenance["key"].as_str().ok_or("no key")?, &mut hash)?;
    let proving_bytes = std::fs::read(folder.join("scorecard.pk"))?;
    let verifying_bytes = std::fs::read(folder.join("scorecard.vk"))?;
    let proving = ProvingKey::from_bytes(&proving_bytes, &hash)?;
    let verifying = VerifyingKey::from_bytes(&verifying_bytes, &hash)?;
    let Origin::Ceremony(minutes) = verifying.origin() else {
        return Err("not the key of a ceremony".into());
    };

    let card = Card::new(
        "trial".into(),
        1,
        400,
        true,
        vec![
            variable("balance", [0, 20, 50]),
            variable("age", [10, 0, 30]),
        ],
    )?;
    let values = [150, 20];
    let score = card.evaluate(&values)?.score();
    let openings =
        values.map(|v| ValueOpening::from_parts(v.unsigned_abs(), Scalar::random(&mut OsRng)));
    let commitments = openings.each_ref().map(ValueOpening::commit);
    let card = PreparedCard::new(&verifying, &card);
    let statement = |claim| ScoreStatement {
        context: &[7; 32],
        card: &card,
        claim,
        reasons: None,
        commitments: &commitments,
    };
    for claim in [
        Claim::AtLeast(score),
        Claim::Below(score + 1),
        Claim::Exactly(score),
    ] {
        let proof = prove(&proving, &statement(claim), &openings, &mut OsRng)?;
        verify(&verifying, &statement(claim), &proof, &mut OsRng)?;
        if verify(
            &verifying,
            &statement(Claim::AtLeast(score + 1)),
            &proof,
            &mut OsRng,
        )
        .is_ok()
        {
            return Err("a raised threshold verifies".into());
        }
    }
    println!("three claims about a score of {score}: proven and verified");

    let (circuit, inputs) =
        arkworks_instance(&statement(Claim::AtLeast(score)), &openings, &mut OsRng)?;
    let proof = Groth16::<Bn254>::prove(proving.arkworks(), circuit, &mut OsRng)?;
    let stock = prepare_verifying_key(verifying.arkworks());
    let mut wrong = inputs.clone();
    wrong[2] += ark_bn254::Fr::from(1u64);
    if !Groth16::<Bn254>::verify_proof(&stock, &proof, &inputs)?
        || Groth16::<Bn254>::verify_proof(&stock, &proof, &wrong)?
    {
        return Err("arkworks disagrees".into());
    }
    println!("arkworks' own prover and verifier take the key");

    let with = |change: &dyn Fn(&mut Minutes)| {
        let mut minutes = (**minutes).clone();
        change(&mut minutes);
        let origin = Origin::Ceremony(Box::new(minutes)).to_bytes();
        let file = |key: &[u8], length: usize| [&key[..length], &origin].concat();
        let vk = VerifyingKey::read(&file(&verifying_bytes, VerifyingKey::BYTES)).err();
        let pk = ProvingKey::read(&file(&proving_bytes, ProvingKey::bytes())).err();
        (vk.map(|e| e.to_string()), pk.map(|e| e.to_string()))
    };
    let two = |m: &mut Minutes, keep| {
        if let Some(two) = &mut m.phase_two {
            two.contributions.truncate(keep);
        }
    };
    for (what, refused) in [
        (
            "one contributor in phase 1",
            with(&|m| m.powers.truncate(1)),
        ),
        ("one contributor in phase 2", with(&|m| two(m, 1))),
        ("without the last of phase 2", with(&|m| two(m, 3))),
        (
            "without the last of phase 1",
            with(&|m| m.powers.truncate(3)),
        ),
        ("without phase 2", with(&|m| m.phase_two = None)),
        ("another title", with(&|m| m.title.push('!'))),
    ] {
        let (Some(vk), Some(pk)) = refused else {
            return Err(format!("taken: {what}").into());
        };
        if vk != pk {
            return Err(format!("loaders disagree: {vk} / {pk}").into());
        }
        println!("refused, {what}: {vk}");
    }
    Ok(())
}
