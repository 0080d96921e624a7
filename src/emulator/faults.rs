//! Fault injection: the rules in force, and their effect on each call.

use std::{sync::Mutex, time::Duration};

use serde::Serialize;

use super::rule::{BadInput, Fault, Rule, Target};
use crate::sync::lock;

/// A rule in force.
#[derive(Clone, Debug, Serialize)]
pub struct ActiveRule {
    /// The number that [`super::Control::inject`] returned.
    pub id: u64,
    /// The rule.
    pub rule: Rule,
    /// The number of matching calls, whether the fault was applied or not.
    pub matched: u64,
    /// The number of calls that the fault was applied to.
    pub struck: u64,
}

/// The rules in force.
#[derive(Default)]
pub(super) struct Faults(Mutex<RuleList>);

#[derive(Default)]
struct RuleList {
    rules: Vec<ActiveRule>,
    last_id: u64,
}

/// The effect of the rules on one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// The delay of the reply.
    pub(super) delay: Duration,
    /// The fault of the reply; never a latency.
    pub(super) fault: Option<Fault>,
}

// === impl Faults ===

impl Faults {
    pub(super) fn add(&self, rule: Rule) -> Result<u64, BadInput> {
        let rule = rule.validate()?;
        let mut list = lock(&self.0);
        list.last_id += 1;
        let id = list.last_id;
        list.rules.push(ActiveRule {
            id,
            rule,
            matched: 0,
            struck: 0,
        });
        Ok(id)
    }

    pub(super) fn remove(&self, id: u64) -> bool {
        let mut list = lock(&self.0);
        let before = list.rules.len();
        list.rules.retain(|active| active.id != id);
        list.rules.len() < before
    }

    pub(super) fn clear(&self) {
        lock(&self.0).rules.clear();
    }

    pub(super) fn list(&self) -> Vec<ActiveRule> {
        lock(&self.0).rules.clone()
    }

    /// Applies the rules to `target`: the sum of all latencies, and the first other fault. Rules after that
    /// one do not count the call.
    pub(super) fn apply(&self, target: Target<'_>) -> Effect {
        effect(&mut lock(&self.0).rules, target)
    }

    /// The same effect, of which no rule counts the call.
    pub(super) fn effect_on(&self, target: Target<'_>) -> Effect {
        effect(&mut lock(&self.0).rules.clone(), target)
    }
}

fn effect(rules: &mut [ActiveRule], target: Target<'_>) -> Effect {
    let mut effect = Effect::default();
    for active in rules {
        if !active.rule.matching.matches(target) {
            continue;
        }
        let delay = active.rule.fault.delay();
        let applies = delay.is_some() || effect.fault.is_none();
        if !applies || !active.count_match() {
            continue;
        }
        match delay {
            Some(delay) => effect.delay += delay,
            None => effect.fault = Some(active.rule.fault.clone()),
        }
    }
    effect
}

// === impl ActiveRule ===

impl ActiveRule {
    /// Counts a matching call, and returns whether the fault is applied to it.
    fn count_match(&mut self) -> bool {
        self.matched += 1;
        let is_spent = self.rule.times.is_some_and(|times| self.struck >= times);
        let is_struck = self.matched > self.rule.after && !is_spent;
        self.struck += u64::from(is_struck);
        is_struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::vocabulary::{Hop, Vendor};

    const CALL: Target<'_> = Target {
        hop: Hop::Api,
        vendor: Some(Vendor::Wawp),
        account: "sales",
        jid: Some("628100000001@c.us"),
    };

    fn is_struck(faults: &Faults) -> bool {
        faults.apply(CALL).fault.is_some()
    }

    #[test]
    fn a_rule_applies_to_as_many_calls_as_it_says_after_those_it_lets_pass() {
        let faults = Faults::default();
        let rule = Rule::api(Fault::Reset).after(1).times(2);
        faults.add(rule).unwrap();
        let struck: Vec<bool> = (0..5).map(|_| is_struck(&faults)).collect();
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn a_rule_applies_to_the_calls_that_it_names_in_any_spelling() {
        for (rule, expected) in [
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
            assert_eq!(is_struck(&faults), expected, "{rule:?}");
        }
    }

    #[test]
    fn latencies_add_up_beside_the_first_other_fault() {
        let faults = Faults::default();
        for fault in [
            Fault::Latency { ms: 2 },
            Fault::Hang,
            Fault::Reset,
            Fault::Latency { ms: 3 },
        ] {
            faults.add(Rule::api(fault)).unwrap();
        }
        let effect = faults.apply(CALL);
        assert_eq!(effect.delay, Duration::from_millis(5));
        assert_eq!(effect.fault, Some(Fault::Hang));
    }

    #[test]
    fn a_rule_that_could_never_apply_is_refused_with_a_remedy() {
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
