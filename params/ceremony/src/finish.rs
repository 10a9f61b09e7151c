//! Keys of a finished ceremony, and a key against its transcript.

use ark_bn254::{Bn254, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_groth16::{ProvingKey, VerifyingKey};
use zkbureau_circuits::ceremony::{Flaw, Refused, Step};

use crate::progress::Progress;
use crate::queries::{H, L, Queries};
use crate::specialise::{Specialised, b_g2};
use crate::transcript::{Goal, Verified};

impl Verified<'_> {
    /// The verifying key.
    ///
    /// # Errors
    /// [`Refused`] unless the transcript was verified to be complete; and when the key would be one
    /// under which anybody can forge.
    pub fn verifying_key(&self) -> Result<VerifyingKey<Bn254>, Refused> {
        let (queries, s) = self.complete()?;
        let powers = &self.transcript.powers;
        let vk = VerifyingKey {
            alpha_g1: powers.alpha_g1[0],
            beta_g2: powers.beta_g2,
            gamma_g2: G2Affine::generator(),
            delta_g2: queries.delta_g2,
            gamma_abc_g1: s.ic.clone(),
        };
        self.standing.check_key(&vk)?;
        // An input whose base is the identity would not matter.
        if vk.gamma_abc_g1.iter().any(G1Affine::is_zero) {
            return Err(Flaw::Identity("the base of a public input").at(Step::Key));
        }
        Ok(vk)
    }

    fn complete(&self) -> Result<(&Queries, &Specialised), Refused> {
        self.transcript.minutes.check_complete()?;
        match (&self.transcript.queries, &self.specialised, self.goal) {
            (Some(queries), Some(specialised), Goal::Complete) => Ok((queries, specialised)),
            _ => Err(Flaw::NotBegun.at(Step::Phase(2))),
        }
    }

    /// The proving key, as arkworks' prover takes it.
    ///
    /// # Errors
    /// [`Refused`], as [`Self::verifying_key`].
    pub fn proving_key(&self, progress: &dyn Progress) -> Result<ProvingKey<Bn254>, Refused> {
        let vk = self.verifying_key()?;
        let (queries, s) = self.complete()?;
        let powers = &self.transcript.powers;
        Ok(ProvingKey {
            vk,
            beta_g1: powers.beta_g1[0],
            delta_g1: self.standing.delta(),
            a_query: s.a.clone(),
            b_g1_query: s.b_g1.clone(),
            b_g2_query: b_g2(self.circuit, powers, progress)?,
            h_query: queries.h.clone(),
            l_query: queries.l.clone(),
        })
    }

    /// Checks that a proving key is the ceremony's.
    ///
    /// # Errors
    /// [`Refused`], naming the query and the element.
    pub fn check_proving_key(
        &self,
        key: &ProvingKey<Bn254>,
        progress: &dyn Progress,
    ) -> Result<(), Refused> {
        self.check_verifying_key(&key.vk)?;
        let own = self.proving_key(progress)?;
        part("beta in G1", own.beta_g1 == key.beta_g1)?;
        part("delta in G1", own.delta_g1 == key.delta_g1)?;
        same("query A", &own.a_query, &key.a_query)?;
        same("query B in G1", &own.b_g1_query, &key.b_g1_query)?;
        same("query B in G2", &own.b_g2_query, &key.b_g2_query)?;
        same(H, &own.h_query, &key.h_query)?;
        same(L, &own.l_query, &key.l_query)
    }

    /// Checks that a verifying key is the ceremony's.
    ///
    /// # Errors
    /// [`Refused`], naming the part and the element.
    pub fn check_verifying_key(&self, key: &VerifyingKey<Bn254>) -> Result<(), Refused> {
        let own = self.verifying_key()?;
        if key.delta_g2 == key.gamma_g2 {
            return Err(Flaw::DeltaGamma.at(Step::Key));
        }
        part("alpha", own.alpha_g1 == key.alpha_g1)?;
        part("beta", own.beta_g2 == key.beta_g2)?;
        part("gamma", own.gamma_g2 == key.gamma_g2)?;
        part("delta", own.delta_g2 == key.delta_g2)?;
        same(
            "bases of public inputs",
            &own.gamma_abc_g1,
            &key.gamma_abc_g1,
        )
    }

    /// Hash of the circuit.
    #[must_use]
    pub fn circuit_hash(&self) -> &zkbureau_circuits::encoding::Digest32 {
        self.circuit.hash()
    }
}

fn part(what: &'static str, same: bool) -> Result<(), Refused> {
    if same {
        Ok(())
    } else {
        Err(Flaw::Part(what).at(Step::Key))
    }
}

fn same<P: PartialEq>(what: &'static str, own: &[P], got: &[P]) -> Result<(), Refused> {
    if own.len() != got.len() {
        return Err(Flaw::Length {
            what,
            expected: own.len(),
            got: got.len(),
        }
        .at(Step::Key));
    }
    match own.iter().zip(got).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(index) => Err(Flaw::Query { what, index }.at(Step::Key)),
    }
}
