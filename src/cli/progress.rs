//! A progress line on standard error, rewritten in place. Nothing is printed if standard error is not a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often the line is rewritten, at most.
const INTERVAL: Duration = Duration::from_millis(100);

/// The characters of the bar.
const WIDTH: u64 = 20;

pub(super) struct Progress {
    is_terminal: bool,
    started: Instant,
    written: Option<Instant>,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            started: Instant::now(),
            written: None,
        }
    }

    /// Shows a bar, the rate, the remaining time and `message`.
    pub(super) fn show(&mut self, done: u64, total: u64, message: &str) {
        if !self.is_terminal || self.written.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        let elapsed = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = done as f64 / elapsed;
        let remaining = match done {
            0 => "?".to_owned(),
            done => rough_duration((total.saturating_sub(done) as f64 / rate) as u64 + 1),
        };
        let filled = done * WIDTH / total.max(1);
        let bar: String = (0..WIDTH)
            .map(|place| if place < filled { '#' } else { '-' })
            .collect();
        self.rewrite(&format!(
            "{bar} {done}/{total} {rate:.1}/s eta {remaining} {message}"
        ));
        self.written = Some(Instant::now());
    }

    fn rewrite(&self, line: &str) {
        // The escape sequences turn line wrapping off and on (DECAWM), and clear the rest of the line (EL). A
        // terminal that is gone needs no progress.
        let _ = write!(io::stderr(), "\x1b[?7l\r{line}\x1b[K\x1b[?7h");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.written.is_some() {
            self.rewrite("");
        }
    }
}

/// A duration in its largest fitting unit: `90s`, `12m`, `36h` or `7d`.
pub(super) fn rough_duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
