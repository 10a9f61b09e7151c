//! `zkbureau request` and `zkbureau verify`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::fact::Verdict;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::Card;
use zkbureau_client::chain::Chain;
use zkbureau_client::files::{self, LenderKeys};
use zkbureau_client::lender::{self, Ask, ScoreFinding, ScoreKeyOrigin, Verification};
use zkbureau_client::{show, time};
use zkbureau_ledger::document::answer::FactAnswer;
use zkbureau_ledger::document::request::FactRequest;
use zkbureau_ledger::ids::{DAY_MS, TimeMs};

use super::card;
use super::cli::{HomeArg, RequestArgs, VerifyArgs};
use super::nodes::catch_up;
use super::output::{Output, Text, short};

/// What the lender notes about a request: the request itself holds only a commitment.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    subject: SubjectId,
}

fn note_path(home: &HomeArg, request: &Digest32) -> Result<PathBuf> {
    let set = std::env::var_os("ZKBUREAU_HOME").map(PathBuf::from);
    let home = match home.home.clone().or(set) {
        Some(home) => home,
        None => PathBuf::from(
            std::env::var_os("HOME").context("HOME is not set; name a folder with --home")?,
        )
        .join(".zkbureau"),
    };
    Ok(home
        .join("requests")
        .join(format!("{}.json", hex::encode(request))))
}

fn keep_note(home: &HomeArg, request: &Digest32, subject: &SubjectId) -> Result<()> {
    let path = note_path(home, request)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let note = Note {
        subject: subject.clone(),
    };
    files::replace(&path, serde_json::to_string_pretty(&note)?.as_bytes(), true)?;
    Ok(())
}

pub fn request(args: &RequestArgs) -> Result<Output> {
    let chain = Chain::from_genesis(files::read_genesis(&args.genesis)?)?;
    let new_keys = !args.lender.exists();
    let keys = if new_keys {
        LenderKeys::random(&mut OsRng)
    } else {
        LenderKeys::read(&args.lender)?
    };
    let from_files = (args.cards.iter())
        .map(|path| Ok(files::read_document(path)?))
        .collect::<Result<Vec<Card>>>()?;
    let cards = match args.nodes.open()? {
        Some(nodes) => {
            catch_up(&chain, &nodes)?;
            let state = nodes.state(&chain)?;
            card::of_questions(&args.scores, from_files, Some((&nodes, &state)))?
        }
        None => card::of_questions(&args.scores, from_files, None)?,
    };
    let now = time::now();
    let ask = Ask {
        lender_name: args.name.clone(),
        purpose: args.purpose.clone(),
        inquiry_type: args.inquiry_type.into(),
        subject: &args.subject,
        facts: &args.facts,
        scores: &args.scores,
        cards: &cards,
        agencies: args.agencies.0.clone(),
        as_of: args.as_of,
        hit_policy: args.without_record.into(),
        expires: TimeMs(now.0 + u64::from(args.valid_days) * DAY_MS),
    };
    let request = lender::make_request(&chain, &keys, ask, now, &mut OsRng)?;
    if new_keys {
        keys.write(&args.lender)?;
    }
    let digest = request.request_digest();
    keep_note(&args.home, &digest, &args.subject)?;
    files::write_document(&args.out, &request)?;

    let id = hex::encode(digest);
    let facts: Vec<&str> = request.terms.facts.iter().map(|f| f.as_str()).collect();
    let scores: Vec<String> = (request.terms.scores.iter())
        .filter_map(|ask| {
            let card = (request.cards.iter()).find(|c| c.content_hash() == ask.card)?;
            Some(ask.text(card))
        })
        .collect();
    let ids: Vec<String> = request
        .terms
        .agencies
        .iter()
        .map(|a| a.0.to_string())
        .collect();
    let mut text = Text::new()
        .line(format!(
            "Request {} written to {}",
            short(&id),
            args.out.display()
        ))
        .list(&facts)
        .list(&scores)
        .line(format!(
            "As of {}, agencies {}, void from {}.",
            request.terms.as_of,
            ids.join(", "),
            time::show(request.terms.expires)
        ));
    if new_keys {
        text = text.line(format!(
            "New lender keys in {}: keep them, answers cannot be read without.",
            args.lender.display()
        ));
    }
    Ok(Output::new(
        "request",
        0,
        json!({
            "request": id,
            "file": args.out,
            "facts": facts,
            "scores": scores,
            "agencies": request.terms.agencies,
            "as_of": request.terms.as_of,
            "expires_ms": request.terms.expires,
            "lender_key": request.parties.lender_key,
            "new_lender_keys": new_keys,
        }),
        text.line("Send the file to the borrower."),
    ))
}

pub fn verify(args: &VerifyArgs) -> Result<Output> {
    let chain = Chain::from_genesis(files::read_genesis(&args.genesis)?)?;
    let keys = LenderKeys::read(&args.lender)?;
    let request: FactRequest = files::read_document(&args.request)?;
    let answer: FactAnswer = files::read_document(&args.answer)?;
    let subject = match &args.subject {
        Some(subject) => subject.clone(),
        None => noted(&args.home, &request.request_digest())?,
    };
    if let Some(nodes) = args.nodes.open()? {
        catch_up(&chain, &nodes)?;
    }
    let now = args.now.unwrap_or_else(time::now);
    let max_age = args.max_age.saturating_mul(1000);
    let verified = lender::verify(
        &request, &answer, &chain, &keys, &subject, now, max_age, &mut OsRng,
    )?;
    let code = show::exit_code(verified.verdicts());
    Ok(Output::new(
        "verify",
        code,
        serde_json::to_value(&verified)?,
        explain(&chain, &request, &verified, now),
    ))
}

fn noted(home: &HomeArg, request: &Digest32) -> Result<SubjectId> {
    let path = note_path(home, request)?;
    if !path.exists() {
        bail!(
            "who was asked about? {} is not there; name the person with --subject",
            path.display()
        );
    }
    let note: Note = serde_json::from_slice(&files::read(&path, 4096)?)
        .with_context(|| path.display().to_string())?;
    Ok(note.subject)
}

/// A score's verdict, and what more was shown of it.
fn score_row(score: &ScoreFinding, name: impl Fn(AgencyId) -> String) -> Vec<String> {
    let (word, more) = show::verdict(&score.verdict, name);
    let word = match (&score.verdict, &score.points) {
        (Verdict::True, Some(_)) => "SCORE",
        _ => word,
    };
    let points = score.points.clone();
    let reasons = score.reasons.as_ref().map(|reasons| {
        let codes: Vec<String> = reasons.iter().map(|r| show::clean(&r.code)).collect();
        if codes.is_empty() {
            "no reasons".to_owned()
        } else {
            format!("reasons: {}", codes.join(", "))
        }
    });
    // A score has sides only where an equation has: the verdict says it all.
    let more = if matches!(score.verdict, Verdict::False { .. }) {
        String::new()
    } else {
        more
    };
    let parts: Vec<String> = [Some(more).filter(|m| !m.is_empty()), points, reasons]
        .into_iter()
        .flatten()
        .collect();
    vec![word.into(), score.score.clone(), parts.join("; ")]
}

/// What a key for scores is worth.
fn show_origin(origin: &ScoreKeyOrigin) -> String {
    match origin {
        ScoreKeyOrigin::Test { seed } => format!(
            "A test key (seed {seed}): everybody can forge scores under it. For tests and trials only."
        ),
        ScoreKeyOrigin::Ceremony {
            title,
            contributors: [one, two],
        } => {
            let names = if one == two {
                one.join(", ")
            } else {
                format!("{}; then {}", one.join(", "), two.join(", "))
            };
            format!("Of the ceremony \"{title}\", by {names}.")
        }
    }
}

fn explain(chain: &Chain, request: &FactRequest, verified: &Verification, now: TimeMs) -> Text {
    let name = |id: AgencyId| {
        (verified.agencies.iter().find(|a| a.id == id))
            .map_or_else(|| id.to_string(), |a| format!("{} ({})", a.name, id))
    };
    let facts: Vec<Vec<String>> = (verified.facts.iter())
        .map(|f| {
            let (word, more) = show::verdict(&f.verdict, name);
            vec![word.into(), f.fact.clone(), more]
        })
        .collect();
    let facts: Vec<Vec<String>> = (facts.into_iter())
        .chain(verified.scores.iter().map(|s| score_row(s, name)))
        .collect();
    let agencies: Vec<Vec<String>> = (verified.agencies.iter())
        .map(|a| {
            let what = match (a.answered, a.holds_record, a.stocks_period) {
                (false, ..) => "did not answer".to_owned(),
                _ if a.published < Some(verified.as_of) => {
                    format!("has not published all of {} yet", verified.as_of)
                }
                (_, Some(true), Some(period)) => format!("holds a record, latest {period}"),
                _ => "no record".to_owned(),
            };
            let log = match a.log_entries {
                0 => String::new(),
                1 => "1 log entry shown".into(),
                n => format!("{n} log entries shown"),
            };
            vec![a.id.to_string(), a.name.clone(), what, log]
        })
        .collect();
    let text = Text::new()
        .line(format!(
            "Valid answer to {} for \"{}\"",
            show::clean(&request.parties.lender_name),
            show::clean(&request.parties.purpose)
        ))
        .line(format!(
            "Block {} of {}, {}, {} ago; data as of {}",
            verified.height,
            chain.genesis().name,
            time::show(verified.time_ms),
            time::show_span(now.0.saturating_sub(verified.time_ms.0)),
            verified.as_of
        ))
        .title(if verified.scores.is_empty() {
            "Facts"
        } else {
            "Facts and scores"
        })
        .table(&facts);
    let text = match &verified.score_key {
        None => text,
        Some(key) => {
            (text.title("Key of the scores")).line(format!("  {}", show_origin(&key.origin)))
        }
    };
    text.title("Agencies asked")
        .table(&agencies)
        .title("Also learned")
        .list(&verified.learned)
        .title("Not learned")
        .list(&verified.not_learned)
}
