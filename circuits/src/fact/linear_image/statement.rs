//! Statement, transcript and encoding (spec: `circuits/spec/linear_image.md`, headings "Statement",
//! "Transcript", "Encoding").

use std::io::{Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use zkbureau_params::domain;

use crate::encoding::{Digest32, PointBytes, ScalarBytes};
use crate::fact::agency_plan::{AgencyPlan, Form, Source};
use crate::fact::encoding::bounded;
use crate::fact::{MAX_FORMS, MAX_SOURCES};
use crate::schema::{Class, MAX_ATTRIBUTES, Schema};
use crate::transcript::TranscriptExt;

/// Most announcements of a proof.
const MAX_ANNOUNCEMENTS: usize = MAX_SOURCES + MAX_FORMS;
/// Most responses of a proof: values and a blinding per source, a blinding per form.
const MAX_RESPONSES: usize = MAX_SOURCES * (MAX_ATTRIBUTES + 1) + MAX_FORMS;

/// What is proven: the images are those forms of the openings of those sources.
#[derive(Clone, Copy)]
pub(super) struct Statement<'a> {
    /// Binds request, chain, height and agency.
    pub(super) context: &'a Digest32,
    /// Sources and forms.
    pub(super) plan: &'a AgencyPlan,
    /// `P_f`, one per form.
    pub(super) images: &'a [PointBytes],
}

impl Statement<'_> {
    /// The transcript that holds the statement, for prover and verifier.
    pub(super) fn absorb(&self) -> Transcript {
        let mut t = absorb_map(self.context, self.plan);
        t.append_points(b"P", self.images);
        t
    }
}

/// An agency's images and their proof, as they travel in its answer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Images {
    /// `P_f`, one per form of the agency's plan.
    pub points: Vec<PointBytes>,
    /// That they are the images.
    pub proof: LinearImageProof,
}

impl BorshDeserialize for Images {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        Ok(Self {
            points: bounded(reader, MAX_FORMS)?,
            proof: LinearImageProof::deserialize_reader(reader)?,
        })
    }
}

/// Announcements and responses of the Schnorr proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearImageProof {
    /// `T_m` per source, then `T'_f` per form.
    pub(super) announcements: Vec<PointBytes>,
    /// Per source its values and blinding, then the blinding of every form.
    pub(super) responses: Vec<Scalar>,
}

impl BorshSerialize for LinearImageProof {
    fn serialize<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.announcements.serialize(writer)?;
        let responses: Vec<ScalarBytes> = self.responses.iter().copied().map(ScalarBytes).collect();
        responses.serialize(writer)
    }
}

impl BorshDeserialize for LinearImageProof {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let announcements = bounded(reader, MAX_ANNOUNCEMENTS)?;
        let responses = bounded::<ScalarBytes, _>(reader, MAX_RESPONSES)?;
        Ok(Self {
            announcements,
            responses: responses.into_iter().map(|s| s.0).collect(),
        })
    }
}

/// Number of attributes of a class.
pub(super) fn width(schema: &Schema, class: Class) -> usize {
    schema.positions(class).count()
}

/// Number of responses that a plan calls for.
pub(super) fn responses(schema: &Schema, plan: &AgencyPlan) -> usize {
    let of = |s: &Source| width(schema, s.class()) + 1;
    plan.sources().iter().map(of).sum::<usize>() + plan.forms().len()
}

/// Absorbs everything but the images.
pub(super) fn absorb_map(context: &Digest32, plan: &AgencyPlan) -> Transcript {
    let mut t = Transcript::new(domain::LINEAR_IMAGE.as_bytes());
    t.append_message(b"context", context);
    t.append_message(b"schema", plan.schema());
    t.append_u64(b"sources", plan.sources().len() as u64);
    for source in plan.sources() {
        let class = match source.class() {
            Class::Stock => 0u8,
            Class::Flow => 1,
        };
        t.append_message(b"class", &[class]);
        t.append_point(b"C", &source.commitment());
    }
    t.append_u64(b"forms", plan.forms().len() as u64);
    for form in plan.forms() {
        t.append_message(b"weights", &encode_weights(form));
    }
    t
}

fn encode_weights(form: &Form) -> Vec<u8> {
    let mut bytes = (form.weights().len() as u64).to_le_bytes().to_vec();
    for w in form.weights() {
        bytes.extend(w.source.to_le_bytes());
        bytes.extend(w.place.to_le_bytes());
        bytes.extend(w.weight.to_le_bytes());
    }
    bytes
}
