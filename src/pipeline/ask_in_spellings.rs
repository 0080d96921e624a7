//! Asks for a number that has two spellings: first in the one that the vendor knows, then in the other one if the
//! answer has no picture. The entry remembers which spelling the vendor knows.

use super::{
    fetch::{Fetch, Refresh},
    fetch_error::{FetchError, NotAnswered},
};
use crate::{
    avatar::{Answer, Empty, Entry, Outcome, SpellingMemory, Trouble, says_nothing},
    clock::Timestamp,
};

impl Fetch {
    /// Chooses the spelling to ask in.
    pub(super) fn choose_spelling(&mut self, entry: Option<&Entry>) {
        self.known_spellings = memory(entry);
        if let Some(asked) = self.subject.spelling() {
            let now = self.shared.clock.now();
            self.preferred_spelling = Some(self.known_spellings.preferred(asked));
            let first = self.known_spellings.first(asked, now);
            self.subject = self.subject.spelled(first);
        }
    }

    /// Asks the vendor, and a second time in the other spelling if the answer has no picture and that spelling was
    /// not asked lately. The second call is taken from the budget like the first. If the budget has none, the face
    /// stays wanted, and its next fetch begins with the other spelling.
    pub(super) async fn ask_in_spellings(
        &mut self,
        with_refresh: bool,
        known_link: Option<&str>,
    ) -> Result<Answer, NotAnswered> {
        let first = self.ask_in_spelling(with_refresh, known_link).await;
        let (Some(spelling), Ok(Answer::Empty(empty))) = (self.subject.spelling(), &first) else {
            return first.map_err(NotAnswered::Failed);
        };
        let (empty, now) = (*empty, self.shared.clock.now());
        let mut memory = self.known_spellings;
        self.add_attempts(&mut memory, now);
        let Some(other) = memory.next(spelling, now).filter(|_| says_nothing(empty)) else {
            return first.map_err(NotAnswered::Failed);
        };
        let refresh = match with_refresh {
            true => Refresh::IfAvailable,
            false => Refresh::No,
        };
        let call = self.take_call(refresh).await;
        let with_refresh = call.map_err(NotAnswered::Refused)?;
        self.subject = self.subject.spelled(other);
        let second = self.ask_in_spelling(with_refresh, known_link).await;
        let answer = match second {
            // `not_found` for the other spelling says less than the first answer, which stays.
            Ok(Answer::Empty(Empty::NotFound)) => first,
            Err(error) if error.why == Trouble::VendorError => {
                self.log_trouble(error.why, &error.detail);
                first
            }
            second => second,
        };
        answer.map_err(NotAnswered::Failed)
    }

    async fn ask_in_spelling(
        &mut self,
        with_refresh: bool,
        known_link: Option<&str>,
    ) -> Result<Answer, FetchError> {
        let answer = self.ask_vendor(with_refresh, known_link).await;
        if let Some(spelling) = self.subject.spelling() {
            let outcome = match &answer {
                Ok(answer) => answer.outcome(),
                // Some gateways have no better answer to a number that does not exist. Asking for it again and again
                // would keep the face from the spelling that they know.
                Err(error)
                    if error.why == Trouble::VendorError
                        && self.preferred_spelling != Some(spelling) =>
                {
                    Outcome::Empty(Empty::NotFound)
                }
                Err(error) => Outcome::Trouble(error.why),
            };
            self.asked_spellings.push((spelling, outcome));
        }
        answer
    }

    /// What is known about the spellings after this fetch, whose outcome is `outcome`.
    pub(super) fn spellings(
        &self,
        entry: Option<&Entry>,
        outcome: Outcome,
        now: Timestamp,
    ) -> SpellingMemory {
        let mut memory = memory(entry);
        // In trouble of the account, earlier answers may be false, too.
        if let Outcome::Trouble(Trouble::RateLimited | Trouble::Auth | Trouble::SessionDown) =
            outcome
        {
            return memory;
        }
        if self.asked_spellings.is_empty()
            && let Some(spelling) = self.subject.spelling()
        {
            // A list or an event of the vendor has named the number.
            memory.record(spelling, outcome, now);
        }
        self.add_attempts(&mut memory, now);
        memory
    }

    fn add_attempts(&self, memory: &mut SpellingMemory, now: Timestamp) {
        for (spelling, outcome) in &self.asked_spellings {
            memory.record(*spelling, *outcome, now);
        }
    }
}

fn memory(entry: Option<&Entry>) -> SpellingMemory {
    entry.map_or(SpellingMemory::default(), |entry| entry.last.spellings)
}
