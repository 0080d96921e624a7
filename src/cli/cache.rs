//! `faceplate cache`: looks at the cache directory, and tends it. Looking only reads, so a server may
//! run meanwhile. What changes something is done by the server, if one runs, and else here.

mod export;
mod report;

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use hyper::{Method, StatusCode, body::Bytes};
use indicatif::{ProgressBar, ProgressStyle};

use super::{ConfigArg, admin_client};
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
    /// How much there is, and of what.
    Stats,
    /// Every entry, a line each.
    List {
        /// Print JIDs in full.
        #[arg(long)]
        show_jids: bool,
    },
    /// Read everything, and report what is damaged. Exit 1 if anything is.
    Verify,
    /// Keep the limits, and remove what nothing refers to, now.
    Gc,
    /// Write the archive (cache.retain = "forever") as files, with a manifest.
    Export {
        /// A folder that is empty, or not there yet.
        folder: PathBuf,
        /// One instance's pictures alone.
        #[arg(long)]
        instance: Option<String>,
    },
    /// Forget a face: its bytes, and for cache.forget_for the wish to have it.
    Forget {
        /// The instance's name.
        instance: String,
        /// The JID, or `me`.
        subject: String,
    },
}

/// Long enough for a pass over a large cache.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(super) async fn run(args: Args) -> Result<(), String> {
    let config = args.config.load()?;
    match args.action {
        Action::Stats => {
            let (rows, damage) = look(&config, |_, _| Ok(()))?;
            let contents = inspection(&config)?.contents(&rows);
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
            let (rows, _) = look(&config, |_, _| Ok(()))?;
            report::list(&rows, Clock::system().now(), show_jids, args.json);
            Ok(())
        }
        Action::Verify => {
            let (rows, damage) = look(&config, Inspection::verify)?;
            report::verify(rows.len(), &damage, args.json);
            if damage.is_empty() {
                Ok(())
            } else {
                Err("damaged entries are fetched again when they are next asked for".into())
            }
        }
        Action::Gc => gc(&config, args.json).await,
        Action::Export { folder, instance } => {
            let bar = bar(0);
            let dir = &config.startup.store.dir;
            let exported = export::export(dir, &folder, instance.as_deref(), &bar)?;
            bar.finish_and_clear();
            report::exported(&exported, args.json);
            match exported.damaged {
                0 => Ok(()),
                _ => Err(
                    "damaged pictures of the archive are lost; restore them from a backup".into(),
                ),
            }
        }
        Action::Forget { instance, subject } => forget(&config, &instance, &subject).await,
    }
}

/// Reads every entry, and tries `check` on each.
fn look(
    config: &Config,
    check: impl Fn(&Inspection, &InspectedEntry) -> Result<(), Damage>,
) -> Result<(Vec<InspectedEntry>, Vec<Damage>), String> {
    let inspection = inspection(config)?;
    let bar = bar(inspection.size());
    let (mut rows, mut damage) = (Vec::new(), Vec::new());
    for row in inspection.entries() {
        bar.inc(1);
        let checked = row.and_then(|row| check(&inspection, &row).map(|()| row));
        match checked {
            Ok(row) => rows.push(row),
            Err(error) => damage.push(error),
        }
    }
    bar.finish_and_clear();
    Ok((rows, damage))
}

/// Draws nothing where standard error is no terminal.
fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} eta {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

fn inspection(config: &Config) -> Result<Inspection, String> {
    let dir = &config.startup.store.dir;
    Inspection::open(dir).map_err(|error| {
        format!("cannot read the cache directory {}: {error}; check cache.dir and this user's permission", dir.display())
    })
}

/// The store, if no server has it.
fn ours(config: &Config) -> Result<Option<Store>, String> {
    match Store::open(&config.startup.store, Clock::system()) {
        Ok(store) => Ok(Some(store)),
        Err(OpenError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

async fn gc(config: &Config, json: bool) -> Result<(), String> {
    // How much there is to collect is known when it is done.
    let style = ProgressStyle::with_template("{spinner} tending the cache {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    let health = match ours(config)? {
        Some(store) => {
            store.run_maintenance().await;
            let health = store.health();
            report::health(health.totals.entries, health.totals.bytes, health.evicted)
        }
        None => {
            let answer = admin_client::ask(
                config,
                Method::POST,
                "/v1/cache/tend",
                Bytes::new(),
                PATIENCE,
            )
            .await?;
            expect(answer.status, StatusCode::OK)?;
            serde_json::from_slice(&answer.body)
                .map_err(|error| format!("the server's answer is no JSON: {error}"))?
        }
    };
    bar.finish_and_clear();
    report::tended(&health, json);
    Ok(())
}

async fn forget(config: &Config, instance: &str, subject: &str) -> Result<(), String> {
    let subject: Subject = subject.parse().map_err(|why| format!("not a JID: {why}"))?;
    let Some(known) = config
        .reloadable
        .instances
        .iter()
        .find(|known| known.name == instance)
    else {
        return Err(format!(
            "there is no instance {instance:?} in the configuration"
        ));
    };
    match ours(config)? {
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
            let answer =
                admin_client::ask(config, Method::DELETE, &path, Bytes::new(), PATIENCE).await?;
            expect(answer.status, StatusCode::NO_CONTENT)?;
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
