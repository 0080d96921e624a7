//! The numbers behind LIDs, as an account knows them: a LID and a number of one person are one face.
//!
//! Gateways say which number a LID has, or that they know none. Programs with better knowledge set the number; no
//! gateway changes a number that a program has set.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Jid, Kind, Spelling};
use crate::clock::Timestamp;

/// The numbers behind LIDs, by LID. Bounded: the oldest statement of a gateway is dropped first, and the numbers that
/// programs have set stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    by_lid: HashMap<u64, Identity>,
}

/// The source of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// The gateway has said it.
    Gateway,
    /// A program has set it.
    Program,
}

/// A LID whose number is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownLid {
    /// The LID.
    pub lid: Jid,
    /// The number, in the spelling of its source.
    pub number: Jid,
    /// The source of the number.
    pub source: IdentitySource,
}

/// What is known about a LID.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    /// The number; zero if the gateway knows none.
    number: u64,
    said_at: Timestamp,
    is_set: bool,
}

/// The saved form of an identity: LID, number, second, and 1 if a program has set it.
#[derive(Serialize, Deserialize)]
struct SavedIdentity(u64, u64, u64, u8);

/// How long a gateway that knew no number is left alone.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Identities {
    /// The most LIDs that are kept.
    pub const MAX: usize = 20_000;
    /// The most LIDs that programs may set.
    pub const MAX_SET: usize = 10_000;
    /// The most LIDs of one number. A person has one.
    pub const MAX_OF_NUMBER: usize = 4;

    /// The number behind a LID, if it is known.
    pub fn number(&self, lid: &Jid) -> Option<Jid> {
        self.by_lid.get(&digits(lid, Kind::Lid)?)?.number()
    }

    /// The LIDs of a number, in any of its spellings.
    pub fn lids(&self, number: &Jid) -> Vec<Jid> {
        let spellings = [Spelling::Plain, Spelling::Extra]
            .map(|spelling| digits(&number.spelled(spelling), Kind::Contact));
        if self.by_lid.is_empty() || spellings[0].is_none() {
            return Vec::new();
        }
        let all = self.by_lid.iter();
        let of_number = all.filter(|(_, identity)| spellings.contains(&Some(identity.number)));
        let mut lids: Vec<_> = of_number.filter_map(|(lid, _)| jid(*lid, "lid")).collect();
        lids.sort_unstable();
        lids
    }

    /// Whether the gateway is to be asked for the number: it has not been asked yet, or it knew none a day ago.
    pub fn is_due(&self, lid: &Jid, now: Timestamp) -> bool {
        digits(lid, Kind::Lid).is_some_and(|lid| match self.by_lid.get(&lid) {
            None => true,
            Some(known) => known.number == 0 && now.is_after(known.said_at, DAY),
        })
    }

    /// Records the number of a LID, or that the gateway knows none. Returns whether that changes anything.
    pub fn note(
        &mut self,
        lid: &Jid,
        number: Option<&Jid>,
        source: IdentitySource,
        now: Timestamp,
    ) -> bool {
        let Some(lid) = digits(lid, Kind::Lid) else {
            return false;
        };
        let number = match number {
            Some(number) => match digits(number, Kind::Contact) {
                Some(number) => number,
                None => return false,
            },
            None => 0,
        };
        let is_set = source == IdentitySource::Program;
        if let Some(known) = self.by_lid.get(&lid) {
            let is_worse = known.is_set && !is_set || number == 0 && known.number != 0;
            let is_same = known.number == number && known.is_set == is_set;
            if is_worse || is_same && number != 0 {
                return false;
            }
        } else if self.by_lid.len() >= Self::MAX {
            self.drop_oldest(|_| true);
        }
        if number != 0 {
            self.bound_lids_of(number, lid);
        }
        let identity = Identity {
            number,
            said_at: now,
            is_set,
        };
        self.by_lid.insert(lid, identity);
        true
    }

    /// Forgets everything about a LID. Returns whether there was anything.
    pub fn forget(&mut self, lid: &Jid) -> bool {
        digits(lid, Kind::Lid).is_some_and(|lid| self.by_lid.remove(&lid).is_some())
    }

    /// The LIDs whose numbers are known, in the order of the LIDs.
    pub fn known(&self) -> Vec<KnownLid> {
        let mut known: Vec<_> = self
            .by_lid
            .iter()
            .filter_map(|(lid, identity)| {
                Some(KnownLid {
                    lid: jid(*lid, "lid")?,
                    number: identity.number()?,
                    source: match identity.is_set {
                        true => IdentitySource::Program,
                        false => IdentitySource::Gateway,
                    },
                })
            })
            .collect();
        known.sort_unstable_by_key(|known| known.lid);
        known
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_lid.is_empty()
    }

    /// Reads what [`Identities::to_json`] has written. `None` if it is something else.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let saved: Vec<SavedIdentity> = serde_json::from_slice(text).ok()?;
        let saved = saved.into_iter().take(Self::MAX);
        let by_lid = saved.map(|SavedIdentity(lid, number, second, set)| {
            let identity = Identity {
                number,
                said_at: Timestamp::from_secs(second),
                is_set: set != 0,
            };
            (lid, identity)
        });
        Some(Self {
            by_lid: by_lid.collect(),
        })
    }

    /// The content of a state file.
    pub fn to_json(&self) -> Vec<u8> {
        let all = self.by_lid.iter().map(|(lid, known)| {
            let second = known.said_at.as_secs();
            SavedIdentity(*lid, known.number, second, u8::from(known.is_set))
        });
        serde_json::to_vec(&all.collect::<Vec<_>>()).unwrap_or_default()
    }

    fn bound_lids_of(&mut self, number: u64, lid: u64) {
        let is_other = |(other, known): (&u64, &Identity)| *other != lid && known.number == number;
        if self.by_lid.iter().filter(|it| is_other(*it)).count() >= Self::MAX_OF_NUMBER {
            self.drop_oldest(|known| known.number == number);
        }
    }

    /// Drops the oldest matching identity: if possible, one that no program has set.
    fn drop_oldest(&mut self, is_meant: impl Fn(&Identity) -> bool) {
        let meant = self.by_lid.iter().filter(|(_, known)| is_meant(known));
        let oldest = meant.min_by_key(|(lid, known)| (known.is_set, known.said_at, **lid));
        if let Some(lid) = oldest.map(|(lid, _)| *lid) {
            self.by_lid.remove(&lid);
        }
    }
}

impl Identity {
    fn number(&self) -> Option<Jid> {
        match self.number {
            0 => None,
            number => jid(number, "c.us"),
        }
    }
}

// Phone numbers must not get into logs.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

/// The digits of a JID of this kind. `None` also for a LID that is longer than WhatsApp's.
fn digits(jid: &Jid, kind: Kind) -> Option<u64> {
    let digits = jid.user().parse().ok()?;
    (jid.kind() == kind).then_some(digits)
}

fn jid(digits: u64, server: &str) -> Option<Jid> {
    format!("{digits}@{server}").parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lid(nth: u64) -> Jid {
        jid(100_875_997_589_500 + nth, "lid").unwrap()
    }

    fn number(nth: u64) -> Jid {
        jid(628_100_000_000 + nth, "c.us").unwrap()
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(1_795_200_000 + second)
    }

    use IdentitySource::{Gateway, Program};

    #[test]
    fn a_gateway_that_knows_no_number_is_asked_again_after_a_day() {
        let mut known = Identities::default();
        assert!(known.is_due(&lid(1), at(0)));
        assert!(known.note(&lid(1), None, Gateway, at(0)));
        assert!(!known.is_due(&lid(1), at(86_399)));
        assert!(known.is_due(&lid(1), at(86_400)));
        // The clock is set right after a start in the future.
        assert!(known.note(&lid(2), None, Gateway, at(86_400)));
        assert!(known.is_due(&lid(2), at(60)));
        assert!(known.note(&lid(1), Some(&number(1)), Gateway, at(86_400)));
        assert!(!known.is_due(&lid(1), at(900_000)));
        // A later null takes nothing away.
        assert!(!known.note(&lid(1), None, Gateway, at(900_000)));
        assert_eq!(known.number(&lid(1)), Some(number(1)));
    }

    #[test]
    fn no_gateway_changes_what_a_program_has_set() {
        let mut known = Identities::default();
        assert!(known.note(&lid(1), Some(&number(1)), Gateway, at(0)));
        assert!(known.note(&lid(1), Some(&number(2)), Program, at(1)));
        assert!(!known.note(&lid(1), Some(&number(1)), Gateway, at(2)));
        assert_eq!(known.number(&lid(1)), Some(number(2)));
        assert_eq!(known.lids(&number(2)), [lid(1)]);
        assert!(known.forget(&lid(1)));
        assert!(known.is_empty());
    }

    #[test]
    fn both_spellings_of_a_number_have_its_lids() {
        let mut known = Identities::default();
        let [plain, extra]: [Jid; 2] =
            ["558481234567", "5584981234567"].map(|number| number.parse().unwrap());
        known.note(&lid(1), Some(&extra), Gateway, at(0));
        assert_eq!(known.number(&lid(1)), Some(extra));
        assert_eq!(known.lids(&plain), [lid(1)]);
        assert_eq!(known.lids(&extra), [lid(1)]);
        assert_eq!(known.lids(&number(1)), []);
    }

    #[test]
    fn only_lids_have_numbers_and_only_numbers_are_behind_them() {
        let mut known = Identities::default();
        let group: Jid = "120363000000000001@g.us".parse().unwrap();
        assert!(!known.note(&number(1), Some(&number(2)), Program, at(0)));
        assert!(!known.note(&lid(1), Some(&lid(2)), Program, at(0)));
        assert!(!known.note(&lid(1), Some(&group), Program, at(0)));
        assert!(!known.is_due(&number(1), at(0)));
        assert!(known.is_empty());
    }

    #[test]
    fn the_names_of_the_saved_form_do_not_change_by_accident() {
        let mut known = Identities::default();
        known.note(&lid(1), Some(&number(1)), Program, at(0));
        let written = r"[[100875997589501,628100000001,1795200000,1]]";
        assert_eq!(String::from_utf8(known.to_json()).unwrap(), written);
        assert_eq!(Identities::from_json(b"[[1,2"), None);
        let group: Jid = "120363000000000001@g.us".parse().unwrap();
        assert_eq!(known.number(&group), None);
    }

    proptest! {
        #[test]
        fn a_mapping_is_bounded_is_what_was_said_last_and_is_saved_whole(
            said in proptest::collection::vec((0_u64..40, 0_u64..6, any::<bool>()), 0..200),
        ) {
            let mut known = Identities::default();
            for ((nth, to, is_set), second) in said.iter().copied().zip(0..) {
                let (source, to) = match (is_set, to) {
                    (true, to) => (Program, Some(number(to))),
                    (false, 0) => (Gateway, None),
                    (false, to) => (Gateway, Some(number(to))),
                };
                let before = known.known().into_iter().find(|one| one.lid == lid(nth));
                known.note(&lid(nth), to.as_ref(), source, at(second));
                let is_kept = before.is_some_and(|one| one.source == Program) && !is_set
                    || to.is_none();
                let expected = match is_kept {
                    true => before.map(|one| one.number),
                    false => to,
                };
                prop_assert_eq!(known.number(&lid(nth)), expected);
            }
            for one in known.known() {
                let lids = known.lids(&one.number);
                prop_assert!(lids.contains(&one.lid));
                prop_assert!(lids.len() <= Identities::MAX_OF_NUMBER);
            }
            let read = Identities::from_json(&known.to_json());
            prop_assert_eq!(read, Some(known));
        }
    }
}
