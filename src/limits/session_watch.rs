//! Watches for a session that is down behind empty answers: some gateways then answer "no picture" about every face.
//! After eight empty answers without a picture between them, the gateway is asked for the state of its session. If it
//! says that the session is down, an empty answer is believed again only after a newer "up".
//!
//! The watch is a pure state machine: it is told the time, and makes no call.

use std::{collections::VecDeque, time::Duration};

use crate::{
    avatar::{LastAttempt, StoredPicture, Subject},
    clock::Timestamp,
};

/// The watch over one account's session.
#[derive(Debug, Default)]
pub struct SessionWatch {
    /// Empty answers since the last picture or check.
    count: usize,
    /// The latest empty answers that changed an entry, oldest first.
    answers: VecDeque<EmptyAnswer>,
    last: Option<Check>,
}

/// An empty answer that was believed, to be taken back if the session turns out to be down.
#[derive(Clone, Debug)]
pub struct EmptyAnswer {
    /// The face.
    pub subject: Subject,
    /// When the vendor was asked.
    pub asked_at: Timestamp,
    /// The attempt before.
    pub before: Option<LastAttempt>,
    /// The picture that the answer removed.
    pub lost: Option<StoredPicture>,
}

/// The verdict on an empty answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyVerdict {
    /// It is taken literally.
    Believed,
    /// The session is down.
    SessionDown,
    /// The gateway is to be asked for its session first.
    CheckFirst,
}

/// The last time that the gateway was asked.
#[derive(Clone, Copy, Debug)]
struct Check {
    at: Timestamp,
    is_down: bool,
}

/// How many empty answers without a picture between them raise a suspicion.
const SUSPICIOUS: usize = 8;
/// The shortest time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Answers that can be taken back.
const MAX_ANSWERS: usize = 64;

impl SessionWatch {
    /// Counts an empty answer. Returns whether it needs a verdict before it is believed.
    pub fn count_empty(&mut self) -> bool {
        self.count = self.count.saturating_add(1);
        self.count >= SUSPICIOUS || self.is_down()
    }

    /// The verdict on an empty answer to a question of `asked_at`.
    pub fn judge(&self, asked_at: Timestamp, now: Timestamp) -> EmptyVerdict {
        match self.last {
            // Another answer had the session checked after this question. A check in the future is of the time before
            // the clock was set back.
            Some(last) if last.at > asked_at && last.at <= now => EmptyVerdict::of(last.is_down),
            _ if self.may_check(now) => EmptyVerdict::CheckFirst,
            _ => self.last_verdict(),
        }
    }

    /// What the last check says about empty answers.
    pub fn last_verdict(&self) -> EmptyVerdict {
        EmptyVerdict::of(self.is_down())
    }

    /// Whether the last check is long enough ago for another one.
    pub fn may_check(&self, now: Timestamp) -> bool {
        self.last
            .is_none_or(|last| now.is_after(last.at, CHECK_INTERVAL))
    }

    /// Records that the gateway says that the session is up or down.
    pub fn record_check(&mut self, is_up: bool, now: Timestamp) {
        self.last = Some(Check {
            at: now,
            is_down: !is_up,
        });
        if is_up {
            self.forget_answers();
        }
    }

    /// Records a check without a result. The state that was known before stays.
    pub fn record_failed_check(&mut self, now: Timestamp) {
        let is_down = self.is_down();
        self.last = Some(Check { at: now, is_down });
    }

    /// Records a picture, which only a working session can send.
    pub fn record_picture(&mut self) {
        self.forget_answers();
        if let Some(last) = &mut self.last {
            last.is_down = false;
        }
    }

    /// Keeps an answer that was believed. Returns it if the session was found to be down meanwhile.
    pub fn keep(&mut self, answer: EmptyAnswer) -> Option<EmptyAnswer> {
        if self
            .last
            .is_some_and(|last| last.is_down && last.at >= answer.asked_at)
        {
            return Some(answer);
        }
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.pop_front();
        }
        self.answers.push_back(answer);
        None
    }

    /// The answers that were believed and should not have been.
    pub fn take_answers(&mut self) -> Vec<EmptyAnswer> {
        self.answers.drain(..).collect()
    }

    /// Forgets the answers about a face, with the pictures that they removed.
    pub(super) fn forget(&mut self, subject: Subject) {
        self.answers.retain(|answer| answer.subject != subject);
    }

    /// Forgets the answers about all faces. They still count.
    pub(super) fn forget_all(&mut self) {
        self.answers.clear();
    }

    fn is_down(&self) -> bool {
        self.last.is_some_and(|last| last.is_down)
    }

    fn forget_answers(&mut self) {
        self.count = 0;
        self.answers.clear();
    }
}

impl EmptyVerdict {
    fn of(is_down: bool) -> Self {
        match is_down {
            true => EmptyVerdict::SessionDown,
            false => EmptyVerdict::Believed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_795_200_000 + seconds)
    }

    fn count(watch: &mut SessionWatch, answers: usize) -> usize {
        (0..answers).filter(|_| watch.count_empty()).count()
    }

    #[test]
    fn eight_empty_answers_without_a_picture_between_them_raise_a_suspicion() {
        let mut watch = SessionWatch::default();
        for _ in 0..10 {
            assert_eq!(count(&mut watch, 7), 0);
            watch.record_picture();
        }
        assert_eq!(count(&mut watch, 9), 2);
        assert_eq!(watch.judge(at(0), at(0)), EmptyVerdict::CheckFirst);
    }

    #[test]
    fn checks_are_a_minute_apart_and_the_last_result_counts_meanwhile() {
        let mut watch = SessionWatch::default();
        for (is_up, verdict) in [
            (true, EmptyVerdict::Believed),
            (false, EmptyVerdict::SessionDown),
        ] {
            watch.record_check(is_up, at(0));
            assert_eq!(watch.judge(at(1), at(59)), verdict);
            assert_eq!(watch.judge(at(1), at(60)), EmptyVerdict::CheckFirst);
            watch.record_failed_check(at(60));
            assert_eq!(watch.judge(at(61), at(119)), verdict);
            // The vendor was asked before the check.
            assert_eq!(watch.judge(at(59), at(900)), verdict);
        }
    }

    #[test]
    fn a_check_of_a_clock_that_was_set_back_since_is_repeated() {
        let mut watch = SessionWatch::default();
        watch.record_check(true, at(7 * 3600));
        assert_eq!(watch.judge(at(0), at(1)), EmptyVerdict::CheckFirst);
        watch.record_check(false, at(1));
        assert_eq!(watch.judge(at(0), at(1)), EmptyVerdict::SessionDown);
    }

    #[test]
    fn while_the_session_is_down_one_empty_answer_is_enough_for_a_check() {
        let mut watch = SessionWatch::default();
        watch.record_check(false, at(0));
        assert_eq!(count(&mut watch, 1), 1);
        watch.record_picture();
        assert_eq!(count(&mut watch, 1), 0);
    }

    #[test]
    fn answers_that_can_be_taken_back_are_bounded() {
        let mut watch = SessionWatch::default();
        let answer = |seconds| EmptyAnswer {
            subject: Subject::Me,
            asked_at: at(seconds),
            before: None,
            lost: None,
        };
        for seconds in 0..1000 {
            assert!(watch.keep(answer(seconds)).is_none());
        }
        assert_eq!(watch.take_answers().len(), MAX_ANSWERS);
        watch.record_check(false, at(1000));
        assert!(watch.keep(answer(1000)).is_some());
        assert!(watch.keep(answer(1001)).is_none());
    }
}
