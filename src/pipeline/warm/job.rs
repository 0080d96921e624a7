//! What a run is to do, as it is asked for, noted and scheduled.

use std::{collections::HashSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::DAY;
use crate::{
    avatar::{MalformedJid, Subject},
    clock::Timestamp,
};

/// Whose faces to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// These.
    List(Vec<Subject>),
    /// Those that the account chatted with last, so many.
    Chats(usize),
}

/// A run every day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The time of day, from midnight UTC.
    pub at: Duration,
    /// How many of the newest chats.
    pub top: usize,
}

/// A job as it is noted.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    chats: Option<usize>,
    jids: Vec<String>,
}

// === impl Job ===

impl Job {
    /// Reads a list, a JID a line. Empty lines and those that begin with `#` say nothing. A wrong line
    /// is told by its number: what it says may be anybody's number.
    pub fn read(text: &str) -> Result<Self, (usize, MalformedJid)> {
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

impl Note {
    pub(super) fn of(job: &Job) -> Self {
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

    pub(super) fn job(self) -> Option<Job> {
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
    fn a_list_is_read_line_by_line_and_names_each_face_once() {
        let text = "# customers\n628123@c.us\n\n  +628124 \n628123@s.whatsapp.net\nme\n";
        let Ok(Job::List(subjects)) = Job::read(text) else {
            panic!();
        };
        let jids: Vec<_> = subjects.iter().map(Subject::as_str).collect();
        assert_eq!(jids, ["628123@c.us", "628124@c.us", "me"]);
        let (line, error) = Job::read("628123\nBob\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(!error.to_string().contains("Bob"));
    }

    #[test]
    fn the_next_run_is_today_or_tomorrow() {
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
    fn a_job_is_the_same_after_it_was_noted() {
        let list = Job::read("628123\nme").unwrap();
        for job in [list, Job::Chats(50)] {
            let text = serde_json::to_vec(&Some(Note::of(&job))).unwrap();
            let note: Option<Note> = serde_json::from_slice(&text).unwrap();
            assert_eq!(note.and_then(Note::job), Some(job));
        }
    }
}
