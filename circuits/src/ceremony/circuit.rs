//! The hash that names a circuit: its sizes and constraint matrices.

use ark_bn254::Fr;
use ark_ff::Zero;
use ark_relations::gr1cs::Matrix;
use sha2::{Digest, Sha256};
use zkbureau_params::domain;

use crate::encoding::Digest32;
use crate::scorecard::fr_bytes;

/// Hash of a circuit. `instance` counts the public inputs with the constant 1; `matrices` are A, B
/// and C. Rows are put into canonical order first: by variable, each variable once, no zeros.
#[must_use]
pub fn circuit_hash(matrices: &[Matrix<Fr>], instance: usize, witnesses: usize) -> Digest32 {
    let mut hasher = Sha256::new();
    let number = |hasher: &mut Sha256, n: usize| hasher.update((n as u64).to_le_bytes());
    number(&mut hasher, domain::CEREMONY_CIRCUIT.len());
    hasher.update(domain::CEREMONY_CIRCUIT.as_bytes());
    number(&mut hasher, instance);
    number(&mut hasher, witnesses);
    number(&mut hasher, matrices.len());
    for matrix in matrices {
        number(&mut hasher, matrix.len());
        for row in matrix {
            let row = canonical(row);
            number(&mut hasher, row.len());
            for (coefficient, variable) in row {
                number(&mut hasher, variable);
                hasher.update(fr_bytes(&coefficient));
            }
        }
    }
    hasher.finalize().into()
}

fn canonical(row: &[(Fr, usize)]) -> Vec<(Fr, usize)> {
    let mut sorted = row.to_vec();
    sorted.sort_by_key(|(_, variable)| *variable);
    let mut merged: Vec<(Fr, usize)> = Vec::with_capacity(sorted.len());
    for (coefficient, variable) in sorted {
        match merged.last_mut() {
            Some((sum, last)) if *last == variable => *sum += coefficient,
            _ => merged.push((coefficient, variable)),
        }
    }
    merged.retain(|(coefficient, _)| !coefficient.is_zero());
    merged
}
