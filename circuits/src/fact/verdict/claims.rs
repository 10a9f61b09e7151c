//! From verdicts to claims, and the transcript (spec: `circuits/spec/verdict.md`, headings "Statement" and
//! "Transcript"). Prover and verifier derive the same claims from the same public data.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use merlin::Transcript;
use zkbureau_params::domain;

use super::{Side, Verdict};
use crate::encoding::{Digest32, PointBytes};
use crate::error::VerifyError;
use crate::fact::language::{Relation, Scope};
use crate::fact::pedersen;
use crate::fact::plan::{Outcome, Plan};
use crate::fact::query::HitPolicy;
use crate::transcript::TranscriptExt;

/// What is claimed of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It opens to a value in [0, 2^64).
    Range,
    /// It opens to 0.
    Zero,
}

/// A claim about `±Σ image + addend·P`.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) kind: Kind,
    /// (agency, form) of every image in the sum.
    images: Vec<(usize, usize)>,
    negative: bool,
    addend: i128,
}

impl Claim {
    /// The claim's point. Takes decoded images by agency and form.
    pub(super) fn point(&self, images: &[Vec<RistrettoPoint>]) -> RistrettoPoint {
        let sum = self
            .images
            .iter()
            .fold(RistrettoPoint::identity(), |sum, (a, f)| {
                sum + images[*a][*f]
            });
        let signed = if self.negative { -sum } else { sum };
        signed + pedersen::times_value(&scalar(self.addend))
    }

    /// The claim's value from those of the images; `None` beyond 127 bits, which the bound excludes.
    pub(super) fn value(&self, value: impl Fn(usize, usize) -> i64) -> Option<i128> {
        let sum = sum(&self.images, value)?;
        self.addend
            .checked_add(if self.negative { -sum } else { sum })
    }

    /// The claim's blinding from those of the images.
    pub(super) fn blinding<'a>(&self, blinding: impl Fn(usize, usize) -> &'a Scalar) -> Scalar {
        let sum: Scalar = self.images.iter().map(|(a, f)| blinding(*a, *f)).sum();
        if self.negative { -sum } else { sum }
    }
}

/// A public number mod ℓ.
fn scalar(number: i128) -> Scalar {
    let size = Scalar::from(number.unsigned_abs());
    if number < 0 { -size } else { size }
}

/// Sum of the images' values.
fn sum(images: &[(usize, usize)], value: impl Fn(usize, usize) -> i64) -> Option<i128> {
    images
        .iter()
        .try_fold(0i128, |sum, (a, f)| sum.checked_add(value(*a, *f).into()))
}

/// A form over some agencies: which images, and the public addend.
pub(super) struct OpenForm {
    images: Vec<(usize, usize)>,
    addend: i128,
}

impl OpenForm {
    /// The forms of an open fact: one over all holders, or one at each.
    pub(super) fn of(plan: &Plan, fact: usize) -> Vec<Self> {
        let constant = i128::from(plan.query().facts()[fact].constant());
        let offset = |(a, f): (usize, usize)| i128::from(plan.agencies()[a].forms()[f].offset());
        let holders: Vec<_> = plan.holders(fact).collect();
        match plan.query().facts()[fact].scope() {
            Scope::Total => vec![Self {
                addend: constant + holders.iter().map(|h| offset(*h)).sum::<i128>(),
                images: holders,
            }],
            Scope::Each => holders
                .into_iter()
                .map(|holder| Self {
                    addend: constant + offset(holder),
                    images: vec![holder],
                })
                .collect(),
        }
    }

    /// Index of the agency of an `each`.
    pub(super) fn agency(&self) -> usize {
        self.images[0].0
    }

    /// The form's value.
    pub(super) fn value(&self, value: impl Fn(usize, usize) -> i64) -> Option<i128> {
        self.addend.checked_add(sum(&self.images, value)?)
    }

    /// The claim that the form satisfies a relation.
    fn holds(self, relation: Relation) -> Claim {
        Claim {
            kind: match relation {
                Relation::AtLeastZero => Kind::Range,
                Relation::EqualsZero => Kind::Zero,
            },
            images: self.images,
            negative: false,
            addend: self.addend,
        }
    }

    /// The claim that the form is on a side of zero: `-form - 1 >= 0` or `form - 1 >= 0`.
    fn misses(self, side: Side) -> Claim {
        let negative = side == Side::Below;
        let signed = if negative { -self.addend } else { self.addend };
        Claim {
            kind: Kind::Range,
            images: self.images,
            negative,
            addend: signed - 1,
        }
    }
}

/// The claims that verdicts call for.
///
/// # Errors
/// [`VerifyError`] when a verdict is not possible under the plan.
pub(super) fn claims(plan: &Plan, verdicts: &[Verdict]) -> Result<Vec<Claim>, VerifyError> {
    if verdicts.len() != plan.outcomes().len() {
        return Err(VerifyError);
    }
    let mut claims = Vec::new();
    for (fact, (verdict, outcome)) in verdicts.iter().zip(plan.outcomes()).enumerate() {
        let relation = plan.query().facts()[fact].relation();
        let scope = plan.query().facts()[fact].scope();
        match (outcome, verdict) {
            (_, Verdict::Refused) => {}
            (Outcome::Decided(decided), verdict) if decided == verdict => {}
            (Outcome::Open, Verdict::True) => {
                let forms = OpenForm::of(plan, fact).into_iter();
                claims.extend(forms.map(|form| form.holds(relation)));
            }
            // An inequality cannot be missed above.
            (Outcome::Open, Verdict::False { at, side })
                if *side == Side::Below || relation == Relation::EqualsZero =>
            {
                let form = OpenForm::of(plan, fact)
                    .into_iter()
                    .find(|form| match scope {
                        Scope::Total => at.is_none(),
                        Scope::Each => *at == Some(plan.query().agencies()[form.agency()]),
                    })
                    .ok_or(VerifyError)?;
                claims.push(form.misses(*side));
            }
            _ => return Err(VerifyError),
        }
    }
    Ok(claims)
}

/// Decodes images, one list per listed agency, in the plan's numbers.
pub(super) fn decode_images(
    plan: &Plan,
    images: &[&[PointBytes]],
) -> Result<Vec<Vec<RistrettoPoint>>, VerifyError> {
    let agencies = plan.agencies();
    if images.len() != agencies.len()
        || (images.iter().zip(agencies)).any(|(i, a)| i.len() != a.forms().len())
    {
        return Err(VerifyError);
    }
    let decode = |points: &&[PointBytes]| points.iter().map(PointBytes::decode).collect();
    images
        .iter()
        .map(decode)
        .collect::<Result<_, _>>()
        .map_err(|_| VerifyError)
}

/// Absorbs all that is public. `points` are the encoded claims.
pub(super) fn absorb(
    context: &Digest32,
    plan: &Plan,
    images: &[&[PointBytes]],
    verdicts: &[Verdict],
    claims: &[Claim],
    points: &[PointBytes],
) -> Transcript {
    let query = plan.query();
    let mut t = Transcript::new(domain::VERDICTS.as_bytes());
    t.append_message(b"context", context);
    t.append_message(b"schema", query.schema());
    t.append_u64(b"as_of", query.as_of().number().into());
    t.append_message(
        b"hit-policy",
        &[match query.hit_policy() {
            HitPolicy::Zero => 0,
            HitPolicy::NoHit => 1,
        }],
    );
    t.append_u64(b"facts", query.facts().len() as u64);
    for fact in query.facts() {
        t.append_message(b"fact", fact.to_string().as_bytes());
    }
    t.append_u64(b"agencies", query.agencies().len() as u64);
    for ((id, agency), images) in query.agencies().iter().zip(plan.agencies()).zip(images) {
        t.append_u64(b"agency", id.0.into());
        let statuses: Vec<u8> = agency.statuses().iter().map(|s| s.code()).collect();
        t.append_message(b"status", &statuses);
        for form in agency.forms() {
            t.append_message(b"offset", &form.offset().to_le_bytes());
        }
        t.append_points(b"P", images);
    }
    let verdicts = borsh::to_vec(verdicts).expect("encoding into memory");
    t.append_message(b"verdicts", &verdicts);
    t.append_u64(b"claims", claims.len() as u64);
    for (claim, point) in claims.iter().zip(points) {
        let kind = match claim.kind {
            Kind::Range => 0,
            Kind::Zero => 1,
        };
        t.append_message(b"kind", &[kind]);
        t.append_point(b"claim", point);
    }
    t
}

/// The combination of the zero claims that one Schnorr proof is about.
pub(super) fn zero_weights(t: &mut Transcript, claims: &[Claim]) -> Vec<Scalar> {
    let count = claims.iter().filter(|c| c.kind == Kind::Zero).count();
    t.challenge_scalars(b"gamma", count)
}
