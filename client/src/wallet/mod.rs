//! A borrower's wallet: keys, certificate, consents with their anchors, and inquiries, in one
//! encrypted file.
//!
//! Every change is on disk before anything that depends on it leaves the machine: an anchor's keys
//! before the anchor, an inquiry's nonce before the inquiry.

mod data;
mod file;

use std::fmt;
use std::path::{Path, PathBuf};

use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zkbureau_circuits::directory::{SubjectId, SubjectSecret};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::error::VerifyError;
use zkbureau_ledger::document::ask::Identity;
use zkbureau_ledger::document::enrolment::{EnrolmentCertificate, EnrolmentRequest};
use zkbureau_ledger::genesis::{Genesis, GenesisError};
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::ids::{Day, TimeMs};
use zkbureau_ledger::keys::SecretKey;

pub use data::{AnchorRecord, AnchorUse, ConsentRecord, InquiryRecord, Outcome, Seed};
pub use file::Cost;

use crate::chain::{Chain, Learnt};
use crate::files::FileError;
use crate::time;
use data::WalletData;
use file::WalletFile;

/// A wallet cannot be used.
#[derive(Debug, Error)]
pub enum WalletError {
    /// Its file.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is one already.
    #[error("{} exists already; a wallet is never overwritten", .0.display())]
    Exists(PathBuf),
    /// Somebody else has it open.
    #[error("{} is in use by another command", .0.display())]
    InUse(PathBuf),
    /// The passphrase or the file is wrong.
    #[error("the passphrase is wrong, or the wallet's file was changed")]
    Passphrase,
    /// The file is not a wallet.
    #[error("{}: not a wallet file of this release", .0.display())]
    Format(PathBuf),
    /// Too much is in it.
    #[error("the wallet is full: it holds at most {} MiB of consents and inquiries", file::MAX_PLAIN >> 20)]
    Full,
    /// The passphrase is empty.
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
    /// The genesis file in it.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// There is no certificate yet.
    #[error(
        "the wallet holds no enrolment certificate: have the enrolment request signed by an \
         identity issuer, then run `zkbureau wallet certificate`"
    )]
    NoCertificate,
    /// A certificate for another chain.
    #[error("the certificate is for another chain")]
    CertificateChain,
    /// A certificate for another key.
    #[error("the certificate is for another wallet's key")]
    CertificateKey,
    /// A certificate about another person.
    #[error("the certificate is not about the person that this wallet was made for")]
    CertificatePerson,
    /// The issuer is unknown or did not sign it.
    #[error(
        "the certificate's signature is not by an identity issuer that this wallet knows; if there \
         are new ones, name a node with --node"
    )]
    CertificateIssuer,
    /// A certificate that is no longer valid.
    #[error(
        "the enrolment certificate expired after {}; ask the identity issuer for a new one",
        time::show_day(*expiry)
    )]
    CertificateExpired {
        /// The last valid day.
        expiry: Day,
    },
}

/// An open wallet. One command at a time has it.
pub struct Wallet {
    file: WalletFile,
    data: WalletData,
    chain: Chain,
    key: SecretKey,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet({})", self.file.path().display())
    }
}

impl Wallet {
    /// Makes a wallet for a person on a chain: draws its key and writes its file.
    ///
    /// # Errors
    /// [`WalletError`]; an existing file is never overwritten.
    pub fn create<R: RngCore + CryptoRng>(
        path: &Path,
        passphrase: &[u8],
        cost: Cost,
        genesis: Genesis,
        person: SubjectId,
        rng: &mut R,
    ) -> Result<Self, WalletError> {
        let key = SecretKey::random(rng);
        let data = WalletData {
            genesis,
            learnt: Learnt::default(),
            person,
            person_salt: SubjectSecret::random(rng),
            key: Seed::of(&key),
            certificate: None,
            consents: Vec::new(),
            inquiries: Vec::new(),
        };
        let chain = Chain::from_genesis(data.genesis.clone())?;
        let file = WalletFile::create(path, passphrase, cost, rng)?;
        let mut wallet = Self {
            file,
            data,
            chain,
            key,
        };
        wallet.save()?;
        Ok(wallet)
    }

    /// Opens a wallet.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(path: &Path, passphrase: &[u8]) -> Result<Self, WalletError> {
        let (file, bytes) = WalletFile::open(path, passphrase)?;
        let data =
            WalletData::from_bytes(&bytes).map_err(|_| WalletError::Format(path.to_owned()))?;
        let chain = Chain::from_genesis(data.genesis.clone())?;
        (chain.take_up(&data.learnt)).map_err(|_| WalletError::Format(path.to_owned()))?;
        Ok(Self {
            chain,
            key: data.key.key(),
            file,
            data,
        })
    }

    /// Writes the wallet, with what was learnt of the chain; returns when it is on disk.
    ///
    /// # Errors
    /// [`WalletError::File`].
    pub fn save(&mut self) -> Result<(), WalletError> {
        self.data.learnt = self.chain.learnt();
        let bytes = zeroize::Zeroizing::new(self.data.to_bytes());
        // Refused before anything is lost: what is larger could not be opened again.
        if bytes.len() > file::MAX_PLAIN {
            return Err(WalletError::Full);
        }
        self.file.write(&bytes)
    }

    /// The chain it is for.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The chain's identifier.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.chain.id()
    }

    /// The person it speaks for.
    #[must_use]
    pub fn person(&self) -> &SubjectId {
        &self.data.person
    }

    /// The key that speaks for the person.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// What an identity issuer signs.
    #[must_use]
    pub fn enrolment_request(&self) -> EnrolmentRequest {
        EnrolmentRequest::new(
            self.chain.id(),
            self.data.person.clone(),
            self.data.person_salt.clone(),
            &self.key,
        )
    }

    /// Stores a certificate after checking that it is for this wallet, this chain and now.
    ///
    /// # Errors
    /// [`WalletError`] names what is wrong with it.
    pub fn store_certificate(
        &mut self,
        certificate: EnrolmentCertificate,
        now: TimeMs,
    ) -> Result<(), WalletError> {
        self.check_certificate(&certificate, now)?;
        self.data.certificate = Some(certificate);
        self.save()
    }

    fn check_certificate(
        &self,
        certificate: &EnrolmentCertificate,
        now: TimeMs,
    ) -> Result<(), WalletError> {
        if certificate.chain != self.chain.id() {
            return Err(WalletError::CertificateChain);
        }
        if certificate.subject_key != self.key.public() {
            return Err(WalletError::CertificateKey);
        }
        (certificate.subject)
            .verify(&self.data.person, &self.data.person_salt)
            .map_err(|VerifyError| WalletError::CertificatePerson)?;
        if now.day() > certificate.expiry {
            return Err(WalletError::CertificateExpired {
                expiry: certificate.expiry,
            });
        }
        // As far as this wallet knows them; whoever is asked checks under the ledger of the day.
        let consortium = self.chain.consortium();
        (consortium.issuer(certificate.issuer))
            .and_then(|i| certificate.verify(&self.chain.id(), &i.key, now.day()).ok())
            .ok_or(WalletError::CertificateIssuer)
    }

    /// The certificate, if it may still be used.
    ///
    /// # Errors
    /// [`WalletError::NoCertificate`] or [`WalletError::CertificateExpired`].
    pub fn certificate(&self, now: TimeMs) -> Result<&EnrolmentCertificate, WalletError> {
        let certificate = self
            .data
            .certificate
            .as_ref()
            .ok_or(WalletError::NoCertificate)?;
        self.check_certificate(certificate, now)?;
        Ok(certificate)
    }

    /// The certificate, used or not.
    #[must_use]
    pub fn stored_certificate(&self) -> Option<&EnrolmentCertificate> {
        self.data.certificate.as_ref()
    }

    /// What agencies are told about who asks.
    ///
    /// # Errors
    /// As [`Self::certificate`].
    pub fn identity(&self, now: TimeMs) -> Result<Identity, WalletError> {
        Ok(Identity {
            certificate: self.certificate(now)?.clone(),
            subject: self.data.person.clone(),
            salt: self.data.person_salt.clone(),
        })
    }

    /// Salt of the certificate's commitment.
    #[must_use]
    pub fn person_salt(&self) -> &SubjectSecret {
        &self.data.person_salt
    }

    /// All consents, oldest first.
    #[must_use]
    pub fn consents(&self) -> &[ConsentRecord] {
        &self.data.consents
    }

    /// A consent by its identifier.
    #[must_use]
    pub fn consent(&self, id: &[u8; 16]) -> Option<&ConsentRecord> {
        self.data.consents.iter().find(|c| c.id() == id)
    }

    pub(crate) fn consent_mut(&mut self, id: &[u8; 16]) -> Option<&mut ConsentRecord> {
        self.data.consents.iter_mut().find(|c| c.id() == id)
    }

    pub(crate) fn add_consent(&mut self, consent: ConsentRecord) {
        self.data.consents.push(consent);
    }

    /// All inquiries, oldest first.
    #[must_use]
    pub fn inquiries(&self) -> &[InquiryRecord] {
        &self.data.inquiries
    }

    pub(crate) fn add_inquiry(&mut self, inquiry: InquiryRecord) {
        self.data.inquiries.push(inquiry);
    }

    pub(crate) fn inquiry_mut(&mut self, nonce: &[u8; 32]) -> Option<&mut InquiryRecord> {
        self.data.inquiries.iter_mut().find(|i| i.nonce == *nonce)
    }
}
