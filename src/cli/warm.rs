//! `faceplate warm`: fetches many faces in advance, in the running server, or in this process if none runs. A run can be
//! interrupted and started again: the vendor is not asked for faces that are in the cache and fresh.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ArgGroup;
use hyper::{Method, StatusCode, body::Bytes};
use tokio::time;

use super::{
    admin_client,
    config_arg::{self, ConfigArg},
    output::{note, say},
    progress::Progress,
    stop_signals::StopSignals,
};
use crate::{
    admin::{WarmRecord, WarmState},
    app::{self, StartError},
    config::Config,
    pipeline::{Demand, Job, Warmups},
    store::OpenError,
};

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("faces").required(true).args(["file", "chats", "stop"]))]
pub(super) struct Args {
    /// The instance's name.
    instance: String,
    /// A file with a JID on each line; `-` for standard input.
    file: Option<PathBuf>,
    /// Fetch the faces that the account chatted with last, from the vendor's list of chats.
    #[arg(long)]
    chats: bool,
    /// Stop the run of this instance in the running server.
    #[arg(long)]
    stop: bool,
    /// How many chats.
    #[arg(long, default_value_t = 50, requires = "chats", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// The process that the run is in.
enum Run<'a> {
    /// The running server.
    Remote(&'a Config),
    /// This process.
    Local(Warmups),
}

/// How often the state of the run is read.
const INTERVAL: Duration = Duration::from_millis(200);

pub(super) async fn run(args: Args) -> Result<(), String> {
    // Opening the pipeline consumes a configuration, and the other case needs one as well.
    let (config, local) = (args.config.load()?, args.config.load()?);
    let name = &args.instance;
    config_arg::instance(&config, name)?;
    if args.stop {
        return stop(&config, name).await;
    }
    let list = args.file.as_deref().map(read).transpose()?;
    let job = match &list {
        Some(text) => Job::parse(text)
            .map_err(|(line, error)| format!("line {line} of the list is not a JID: {error}"))?,
        None => Job::Chats(args.top as usize),
    };
    let run = match app::offline(local) {
        Ok((faces, instances)) => {
            // Its calls would not count against the budget that the replicas share.
            config_arg::check_alone(&config)?;
            let warmups = Warmups::new(faces);
            let instance = instances.make(name, Demand::Credential).await;
            let instance = instance.map_err(|_| "the instance cannot be made")?;
            warmups
                .start(&instance, job)
                .map_err(|error| error.to_string())?;
            Run::Local(warmups)
        }
        Err(StartError::Store(OpenError::Locked { .. })) => {
            admin_client::check_cache_dir(&config).await?;
            start_remote(&config, name, list, args.top).await?;
            Run::Remote(&config)
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut signals = StopSignals::listen()?;
    let record = tokio::select! {
        record = run.wait(name) => record?,
        () = signals.received() => return Err(run.interrupted(name)),
    };
    if let Run::Local(warmups) = run {
        warmups.wait_idle().await;
    }
    report(&record, args.json);
    match record.why {
        Some(why) if record.state == WarmState::Stopped => Err(why),
        _ => Ok(()),
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(text)
}

/// Starts the run in the running server.
async fn start_remote(
    config: &Config,
    name: &str,
    list: Option<String>,
    top: u32,
) -> Result<(), String> {
    let (path, body) = match list {
        Some(text) => (format!("/v1/warm?instance={name}"), Bytes::from(text)),
        None => {
            let path = format!("/v1/warm?instance={name}&chats=true&top={top}");
            (path, Bytes::new())
        }
    };
    let response =
        admin_client::send(config, Method::POST, &path, body, admin_client::TIMEOUT).await?;
    match response.status {
        StatusCode::ACCEPTED => Ok(()),
        StatusCode::CONFLICT => {
            note!(
                "faceplate: the server is fetching faces of this instance already; this shows that run"
            );
            Ok(())
        }
        _ => Err(response.refusal()),
    }
}

/// Stops the run in the running server.
async fn stop(config: &Config, name: &str) -> Result<(), String> {
    let path = format!("/v1/warm?instance={name}");
    let (method, body) = (Method::DELETE, Bytes::new());
    let response = admin_client::send(config, method, &path, body, admin_client::TIMEOUT).await?;
    match response.status {
        StatusCode::NO_CONTENT => {
            say!("stopped; the faces that were fetched stay");
            Ok(())
        }
        StatusCode::NOT_FOUND => Err(format!(
            "no warm-up of {name} is running, so nothing is to be stopped"
        )),
        _ => Err(response.refusal()),
    }
}

fn report(record: &WarmRecord, as_json: bool) {
    if as_json {
        // Serializing texts and numbers cannot fail.
        say!("{}", serde_json::to_string(record).unwrap_or_default());
        return;
    }
    say!("{} of {} faces", record.done, record.total);
    for (outcome, count) in &record.outcomes {
        say!("  {count:>8} {outcome}");
    }
}

impl Run<'_> {
    /// The message after a signal.
    fn interrupted(&self, name: &str) -> String {
        match self {
            Run::Remote(_) => format!(
                "interrupted; the server goes on fetching: faceplate warm {name} --stop stops it"
            ),
            Run::Local(_) => {
                "interrupted; the faces that were fetched stay, and the next run goes on".to_owned()
            }
        }
    }

    /// Shows the progress until the run has ended.
    async fn wait(&self, name: &str) -> Result<WarmRecord, String> {
        let mut progress = Progress::start();
        loop {
            let record = self.record(name).await?;
            if record.ended.is_some() {
                return Ok(record);
            }
            progress.show(record.done, record.total, &message(&record));
            time::sleep(INTERVAL).await;
        }
    }

    async fn record(&self, name: &str) -> Result<WarmRecord, String> {
        let records = match self {
            Run::Local(warmups) => warmups
                .progress()
                .iter()
                .map(|(name, progress)| WarmRecord::new(name, progress))
                .collect(),
            Run::Remote(config) => {
                let response = admin_client::send(
                    config,
                    Method::GET,
                    "/v1/warm",
                    Bytes::new(),
                    admin_client::TIMEOUT,
                )
                .await?;
                response.json::<Vec<WarmRecord>>()?
            }
        };
        let mut records = records.into_iter();
        let record = records.find(|record| record.instance == name);
        record.ok_or_else(|| "the server has no such run any more; start it again".to_owned())
    }
}

fn message(record: &WarmRecord) -> String {
    let outcomes = record.outcomes.iter();
    let mut words: Vec<_> = outcomes
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    if let (Some(why), Some(until)) = (&record.why, &record.until) {
        words.push(format!("waiting until {until}: {why}"));
    }
    words.join(", ")
}
