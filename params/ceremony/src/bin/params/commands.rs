//! The commands.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rand_core::OsRng;
use serde_json::json;
use zkbureau_ceremony::{Circuit, Entropy, Goal, Progress, Transcript, Verified, verify};
use zkbureau_circuits::ceremony::{Flaw, Refused, Step, check_name};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::scorecard::{Origin, ProvingKey, ScorecardCircuit, VerifyingKey};

use crate::cli::{Command, Contribute, Finish, New, Through, Verify};
use crate::files;
use crate::show::{self, Lines};

/// Runs one.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::New(args) => new(&args),
        Command::Contribute(args) => contribute(&args),
        Command::Specialise(args) => specialise(&args),
        Command::Verify(args) => check(&args),
        Command::Finish(args) => finish(&args),
    }
}

fn circuit() -> Result<Circuit> {
    Ok(Circuit::new(ScorecardCircuit::blank())?)
}

fn new(args: &New) -> Result<()> {
    let transcript = Transcript::new(&args.title, circuit()?.log_size())?;
    write(&args.output, &transcript)?;
    println!("Pass it to the first contributor: params contribute --name …");
    Ok(())
}

fn contribute(args: &Contribute) -> Result<()> {
    files::must_not_exist(&args.output)?;
    check_name(&args.name)?;
    let progress = Lines::new();
    let before = files::transcript(&args.input, &progress)?;
    refuse_second(&before, &args.name)?;
    let circuit = circuit()?;
    verified(&before, &circuit, Goal::SoFar, &progress, &args.input)?;
    let extra = files::entropy(args.entropy_file.as_deref())?;
    let entropy = Entropy::draw(&mut OsRng, &extra);
    let (after, made) = before.contribute(&args.name, &entropy, &mut OsRng, &progress)?;
    write(&args.output, &after)?;
    println!(
        "phase {}, contribution {} ({})",
        made.phase, made.number, args.name
    );
    println!("publish this hash: {}", hex::encode(made.hash));
    Ok(())
}

/// Before minutes are spent on it.
fn refuse_second(transcript: &Transcript, name: &str) -> Result<(), Refused> {
    let minutes = transcript.minutes();
    let names: Vec<&String> = match &minutes.phase_two {
        None => minutes.powers.iter().map(|c| &c.name).collect(),
        Some(two) => two.contributions.iter().map(|c| &c.name).collect(),
    };
    match names.iter().position(|n| n.eq_ignore_ascii_case(name)) {
        None => Ok(()),
        Some(before) => Err(Flaw::SameName(before + 1).at(Step::Contribution {
            phase: transcript.phase(),
            number: names.len() + 1,
            name: name.to_owned(),
        })),
    }
}

fn specialise(args: &Through) -> Result<()> {
    files::must_not_exist(&args.output)?;
    let progress = Lines::new();
    let before = files::transcript(&args.input, &progress)?;
    let circuit = circuit()?;
    if before.phase() == 2 {
        return Err(Flaw::Closed.at(Step::Phase(1)).into());
    }
    verified(&before, &circuit, Goal::PhaseOne, &progress, &args.input)?;
    let after = before.specialise(&circuit, &progress)?;
    write(&args.output, &after)?;
    println!("Phase 1 is closed. Circuit {}", hex::encode(circuit.hash()));
    println!("Anybody else who specialises gets the same file.");
    Ok(())
}

fn check(args: &Verify) -> Result<()> {
    let progress = Lines::new();
    let transcript = files::transcript(&args.input, &progress)?;
    // Before time is spent on the transcript.
    let verifying = (args.verifying_key.as_deref())
        .map(|path| {
            let bytes = files::read(path, VerifyingKey::MAX_BYTES as u64)?;
            let key = VerifyingKey::read(&bytes)?;
            same_origin(&transcript, key.origin())?;
            anyhow::Ok(key)
        })
        .transpose()
        .with_context(|| shown(args.verifying_key.as_deref()))?;
    let proving = (args.proving_key.as_deref())
        .map(|path| {
            let bytes = files::read(path, ProvingKey::max_bytes() as u64)?;
            let key = ProvingKey::read(&bytes)?;
            same_origin(&transcript, key.verifying().origin())?;
            anyhow::Ok(key)
        })
        .transpose()
        .with_context(|| shown(args.proving_key.as_deref()))?;
    let circuit = circuit()?;
    let goal = if args.so_far && verifying.is_none() && proving.is_none() {
        Goal::SoFar
    } else {
        Goal::Complete
    };
    let done = verified(&transcript, &circuit, goal, &progress, &args.input)?;
    contains(&done, &args.contains)?;
    if let Some(key) = &verifying {
        (done.check_verifying_key(key.arkworks()))
            .with_context(|| shown(args.verifying_key.as_deref()))?;
        println!(
            "verifying key {}  is the ceremony's",
            hex::encode(key.hash())
        );
    }
    if let Some(key) = &proving {
        (done.check_proving_key(key.arkworks(), &progress))
            .with_context(|| shown(args.proving_key.as_deref()))?;
        let hash = hex::encode(key.verifying().hash());
        println!("proving key of {hash}  is the ceremony's");
    }
    show::contributions(transcript.minutes(), done.standing());
    println!(
        "{}",
        match goal {
            Goal::Complete => "verified: complete",
            _ => "verified so far",
        }
    );
    Ok(())
}

fn shown(path: Option<&Path>) -> String {
    path.unwrap_or(Path::new("")).display().to_string()
}

/// A key carries the minutes of its own ceremony.
fn same_origin(transcript: &Transcript, origin: &Origin) -> Result<(), Refused> {
    match origin {
        Origin::Ceremony(minutes) if **minutes == *transcript.minutes() => Ok(()),
        _ => Err(Flaw::Part("the list of contributors").at(Step::Key)),
    }
}

fn finish(args: &Finish) -> Result<()> {
    files::must_not_exist(&args.output)?;
    let progress = Lines::new();
    let transcript = files::transcript(&args.input, &progress)?;
    let circuit = circuit()?;
    let done = verified(
        &transcript,
        &circuit,
        Goal::Complete,
        &progress,
        &args.input,
    )?;
    contains(&done, &args.contains)?;
    // The loader's own checks, as everybody else will make them.
    let key = ProvingKey::of_ceremony(done.proving_key(&progress)?, transcript.minutes().clone())?;
    let verifying = key.verifying();
    let folder = files::part_folder(&args.output)?;
    files::write(&folder.join("scorecard.pk"), &key.to_file())?;
    files::write(&folder.join("scorecard.vk"), &verifying.to_file())?;
    let summary = summary(&done, &transcript, verifying.hash());
    let text = format!("{:#}\n", summary);
    files::write(&folder.join("provenance.json"), text.as_bytes())?;
    files::rename_folder(&folder, &args.output)?;
    show::contributions(transcript.minutes(), done.standing());
    println!("key      {}", hex::encode(verifying.hash()));
    println!("written  {}", args.output.display());
    Ok(())
}

/// The summary for people.
fn summary(done: &Verified<'_>, transcript: &Transcript, key: &Digest32) -> serde_json::Value {
    let minutes = transcript.minutes();
    let standing = done.standing();
    let list = |names: Vec<&String>, hashes: &[Digest32]| -> Vec<serde_json::Value> {
        (names.iter().zip(hashes))
            .map(|(name, hash)| json!({ "name": name, "hash": hex::encode(hash) }))
            .collect()
    };
    let two = minutes.phase_two.iter().flat_map(|two| &two.contributions);
    json!({
        "kind": "zkbureau.key-provenance/v1",
        "title": minutes.title,
        "domain": 1u64 << minutes.log_size,
        "circuit": hex::encode(done.circuit_hash()),
        "phase_1": list(minutes.powers.iter().map(|c| &c.name).collect(), standing.powers_hashes()),
        "phase_2": list(two.map(|c| &c.name).collect(), standing.delta_hashes()),
        "transcript": hex::encode(standing.hash()),
        "key": hex::encode(key),
    })
}

fn verified<'a>(
    transcript: &'a Transcript,
    circuit: &'a Circuit,
    goal: Goal,
    progress: &dyn Progress,
    path: &Path,
) -> Result<Verified<'a>> {
    verify(transcript, circuit, goal, &mut OsRng, progress)
        .with_context(|| path.display().to_string())
}

/// Published hashes that must be in the transcript.
fn contains(done: &Verified<'_>, hashes: &[String]) -> Result<()> {
    for hash in hashes {
        let wanted = hex::decode(hash).ok().filter(|bytes| bytes.len() == 32);
        let Some(wanted) = wanted else {
            bail!("{hash:?} is not a hash: 64 hexadecimal digits");
        };
        let standing = done.standing();
        let mut all = (standing.powers_hashes().iter()).chain(standing.delta_hashes());
        if !all.any(|h| h[..] == wanted) {
            return Err(Flaw::Missing(hash.clone()).at(Step::Transcript).into());
        }
    }
    Ok(())
}

fn write(path: &Path, transcript: &Transcript) -> Result<()> {
    let bytes = transcript.to_bytes();
    files::write(path, &bytes)?;
    println!("written {} ({} bytes)", path.display(), bytes.len());
    Ok(())
}
