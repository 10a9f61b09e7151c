//! What is shown: progress while it runs, and what a transcript says.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Instant;

use zkbureau_ceremony::Progress;
use zkbureau_circuits::ceremony::{Minutes, Standing};

/// Progress on standard error: a line per part, rewritten in place on a terminal.
pub struct Lines {
    terminal: bool,
    part: Mutex<Option<(&'static str, Instant)>>,
}

impl Lines {
    pub fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            part: Mutex::new(None),
        }
    }
}

impl Progress for Lines {
    fn step(&self, part: &'static str, done: usize, total: usize) {
        let Ok(mut current) = self.part.lock() else {
            return;
        };
        let since = match *current {
            Some((name, since)) if name == part => since,
            _ => Instant::now(),
        };
        *current = Some((part, since));
        let mut err = std::io::stderr().lock();
        // Progress that cannot be shown is not worth failing for.
        let _ = if done >= total {
            *current = None;
            let start = if self.terminal { "\r" } else { "" };
            writeln!(
                err,
                "{start}  {part:<24} {:>6.1} s",
                since.elapsed().as_secs_f64()
            )
        } else if self.terminal {
            write!(err, "\r  {part:<24} {:>6} %", 100 * done / total.max(1))
                .and_then(|()| err.flush())
        } else {
            Ok(())
        };
    }
}

/// The contributions with their hashes.
pub fn contributions(minutes: &Minutes, standing: &Standing) {
    println!(
        "ceremony {:?}, domain 2^{}",
        minutes.title, minutes.log_size
    );
    for (i, (c, hash)) in (minutes.powers.iter().zip(standing.powers_hashes())).enumerate() {
        println!("phase 1  {:>3}  {}  {}", i + 1, hex::encode(hash), c.name);
    }
    let Some(two) = &minutes.phase_two else {
        return;
    };
    println!("circuit       {}", hex::encode(two.circuit));
    for (i, (c, hash)) in (two.contributions.iter().zip(standing.delta_hashes())).enumerate() {
        println!("phase 2  {:>3}  {}  {}", i + 1, hex::encode(hash), c.name);
    }
}
