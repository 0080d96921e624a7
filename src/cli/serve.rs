//! `faceplate serve`: runs the proxy until SIGTERM or SIGINT. SIGHUP or a change of the configuration file, of a
//! certificate or of a secret's file causes a reload. A new configuration with a problem is reported, and the old one stays in use.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::Mode;
use sd_notify::NotifyState;
use secrecy::zeroize::Zeroizing;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{self, MissedTickBehavior},
};

use super::stop_signals::StopSignals;
use crate::{
    app::{App, Dependencies},
    config::{self, Config},
    server::{self, InheritedListeners},
    telemetry::{OtlpClient, log, traces::Traces},
    upstream::{Resolver, unguarded_client},
};

/// `umask` is the one that this process was started with. It still decides who may connect to Unix sockets.
pub(super) async fn run(path: &Path, umask: Mode) -> Result<(), String> {
    // Before the file is read, so that no change of it is missed.
    let mut triggers = ReloadTriggers::new(path)?;
    let (config, secrets) = config::from_file_with_secrets(path);
    let config = config.map_err(|problems| problems.to_string())?;
    triggers.watch(files(&config, secrets));
    let traces = config.startup.traces.as_ref().map(|settings| {
        let collector = OtlpClient::new(unguarded_client(Resolver::default(), None));
        Traces::start(settings, collector)
            .map_err(|error| format!("cannot export traces: {error}; check traces.endpoint"))
    });
    let traces = traces.transpose()?;
    log::start(&config.reloadable.log, traces.as_ref())?;
    let mut stop = StopSignals::listen()?;
    let descriptors = server::raise_descriptor_limit();
    tracing::info!(
        from = descriptors.from,
        to = descriptors.to,
        "the limit of open files"
    );
    warn(&config);
    let instances = config.reloadable.instances.len();
    let patterns = config.reloadable.patterns.len();
    // A part of the service manager's protocol, as LISTEN_FDS and NOTIFY_SOCKET are, and no setting of ours.
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let cache = config.startup.store.dir.display().to_string();
    let dependencies = Dependencies {
        socket_mode: Some(0o777 & !umask.bits()),
        inherited: InheritedListeners::from_manager(&names)
            .map_err(|error| format!("cannot use the sockets of LISTEN_FDS: {error}; they must be listening TCP or Unix sockets"))?,
        ..Dependencies::default()
    };
    let app = App::start(config, dependencies)
        .await
        .map_err(|error| error.to_string())?;
    let hooks = app.hooks.as_ref().map(ToString::to_string);
    tracing::info!(
        listen = %app.address,
        admin = %app.admin,
        hooks,
        instances,
        patterns,
        config = %path.display(),
        cache,
        version = env!("CARGO_PKG_VERSION"),
        "serving faces"
    );
    notify(NotifyState::Ready);

    loop {
        tokio::select! {
            () = stop.received() => break,
            () = triggers.next() => triggers.watch(reload(&app, path)),
        }
    }
    notify(NotifyState::Stopping);
    tracing::info!("stopping: requests under way may finish; a second signal ends at once");
    let shutdown = async {
        app.stop().await;
        if let Some(traces) = traces {
            // Stopping the traces blocks until the last export ends, and the export runs on this runtime. There is no
            // thread for it if all of them wait for a disk that hangs.
            let stopped = tokio::task::spawn_blocking(|| traces.stop());
            let _ = time::timeout(LAST_EXPORT, stopped).await;
        }
    };
    stop.finish(shutdown).await;
    Ok(())
}

/// How long the last export of traces may take: longer than the exporter waits for the collector.
const LAST_EXPORT: Duration = Duration::from_secs(15);

/// Notifies the service manager, if `NOTIFY_SOCKET` names one.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify the service manager; check NOTIFY_SOCKET");
    }
}

/// Reads the configuration again. Returns the files whose changes cause the next reload.
fn reload(app: &App, path: &Path) -> Vec<PathBuf> {
    match config::from_file_with_secrets(path) {
        (Ok(config), secrets) => {
            log::change(&config.reloadable.log);
            warn(&config);
            let files = files(&config, secrets);
            let instances = config.reloadable.instances.len();
            let patterns = config.reloadable.patterns.len();
            app.reload(config);
            tracing::info!(
                instances,
                patterns,
                "the configuration was read again and is in use"
            );
            files
        }
        (Err(problems), secrets) => {
            for problem in &problems.0 {
                tracing::error!("{problem}");
            }
            app.record_failed_reload();
            tracing::error!("the new configuration has problems; the old one stays in use");
            secrets
        }
    }
}

/// The certificate and key, and the files of secrets.
fn files(config: &Config, secrets: Vec<PathBuf>) -> Vec<PathBuf> {
    let tls = config.reloadable.tls.iter();
    let tls = tls.flat_map(|files| [files.certificate.clone(), files.key.clone()]);
    tls.chain(secrets).collect()
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
    /// The configuration, the certificate and key, and secrets.
    files: BTreeMap<PathBuf, WatchedFile>,
}

/// A file as it was read last.
struct WatchedFile {
    /// The digest of its content; `None` if it was missing.
    digest: Option<blake3::Hash>,
    /// For how many looks in a row it has been missing.
    missing: u32,
}

/// A file that is missing for so many looks in a row is not being replaced: it was removed.
const REMOVED_AFTER: u32 = 5;

impl ReloadTriggers {
    fn new(path: &Path) -> Result<Self, String> {
        let mut interval = time::interval(Duration::from_secs(1));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut triggers = Self {
            hangup: signal(SignalKind::hangup())
                .map_err(|error| format!("cannot listen for signals: {error}"))?,
            interval,
            files: BTreeMap::new(),
        };
        triggers.watch(vec![path.to_path_buf()]);
        Ok(triggers)
    }

    /// Watches `files` as well. Files that are no longer used stay, because a change of one does no harm.
    fn watch(&mut self, files: Vec<PathBuf>) {
        for file in files {
            self.files
                .entry(file)
                .or_insert_with_key(|file| WatchedFile {
                    digest: digest(file),
                    missing: 0,
                });
        }
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

    /// Whether a file has changed since the last call, or was removed some calls ago.
    async fn has_changed(&mut self) -> bool {
        let mut has_changed = false;
        for (file, known) in &mut self.files {
            let path = file.clone();
            let now = tokio::task::spawn_blocking(move || digest(&path)).await;
            has_changed |= known.is_changed(now.ok().flatten());
        }
        has_changed
    }
}

impl WatchedFile {
    fn is_changed(&mut self, now: Option<blake3::Hash>) -> bool {
        self.missing = match now {
            Some(_) => 0,
            None => self.missing.saturating_add(1),
        };
        let is_replaced = now.is_none() && self.missing < REMOVED_AFTER;
        if is_replaced || now == self.digest {
            return false;
        }
        self.digest = now;
        true
    }
}

/// The digest of a file's content, which is wiped from memory. `None` if the file cannot be read.
fn digest(file: &Path) -> Option<blake3::Hash> {
    let content = Zeroizing::new(std::fs::read(file).ok()?);
    Some(blake3::hash(&content))
}
