//! Tells when "no picture" is not meant: a gateway that is asked too often answers with empty
//! pictures instead of an error ("visual rate limiting").
//!
//! Two signs, each enough by itself:
//! 1. Faces that had a picture turn up empty one after the other, and none with its picture.
//!    Now and then somebody hides a picture; not three people in a row.
//! 2. Among faces never seen before, nearly all of the latest are empty, although far fewer used to
//!    be.
//!
//! Pure: fed with answers, it remembers only what it was fed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::avatar::Key;

/// One instance's memory of answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SoftThrottleDetector {
    /// Faces that had a picture and turned up empty, since the last one that did not.
    lost: Vec<Key>,
    /// The latest answers about faces without a picture, oldest first: was it empty?
    latest: VecDeque<bool>,
    /// How many answers went before those, and how many of them were empty.
    before: Share,
}

/// How sensitive the detector is.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// How many different faces in a row have to lose their picture.
    pub lost: usize,
    /// How many of the latest answers are looked at.
    pub window: usize,
    /// The share of them, in percent, that has to be empty.
    pub empty_percent: u32,
    /// The share of earlier answers, in percent, that must not have been.
    pub usual_percent: u32,
}

/// What an answer says about the face it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A picture.
    Picture,
    /// None, for a face that had one.
    Lost,
    /// None, for a face that had none either.
    Empty,
}

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
    /// Takes in one answer. Returns whether it is to be read as a rate limit.
    pub fn observe(
        &mut self,
        key: Key,
        observation: Observation,
        sensitivity: &Sensitivity,
    ) -> bool {
        match observation {
            Observation::Picture => self.lost.clear(),
            Observation::Lost if !self.lost.contains(&key) => self.lost.push(key),
            Observation::Lost => {}
            Observation::Empty => {}
        }
        if observation != Observation::Lost {
            self.remember(observation == Observation::Empty, sensitivity);
        }
        // The answer at hand must itself be one of the suspicious ones.
        let loses = observation == Observation::Lost && self.lost.len() >= sensitivity.lost;
        let jumps = observation == Observation::Empty && self.has_jumped(sensitivity);
        if jumps {
            // Judged once: after the pause, a window full of new answers has to speak.
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
    /// Halved when it grows old, so that the usual share follows slow changes.
    const OLD: u32 = 1000;

    fn add(&mut self, is_empty: bool) {
        if self.all >= Self::OLD {
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
    fn three_faces_in_a_row_that_lose_their_picture_are_a_rate_limit() {
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
    fn one_face_that_stays_empty_is_one_face() {
        let mut detector = SoftThrottleDetector::default();
        for _ in 0..10 {
            assert!(!detector.observe(key(1), Observation::Lost, &Sensitivity::default()));
        }
    }

    #[test]
    fn a_picture_in_between_proves_that_the_vendor_means_it() {
        let mut detector = SoftThrottleDetector::default();
        let observations = [Observation::Lost, Observation::Lost, Observation::Picture].repeat(10);
        assert!(
            feed(&mut detector, observations)
                .iter()
                .all(|limited| !limited)
        );
    }

    #[test]
    fn a_jump_in_the_share_of_empty_answers_is_a_rate_limit() {
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
    fn an_address_book_full_of_people_without_pictures_is_none() {
        let mut detector = SoftThrottleDetector::default();
        assert!(
            feed(&mut detector, [Observation::Empty; 200])
                .iter()
                .all(|limited| !limited)
        );
    }
}
