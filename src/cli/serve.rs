//! `faceplate serve`: runs the proxy until it is told to stop. SIGHUP, or a change of the file, makes
//! it read its configuration again; one that is wrong is told, and the old one stays.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{self, MissedTickBehavior},
};

use super::StopSignals;
use crate::{
    app::{App, Dependencies},
    config::{self, Config},
    server::Inherited,
    telemetry::{OtlpClient, log, traces::Traces},
    upstream::{Resolver, unguarded_client},
};

pub(super) async fn run(path: &Path) -> Result<(), String> {
    let config = config::from_file(path).map_err(|problems| problems.to_string())?;
    let mut changes = Changes::of(path, &config)?;
    let traces = config.startup.traces.as_ref().map(|settings| {
        let collector = OtlpClient::new(unguarded_client(Resolver::default()));
        Traces::start(settings, collector).map_err(|error| format!("cannot trace: {error}"))
    });
    let traces = traces.transpose()?;
    log::start(&config.startup.log, traces.as_ref())?;
    let mut stop = StopSignals::listen()?;
    warn(&config);
    let instances = config.reloadable.instances.len();
    let dependencies = Dependencies {
        inherited: Inherited::from_manager(&std::env::var("LISTEN_FDNAMES").unwrap_or_default())
            .map_err(|error| format!("cannot use the sockets of LISTEN_FDS: {error}; they must be listening TCP or Unix sockets"))?,
        ..Dependencies::default()
    };
    let app = App::start(config, dependencies)
        .await
        .map_err(|error| error.to_string())?;
    tracing::info!(listen = %app.address, admin = %app.admin, instances, "serving faces");
    tell(NotifyState::Ready);

    loop {
        tokio::select! {
            () = stop.received() => break,
            () = changes.next() => reload(&app, path),
        }
    }
    tell(NotifyState::Stopping);
    tracing::info!("stopping: requests under way may end");
    app.stop().await;
    if let Some(traces) = traces {
        // It waits for its own requests, which need this thread's runtime.
        let _ = tokio::task::spawn_blocking(|| traces.stop()).await;
    }
    Ok(())
}

/// Tells the service manager, if there is one that wants to know.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell the service manager; see NOTIFY_SOCKET");
    }
}

fn reload(app: &App, path: &Path) {
    match config::from_file(path) {
        Ok(config) => {
            warn(&config);
            let instances = config.reloadable.instances.len();
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
struct Changes {
    hangup: Signal,
    /// Files are compared rather than watched: that works on every file system, and with
    /// orchestrators that swap symbolic links.
    look: time::Interval,
    /// The configuration, and the certificate and key.
    files: Vec<PathBuf>,
    seen: Vec<Option<Vec<u8>>>,
}

impl Changes {
    fn of(path: &Path, config: &Config) -> Result<Self, String> {
        let mut look = time::interval(Duration::from_secs(1));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tls = config.reloadable.tls.iter();
        let tls = tls.flat_map(|files| [files.certificate.clone(), files.key.clone()]);
        let files: Vec<_> = std::iter::once(path.to_path_buf()).chain(tls).collect();
        Ok(Self {
            hangup: signal(SignalKind::hangup())
                .map_err(|error| format!("cannot listen for signals: {error}"))?,
            look,
            seen: files.iter().map(|file| std::fs::read(file).ok()).collect(),
            files,
        })
    }

    async fn next(&mut self) {
        loop {
            let is_asked = tokio::select! {
                _ = self.hangup.recv() => true,
                _ = self.look.tick() => false,
            };
            if self.differs().await || is_asked {
                return;
            }
        }
    }

    /// Whether a file is another than it was. One that is missing for a moment is being replaced.
    async fn differs(&mut self) -> bool {
        let mut differs = false;
        for (file, seen) in self.files.iter().zip(&mut self.seen) {
            let now = tokio::fs::read(file).await.ok();
            if now.is_some() && now != *seen {
                *seen = now;
                differs = true;
            }
        }
        differs
    }
}
