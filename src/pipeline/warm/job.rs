//! The job of a run: its list of faces, its saved form and its schedule.

use std::{collections::HashSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    avatar::{MalformedJid, Subject},
    clock::Timestamp,
};

/// The longest run, and the interval of a schedule.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The faces to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// The faces of a list.
    List(Vec<Subject>),
    /// The faces of the account's latest chats, up to this number.
    Chats(usize),
}

/// The schedule of a daily run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The time of day, from midnight UTC.
    pub at: Duration,
    /// The number of latest chats.
    pub top: usize,
}

/// The saved form of a job.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SavedJob {
    chats: Option<usize>,
    jids: Vec<String>,
}

// === impl Job ===

impl Job {
    /// Parses a list with one JID per line. Empty lines and lines that begin with `#` are skipped. The
    /// error has the number of the wrong line and not its text, which may be a phone number.
    pub fn parse(text: &str) -> Result<Self, (usize, MalformedJid)> {
        let mut seen = HashSet::new();
        let mut subjects = Vec::new();
        for (line, number) in text.lines().zip(1_usize..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let subject: Subject = line.parse().map_err(|error| (number, error))?;
            if seen.insert(subject) {
                subjects.push(subject);
            }
        }
        Ok(Job::List(subjects))
    }
}

impl SavedJob {
    pub(super) fn new(job: &Job) -> Self {
        match job {
            Job::Chats(top) => Self {
                chats: Some(*top),
                jids: Vec::new(),
            },
            Job::List(subjects) => Self {
                chats: None,
                jids: subjects.iter().map(|s| s.as_str().to_owned()).collect(),
            },
        }
    }

    pub(super) fn into_job(self) -> Option<Job> {
        match self.chats {
            Some(top) => Some(Job::Chats(top)),
            None if self.jids.is_empty() => None,
            None => {
                let subjects = self.jids.iter().filter_map(|jid| jid.parse().ok());
                Some(Job::List(subjects.collect()))
            }
        }
    }
}

// === impl Schedule ===

impl Schedule {
    /// The next time after `now`.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let day = DAY.as_secs();
        let midnight = Timestamp::from_secs(now.as_secs() / day * day);
        let today = midnight + self.at;
        if today > now { today } else { today + DAY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_jid_per_line_and_each_face_once() {
        let text = "# customers\n628123@c.us\n\n  +628124 \n628123@s.whatsapp.net\nme\n";
        let Ok(Job::List(subjects)) = Job::parse(text) else {
            panic!();
        };
        let jids: Vec<_> = subjects.iter().map(Subject::as_str).collect();
        assert_eq!(jids, ["628123@c.us", "628124@c.us", "me"]);
        let (line, error) = Job::parse("628123\nBob\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(!error.to_string().contains("Bob"));
    }

    #[test]
    fn the_next_scheduled_run_is_later_today_or_tomorrow() {
        let schedule = Schedule {
            at: Duration::from_secs(3 * 3600),
            top: 50,
        };
        let midnight = Timestamp::from_secs(1_795_132_800);
        let three = midnight + schedule.at;
        assert_eq!(schedule.next(midnight), three);
        assert_eq!(schedule.next(three), three + DAY);
        assert_eq!(schedule.next(three + Duration::from_secs(1)), three + DAY);
    }

    #[test]
    fn a_saved_job_is_restored_unchanged() {
        let list = Job::parse("628123\nme").unwrap();
        for job in [list, Job::Chats(50)] {
            let text = serde_json::to_vec(&Some(SavedJob::new(&job))).unwrap();
            let saved: Option<SavedJob> = serde_json::from_slice(&text).unwrap();
            assert_eq!(saved.and_then(SavedJob::into_job), Some(job));
        }
    }
}
