//! `faceplate warm`: fetches many faces ahead. A running server does it, if there is one; else it is
//! done here. Either way a run that was interrupted goes on: faces that are known are not asked for.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::{Method, StatusCode, body::Bytes};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time;

use super::{ConfigArg, admin_client};
use crate::{
    admin::WarmRecord,
    app::{self, StartError},
    config::Config,
    pipeline::{Job, Warmups},
    store::OpenError,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance's name.
    instance: String,
    /// A file with a JID a line; `-` for standard input.
    #[arg(required_unless_present = "chats", conflicts_with = "chats")]
    file: Option<PathBuf>,
    /// Fetch the faces that the account chatted with last, from the vendor's own list.
    #[arg(long)]
    chats: bool,
    /// How many of them.
    #[arg(long, default_value_t = 50, requires = "chats", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Where the run goes on.
enum Run<'a> {
    /// In a server.
    There(&'a Config),
    /// Here.
    Here(Warmups),
}

/// How often the bar moves.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn run(args: Args) -> Result<(), String> {
    // A configuration is used up by the server that it makes.
    let (config, ours) = (args.config.load()?, args.config.load()?);
    let name = &args.instance;
    if !config
        .reloadable
        .instances
        .iter()
        .any(|known| known.name == *name)
    {
        return Err(format!(
            "there is no instance {name:?} in the configuration"
        ));
    }
    let list = args.file.as_deref().map(read).transpose()?;
    let job = match &list {
        Some(text) => Job::parse(text)
            .map_err(|(line, error)| format!("line {line} of the list is no JID: {error}"))?,
        None => Job::Chats(args.top as usize),
    };
    let run = match app::offline(ours) {
        Ok((faces, instances)) => {
            let warmups = Warmups::new(faces);
            let instance = instances.iter().find(|known| **known.name() == **name);
            let instance = instance.ok_or("the instance is gone")?;
            warmups
                .start(instance, job)
                .map_err(|error| error.to_string())?;
            Run::Here(warmups)
        }
        Err(StartError::Store(OpenError::Locked { .. })) => {
            begin(&config, name, list, args.top).await?;
            Run::There(&config)
        }
        Err(error) => return Err(error.to_string()),
    };
    let record = run.watched(name).await?;
    if let Run::Here(warmups) = run {
        warmups.wait_idle().await;
    }
    report(&record, args.json);
    match record.why {
        Some(why) if record.state == "stopped" => Err(why),
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

/// Lets the running server begin.
async fn begin(config: &Config, name: &str, list: Option<String>, top: u32) -> Result<(), String> {
    let (path, body) = match list {
        Some(text) => (format!("/v1/warm?instance={name}"), Bytes::from(text)),
        None => {
            let path = format!("/v1/warm?instance={name}&chats=true&top={top}");
            (path, Bytes::new())
        }
    };
    let answer =
        admin_client::ask(config, Method::POST, &path, body, admin_client::TIMEOUT).await?;
    match answer.status {
        StatusCode::ACCEPTED => Ok(()),
        StatusCode::CONFLICT => {
            eprintln!("faceplate: the server is warming this instance already; this is that run");
            Ok(())
        }
        status => Err(format!(
            "the running server answered {status}; check admin.token, and that it runs with this configuration"
        )),
    }
}

fn report(record: &WarmRecord, as_json: bool) {
    if as_json {
        // Texts and numbers cannot fail to be JSON.
        println!("{}", serde_json::to_string(record).unwrap_or_default());
        return;
    }
    println!("{} of {} faces", record.done, record.total);
    for (outcome, count) in &record.outcomes {
        println!("  {count:>8} {outcome}");
    }
}

impl Run<'_> {
    /// Draws a bar until the run has ended. Nothing is drawn where standard error is no terminal.
    async fn watched(&self, name: &str) -> Result<WarmRecord, String> {
        let style =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} eta {eta} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style);
        loop {
            let record = self.record(name).await?;
            bar.set_length(record.total);
            bar.set_position(record.done);
            bar.set_message(message(&record));
            if record.ended.is_some() {
                bar.finish_and_clear();
                return Ok(record);
            }
            time::sleep(LOOK).await;
        }
    }

    async fn record(&self, name: &str) -> Result<WarmRecord, String> {
        let records = match self {
            Run::Here(warmups) => warmups
                .progress()
                .iter()
                .map(|(name, progress)| WarmRecord::new(name, progress))
                .collect(),
            Run::There(config) => {
                let asked = admin_client::ask(
                    config,
                    Method::GET,
                    "/v1/warm",
                    Bytes::new(),
                    admin_client::TIMEOUT,
                );
                let answer = asked.await?;
                serde_json::from_slice::<Vec<WarmRecord>>(&answer.body)
                    .map_err(|error| format!("the server's answer is no JSON: {error}"))?
            }
        };
        let mut records = records.into_iter();
        let record = records.find(|record| record.instance == name);
        record.ok_or_else(|| "the run was ended by somebody else".to_owned())
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
