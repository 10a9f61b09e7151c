//! Walking through the minutes, and a verifying key against where they end
//! (spec: `params/spec/ceremony.md`, heading "What is checked").

use ark_bn254::{Bn254, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_groth16::{ProvingKey, VerifyingKey};
use zkbureau_params::domain;

use super::knowledge::{Change, Statement};
use super::minutes::{
    DeltaContribution, Minutes, PowersContribution, check_count, check_most, check_name,
};
use super::points::G1Bytes;
use super::refused::{Flaw, Refused, Step};
use crate::encoding::{Digest32, hash_parts};

/// Names of the secrets, as proofs and errors call them.
const POWERS: [&str; 3] = ["tau", "alpha", "beta"];
const DELTA: &str = "delta";

/// Where the minutes have got to.
#[derive(Clone, Debug)]
pub struct Standing {
    hash: Digest32,
    powers: [G1Affine; 3],
    delta: G1Affine,
    hashes: [Vec<Digest32>; 2],
}

impl Standing {
    /// Walks through the minutes.
    pub(super) fn of(minutes: &Minutes) -> Result<Self, Refused> {
        minutes.check_title()?;
        check_most(1, minutes.powers.len())?;
        let mut standing = Self {
            hash: minutes.start_hash(),
            powers: [G1Affine::generator(); 3],
            delta: G1Affine::generator(),
            hashes: [Vec::new(), Vec::new()],
        };
        let names: Vec<&str> = minutes.powers.iter().map(|c| c.name.as_str()).collect();
        for (i, c) in minutes.powers.iter().enumerate() {
            (standing.powers_step(i, c, &names)).map_err(|flaw| {
                flaw.at(Step::Contribution {
                    phase: 1,
                    number: i + 1,
                    name: shown(&c.name),
                })
            })?;
        }
        let Some(two) = &minutes.phase_two else {
            return Ok(standing);
        };
        check_count(1, minutes.powers.len())?;
        check_most(2, two.contributions.len())?;
        standing.hash = hash_parts(
            domain::CEREMONY_PHASE_TWO,
            &[
                &standing.hash,
                &two.circuit,
                &two.start.inputs,
                &two.start.fixed,
                &two.start.queries,
            ],
        );
        let names: Vec<&str> = two.contributions.iter().map(|c| c.name.as_str()).collect();
        for (i, c) in two.contributions.iter().enumerate() {
            (standing.delta_step(i, c, &names)).map_err(|flaw| {
                flaw.at(Step::Contribution {
                    phase: 2,
                    number: i + 1,
                    name: shown(&c.name),
                })
            })?;
        }
        Ok(standing)
    }

    fn powers_step(
        &mut self,
        i: usize,
        c: &PowersContribution,
        names: &[&str],
    ) -> Result<(), Flaw> {
        check_place(names, i, &c.previous, &self.hash)?;
        let mut to = [G1Affine::identity(); 3];
        for (j, (to, bytes)) in to.iter_mut().zip([c.tau, c.alpha, c.beta]).enumerate() {
            *to = decode(bytes, POWERS[j])?;
            if *to == self.powers[j] {
                return Err(Flaw::NoOp(POWERS[j]));
            }
        }
        let statement = Statement {
            phase: 1,
            number: i as u64 + 1,
            name: &c.name,
            previous: &c.previous,
            state: &c.state,
            changes: &self.powers_changes(to),
        };
        statement.verify(&c.knowledge).map_err(Flaw::Knowledge)?;
        self.powers = to;
        self.advance(0, domain::CEREMONY_POWERS, &borsh_bytes(c));
        Ok(())
    }

    fn delta_step(&mut self, i: usize, c: &DeltaContribution, names: &[&str]) -> Result<(), Flaw> {
        check_place(names, i, &c.previous, &self.hash)?;
        let to = decode(c.delta, DELTA)?;
        if to == self.delta {
            return Err(Flaw::NoOp(DELTA));
        }
        let statement = Statement {
            phase: 2,
            number: i as u64 + 1,
            name: &c.name,
            previous: &c.previous,
            state: &c.state,
            changes: &self.delta_changes(to),
        };
        (statement.verify(std::slice::from_ref(&c.knowledge))).map_err(Flaw::Knowledge)?;
        self.delta = to;
        self.advance(1, domain::CEREMONY_DELTA, &borsh_bytes(c));
        Ok(())
    }

    fn advance(&mut self, phase: usize, domain: &str, contribution: &[u8]) {
        self.hash = hash_parts(domain, &[contribution]);
        self.hashes[phase].push(self.hash);
    }

    pub(super) fn powers_changes(&self, to: [G1Affine; 3]) -> [Change; 3] {
        std::array::from_fn(|i| Change {
            what: POWERS[i],
            from: self.powers[i],
            to: to[i],
        })
    }

    pub(super) fn delta_changes(&self, to: G1Affine) -> [Change; 1] {
        [Change {
            what: DELTA,
            from: self.delta,
            to,
        }]
    }

    /// Hash of the last step, which contains everything before.
    #[must_use]
    pub fn hash(&self) -> &Digest32 {
        &self.hash
    }

    /// Hashes of the contributions to phase 1, in order: what contributors publish.
    #[must_use]
    pub fn powers_hashes(&self) -> &[Digest32] {
        &self.hashes[0]
    }

    /// Hashes of the contributions to phase 2, in order.
    #[must_use]
    pub fn delta_hashes(&self) -> &[Digest32] {
        &self.hashes[1]
    }

    /// tau, alpha and beta in G1.
    pub fn powers(&self) -> [G1Affine; 3] {
        self.powers
    }

    /// Checks that a proving key has the beta and delta in G1 that the ceremony ended with.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Key`], naming the part.
    pub fn check_proving_key(&self, key: &ProvingKey<Bn254>) -> Result<(), Refused> {
        for (what, own, got) in [
            ("beta in G1", self.powers[2], key.beta_g1),
            ("delta in G1", self.delta, key.delta_g1),
        ] {
            if own != got {
                return Err(Flaw::Part(what).at(Step::Key));
            }
        }
        Ok(())
    }

    /// delta in G1.
    pub fn delta(&self) -> G1Affine {
        self.delta
    }

    /// Checks that a key has the alpha, beta, gamma and delta that the ceremony ended with, so that
    /// all its contributors took part in them.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Key`], naming the part.
    pub fn check_key(&self, vk: &VerifyingKey<Bn254>) -> Result<(), Refused> {
        let refuse = |flaw: Flaw| Err(flaw.at(Step::Key));
        for (what, identity) in [
            ("alpha", vk.alpha_g1.is_zero()),
            ("beta", vk.beta_g2.is_zero()),
            ("delta", vk.delta_g2.is_zero()),
        ] {
            if identity {
                return refuse(Flaw::Identity(what));
            }
        }
        if vk.delta_g2 == vk.gamma_g2 {
            return refuse(Flaw::DeltaGamma);
        }
        let generator = G2Affine::generator();
        if vk.gamma_g2 != generator {
            return refuse(Flaw::Part("gamma"));
        }
        if vk.alpha_g1 != self.powers[1] {
            return refuse(Flaw::Part("alpha"));
        }
        for (what, one, two) in [
            ("beta", self.powers[2], vk.beta_g2),
            ("delta", self.delta, vk.delta_g2),
        ] {
            if Bn254::pairing(one, generator) != Bn254::pairing(G1Affine::generator(), two) {
                return refuse(Flaw::Part(what));
            }
        }
        Ok(())
    }
}

/// Name and place of a contribution.
fn check_place(
    names: &[&str],
    i: usize,
    previous: &Digest32,
    expected: &Digest32,
) -> Result<(), Flaw> {
    check_name(names[i])?;
    if let Some(before) = names[..i]
        .iter()
        .position(|n| n.eq_ignore_ascii_case(names[i]))
    {
        return Err(Flaw::SameName(before + 1));
    }
    if previous == expected {
        Ok(())
    } else {
        Err(Flaw::NotNext)
    }
}

fn decode(bytes: G1Bytes, what: &'static str) -> Result<G1Affine, Flaw> {
    bytes.decode().ok_or(Flaw::Point(what))
}

fn borsh_bytes<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("encoding into memory")
}

/// A name for errors: whatever bytes a file has, not more than a name's length of them.
fn shown(name: &str) -> String {
    name.chars().take(super::MAX_NAME).collect()
}
