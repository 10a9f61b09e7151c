//! The reader's side (spec: `circuits/spec/linear_image.md`, heading "Verify"): all equations of
//! all agencies in one multi-scalar multiplication. Everything here is public.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};

use super::prove::apply;
use super::statement::{self, Images, Statement};
use crate::commitment::CommitmentKey;
use crate::encoding::{Digest32, PointBytes};
use crate::error::VerifyError;
use crate::fact::agency_plan::AgencyPlan;
use crate::fact::pedersen;
use crate::fact::{MAX_FORMS, MAX_SOURCES};
use crate::schema::Class;
use crate::transcript::TranscriptExt;

/// Verifies one agency's images.
///
/// # Errors
/// [`VerifyError`] when they are not the images of openings of the plan's sources.
pub fn verify<R: RngCore + CryptoRng>(
    key: &CommitmentKey,
    context: &Digest32,
    plan: &AgencyPlan,
    images: &Images,
    rng: &mut R,
) -> Result<(), VerifyError> {
    verify_batch(key, &[(*context, plan, images)], rng)
}

/// Verifies several agencies' images together, each with its own context.
///
/// # Errors
/// [`VerifyError`] when any of them is wrong; [`verify`] tells which.
pub fn verify_batch<R: RngCore + CryptoRng>(
    key: &CommitmentKey,
    items: &[(Digest32, &AgencyPlan, &Images)],
    rng: &mut R,
) -> Result<(), VerifyError> {
    let schema = key.schema().digest();
    let checked = items
        .iter()
        .map(|(context, plan, images)| Checked::new(key, &schema, context, plan, images))
        .collect::<Result<Vec<_>, _>>()?;
    // The weights depend on all of every proof, responses included.
    let mut all = Transcript::new(b"zkbureau/linear-image/batch");
    for item in &checked {
        all.append_message(b"item", &item.summary);
    }
    let mut weights = all.build_rng().finalize(rng);
    let mut sum = Sum::new(key);
    for item in checked {
        sum.add(item, || {
            let mut bytes = [0; 16];
            weights.fill_bytes(&mut bytes);
            Scalar::from(u128::from_le_bytes(bytes))
        });
    }
    if sum.value(key).is_identity() {
        Ok(())
    } else {
        Err(VerifyError)
    }
}

/// An item whose counts and encodings are right, with its challenge.
struct Checked<'a> {
    plan: &'a AgencyPlan,
    images: Vec<RistrettoPoint>,
    announcements: Vec<RistrettoPoint>,
    /// Per source values and blinding.
    sources: Vec<&'a [Scalar]>,
    /// Blindings of forms.
    forms: &'a [Scalar],
    e: Scalar,
    summary: Digest32,
}

impl<'a> Checked<'a> {
    fn new(
        key: &CommitmentKey,
        schema: &Digest32,
        context: &Digest32,
        plan: &'a AgencyPlan,
        images: &'a Images,
    ) -> Result<Self, VerifyError> {
        let proof = &images.proof;
        let (sources, forms) = (plan.sources().len(), plan.forms().len());
        if plan.schema() != schema
            || !(1..=MAX_FORMS).contains(&forms)
            || sources > MAX_SOURCES
            || images.points.len() != forms
            || proof.announcements.len() != sources + forms
            || proof.responses.len() != statement::responses(key.schema(), plan)
        {
            return Err(VerifyError);
        }
        let decode = |points: &[PointBytes]| {
            points
                .iter()
                .map(|p| p.decode().map_err(|_| VerifyError))
                .collect::<Result<Vec<_>, _>>()
        };
        let statement = Statement {
            context,
            plan,
            images: &images.points,
        };
        let mut transcript = statement.absorb();
        transcript.append_points(b"T", &proof.announcements);
        let e = transcript.challenge_scalar(b"e");
        for response in &proof.responses {
            transcript.append_scalar(b"z", response);
        }
        let mut summary = [0; 32];
        transcript.challenge_bytes(b"summary", &mut summary);

        let mut rest = proof.responses.as_slice();
        let sources = plan
            .sources()
            .iter()
            .map(|source| {
                let width = statement::width(key.schema(), source.class()) + 1;
                let (here, after) = rest.split_at(width);
                rest = after;
                here
            })
            .collect();
        Ok(Self {
            plan,
            images: decode(&images.points)?,
            announcements: decode(&proof.announcements)?,
            sources,
            forms: rest,
            e,
            summary,
        })
    }
}

/// The weighted sum of all equations: coefficients of shared bases, and the other points.
struct Sum {
    attributes: Vec<Scalar>,
    positions: [Vec<usize>; 2],
    h: Scalar,
    p: Scalar,
    p_blinding: Scalar,
    scalars: Vec<Scalar>,
    points: Vec<RistrettoPoint>,
}

impl Sum {
    fn new(key: &CommitmentKey) -> Self {
        let of = |class| key.schema().positions(class).collect();
        Self {
            attributes: vec![Scalar::ZERO; key.schema().len()],
            positions: [of(Class::Stock), of(Class::Flow)],
            h: Scalar::ZERO,
            p: Scalar::ZERO,
            p_blinding: Scalar::ZERO,
            scalars: Vec::new(),
            points: Vec::new(),
        }
    }

    /// Adds weight·(left side - e·point - announcement) of every equation.
    fn add(&mut self, item: Checked<'_>, mut weight: impl FnMut() -> Scalar) {
        let plan = item.plan;
        let mut right = |weight: Scalar, point: &RistrettoPoint, announcement: &RistrettoPoint| {
            self.scalars.extend([-weight * item.e, -weight]);
            self.points.extend([*point, *announcement]);
        };
        let (of_sources, of_forms) = item.announcements.split_at(plan.sources().len());
        for ((source, z), announcement) in plan.sources().iter().zip(&item.sources).zip(of_sources)
        {
            let weight = weight();
            let positions = match source.class() {
                Class::Stock => &self.positions[0],
                Class::Flow => &self.positions[1],
            };
            for (position, z) in positions.iter().zip(z.iter()) {
                self.attributes[*position] += weight * z;
            }
            self.h += weight * z[positions.len()];
            right(weight, source.point(), announcement);
        }
        for (i, form) in plan.forms().iter().enumerate() {
            let weight = weight();
            self.p += weight * apply(form, &item.sources);
            self.p_blinding += weight * item.forms[i];
            right(weight, &item.images[i], &of_forms[i]);
        }
    }

    fn value(&self, key: &CommitmentKey) -> RistrettoPoint {
        let pair = pedersen::pair();
        let fixed = [
            (self.h, key.blinding_generator()),
            (self.p, pair.B),
            (self.p_blinding, pair.B_blinding),
        ];
        RistrettoPoint::vartime_multiscalar_mul(
            self.attributes
                .iter()
                .chain(fixed.iter().map(|(s, _)| s))
                .chain(&self.scalars),
            key.attribute_generators()
                .iter()
                .chain(fixed.iter().map(|(_, p)| p))
                .chain(&self.points),
        )
    }
}
