//! The command line's end of the administration socket, with a progress bar.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::CommandError;
use crate::admin::protocol::{Event, Progress, Request, Step};
use crate::datadir::DataDir;

/// Connects to the running node; `None` when none is running.
pub fn connect(data: &DataDir) -> Result<Option<UnixStream>, CommandError> {
    match UnixStream::connect(data.socket()) {
        Ok(stream) => Ok(Some(stream)),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e)
            .with_context(|| data.socket().display().to_string())
            .map_err(Into::into),
    }
}

/// Sends a request to the running node and waits for the answer.
pub fn request(data: &DataDir, request: &Request) -> Result<Value, CommandError> {
    let stream = connect(data)?.ok_or_else(|| {
        anyhow!(
            "no node is running on {0}; start it with `agency-node {1}start --data {0}`",
            data.path().display(),
            if data.config_file().is_file() {
                ""
            } else {
                "devnet "
            }
        )
    })?;
    exchange(stream, request)
}

/// Sends a request over a connection and waits for the answer.
pub fn exchange(mut stream: UnixStream, request: &Request) -> Result<Value, CommandError> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).context("asking the node")?;
    let mut bar = Bar::new();
    for line in BufReader::new(stream).lines() {
        let line = line.context("waiting for the node")?;
        match serde_json::from_str(&line).context("the node's answer")? {
            Event::Progress(progress) => bar.show(progress),
            Event::Done { result } => return Ok(result),
            Event::Failed { message, usage } => {
                let error = anyhow!(message);
                return Err(if usage {
                    error.into()
                } else {
                    CommandError::no(error)
                });
            }
        }
    }
    Err(CommandError::no(anyhow!(
        "the node stopped before it was done; start it again and repeat the command"
    )))
}

/// A progress bar on a terminal, nothing elsewhere.
pub struct Bar {
    bar: Option<ProgressBar>,
    step: Option<Step>,
}

impl Bar {
    /// Nothing shown yet.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::no_length);
        Self { bar, step: None }
    }

    /// Shows how far it is.
    pub fn show(&mut self, progress: Progress) {
        let Some(bar) = &self.bar else { return };
        if self.step != Some(progress.step) {
            self.step = Some(progress.step);
            bar.reset();
            bar.set_message(progress.step.label());
            let (position, rate) = if progress.step.is_bytes() {
                ("{bytes}/{total_bytes}", "{bytes_per_sec}")
            } else {
                ("{human_pos}/{human_len}", "{per_sec}")
            };
            let template = match progress.total {
                Some(_) => format!("{{msg:>10}} {{wide_bar}} {position} {rate}"),
                None => "{msg:>10} {spinner} {human_pos}".to_owned(),
            };
            let style = ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
        }
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
