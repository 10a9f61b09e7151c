//! `zkbureau wallet …`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use rand_core::OsRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;
use zkbureau_circuits::fact::Verdict;
use zkbureau_circuits::scorecard::{ProvingKey, ScoreTemplate};
use zkbureau_client::borrower::{
    self, AnchorOnLedger, AnswerOptions, ConsentOptions, Failure, Review, find_consent,
    show_consent_id,
};
use zkbureau_client::nodes::Nodes;
use zkbureau_client::report::{self, Part};
use zkbureau_client::wallet::{AnchorUse, ConsentRecord, Cost, InquiryRecord, Outcome, Wallet};
use zkbureau_client::{files, show, time};
use zkbureau_ledger::document::enrolment::EnrolmentCertificate;
use zkbureau_ledger::document::request::{FactRequest, InquiryType};

use super::cli::{WalletArgs, WalletCommand, WalletFileArgs};
use super::nodes::catch_up;
use super::output::{Output, Text, short};

pub fn run(args: &WalletArgs) -> Result<Output> {
    match &args.command {
        WalletCommand::Init {
            wallet,
            genesis,
            subject,
            out,
        } => {
            let genesis = files::read_genesis(genesis)?;
            let passphrase = passphrase(wallet, true)?;
            let path = &wallet.wallet;
            let wallet = Wallet::create(
                path,
                &passphrase,
                Cost::DEFAULT,
                genesis,
                subject.clone(),
                &mut OsRng,
            )?;
            files::write_document(out, &wallet.enrolment_request())?;
            Ok(Output::new(
                "wallet-init",
                0,
                json!({ "wallet": path, "chain": wallet.chain_id(), "subject_key": wallet.key().public(), "enrolment_request": out }),
                Text::new()
                    .line(format!(
                        "Wallet {} made for {}.",
                        path.display(),
                        wallet.chain().genesis().name
                    ))
                    .line(format!(
                        "Bring {} to an identity issuer; it names you, so send it safely.",
                        out.display()
                    ))
                    .line("Then: zkbureau wallet certificate CERTIFICATE"),
            ))
        }
        WalletCommand::Certificate {
            wallet,
            certificate,
            nodes,
        } => {
            let certificate: EnrolmentCertificate = files::read_document(certificate)?;
            let expiry = time::show_day(certificate.expiry);
            let issuer = certificate.issuer;
            let mut wallet = open(wallet)?;
            if let Some(nodes) = nodes.open()? {
                catch_up(wallet.chain(), &nodes)?;
            }
            wallet.store_certificate(certificate, time::now())?;
            Ok(Output::new(
                "wallet-certificate",
                0,
                json!({ "issuer": issuer, "expires": expiry }),
                Text::new().line(format!(
                    "Certificate by {issuer} stored, valid until {expiry}."
                )),
            ))
        }
        WalletCommand::Review { wallet, request } => {
            let path = request;
            let request: FactRequest = files::read_document(path)?;
            let wallet_path = &wallet.wallet;
            let review = borrower::review(&open(wallet)?, &request, time::now())?;
            let text = explain(&review).title(&format!(
                "To allow it:  zkbureau wallet consent --wallet {} {}",
                wallet_path.display(),
                path.display()
            ));
            Ok(Output::new(
                "wallet-review",
                0,
                serde_json::to_value(&review)?,
                text,
            ))
        }
        WalletCommand::Consent {
            wallet,
            nodes,
            request,
            uses,
            days,
            templates,
            back_to,
            per_day,
            out,
        } => {
            let request: FactRequest = files::read_document(request)?;
            let options = ConsentOptions {
                uses: *uses,
                days: *days,
                templates: templates.clone(),
                earliest: *back_to,
                frequency_per_day: *per_day,
            };
            consent(wallet, &nodes.open()?, &request, &options, out.as_deref())
        }
        WalletCommand::Answer {
            wallet,
            nodes,
            request,
            out,
            decline,
            insist,
            score_key,
        } => {
            let request: FactRequest = files::read_document(request)?;
            let key = score_key.as_deref();
            answer(wallet, &nodes.open()?, &request, out, decline, *insist, key)
        }
        WalletCommand::Revoke {
            wallet,
            nodes,
            consent,
        } => {
            let mut wallet = open(wallet)?;
            let id = find_consent(&wallet, consent).ok_or_else(|| {
                anyhow!("this wallet has no consent {consent}; see `zkbureau wallet consents`")
            })?;
            let revoked = borrower::revoke(&mut wallet, &nodes.open()?, &id, time::now())?;
            let id = show_consent_id(&id);
            let heights: Vec<_> = revoked.iter().map(|r| r.height).collect();
            Ok(Output::new(
                "wallet-revoke",
                0,
                json!({ "consent_id": id, "heights": heights }),
                Text::new().line(format!(
                    "Consent {} revoked: {} on the ledger, up to block {}.",
                    short(&id),
                    count(revoked.len(), "anchor"),
                    heights.iter().max().map_or(0, |h| h.0)
                )),
            ))
        }
        WalletCommand::Consents { wallet } => {
            let wallet = open(wallet)?;
            Ok(consents(wallet.consents(), wallet.inquiries()))
        }
        WalletCommand::Inquiries { wallet, nodes } => {
            let wallet = open(wallet)?;
            let seen = match nodes.open()? {
                Some(nodes) => Some(borrower::anchors_on_ledger(&wallet, &nodes)?),
                None => None,
            };
            Ok(inquiries(wallet.inquiries(), seen.as_deref()))
        }
        WalletCommand::Report { wallet, nodes } => {
            let wallet = open(wallet)?;
            let parts = report::report(&wallet, &nodes.open()?, time::now(), &mut OsRng)?;
            Ok(own_records(&parts))
        }
    }
}

/// From the file, the environment, or the terminal, in this order. A `new` one is typed twice.
fn passphrase(args: &WalletFileArgs, new: bool) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(path) = &args.passphrase_file {
        let text = Zeroizing::new(files::read(path, 4096)?);
        let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        return Ok(Zeroizing::new(line.to_vec()));
    }
    if let Ok(text) = std::env::var("ZKBUREAU_PASSPHRASE") {
        return Ok(Zeroizing::new(text.into_bytes()));
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        bail!(
            "the wallet's passphrase is missing: name a file with --passphrase-file, or set \
             ZKBUREAU_PASSPHRASE"
        );
    }
    let typed = |prompt: String| -> Result<Zeroizing<Vec<u8>>> {
        let text = rpassword::prompt_password(prompt).context("reading the passphrase")?;
        Ok(Zeroizing::new(text.into_bytes()))
    };
    let first = typed(format!("Passphrase of {}: ", args.wallet.display()))?;
    if new && *typed("The same again: ".to_owned())? != *first {
        bail!("the two passphrases differ");
    }
    Ok(first)
}

fn open(args: &WalletFileArgs) -> Result<Wallet> {
    Ok(Wallet::open(&args.wallet, &passphrase(args, false)?)?)
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn type_words(inquiry_type: InquiryType) -> &'static str {
    match inquiry_type {
        InquiryType::Hard => "hard: counts as an application for credit",
        InquiryType::Soft => "soft: not an application for credit",
    }
}

fn explain(review: &Review) -> Text {
    let pair = |name: &str, value: String| vec![name.to_owned(), value];
    let named = |list: &[borrower::Named]| -> Vec<Vec<String>> {
        (list.iter())
            .map(|n| vec![n.name.clone(), n.description.clone()])
            .collect()
    };
    let mut text = Text::new()
        .line(format!("{} asks about you", review.lender_name))
        .table(&[
            pair("purpose", review.purpose.clone()),
            pair("type", type_words(review.inquiry_type).into()),
            pair(
                "data",
                format!(
                    "as of {}, looking back to {}",
                    review.as_of, review.looks_back_to
                ),
            ),
            pair("void from", time::show(review.expires_ms)),
            pair("lender's key", review.lender_key.to_string()),
        ])
        .line(
            "  Anybody can write a name: compare the key with the one that the lender publishes.",
        );
    if !review.facts.is_empty() {
        text = text.title("Facts");
    }
    for (number, fact) in (1..).zip(&review.facts) {
        text = text
            .line(format!("  {number}  {}", fact.words))
            .line(format!("     {}", fact.fact));
    }
    if !review.scores.is_empty() {
        text = text.title("Scores");
    }
    for (number, score) in (review.facts.len() + 1..).zip(&review.scores) {
        let [worst, best] = &score.range;
        text = text
            .line(format!("  {number}  {}", score.words))
            .line(format!("     {}", score.score))
            .line(format!(
                "     card {}, scores from {worst} to {best}",
                short(&hex::encode(score.card_hash))
            ))
            .line(format!("     the lender sees {}", score.shown.join("; ")));
        for [variable, place] in &score.reads {
            text = text.line(format!("       {variable}: {place}"));
        }
    }
    text = text
        .title("Words")
        .table(&named(&review.glossary))
        .title("Agencies asked")
        .table(&named(&review.agencies));
    if !review.not_asked.is_empty() {
        text = text
            .title("Agencies not asked")
            .table(&named(&review.not_asked));
    }
    text.title("The lender will learn")
        .list(&review.lender_learns)
        .title("The lender will not learn")
        .list(&review.lender_does_not_learn)
        .title("The agencies will learn")
        .list(&review.agencies_learn)
}

fn consent(
    wallet: &WalletFileArgs,
    nodes: &Nodes,
    request: &FactRequest,
    options: &ConsentOptions,
    out: Option<&Path>,
) -> Result<Output> {
    let mut wallet = open(wallet)?;
    let allowed = borrower::consent(
        &mut wallet,
        nodes,
        request,
        options,
        time::now(),
        &mut OsRng,
    )?;
    if let (Some(out), Some(record)) = (out, wallet.consent(&allowed.id)) {
        files::write_document(out, &record.consent.view(|_| true))?;
    }
    let id = allowed.show_id();
    let fields = &allowed.fields;
    let mut text = Text::new().line(format!("Consent {id}")).table(&[
        vec!["lender".into(), show::clean(&request.parties.lender_name)],
        vec!["purpose".into(), show::clean(&fields.purpose)],
        vec!["until".into(), time::show(fields.expiration)],
        vec![
            "may be used".into(),
            format!(
                "{}, at most {} a day",
                times(fields.max_uses),
                fields.frequency_per_day
            ),
        ],
        vec!["looks back to".into(), fields.earliest_period.to_string()],
        vec![
            if allowed.resumed {
                "taken up again, anchored in"
            } else {
                "anchored in"
            }
            .into(),
            format!("block {}", blocks(&allowed.heights)),
        ],
    ]);
    if !allowed.templates().is_empty() {
        text = text
            .title("Allowed facts")
            .list(allowed.templates().iter().map(|t| t.as_str()));
    }
    if !request.terms.scores.is_empty() {
        // A consent covers the request's own questions.
        text = text.title("Allowed scores").list(questions(request));
    }
    if !allowed.uncovered.is_empty() {
        let facts = allowed
            .uncovered
            .iter()
            .map(|i| request.terms.facts[*i].to_string());
        text = text
            .title("Not allowed, though the request asks it (it will be refused as a whole)")
            .list(facts);
    }
    let uncovered: Vec<usize> = allowed.uncovered.iter().map(|i| i + 1).collect();
    Ok(Output::new(
        "wallet-consent",
        0,
        json!({
            "consent_id": id,
            "lender_key": fields.lender_key,
            "purpose": fields.purpose,
            "type": fields.inquiry_type,
            "agencies": fields.agencies,
            "templates": fields.templates,
            "scores": fields.scores,
            "earliest_period": fields.earliest_period,
            "uses": fields.max_uses,
            "per_day": fields.frequency_per_day,
            "not_before_ms": fields.not_before,
            "expires_ms": fields.expiration,
            "heights": allowed.heights,
            "resumed": allowed.resumed,
            "uncovered_facts": uncovered,
        }),
        text,
    ))
}

/// A request's questions about scores, as people write them.
fn questions(request: &FactRequest) -> Vec<String> {
    (request.terms.scores.iter())
        .filter_map(|ask| {
            let card = (request.cards.iter()).find(|c| c.content_hash() == ask.card)?;
            Some(show::clean(&ask.text(card)))
        })
        .collect()
}

fn times(n: u32) -> String {
    match n {
        1 => "once".into(),
        n => format!("{n} times"),
    }
}

fn blocks(heights: &[zkbureau_ledger::ids::Height]) -> String {
    let mut heights: Vec<String> = heights.iter().map(ToString::to_string).collect();
    heights.dedup();
    heights.join(", ")
}

/// The proving key for a request with scores, read once; which key it must be says the ledger.
fn proving_key(request: &FactRequest, path: Option<&Path>) -> Result<Option<Arc<ProvingKey>>> {
    let Some(path) = path.filter(|_| !request.terms.scores.is_empty()) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(files::read_proving_key(path)?)))
}

fn answer(
    wallet: &WalletFileArgs,
    nodes: &Nodes,
    request: &FactRequest,
    out: &Path,
    decline: &[usize],
    insist: bool,
    score_key: Option<&Path>,
) -> Result<Output> {
    let facts = request.terms.facts.len() + request.terms.scores.len();
    if let Some(wrong) = decline.iter().find(|n| **n == 0 || **n > facts) {
        bail!("--decline {wrong}: the request has facts and scores 1 to {facts}");
    }
    let options = AnswerOptions {
        decline: decline.iter().map(|n| n - 1).collect(),
        insist,
        score_key: proving_key(request, score_key)?,
    };
    let mut wallet = open(wallet)?;
    let answered = borrower::answer(
        &mut wallet,
        nodes,
        request,
        &options,
        time::now(),
        &mut OsRng,
    )?;
    files::write_document(out, &answered.answer)?;
    let bytes = std::fs::metadata(out)
        .with_context(|| out.display().to_string())?
        .len();

    let name = |id: zkbureau_circuits::ids::AgencyId| {
        (wallet.chain().consortium().agency(id))
            .map_or_else(|| id.to_string(), |a| format!("{} ({id})", a.name))
    };
    let mut rows: Vec<Vec<String>> = (answered.facts.iter().zip(&answered.verdicts))
        .map(|(fact, verdict)| {
            let (word, more) = show::verdict(verdict, name);
            vec![word.into(), fact.clone(), more]
        })
        .collect();
    let facts = answered.facts.len() - answered.scores.len();
    for (row, details) in rows[facts..].iter_mut().zip(&answered.score_details) {
        if !details.is_empty() {
            row[2].clone_from(details);
        }
    }
    let consent = show_consent_id(&answered.consent_id);
    let mut text = Text::new()
        .line(format!(
            "Answer for {} written to {} ({bytes} bytes)",
            show::clean(&request.parties.lender_name),
            out.display()
        ))
        .line(format!(
            "Inquiry in block {}, use {} of consent {}{}",
            answered.height,
            answered.use_number + 1,
            short(&consent),
            if answered.resumed {
                ", taken up again"
            } else {
                ""
            }
        ))
        .title("The lender will read")
        .table(&rows);
    if !answered.missing.is_empty() {
        let rows = (answered.missing.iter()).map(|(id, why)| format!("{}: {why}", name(*id)));
        text = text
            .title("Missing agencies (try the same command again within some minutes)")
            .list(rows);
    }
    let complete = answered.missing.is_empty()
        && !(answered.verdicts.iter()).any(|v| matches!(v, Verdict::Unavailable { .. }));
    let verdicts: Vec<Value> = (answered.facts.iter().zip(&answered.verdicts))
        .map(|(fact, verdict)| {
            let mut value = json!(verdict);
            value["fact"] = json!(fact);
            value
        })
        .collect();
    let missing: Vec<Value> = (answered.missing.iter())
        .map(|(id, why)| json!({ "id": id, "reason": why.to_string() }))
        .collect();
    Ok(Output::new(
        "wallet-answer",
        // What the facts say is for the lender; a complete answer is a success.
        if complete { 0 } else { 30 },
        json!({
            "request": hex::encode(answered.request),
            "file": out,
            "bytes": bytes,
            "facts": verdicts,
            "missing": missing,
            "height": answered.height,
            "consent_id": consent,
            "use": answered.use_number + 1,
            "resumed": answered.resumed,
        }),
        text,
    ))
}

/// What a consent allows to be asked about scores. Cards are known from the requests that brought them.
fn allowed_score(allowed: &ScoreTemplate, inquiries: &[InquiryRecord]) -> String {
    let card = (inquiries.iter())
        .flat_map(|i| &i.request.cards)
        .find(|card| card.content_hash() == allowed.card);
    let name = card.map_or_else(
        || format!("card {}", hex::encode(allowed.card)),
        |card| show::clean(card.name()),
    );
    let points = |t: i64| card.map_or_else(|| format!("{t} units"), |card| card.show(t));
    let mut text = format!("score({name})");
    match allowed.thresholds {
        Some((low, high)) if low == high => text += &format!(" against {}", points(low)),
        Some((low, high)) => text += &format!(" against {} to {}", points(low), points(high)),
        None => {}
    }
    if allowed.exact {
        text += ", the score itself";
    }
    if allowed.reasons > 0 {
        text += &format!(", {}", count(allowed.reasons.into(), "reason"));
    }
    text
}

fn consents(list: &[ConsentRecord], inquiries: &[InquiryRecord]) -> Output {
    let now = time::now();
    let status = |c: &ConsentRecord| {
        if c.revoked.is_some() {
            "revoked"
        } else if now >= c.consent.fields.expiration {
            "expired"
        } else if c.free_use().is_none() {
            "used up"
        } else {
            "valid"
        }
    };
    let free = |c: &ConsentRecord| {
        (c.anchors.iter())
            .filter(|a| matches!(a.state, AnchorUse::Anchored(_)))
            .count()
    };
    let body: Vec<Value> = (list.iter())
        .map(|c| {
            let fields = &c.consent.fields;
            json!({
                "consent_id": show_consent_id(c.id()),
                "lender": c.lender_name,
                "purpose": fields.purpose,
                "status": status(c),
                "templates": fields.templates,
                "scores": fields.scores,
                "uses_left": free(c),
                "uses": fields.max_uses,
                "expires_ms": fields.expiration,
            })
        })
        .collect();
    let mut text = Text::new();
    for c in list {
        let fields = &c.consent.fields;
        text = text
            .title(&format!("{}  {}", show_consent_id(c.id()), status(c)))
            .line(format!(
                "  {}, \"{}\"",
                show::clean(&c.lender_name),
                show::clean(&fields.purpose)
            ))
            .line(format!(
                "  {} of {} left, until {}",
                free(c),
                count(fields.max_uses as usize, "use"),
                time::show(fields.expiration)
            ))
            .list(fields.templates.iter().map(|t| t.as_str()))
            .list((fields.scores.iter()).map(|s| allowed_score(s, inquiries)));
    }
    if list.is_empty() {
        text = text.line("No consents.");
    }
    Output::new("wallet-consents", 0, json!({ "consents": body }), text)
}

fn outcome(inquiry: &InquiryRecord) -> &'static str {
    match (&inquiry.outcome, inquiry.height) {
        (Some(Outcome::Answered(_)), _) => "answered",
        (Some(Outcome::RefusedByLedger(_)), _) => "refused by the ledger",
        (None, Some(_)) => "not answered",
        (None, None) => "not confirmed",
    }
}

fn inquiries(list: &[InquiryRecord], seen: Option<&[AnchorOnLedger]>) -> Output {
    let body: Vec<Value> = (list.iter())
        .map(|i| {
            json!({
                "made_ms": i.made,
                "lender": i.request.parties.lender_name,
                "purpose": i.request.parties.purpose,
                "facts": i.request.terms.facts,
                "scores": questions(&i.request),
                "agencies": i.request.terms.agencies,
                "request": hex::encode(i.request.request_digest()),
                "consent_id": show_consent_id(&i.consent_id),
                "use": i.use_number + 1,
                "height": i.height,
                "outcome": outcome(i),
                "verdicts": match &i.outcome {
                    Some(Outcome::Answered(verdicts)) => json!(verdicts),
                    _ => Value::Null,
                },
            })
        })
        .collect();
    let mut text = Text::new();
    for i in list {
        let parties = &i.request.parties;
        let id = show_consent_id(&i.consent_id);
        text = text
            .title(&format!("{}  {}", time::show(i.made), outcome(i)))
            .line(format!(
                "  {}, \"{}\"",
                show::clean(&parties.lender_name),
                show::clean(&parties.purpose)
            ))
            .line(format!(
                "  {}consent {}, use {}",
                i.height
                    .map_or_else(String::new, |h| format!("block {h}, ")),
                short(&id),
                i.use_number + 1
            ));
        let verdicts = match &i.outcome {
            Some(Outcome::Answered(verdicts)) => verdicts.as_slice(),
            _ => &[],
        };
        let asked = (i.request.terms.facts.iter().map(ToString::to_string))
            .chain(questions(&i.request))
            .enumerate();
        let rows: Vec<Vec<String>> = asked
            .map(|(n, asked)| {
                let verdict = verdicts
                    .get(n)
                    .map_or_else(String::new, ToString::to_string);
                vec!["-".into(), asked, verdict]
            })
            .collect();
        text = text.table(&rows);
    }
    if list.is_empty() {
        text = text.line("No inquiries.");
    }
    let mut code = 0;
    if let Some(seen) = seen {
        let unknown: Vec<String> = (seen.iter())
            .filter(|a| a.is_unknown())
            .map(|a| {
                let id = show_consent_id(&a.consent_id);
                format!("use {} of consent {}", a.use_number + 1, short(&id))
            })
            .collect();
        let used = seen.iter().filter(|a| a.consumed.is_some()).count();
        let height = seen.iter().map(|a| a.height).max().map_or(0, |h| h.0);
        if !seen.is_empty() {
            text = text.title(&format!(
                "The ledger, at block {height}: {} of {} used, {} of them unknown to this wallet",
                used,
                count(seen.len(), "anchor"),
                unknown.len()
            ));
        }
        if !unknown.is_empty() {
            code = 20;
            text = text.list(unknown).line(
                "Somebody has a copy of this wallet, or it was restored from an old one: revoke.",
            );
        }
    }
    let seen: Option<Vec<Value>> = seen.map(|seen| seen.iter().map(on_ledger).collect());
    Output::new(
        "wallet-inquiries",
        code,
        json!({ "inquiries": body, "anchors": seen }),
        text,
    )
}

fn on_ledger(anchor: &AnchorOnLedger) -> Value {
    json!({
        "consent_id": show_consent_id(&anchor.consent_id),
        "use": anchor.use_number + 1,
        "anchor": anchor.anchor,
        "at_height": anchor.height,
        "on_ledger": anchor.anchored,
        "used_at": anchor.consumed.as_ref().map(|c| c.height),
        "revoked_at": anchor.revoked,
        "unknown_use": anchor.is_unknown(),
    })
}

fn own_records(parts: &[Part]) -> Output {
    let mut code = 0;
    let mut text = Text::new().line("Your records, each checked against the ledger");
    let mut body = Vec::new();
    for part in parts {
        text = text.title(&format!("{}  {}", part.id, part.name));
        match &part.result {
            Err(failure) => {
                let this = match failure {
                    Failure::Refused => 21,
                    Failure::Unavailable(_) => 30,
                    Failure::Invalid(_) => 20,
                };
                code = if code == 0 { this } else { code };
                text = text.line(format!("  no report: {failure}"));
                body.push(
                    json!({ "id": part.id, "name": part.name, "error": failure.to_string() }),
                );
            }
            Ok(record) => {
                body.push(json!(record));
                if record.entries.is_empty() {
                    text = text.line("  no record of you");
                    continue;
                }
                let names = record.entries[0]
                    .values
                    .iter()
                    .map(|v| show::name(&v.attribute));
                let mut rows = vec![
                    ["month", "reported"]
                        .map(str::to_owned)
                        .into_iter()
                        .chain(names)
                        .collect::<Vec<_>>(),
                ];
                rows.extend(record.entries.iter().map(|e| {
                    let values = e.values.iter().map(|v| show::amount(v.value.into()));
                    [
                        e.effective_period.to_string(),
                        e.reported_period.to_string(),
                    ]
                    .into_iter()
                    .chain(values)
                    .collect()
                }));
                text = text.table(&rows);
            }
        }
    }
    Output::new("wallet-report", code, json!({ "agencies": body }), text)
}
