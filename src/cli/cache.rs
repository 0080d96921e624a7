//! `faceplate cache`: inspects the cache directory, and maintains it. An inspection only reads, so it may run beside
//! a server. A change is made by the running server, or by this process if no server runs.

mod export;
mod report;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use clap::Subcommand;
use hyper::{Method, StatusCode, body::Bytes};
use serde_json::json;

use super::{
    admin_client,
    config_arg::{self, ConfigArg},
    output::say,
    progress::Progress,
};
use crate::{
    app::{self, StartError},
    avatar::Subject,
    clock::Clock,
    config::Config,
    pipeline::{Demand, Faces, Instance, Instances},
    store::{Damage, InspectedEntry, Inspection, OpenError, Store},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the number of entries, pictures and bytes.
    Stats,
    /// List every entry, one on each line.
    List {
        /// Print JIDs in full.
        #[arg(long)]
        show_jids: bool,
    },
    /// Read everything, and report damaged entries. Exits with 1 if there are any.
    Verify,
    /// Evict faces beyond the limits and remove unused files, now.
    Gc,
    /// Write the archive (cache.retain = "forever") as files, with a manifest.
    Export {
        /// The folder to write to; it must be empty or missing.
        folder: PathBuf,
        /// Write only the pictures of this instance.
        #[arg(long)]
        instance: Option<String>,
    },
    /// Give the faces of an account that no instance has any more to an instance.
    Rename {
        /// The name that the cache has; `faceplate cache stats` lists them.
        old: String,
        /// The name of a configured instance.
        new: String,
    },
    /// Delete a face, and do not fetch it again for cache.forget_for.
    Forget {
        /// The instance's name, in the configuration or in the cache.
        instance: String,
        /// The JID, or `me`.
        subject: String,
    },
}

/// The time limit of maintenance and deletion by the server, long enough for a large cache.
const TIMEOUT: Duration = Duration::from_secs(3600);

pub(super) async fn run(args: Args) -> Result<(), String> {
    let config = args.config.load()?;
    match args.action {
        Action::Stats => {
            let (rows, damage) = inspect(&config, |_, _| Ok(()))?;
            let contents = inspection(&config)?.count_contents(&rows);
            let stats = report::Stats {
                dir: &config.startup.store.dir,
                rows: &rows,
                damage: &damage,
                contents,
                names_in_use: names_in_use(&config)?,
            };
            report::stats(&stats, args.json);
            Ok(())
        }
        Action::List { show_jids } => {
            let (rows, _) = inspect(&config, |_, _| Ok(()))?;
            report::list(&rows, Clock::system().now(), show_jids, args.json);
            Ok(())
        }
        Action::Verify => {
            let (rows, damage) = inspect(&config, Inspection::verify)?;
            report::verify(rows.len(), &damage, args.json);
            if damage.is_empty() {
                Ok(())
            } else {
                Err("there are damaged entries; they are fetched again with the next request for them".into())
            }
        }
        Action::Gc => gc(&config, args.json).await,
        Action::Export { folder, instance } => {
            let dir = &config.startup.store.dir;
            let exported = export::export(dir, &folder, instance.as_deref())?;
            report::exported(&exported, args.json);
            match exported.damaged {
                0 => Ok(()),
                _ => Err(
                    "there are damaged pictures in the archive; restore them from a backup".into(),
                ),
            }
        }
        Action::Rename { old, new } => {
            let local = args.config.load()?;
            rename(&config, local, &old, &new, args.json).await
        }
        Action::Forget { instance, subject } => {
            let local = args.config.load()?;
            forget(&config, local, &instance, &subject).await
        }
    }
}

/// Reads every entry, and checks each with `check`.
fn inspect(
    config: &Config,
    check: impl Fn(&Inspection, &InspectedEntry) -> Result<(), Damage>,
) -> Result<(Vec<InspectedEntry>, Vec<Damage>), String> {
    let inspection = inspection(config)?;
    let (mut progress, total) = (Progress::start(), inspection.size());
    let (mut rows, mut damage) = (Vec::new(), Vec::new());
    for (done, row) in inspection.entries().enumerate() {
        progress.show(done as u64, total, "");
        let checked = row.and_then(|row| check(&inspection, &row).map(|()| row));
        match checked {
            Ok(row) => rows.push(row),
            Err(error) => damage.push(error),
        }
    }
    Ok((rows, damage))
}

fn inspection(config: &Config) -> Result<Inspection, String> {
    let dir = &config.startup.store.dir;
    Inspection::open(dir).map_err(|error| {
        format!("cannot read the cache directory {}: {error}; check cache.dir and this user's permission", dir.display())
    })
}

/// Opens the store, unless the server of this configuration is using it.
async fn open_unused(config: &Config) -> Result<Option<Store>, String> {
    match open(config) {
        Ok(store) => Ok(Some(store)),
        Err(OpenError::Locked { .. }) => {
            admin_client::check_cache_dir(config).await?;
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn gc(config: &Config, json: bool) -> Result<(), String> {
    let health = match open_unused(config).await? {
        Some(store) => {
            store.run_maintenance().await;
            let health = store.health();
            report::health(
                health.totals.entries,
                health.totals.bytes,
                health.evicted.total(),
            )
        }
        None => {
            let response = admin_client::send(
                config,
                Method::POST,
                "/v1/cache/tend",
                Bytes::new(),
                TIMEOUT,
            )
            .await?;
            response.json()?
        }
    };
    report::maintained(&health, json);
    Ok(())
}

/// The pipeline, unless the server of this configuration is using the cache directory.
async fn offline(config: &Config, local: Config) -> Result<Option<(Faces, Instances)>, String> {
    match app::offline(local) {
        Ok(parts) => Ok(Some(parts)),
        Err(StartError::Store(OpenError::Locked { .. })) => {
            admin_client::check_cache_dir(config).await?;
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn rename(
    config: &Config,
    local: Config,
    old: &str,
    new: &str,
    json: bool,
) -> Result<(), String> {
    let counts = match offline(config, local).await? {
        Some((faces, instances)) => {
            let renaming = faces.rename(&instances, old, new);
            let counts = renaming.await.map_err(|error| error.to_string())?;
            if counts.failed > 0 {
                return Err(format!(
                    "{} faces could not be renamed; see the log above, and repeat the command",
                    counts.failed
                ));
            }
            json!({ "renamed": counts.renamed, "known": counts.known })
        }
        None => {
            let path = format!("/v1/cache/rename?from={old}&to={new}");
            let response =
                admin_client::send(config, Method::POST, &path, Bytes::new(), TIMEOUT).await?;
            response.json()?
        }
    };
    report::renamed(&counts, json);
    Ok(())
}

async fn forget(config: &Config, local: Config, name: &str, subject: &str) -> Result<(), String> {
    let subject: Subject = subject.parse().map_err(|why| format!("not a JID: {why}"))?;
    match offline(config, local).await? {
        Some((faces, instances)) => {
            // The other replicas would go on showing the face.
            config_arg::check_alone(config)?;
            let is_on_disk = match known(&instances, name).await {
                Some(instance) => {
                    let forgotten = faces.forget(&instance, subject).await;
                    forgotten.map_err(|error| error.to_string())?.0
                }
                None => faces.forget_stored(name, subject).await.ok_or_else(|| {
                    format!("there is no instance {name:?} in the configuration, and no such face of it in the cache; faceplate cache stats lists the names")
                })?,
            };
            if !is_on_disk {
                return Err("the face could not be removed from disk; see the log above".into());
            }
        }
        None => {
            let path = format!("/v1/avatars/{name}/{}", subject.as_str());
            let response =
                admin_client::send(config, Method::DELETE, &path, Bytes::new(), TIMEOUT).await?;
            if response.status == StatusCode::OK {
                let spread: serde_json::Value = response.json()?;
                let count = |name: &str| spread[name].as_u64().unwrap_or_default();
                say!(
                    "forgotten by {} of {} replicas",
                    count("applied"),
                    count("of")
                );
                return Ok(());
            }
            response.expect(StatusCode::NO_CONTENT)?;
        }
    }
    say!("forgotten");
    Ok(())
}

/// The instance that is called `name` in the configuration or the cache; one of a pattern if the cache knows it.
async fn known(instances: &Instances, name: &str) -> Option<Arc<Instance>> {
    match instances.make(name, Demand::IfKnown).await {
        Ok(instance) => Some(instance),
        Err(_) => instances.by_cache_name(name),
    }
}

/// The names that the cache has for the faces of the configured instances.
fn names_in_use(config: &Config) -> Result<BTreeSet<String>, String> {
    let inspection = inspection(config)?;
    let exact = config.reloadable.instances.iter();
    let known: BTreeSet<_> = exact
        .map(|instance| instance.name.clone())
        .chain(inspection.instances())
        .collect();
    let instances = known
        .iter()
        .filter_map(|name| config.reloadable.instance(name));
    let names = instances.map(|instance| {
        let names = inspection.account_names(&instance.name, app::account_id(&instance));
        names.current().to_owned()
    });
    Ok(names.collect())
}

/// Opens the cache directory while no server uses it.
fn open(config: &Config) -> Result<Store, OpenError> {
    let limits = config.reloadable.disk_limits.clone();
    Store::open_for_command(&config.startup.store, limits, Clock::system())
}
