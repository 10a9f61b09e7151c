//! Files: bounded reads, and writes that are there completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;
use zkbureau_ceremony::{FormatError, MAX_BYTES, Progress, Transcript};
use zkbureau_circuits::ceremony::Refused;
use zkbureau_circuits::scorecard::KeyError;

/// Most entropy that is read from a file.
const MAX_ENTROPY: u64 = 1 << 20;

/// Reads a file of at most so many bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let what = || format!("reading {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(what)?;
    (file.take(limit + 1).read_to_end(&mut bytes)).with_context(what)?;
    if bytes.len() as u64 > limit {
        bail!("{}: larger than {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// Reads a transcript.
pub fn transcript(path: &Path, progress: &dyn Progress) -> Result<Transcript> {
    let bytes = read(path, MAX_BYTES)?;
    Transcript::from_bytes(&bytes, progress).with_context(|| path.display().to_string())
}

/// Reads what the contributor adds to the randomness.
pub fn entropy(path: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    match path {
        None => {}
        Some(path) if path == Path::new("-") => {
            (std::io::stdin()
                .lock()
                .take(MAX_ENTROPY)
                .read_to_end(&mut bytes))
            .context("reading standard input")?;
        }
        Some(path) => bytes = Zeroizing::new(read(path, MAX_ENTROPY)?),
    }
    Ok(bytes)
}

/// Refuses to go on when the output exists: a transcript is never overwritten.
pub fn must_not_exist(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        bail!("{} exists; it is not overwritten", path.display());
    }
    Ok(())
}

/// Writes a new file: into a file beside it first, so that whoever interrupts this leaves no half.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("writing {}", path.display());
    must_not_exist(path)?;
    let part = beside(path);
    let mut file = (OpenOptions::new().write(true).create(true).truncate(true))
        .open(&part)
        .with_context(what)?;
    file.write_all(bytes).with_context(what)?;
    file.sync_all().with_context(what)?;
    // A link fails where a rename would overwrite what came into being meanwhile.
    fs::hard_link(&part, path)
        .or_else(|_| must_not_exist_io(path).and_then(|()| fs::rename(&part, path)))
        .with_context(what)?;
    // Gone already where it was renamed.
    let _ = fs::remove_file(&part);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    (File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all())).with_context(what)
}

/// Where file systems have no hard links.
fn must_not_exist_io(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Whether an error is about a transcript or key, and not about how the command was used.
pub fn is_refusal(error: &anyhow::Error) -> bool {
    error.is::<Refused>() || error.is::<FormatError>() || error.is::<KeyError>()
}

/// A new folder beside the one that is to be written; it is renamed when it is complete.
pub fn part_folder(path: &Path) -> Result<PathBuf> {
    let part = beside(path);
    // Left by an interrupted run: only files of ours.
    if part.is_dir() {
        for name in ["scorecard.pk", "scorecard.vk", "provenance.json"] {
            for file in [part.join(name), part.join(format!("{name}.part"))] {
                if file.exists() {
                    fs::remove_file(&file)
                        .with_context(|| format!("removing {}", file.display()))?;
                }
            }
        }
    } else {
        fs::create_dir(&part).with_context(|| format!("creating {}", part.display()))?;
    }
    Ok(part)
}

/// Puts a complete folder into its place.
pub fn rename_folder(part: &Path, path: &Path) -> Result<()> {
    must_not_exist(path)?;
    fs::rename(part, path).with_context(|| format!("writing {}", path.display()))
}
