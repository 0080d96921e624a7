//! The last step of a fetch: judges the vendor's answer, absorbs it into the entry and stores it.

use std::{iter, sync::Arc, time::Duration};

use super::{
    FetchResult, Instance,
    fetch::{Cause, Fetch},
    fetch_error::{FetchError, MissedPicture},
    shared::Shared,
};
use crate::{
    avatar::{Answer, Empty, Entry, Key, Outcome, Report, StoredPicture, Trouble},
    clock::Timestamp,
    limits::{AnswerVerdict, Observation, PictureVerdict, Sighting},
    store::{CacheAnswer, Owner},
};

/// More than any call takes, with its downloads and a warm-up's list of chats. If an answer seems to come later, the clock
/// was set ahead meanwhile: its time is capped, or the answer would be valid for too long once the clock is set back.
const LONGEST_CALL: Duration = Duration::from_secs(3600);

impl Fetch {
    /// Settles the fetch under the key lock. `before` has the entry that the fetch began with; a newer one
    /// in the store takes its place.
    pub(super) async fn settle(
        mut self,
        before: CacheAnswer,
        asked_at: Timestamp,
        answer: Result<Answer, FetchError>,
    ) -> FetchResult {
        let answered_at = self.shared.clock.now().min(asked_at + LONGEST_CALL);
        let _lock = self.shared.key_locks.lock(&self.key).await;
        let cached = self.shared.store.look_up_again(&self.key, &before).await;
        let current = self.current_entry(&cached, &before);
        let shown = current.clone();
        let (answer, current) = self.look_for_default(answer, current);
        let status_before = self.instance.admission().status();
        let answer = self.judge(answer, current.as_deref());
        self.share_pause(&status_before).await;
        self.instance.wanted().end_probe();
        let own = answer.outcome();
        let is_answered = !matches!(self.cause, Cause::Outside) && self.has_call();
        if is_answered {
            let account = self.instance.label();
            self.shared
                .metrics
                .record_transaction(account, own.as_str());
            if !matches!(own, Outcome::Trouble(_)) {
                self.instance.answers().record_answer(answered_at);
            }
        }
        let (answer, from) = self.others.replace(answer);
        let outcome = answer.outcome();
        let report = Report {
            asked_at,
            answered_at,
            spellings: self.spellings(current.as_deref(), own, answered_at),
            answer,
            jitter: jitter(),
        };
        // An answer without a picture must not replace an entry that cannot be read now.
        let is_shared_unreadable = self.missed_picture == Some(MissedPicture::Unreadable);
        let is_kept = match cached {
            CacheAnswer::Unreadable => true,
            CacheAnswer::PictureUnreadable => outcome != Outcome::Picture,
            _ => is_shared_unreadable && outcome != Outcome::Picture,
        };
        let (current, next) = self.absorb(current, &report, is_kept, from).await;
        let Some(next) = next else {
            self.instance.save_admission(&self.shared.store).await;
            if current.is_none() && outcome == Outcome::Picture {
                // The answer confirms a picture that a hard purge has removed meanwhile. The next request downloads it.
                return FetchResult::aborted();
            }
            return FetchResult::settled(current, outcome, self.vendor_status, false);
        };
        let next = Arc::new(next);
        if own == outcome && is_answered {
            self.watch_session(asked_at, current.as_deref(), &next);
        }
        if next.picture.is_some() {
            self.instance.record_shown_picture();
        }
        if has_new_picture(current.as_deref(), &next) {
            self.shared.recent.record(&self.owner(), answered_at);
        }
        // A picture that leaves the status as it was changes only the detector's counts. The next call
        // saves them.
        let is_status_unchanged = self.instance.admission().status() == status_before;
        let is_on_disk = if outcome == Outcome::Picture && is_status_unchanged {
            self.store(&next).await
        } else {
            let save = self.instance.save_admission(&self.shared.store);
            tokio::join!(self.store(&next), save).0
        };
        if let Outcome::Trouble(_) = outcome {
            self.want_again(Some(&next), next.last.retry_at);
        }
        let is_stored = is_on_disk && outcome == Outcome::Picture;
        self.shared
            .announce(&self.owner(), shown.as_deref(), Some(&next));
        FetchResult::settled(Some(next), outcome, self.vendor_status, is_stored)
    }

    /// The entry that the answer is absorbed into: the stored one, or the one that the fetch began with if the store has
    /// lost it, but not if it was removed by a hard purge meanwhile.
    fn current_entry(&self, cached: &CacheAnswer, before: &CacheAnswer) -> Option<Arc<Entry>> {
        match cached.entry() {
            None if self.flight.is_purged() => None,
            stored => stored.or(before.entry()).cloned(),
        }
    }

    /// The entry with the account that its picture is from. If another account may have a picture later, the entry is
    /// due then.
    pub(super) fn note_others(
        &self,
        mut entry: Entry,
        outcome: Outcome,
        from: Option<Arc<str>>,
    ) -> Entry {
        match (&mut entry.picture, outcome) {
            (Some(stored), Outcome::Picture) => stored.from = from,
            (_, Outcome::Empty(_)) => {
                let retry_at = self.others.retry_at.unwrap_or(entry.last.retry_at);
                entry.last.retry_at = entry.last.retry_at.min(retry_at);
            }
            _ => {}
        }
        entry
    }

    /// Settles a fetch whose second call the budget refused: keeps the first call's answer about the spelling, and
    /// leaves the face due.
    pub(super) async fn settle_refused(self, before: CacheAnswer) -> Option<Arc<Entry>> {
        let _lock = self.shared.key_locks.lock(&self.key).await;
        let cached = self.shared.store.look_up_again(&self.key, &before).await;
        let is_unreadable = matches!(
            cached,
            CacheAnswer::Unreadable | CacheAnswer::PictureUnreadable
        );
        if is_unreadable || self.missed_picture == Some(MissedPicture::Unreadable) {
            return before.entry().cloned();
        }
        let current = self.current_entry(&cached, &before);
        let now = self.shared.clock.now();
        if current
            .as_ref()
            .is_some_and(|entry| entry.is_forgotten(now))
        {
            return current;
        }
        let outcome = Outcome::Trouble(Trouble::OverBudget);
        let spellings = self.spellings(current.as_deref(), outcome, now);
        let next = Entry::unfinished(current.as_deref(), spellings, now);
        let next = Arc::new(next);
        self.store(&next).await;
        Some(next)
    }

    /// Turns a gateway's default picture into the answer that there is none. If the default picture was stored as
    /// this face's own, it is taken out of the entry.
    fn look_for_default(
        &self,
        answer: Result<Answer, FetchError>,
        current: Option<Arc<Entry>>,
    ) -> (Result<Answer, FetchError>, Option<Arc<Entry>>) {
        let stored = current.as_ref().and_then(|entry| entry.picture.as_ref());
        let (digest, link_id) = match (&answer, stored) {
            // Some servers send a single pixel in place of an image.
            (Ok(Answer::Picture(picture, _)), _) if picture.dimensions() == (1, 1) => {
                return (Ok(Answer::Empty(Empty::Unknown)), current);
            }
            (Ok(Answer::Picture(picture, link_id)), _) => (picture.digest(), link_id.as_deref()),
            (Ok(Answer::Unchanged(link_id)), Some(stored)) => {
                (stored.picture.digest(), Some(link_id.as_str()))
            }
            (Ok(Answer::Empty(Empty::Unknown)), Some(_)) => {
                return (answer, self.retract_default(current, None));
            }
            _ => return (answer, current),
        };
        let replaced = stored.filter(|stored| stored.picture.digest() != digest);
        let sighting = Sighting {
            subject: self.person,
            replaced: replaced.cloned(),
        };
        let etag = digest.short();
        let fingerprints: Vec<&str> = iter::once(&*etag).chain(link_id).collect();
        let (name, admission) = (self.instance.cache_name(), self.instance.admission());
        self.shared.copies.add_account(name, admission);
        let PictureVerdict::Default(sightings) = admission.record_picture(&fingerprints, &sighting)
        else {
            return (answer, current);
        };
        // Later sightings of a known default picture are not returned, and not logged for each contact.
        let is_new = !sightings.is_empty();
        let is_own = |sighting: &Sighting| sighting.subject == self.person;
        let (own, others): (Vec<_>, Vec<_>) = sightings.into_iter().partition(is_own);
        if is_new {
            tracing::info!(
                instance = %self.instance.name(),
                etag = &*etag,
                "the vendor sends a picture that several contacts share; it counts as no picture"
            );
        }
        let replaced = own.into_iter().find_map(|own| own.replaced);
        let current = self.retract_default(current, replaced);
        tokio::spawn(retract(self.shared.clone(), self.instance.clone(), others));
        (Ok(Answer::Empty(Empty::Unknown)), current)
    }

    /// The entry without its picture if that is a default one.
    fn retract_default(
        &self,
        entry: Option<Arc<Entry>>,
        replaced: Option<StoredPicture>,
    ) -> Option<Arc<Entry>> {
        let entry = entry?;
        let stored = entry.picture.as_ref();
        Some(
            match stored.is_some_and(|it| self.instance.is_default(it)) {
                true => Arc::new(entry.retract(replaced)),
                false => entry,
            },
        )
    }

    /// The meaning of an answer: trouble if the fetch failed, or if an empty answer stands for a rate limit. Records
    /// it in the instance's admission control.
    fn judge(&mut self, answer: Result<Answer, FetchError>, entry: Option<&Entry>) -> Answer {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.record_error(&error),
        };
        // Without a call, the answer says nothing about how the vendor treats the account's calls.
        if matches!(self.cause, Cause::Outside) || !self.has_call() {
            return answer;
        }
        let Some(observation) = observation(&answer, entry) else {
            return answer;
        };
        self.seen = Some(observation);
        match self
            .instance
            .admission()
            .record_answer(self.key, observation)
        {
            AnswerVerdict::Genuine => answer,
            AnswerVerdict::SoftThrottled { paused_until } => {
                let detail = "too many empty answers: visual rate limiting";
                self.log_trouble(Trouble::RateLimited, detail);
                self.note_trouble(Trouble::RateLimited, detail);
                Answer::Trouble {
                    why: Trouble::RateLimited,
                    retry_at: Some(paused_until),
                }
            }
        }
    }

    /// Keeps the trouble for the operator.
    fn note_trouble(&self, why: Trouble, detail: &str) {
        let now = self.shared.clock.now();
        let answers = self.instance.answers();
        answers.record_trouble(now, why, detail);
    }

    fn record_error(&self, error: &FetchError) -> Answer {
        if !matches!(self.cause, Cause::Outside) {
            self.note_trouble(error.why, &error.detail);
        }
        // The misunderstanding is the same for every face, until the description or the gateway changes.
        if !error.is_misunderstood
            || self
                .instance
                .may_log_misunderstanding(self.shared.clock.now())
        {
            self.log_trouble(error.why, &error.detail);
        }
        Answer::Trouble {
            why: error.why,
            retry_at: self.instance.record_trouble(error.why, error.retry_after),
        }
    }

    /// Logs the trouble of a fetch. The line leads to the request's own line, and to the other lines about the face.
    pub(super) fn log_trouble(&self, why: Trouble, detail: &str) {
        tracing::warn!(
            request = %self.requester().request,
            instance = %self.instance.name(),
            provider = %self.instance.provider().name,
            key = %self.key,
            outcome = why.as_str(),
            status = self.vendor_status,
            detail,
            "the vendor gave no usable answer about a face"
        );
    }

    /// Stores `entry`. Returns whether it reached the disk.
    async fn store(&self, entry: &Arc<Entry>) -> bool {
        let store = &self.shared.store;
        store.put(&self.key, &self.owner(), entry.clone()).await
    }

    /// The owner under whom the fetch began.
    pub(super) fn owner(&self) -> Owner {
        Owner {
            instance: self.instance.cache_name().clone(),
            subject: self.person,
        }
    }
}

/// Takes a default picture back that was stored for these contacts before it was recognized.
async fn retract(shared: Arc<Shared>, instance: Arc<Instance>, sightings: Vec<Sighting>) {
    for sighting in sightings {
        let owner = instance.owner(sighting.subject);
        let key = Key::new(&owner.instance, &owner.subject);
        let _lock = shared.key_locks.lock(&key).await;
        let Some(entry) = shared.store.find(&key).await else {
            continue;
        };
        let stored = entry.picture.as_ref();
        if stored.is_some_and(|stored| instance.is_default(stored)) {
            let next = Arc::new(entry.retract(sighting.replaced));
            shared.store.put(&key, &owner, next.clone()).await;
            shared.announce(&owner, Some(&entry), Some(&next));
        }
    }
}

/// The observation for the soft-throttling detector. An unknown contact says nothing about throttling.
fn observation(answer: &Answer, entry: Option<&Entry>) -> Option<Observation> {
    let stored = entry.and_then(|entry| entry.picture.as_ref());
    // That of another account says nothing about this one.
    let had_picture = stored.is_some_and(|stored| stored.from.is_none());
    match answer {
        Answer::Picture(..) | Answer::Unchanged(_) => Some(Observation::Picture),
        Answer::Empty(Empty::NotFound) | Answer::Trouble { .. } => None,
        Answer::Empty(_) if had_picture => Some(Observation::Lost),
        Answer::Empty(_) => Some(Observation::Empty),
    }
}

fn has_new_picture(current: Option<&Entry>, next: &Entry) -> bool {
    let digest = |entry: &Entry| entry.picture.as_ref().map(|stored| stored.picture.digest());
    let new = digest(next);
    new.is_some() && new != current.and_then(digest)
}

/// A random number from 0 to 1. If the kernel has no random numbers, retries are not spread.
fn jitter() -> f64 {
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}
