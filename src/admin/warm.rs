//! Warm-up over the admin listener.
//!
//! * `POST /v1/warm?instance=NAME`, with a JID a line in the body, or with `chats=true&top=50` for the
//!   faces that the account chatted with last, begins a run; 202, or 409 while there is one.
//! * `GET /v1/warm`: how the newest run of each instance is getting on.
//! * `DELETE /v1/warm?instance=NAME`: ends it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::records::date;
use crate::pipeline::{Job, Progress, RunState, Warmups};
use crate::server::Reply;
use crate::{front::Front, http::problem::Problem, representation::headers as represent};

/// The longest list: a hundred thousand JIDs.
pub(crate) const LONGEST: usize = 4 << 20;
/// As many chats as an overview is good for.
const TOP: usize = 50;

const REMEDY: &str =
    "write ?instance=NAME with a JID a line in the body, or ?instance=NAME&chats=true&top=50";

/// How a run is getting on, for programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WarmRecord {
    /// Whose faces are fetched.
    pub instance: String,
    /// `running`, `waiting`, `done` or `stopped`.
    pub state: String,
    /// What it waits for, or why it gave up.
    pub why: Option<String>,
    /// Until when it waits.
    pub until: Option<String>,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: Option<String>,
    /// Faces, as far as that is known.
    pub total: u64,
    /// Faces that are settled.
    pub done: u64,
    /// Those by what came of them.
    pub outcomes: BTreeMap<String, u64>,
}

/// Answers at `/v1/warm`.
pub(crate) async fn answer(
    front: &Front,
    warmups: &Warmups,
    method: &Method,
    query: &str,
    body: &Bytes,
) -> Result<Reply, Problem> {
    match *method {
        Method::GET | Method::HEAD => {
            let records: Vec<_> = warmups
                .progress()
                .iter()
                .map(|(name, progress)| WarmRecord::of(name, progress))
                .collect();
            Ok(represent::json(&records))
        }
        Method::POST => {
            let (name, chats) = asked(query)?;
            let instance = front.instance(&name).ok_or(Problem::NoInstance)?;
            let job = match chats {
                Some(top) => Job::Chats(top),
                None => listed(body)?,
            };
            warmups.start(instance, job).map_err(|_| Problem::Warming)?;
            let mut response = represent::json(&told(warmups, &name));
            response.status = StatusCode::ACCEPTED;
            Ok(response)
        }
        Method::DELETE => {
            let (name, _) = asked(query)?;
            let instance = front.instance(&name).ok_or(Problem::NoInstance)?;
            if !warmups.cancel(instance).await {
                return Err(Problem::NotWarming);
            }
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        _ => Err(Problem::Method("GET, HEAD, POST, DELETE")),
    }
}

fn told(warmups: &Warmups, name: &str) -> Option<WarmRecord> {
    let runs = warmups.progress();
    let run = runs.iter().find(|(run, _)| **run == *name);
    run.map(|(name, progress)| WarmRecord::of(name, progress))
}

/// The instance, and how many chats where it is to be chats.
fn asked(query: &str) -> Result<(String, Option<usize>), Problem> {
    let wrong = Problem::Parameter("warm", REMEDY);
    let (mut instance, mut chats, mut top) = (None, false, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (name.as_ref(), value.as_ref()) {
            ("instance", _) => instance = Some(value.into_owned()),
            ("chats", "true") => chats = true,
            ("chats", "false") => {}
            ("top", number) => top = Some(number.parse().map_err(|_| wrong)?),
            _ => return Err(wrong),
        }
    }
    if top.is_some() && !chats || top == Some(0) {
        return Err(wrong);
    }
    Ok((instance.ok_or(wrong)?, chats.then_some(top.unwrap_or(TOP))))
}

fn listed(body: &Bytes) -> Result<Job, Problem> {
    let text = str::from_utf8(body).map_err(|_| Problem::Parameter("warm", REMEDY))?;
    match Job::parse(text) {
        Ok(Job::List(subjects)) if subjects.is_empty() => Err(Problem::Parameter("warm", REMEDY)),
        Ok(job) => Ok(job),
        Err((line, error)) => Err(Problem::Line(line, error)),
    }
}

impl WarmRecord {
    /// What there is to tell of a run.
    pub fn of(name: &str, progress: &Progress) -> Self {
        let (state, why, until) = match progress.state {
            RunState::Running => ("running", None, None),
            RunState::Waiting { until, why } => {
                ("waiting", Some(why.as_str().to_owned()), Some(date(until)))
            }
            RunState::Done => ("done", None, None),
            RunState::Stopped(why) => ("stopped", Some(why.to_string()), None),
        };
        let outcomes = progress.outcomes.iter();
        Self {
            instance: name.to_owned(),
            state: state.to_owned(),
            why,
            until,
            started: date(progress.started_at),
            ended: progress.ended_at.map(date),
            total: progress.total as u64,
            done: progress.done as u64,
            outcomes: outcomes
                .map(|(outcome, count)| ((*outcome).to_owned(), *count as u64))
                .collect(),
        }
    }
}
