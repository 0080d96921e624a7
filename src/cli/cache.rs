//! `faceplate cache`: inspects the cache directory, and maintains it. An inspection only reads, so a server may run
//! meanwhile. A change is made by the running server, or by this process if none runs.

mod export;
mod report;

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use hyper::{Method, StatusCode, body::Bytes};

use super::{ConfigArg, admin_client, progress::Progress};
use crate::{
    avatar::{Entry, Key, Subject},
    clock::Clock,
    config::Config,
    store::{Damage, InspectedEntry, Inspection, OpenError, Owner, Store},
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
    /// Delete a face, and do not fetch it again for cache.forget_for.
    Forget {
        /// The instance's name.
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
            report::stats(
                &config.startup.store.dir,
                &rows,
                &damage,
                contents,
                args.json,
            );
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
        Action::Forget { instance, subject } => forget(&config, &instance, &subject).await,
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
    match Store::open_for_command(&config.startup.store, Clock::system()) {
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
            report::health(health.totals.entries, health.totals.bytes, health.evicted)
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
            expect(response.status, StatusCode::OK)?;
            serde_json::from_slice(&response.body)
                .map_err(|error| format!("the server's response is not JSON: {error}; check that admin.listen is Faceplate's"))?
        }
    };
    report::maintained(&health, json);
    Ok(())
}

async fn forget(config: &Config, instance: &str, subject: &str) -> Result<(), String> {
    let subject: Subject = subject.parse().map_err(|why| format!("not a JID: {why}"))?;
    let known = super::instance(config, instance)?;
    match open_unused(config).await? {
        Some(store) => {
            let subject = match (subject, known.account.own) {
                (Subject::Me, Some(own)) if !known.vendor.provider().has_own_profile() => {
                    Subject::Chat(own)
                }
                _ => subject,
            };
            let now = Clock::system().now();
            let tombstone =
                Entry::tombstone(now, now + config.reloadable.pipeline.policy.forget_for);
            let owner = Owner {
                instance: instance.into(),
                subject,
            };
            let key = Key::new(instance, &subject);
            if !store.forget(&key, &owner, tombstone.into()).await {
                return Err("the face could not be removed from disk; see the log above".into());
            }
        }
        None => {
            let path = format!("/v1/avatars/{instance}/{}", subject.as_str());
            let response =
                admin_client::send(config, Method::DELETE, &path, Bytes::new(), TIMEOUT).await?;
            expect(response.status, StatusCode::NO_CONTENT)?;
        }
    }
    println!("forgotten");
    Ok(())
}

fn expect(status: StatusCode, expected: StatusCode) -> Result<(), String> {
    if status == expected {
        Ok(())
    } else {
        Err(format!(
            "the running server answered {status}; check admin.token"
        ))
    }
}
