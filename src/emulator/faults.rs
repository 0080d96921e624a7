//! Trouble on order: the rules in force, and what they do to each call.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use super::rule::{BadInput, Fault, Rule, Target};

/// A rule in force.
#[derive(Clone, Debug, Serialize)]
pub struct ActiveRule {
    /// The number that [`super::Control::inject`] returned.
    pub id: u64,
    /// The rule.
    pub rule: Rule,
    /// How many matching calls there were, struck or not.
    pub matched: u64,
    /// How many calls were struck.
    pub struck: u64,
}

/// The rules in force.
#[derive(Default)]
pub(super) struct Faults(Mutex<Book>);

#[derive(Default)]
struct Book {
    rules: Vec<ActiveRule>,
    last_id: u64,
}

/// What happens to one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Strike {
    /// How late the answer comes.
    pub(super) delay: Duration,
    /// What else is wrong with it; never a latency.
    pub(super) fault: Option<Fault>,
}

// === impl Faults ===

impl Faults {
    pub(super) fn add(&self, rule: Rule) -> Result<u64, BadInput> {
        let rule = rule.checked()?;
        let mut book = self.book();
        book.last_id += 1;
        let id = book.last_id;
        book.rules.push(ActiveRule {
            id,
            rule,
            matched: 0,
            struck: 0,
        });
        Ok(id)
    }

    pub(super) fn remove(&self, id: u64) -> bool {
        let mut book = self.book();
        let before = book.rules.len();
        book.rules.retain(|active| active.id != id);
        book.rules.len() < before
    }

    pub(super) fn clear(&self) {
        self.book().rules.clear();
    }

    pub(super) fn list(&self) -> Vec<ActiveRule> {
        self.book().rules.clone()
    }

    /// What the rules do to `target`: all latencies, and the first other fault. Rules behind that
    /// one do not see the call.
    pub(super) fn strike(&self, target: Target<'_>) -> Strike {
        let mut strike = Strike::default();
        for active in &mut self.book().rules {
            if !active.rule.matching.covers(target) {
                continue;
            }
            let delay = active.rule.fault.delay();
            let counts = delay.is_some() || strike.fault.is_none();
            if !counts || !active.fires() {
                continue;
            }
            match delay {
                Some(delay) => strike.delay += delay,
                None => strike.fault = Some(active.rule.fault.clone()),
            }
        }
        strike
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ActiveRule ===

impl ActiveRule {
    /// Counts a matching call; whether it is struck.
    fn fires(&mut self) -> bool {
        self.matched += 1;
        let spent = self.rule.times.is_some_and(|times| self.struck >= times);
        let fires = self.matched > self.rule.after && !spent;
        self.struck += u64::from(fires);
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::{rule::Hop, vendors::Vendor};

    const CALL: Target<'_> = Target {
        hop: Hop::Api,
        vendor: Some(Vendor::Wawp),
        account: "sales",
        jid: Some("628100000001@c.us"),
    };

    fn struck(faults: &Faults) -> bool {
        faults.strike(CALL).fault.is_some()
    }

    #[test]
    fn a_rule_lets_calls_pass_strikes_and_is_spent() {
        let faults = Faults::default();
        let rule = Rule::api(Fault::Reset).after(1).times(2);
        faults.add(rule).unwrap();
        let strikes: Vec<bool> = (0..5).map(|_| struck(&faults)).collect();
        assert_eq!(strikes, [false, true, true, false, false]);
    }

    #[test]
    fn a_rule_strikes_only_what_it_names_in_any_spelling() {
        for (rule, strikes) in [
            (
                Rule::api(Fault::Reset).jid("628100000001@s.whatsapp.net"),
                true,
            ),
            (Rule::api(Fault::Reset).jid("628100000002"), false),
            (
                Rule::api(Fault::Reset)
                    .account("sales")
                    .vendor(Vendor::Wawp),
                true,
            ),
            (Rule::api(Fault::Reset).vendor(Vendor::Waha), false),
            (Rule::cdn(Fault::Reset), false),
        ] {
            let faults = Faults::default();
            faults.add(rule.clone()).unwrap();
            assert_eq!(struck(&faults), strikes, "{rule:?}");
        }
    }

    #[test]
    fn latency_adds_to_other_faults() {
        let faults = Faults::default();
        for fault in [
            Fault::Latency { ms: 2 },
            Fault::Hang,
            Fault::Reset,
            Fault::Latency { ms: 3 },
        ] {
            faults.add(Rule::api(fault)).unwrap();
        }
        let strike = faults.strike(CALL);
        assert_eq!(strike.delay, Duration::from_millis(5));
        assert_eq!(strike.fault, Some(Fault::Hang));
    }

    #[test]
    fn a_rule_that_could_never_strike_is_refused_with_a_remedy() {
        let faults = Faults::default();
        for rule in [
            Rule::cdn(Fault::EmptyUrl),
            Rule::api(Fault::Reset).jid("nobody"),
            Rule::api(Fault::Status {
                status: 200,
                retry_after: None,
            }),
        ] {
            assert!(!faults.add(rule).unwrap_err().remedy.is_empty());
        }
    }
}
