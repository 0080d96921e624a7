//! `faceplate serve`: runs the proxy until SIGTERM or SIGINT. SIGHUP or a change of the configuration file causes a
//! reload. A new configuration with a problem is reported, and the old one stays in use.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::Mode;
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

/// `umask` is the one that this process was started with. It still decides who may connect to Unix sockets.
pub(super) async fn run(path: &Path, umask: Mode) -> Result<(), String> {
    let config = config::from_file(path).map_err(|problems| problems.to_string())?;
    let mut triggers = ReloadTriggers::new(path, &config)?;
    let traces = config.startup.traces.as_ref().map(|settings| {
        let collector = OtlpClient::new(unguarded_client(Resolver::default()));
        Traces::start(settings, collector)
            .map_err(|error| format!("cannot export traces: {error}; check traces.endpoint"))
    });
    let traces = traces.transpose()?;
    log::start(&config.startup.log, traces.as_ref())?;
    let mut stop = StopSignals::listen()?;
    warn(&config);
    let instances = config.reloadable.instances.len();
    let dependencies = Dependencies {
        socket_mode: Some(0o777 & !umask.bits()),
        inherited: Inherited::from_manager(&std::env::var("LISTEN_FDNAMES").unwrap_or_default())
            .map_err(|error| format!("cannot use the sockets of LISTEN_FDS: {error}; they must be listening TCP or Unix sockets"))?,
        ..Dependencies::default()
    };
    let app = App::start(config, dependencies)
        .await
        .map_err(|error| error.to_string())?;
    tracing::info!(listen = %app.address, admin = %app.admin, instances, "serving faces");
    notify(NotifyState::Ready);

    loop {
        tokio::select! {
            () = stop.received() => break,
            () = triggers.next() => reload(&app, path),
        }
    }
    notify(NotifyState::Stopping);
    tracing::info!("stopping: requests under way may finish");
    app.stop().await;
    if let Some(traces) = traces {
        // It blocks until the last export ends, and the export runs on this runtime.
        let _ = tokio::task::spawn_blocking(|| traces.stop()).await;
    }
    Ok(())
}

/// Notifies the service manager, if `NOTIFY_SOCKET` names one.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify the service manager; check NOTIFY_SOCKET");
    }
}

fn reload(app: &App, path: &Path) {
    match config::from_file(path) {
        Ok(config) => {
            warn(&config);
            let instances = config.reloadable.instances.len();
            app.reload(config);
            tracing::info!(instances, "the configuration was read again and is in use");
        }
        Err(problems) => {
            for problem in &problems.0 {
                tracing::error!("{problem}");
            }
            tracing::error!("the new configuration has problems; the old one stays in use");
        }
    }
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Waits for reasons to read the configuration again.
struct ReloadTriggers {
    hangup: Signal,
    /// The files are compared at this interval. Unlike inotify, that works on every file system, and with
    /// orchestrators that swap symbolic links.
    interval: time::Interval,
    /// The configuration, and the certificate and key.
    files: Vec<PathBuf>,
    contents: Vec<Option<Vec<u8>>>,
}

impl ReloadTriggers {
    fn new(path: &Path, config: &Config) -> Result<Self, String> {
        let mut interval = time::interval(Duration::from_secs(1));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tls = config.reloadable.tls.iter();
        let tls = tls.flat_map(|files| [files.certificate.clone(), files.key.clone()]);
        let files: Vec<_> = std::iter::once(path.to_path_buf()).chain(tls).collect();
        Ok(Self {
            hangup: signal(SignalKind::hangup())
                .map_err(|error| format!("cannot listen for signals: {error}"))?,
            interval,
            contents: files.iter().map(|file| std::fs::read(file).ok()).collect(),
            files,
        })
    }

    async fn next(&mut self) {
        loop {
            let is_hangup = tokio::select! {
                _ = self.hangup.recv() => true,
                _ = self.interval.tick() => false,
            };
            if self.has_changed().await || is_hangup {
                return;
            }
        }
    }

    /// Whether a file has changed since the last call. A missing file counts as unchanged: it is being replaced.
    async fn has_changed(&mut self) -> bool {
        let mut has_changed = false;
        for (file, content) in self.files.iter().zip(&mut self.contents) {
            let now = tokio::fs::read(file).await.ok();
            if now.is_some() && now != *content {
                *content = now;
                has_changed = true;
            }
        }
        has_changed
    }
}
