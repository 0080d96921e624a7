//! Detects soft throttling: a gateway that is called too often answers "no picture" instead of an error
//! ("visual rate limiting").
//!
//! Each of two signs is enough:
//! 1. Several faces in a row have lost their picture. People hide their picture now and then, but not
//!    three of them in a row.
//! 2. Among faces without a stored picture, nearly all of the latest answers are empty, although far
//!    fewer of the earlier ones are.
//!
//! The detector is a pure state machine: it is given the answers, and has no clock.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::avatar::Key;

/// The detector of one instance, with the answers that it has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SoftThrottleDetector {
    /// The faces that lost their picture since the last answer with a picture.
    lost: Vec<Key>,
    /// Whether each of the latest answers was empty, oldest first. Answers that lost a picture are left
    /// out.
    latest: VecDeque<bool>,
    /// The answers before those.
    before: Share,
}

/// The thresholds of the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// The number of different faces in a row that have to lose their picture.
    pub lost: usize,
    /// The number of latest answers that are compared with the earlier ones.
    pub window: usize,
    /// The smallest share of empty answers among the latest, in percent.
    pub empty_percent: u32,
    /// The largest share of empty answers among the earlier ones, in percent.
    pub usual_percent: u32,
}

/// An answer, compared with the stored entry of its face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A picture.
    Picture,
    /// No picture, for a face that has a stored one.
    Lost,
    /// No picture, for a face without a stored one.
    Empty,
}

/// A share of empty answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Share {
    empty: u32,
    all: u32,
}

impl Default for Sensitivity {
    fn default() -> Self {
        Self {
            lost: 3,
            window: 20,
            empty_percent: 90,
            usual_percent: 50,
        }
    }
}

impl SoftThrottleDetector {
    /// Records one answer. Returns whether it counts as a rate limit.
    pub fn observe(
        &mut self,
        key: Key,
        observation: Observation,
        sensitivity: &Sensitivity,
    ) -> bool {
        match observation {
            Observation::Picture => self.lost.clear(),
            Observation::Lost if !self.lost.contains(&key) => self.lost.push(key),
            Observation::Lost | Observation::Empty => {}
        }
        if observation != Observation::Lost {
            self.remember(observation == Observation::Empty, sensitivity);
        }
        // Only an answer that is itself suspicious counts as a rate limit.
        let loses = observation == Observation::Lost && self.lost.len() >= sensitivity.lost;
        let jumps = observation == Observation::Empty && self.has_jumped(sensitivity);
        if jumps {
            // The next verdict, after the pause, needs a whole window of new answers.
            self.latest.clear();
        }
        loses || jumps
    }

    fn remember(&mut self, is_empty: bool, sensitivity: &Sensitivity) {
        self.latest.push_back(is_empty);
        while self.latest.len() > sensitivity.window {
            if let Some(was_empty) = self.latest.pop_front() {
                self.before.add(was_empty);
            }
        }
    }

    fn has_jumped(&self, sensitivity: &Sensitivity) -> bool {
        let mut latest = Share::default();
        self.latest
            .iter()
            .for_each(|is_empty| latest.add(*is_empty));
        self.latest.len() >= sensitivity.window
            && self.before.all as usize >= sensitivity.window
            && latest.percent() >= sensitivity.empty_percent
            && self.before.percent() <= sensitivity.usual_percent
    }
}

impl Share {
    /// The count at which both numbers are halved, so that the share follows slow changes.
    const MAX_COUNT: u32 = 1000;

    fn add(&mut self, is_empty: bool) {
        if self.all >= Self::MAX_COUNT {
            self.all /= 2;
            self.empty /= 2;
        }
        self.all += 1;
        self.empty += u32::from(is_empty);
    }

    fn percent(self) -> u32 {
        self.empty * 100 / self.all.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::new("sales", &format!("1{number}").parse().unwrap())
    }

    fn feed(
        detector: &mut SoftThrottleDetector,
        observations: impl IntoIterator<Item = Observation>,
    ) -> Vec<bool> {
        let sensitivity = Sensitivity::default();
        observations
            .into_iter()
            .enumerate()
            .map(|(number, observation)| detector.observe(key(number), observation, &sensitivity))
            .collect()
    }

    #[test]
    fn three_faces_in_a_row_that_lose_their_picture_count_as_a_rate_limit() {
        let mut detector = SoftThrottleDetector::default();
        let verdicts = feed(
            &mut detector,
            [
                Observation::Picture,
                Observation::Lost,
                Observation::Lost,
                Observation::Lost,
                Observation::Lost,
            ],
        );
        assert_eq!(verdicts, [false, false, false, true, true]);
    }

    #[test]
    fn one_face_that_stays_empty_counts_once() {
        let mut detector = SoftThrottleDetector::default();
        for _ in 0..10 {
            assert!(!detector.observe(key(1), Observation::Lost, &Sensitivity::default()));
        }
    }

    #[test]
    fn an_answer_with_a_picture_resets_the_count_of_lost_pictures() {
        let mut detector = SoftThrottleDetector::default();
        let observations = [Observation::Lost, Observation::Lost, Observation::Picture].repeat(10);
        assert!(
            feed(&mut detector, observations)
                .iter()
                .all(|limited| !limited)
        );
    }

    #[test]
    fn a_jump_in_the_share_of_empty_answers_counts_as_a_rate_limit() {
        let mut detector = SoftThrottleDetector::default();
        let usual = [
            Observation::Picture,
            Observation::Picture,
            Observation::Empty,
        ]
        .repeat(20);
        assert!(feed(&mut detector, usual).iter().all(|limited| !limited));
        let verdicts = feed(&mut detector, [Observation::Empty; 20]);
        assert_eq!(verdicts.iter().filter(|limited| **limited).count(), 1);
    }

    #[test]
    fn contacts_without_pictures_from_the_start_count_as_no_rate_limit() {
        let mut detector = SoftThrottleDetector::default();
        assert!(
            feed(&mut detector, [Observation::Empty; 200])
                .iter()
                .all(|limited| !limited)
        );
    }
}
