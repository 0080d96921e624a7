//! `/v1/warm`: fetches many faces ahead.
//!
//! * `POST ?instance=NAME` starts a run for the JIDs in the body, one a line. With `chats=true&top=50`, it is
//!   for the chats with the latest messages. 202, or 409 while another run of the instance is not over.
//! * `GET` shows the newest run of each instance.
//! * `DELETE ?instance=NAME` stops a run.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Admin, Error, records::date};
use crate::{
    http::{query, respond},
    pipeline::{Demand, Job, Progress, RunState},
    representation::view::InvalidParameter,
    server::Reply,
};

/// The longest list in bytes: a hundred thousand JIDs.
pub(super) const MAX_BODY: usize = 4 << 20;
/// The number of chats where `top` is missing.
const DEFAULT_TOP: usize = 50;

const INVALID: Error = Error::Parameter(InvalidParameter::new(
    "warm",
    "write ?instance=NAME with a JID a line in the body, or ?instance=NAME&chats=true&top=50",
));

/// The progress of a run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WarmUp)]
pub struct WarmRecord {
    /// The instance whose faces are fetched.
    pub instance: String,
    /// The state of the run.
    pub state: WarmState,
    /// The reason to wait or to have stopped.
    pub why: Option<String>,
    /// The end of the wait.
    pub until: Option<String>,
    /// The start of the run.
    pub started: String,
    /// The end of the run.
    pub ended: Option<String>,
    /// The number of faces, as far as it is known.
    pub total: u64,
    /// The number of faces that are settled.
    pub done: u64,
    /// The number of settled faces by outcome.
    pub outcomes: BTreeMap<String, u64>,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WarmState {
    /// Faces are fetched.
    Running,
    /// The instance's budget or a pause holds the run up.
    Waiting,
    /// All faces are settled.
    Done,
    /// The run ended early.
    Stopped,
}

/// The query of a request that starts or stops a run.
struct Selection {
    instance: String,
    /// The number of chats, unless the body lists JIDs.
    chats: Option<usize>,
}

impl Admin {
    pub(super) async fn warm(
        &self,
        method: &Method,
        query: &str,
        body: &Bytes,
    ) -> Result<Reply, Error> {
        match *method {
            Method::POST => {
                let selection = Selection::parse(query)?;
                let instance = self.instance(&selection.instance).await?;
                let job = match selection.chats {
                    Some(top) => Job::Chats(top),
                    None => listed_job(body)?,
                };
                let started = self.warmups.start(&instance, job);
                started.map_err(|_| Error::WarmupRunning)?;
                let records = self.warm_records();
                let record = records.iter().find(|run| run.instance == **instance.name());
                let mut reply = respond::json(&record);
                reply.status = StatusCode::ACCEPTED;
                Ok(reply)
            }
            Method::DELETE => {
                let selection = Selection::parse(query)?;
                let instance = self
                    .instances
                    .make(&selection.instance, Demand::IfKnown)
                    .await;
                let instance = instance.map_err(Error::from)?;
                if !self.warmups.cancel(&instance).await {
                    return Err(Error::NoWarmup);
                }
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            _ => Ok(respond::json(&self.warm_records())),
        }
    }

    /// The record of the newest run of each instance.
    pub(super) fn warm_records(&self) -> Vec<WarmRecord> {
        let runs = self.warmups.progress();
        runs.iter()
            .map(|(name, progress)| WarmRecord::new(name, progress))
            .collect()
    }
}

impl Selection {
    fn parse(query: &str) -> Result<Self, Error> {
        let (mut instance, mut chats, mut top) = (None, false, None);
        for (name, value) in query::pairs(query) {
            match (name.as_ref(), value.as_ref()) {
                ("instance", _) => instance = Some(value.into_owned()),
                ("chats", "true") => chats = true,
                ("chats", "false") => {}
                ("top", number) => top = Some(number.parse().map_err(|_| INVALID)?),
                _ => return Err(INVALID),
            }
        }
        if top.is_some() && !chats || top == Some(0) {
            return Err(INVALID);
        }
        Ok(Self {
            instance: instance.ok_or(INVALID)?,
            chats: chats.then_some(top.unwrap_or(DEFAULT_TOP)),
        })
    }
}

fn listed_job(body: &Bytes) -> Result<Job, Error> {
    let text = str::from_utf8(body).map_err(|_| INVALID)?;
    match Job::parse(text) {
        Ok(Job::List(subjects)) if subjects.is_empty() => Err(INVALID),
        Ok(job) => Ok(job),
        Err((line, error)) => Err(Error::ListLine { line, error }),
    }
}

impl WarmRecord {
    /// The record of a run of the instance `name`.
    pub fn new(name: &str, progress: &Progress) -> Self {
        let (state, why, until) = match progress.state {
            RunState::Running => (WarmState::Running, None, None),
            RunState::Waiting { until, why } => {
                let why = why.as_str().to_owned();
                (WarmState::Waiting, Some(why), Some(date(until)))
            }
            RunState::Done => (WarmState::Done, None, None),
            RunState::Stopped(why) => (WarmState::Stopped, Some(why.to_string()), None),
        };
        let outcomes = progress.outcomes.iter();
        Self {
            instance: name.to_owned(),
            state,
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
