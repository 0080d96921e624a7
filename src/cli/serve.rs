//! `faceplate serve`: runs the proxy until it is told to stop. SIGHUP, or a change of the file, makes
//! it read its configuration again; one that is wrong is told, and the old one stays.

use std::{path::Path, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{self, MissedTickBehavior},
};

use super::Stop;
use crate::{
    app::{App, Edges},
    config::{self, Config},
    telemetry::log,
};

pub(super) async fn run(path: &Path) -> Result<(), String> {
    let mut changes = Changes::of(path)?;
    let config = config::from_file(path).map_err(|problems| problems.to_string())?;
    log::start(&config.log);
    let mut stop = Stop::listen()?;
    warn(&config);
    let instances = config.instances.len();
    let app = App::start(config, Edges::default())
        .await
        .map_err(|error| error.to_string())?;
    tracing::info!(listen = %app.address, admin = %app.admin, instances, "serving faces");

    loop {
        tokio::select! {
            () = stop.told() => break,
            () = changes.next() => reload(&app, path),
        }
    }
    tracing::info!("stopping: requests under way may end");
    app.stop().await;
    Ok(())
}

fn reload(app: &App, path: &Path) {
    match config::from_file(path) {
        Ok(config) => {
            warn(&config);
            let instances = config.instances.len();
            app.reload(config);
            tracing::info!(
                instances,
                "the configuration was read again and counts from now on"
            );
        }
        Err(problems) => {
            for problem in &problems.0 {
                tracing::error!("{problem}");
            }
            tracing::error!("the configuration is wrong; the one before stays");
        }
    }
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Tells when the configuration should be read again.
struct Changes<'p> {
    path: &'p Path,
    hangup: Signal,
    /// The file is compared rather than watched: that works on every file system, and with
    /// orchestrators that swap symbolic links.
    look: time::Interval,
    seen: Option<Vec<u8>>,
}

impl<'p> Changes<'p> {
    fn of(path: &'p Path) -> Result<Self, String> {
        let mut look = time::interval(Duration::from_secs(1));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            path,
            hangup: signal(SignalKind::hangup())
                .map_err(|error| format!("cannot listen for signals: {error}"))?,
            look,
            seen: std::fs::read(path).ok(),
        })
    }

    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    self.seen = tokio::fs::read(self.path).await.ok();
                    return;
                }
                _ = self.look.tick() => {
                    let now = tokio::fs::read(self.path).await.ok();
                    // A file that is missing for a moment is being replaced.
                    if now.is_some() && now != self.seen {
                        self.seen = now;
                        return;
                    }
                }
            }
        }
    }
}
