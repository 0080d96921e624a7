//! The signals that stop a long-running command. The first one lets it finish its work, the second one ends it.

use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::note;
use crate::telemetry::log_writer;

/// The exit code of a command that an interrupt ended, as shells write it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// A listener for SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn listen() -> Result<Self, String> {
        let on = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of the signals.
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for `shutdown`, or ends the process at the next signal.
    pub(super) async fn finish(&mut self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = shutdown => {}
            () = self.received() => {
                note!("faceplate: a second signal: ending at once");
                log_writer::flush();
                process::exit(INTERRUPTED);
            }
        }
    }
}
