//! The two spellings of mobile numbers in Brazil, Mexico and Argentina. Each of these countries has added a digit to
//! its mobile numbers or removed it again. WhatsApp knows a person by the spelling at the time of registration;
//! gateways and address books may have either.
//!
//! | country | with the extra digit | without it |
//! | --- | --- | --- |
//! | Brazil | 55 AA **9** NNNN NNNN | 55 AA NNNN NNNN |
//! | Mexico | 52 **1** and ten digits | 52 and ten digits |
//! | Argentina | 54 **9** and ten digits | 54 and ten digits |
//!
//! In Brazil, only numbers whose eight digits begin with 6 to 9 have two spellings. The others, without the extra
//! digit, are landlines of other people.

use std::time::Duration;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use super::{Empty, Jid, Kind, Outcome, Subject};
use crate::clock::Timestamp;

/// One of the two spellings of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spelling {
    /// Without the extra digit. Entries are kept under this one.
    Plain,
    /// With the extra digit.
    Extra,
}

/// The vendor's answers to the two spellings of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpellingMemory {
    /// The spelling that the vendor knows.
    answered: Option<Spelling>,
    /// When the spelling without the extra digit last got an answer without a picture.
    plain_empty_at: Timestamp,
    /// The same for the other one.
    extra_empty_at: Timestamp,
}

/// A country with two spellings.
struct Country {
    code: &'static str,
    /// The extra digit, and its place behind the country code.
    digit: &'static str,
    place: usize,
    /// Whether digits without country code and extra digit are a mobile number.
    is_mobile: fn(&[u8]) -> bool,
}

const COUNTRIES: [Country; 3] = [
    Country {
        code: "55",
        digit: "9",
        place: 2,
        is_mobile: |digits| !digits[..2].contains(&b'0') && digits[2] >= b'6',
    },
    Country {
        code: "52",
        digit: "1",
        place: 0,
        is_mobile: |digits| digits[0] >= b'2',
    },
    Country {
        code: "54",
        digit: "9",
        place: 0,
        is_mobile: |digits| matches!(digits[0], b'1'..=b'3'),
    },
];

/// The digits of a number of these countries, without country code and extra digit.
const DIGITS: usize = 10;
/// The longest number, with both.
const LONGEST: usize = 13;

/// How long a spelling is not asked again after an answer without a picture, while the other one can be asked.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Jid {
    /// The spelling of a number that has two.
    pub fn spelling(&self) -> Option<Spelling> {
        let (_, _, spelling) = self.mobile_number()?;
        Some(spelling)
    }

    /// The same number in this spelling; the JID itself if it has only one.
    pub fn spelled(&self, spelling: Spelling) -> Self {
        let Some((country, digits, current)) = self.mobile_number() else {
            return *self;
        };
        if current == spelling {
            return *self;
        }
        let (before, behind) = digits.split_at(country.place);
        let extra = match spelling {
            Spelling::Plain => "",
            Spelling::Extra => country.digit,
        };
        let mut text = ArrayString::<LONGEST>::new();
        for part in [country.code, before, extra, behind] {
            text.push_str(part);
        }
        text.parse().unwrap_or(*self)
    }

    /// The country, and the digits without its code and without the extra digit, of a number with two spellings.
    fn mobile_number(&self) -> Option<(&'static Country, ArrayString<DIGITS>, Spelling)> {
        if self.kind() != Kind::Contact {
            return None;
        }
        let mut countries = COUNTRIES.iter();
        let country = countries.find(|country| self.user().starts_with(country.code))?;
        let national = &self.user()[country.code.len()..];
        let (before, behind) = national.split_at_checked(country.place)?;
        let (behind, spelling) = match national.len() {
            DIGITS => (behind, Spelling::Plain),
            length if length == DIGITS + 1 => {
                (behind.strip_prefix(country.digit)?, Spelling::Extra)
            }
            _ => return None,
        };
        let mut digits = ArrayString::new();
        digits.push_str(before);
        digits.push_str(behind);
        (country.is_mobile)(digits.as_bytes()).then_some((country, digits, spelling))
    }
}

impl Subject {
    /// The spelling of a number that has two.
    pub fn spelling(&self) -> Option<Spelling> {
        match self {
            Subject::Chat(jid) => jid.spelling(),
            Subject::Me | Subject::Faceless(_) => None,
        }
    }

    /// The same subject in this spelling, if it has two.
    pub fn spelled(&self, spelling: Spelling) -> Self {
        match self {
            Subject::Chat(jid) => Subject::Chat(jid.spelled(spelling)),
            subject => *subject,
        }
    }
}

impl Spelling {
    /// The other spelling.
    pub fn other(self) -> Self {
        match self {
            Spelling::Plain => Spelling::Extra,
            Spelling::Extra => Spelling::Plain,
        }
    }
}

impl SpellingMemory {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The spelling to ask first: the one that the vendor knows, else the one in the request. If that one got an
    /// answer without a picture in the last day and the other one did not, the other one goes first.
    pub fn first(&self, asked: Spelling, now: Timestamp) -> Spelling {
        let preferred = self.preferred(asked);
        if self.is_empty_at(preferred, now) && !self.is_empty_at(preferred.other(), now) {
            preferred.other()
        } else {
            preferred
        }
    }

    /// The spelling to ask unless there is a reason for the other one.
    pub fn preferred(&self, asked: Spelling) -> Spelling {
        self.answered.unwrap_or(asked)
    }

    /// The spelling to ask after `spelling` got an answer without a picture, if there is one.
    pub fn next(&self, spelling: Spelling, now: Timestamp) -> Option<Spelling> {
        let other = spelling.other();
        (!self.is_empty_at(other, now)).then_some(other)
    }

    /// Records the answer to a spelling.
    pub fn record(&mut self, spelling: Spelling, outcome: Outcome, now: Timestamp) {
        let empty_at = match spelling {
            Spelling::Plain => &mut self.plain_empty_at,
            Spelling::Extra => &mut self.extra_empty_at,
        };
        match outcome {
            Outcome::Trouble(_) => {}
            Outcome::Empty(empty) if says_nothing(empty) => *empty_at = now,
            Outcome::Picture | Outcome::Empty(_) => {
                *empty_at = Timestamp::default();
                self.answered = Some(spelling);
            }
        }
    }

    fn is_empty_at(&self, spelling: Spelling, now: Timestamp) -> bool {
        let at = match spelling {
            Spelling::Plain => self.plain_empty_at,
            Spelling::Extra => self.extra_empty_at,
        };
        at > Timestamp::default() && at <= now && now.since(at) < DAY
    }
}

/// Whether the vendor may have given this answer because it does not know the spelling.
pub fn says_nothing(empty: Empty) -> bool {
    match empty {
        Empty::Unknown | Empty::NotFound => true,
        Empty::NotSet | Empty::Hidden => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobile_numbers_of_three_countries_have_two_spellings() {
        for (plain, extra) in [
            ("551187654321", "5511987654321"),
            ("558491234567", "5584991234567"),
            ("525512345678", "5215512345678"),
            ("541123456789", "5491123456789"),
            ("543415123456", "5493415123456"),
        ] {
            let (plain, extra): (Jid, Jid) = (plain.parse().unwrap(), extra.parse().unwrap());
            assert_eq!(plain.spelling(), Some(Spelling::Plain), "{plain}");
            assert_eq!(extra.spelling(), Some(Spelling::Extra), "{extra}");
            for jid in [plain, extra] {
                assert_eq!(jid.spelled(Spelling::Plain), plain);
                assert_eq!(jid.spelled(Spelling::Extra), extra);
            }
        }
    }

    #[test]
    fn other_numbers_have_one_spelling() {
        for one in [
            // Landlines of Brazil, and the mobile numbers that would become landlines.
            "551131234567",
            "5511931234567",
            "5511887654321",
            "550187654321",
            // Too short, too long, another country.
            "55118765432",
            "55119876543210",
            "521551234567",
            "5201234567890",
            "549112345678",
            "547123456789",
            "628100000001",
            "551187654321@lid",
            "551187654321@g.us",
        ] {
            let jid: Jid = one.parse().unwrap();
            assert_eq!(jid.spelling(), None, "{one}");
            assert_eq!(jid.spelled(Spelling::Extra), jid);
        }
    }

    #[test]
    fn each_spelling_is_asked_again_after_a_day_at_the_earliest() {
        use Spelling::{Extra, Plain};
        let unknown = Outcome::Empty(Empty::Unknown);
        let hours = |hours: u64| Timestamp::from_secs(1_795_200_000 + hours * 3600);
        let mut memory = SpellingMemory::default();
        assert_eq!(memory.first(Plain, hours(0)), Plain);
        memory.record(Plain, unknown, hours(0));
        assert_eq!(memory.next(Plain, hours(0)), Some(Extra));
        // The budget was used up. The other spelling goes first then.
        assert_eq!(memory.first(Plain, hours(1)), Extra);
        memory.record(Extra, unknown, hours(1));
        assert_eq!(memory.next(Extra, hours(1)), None);
        memory.record(memory.first(Plain, hours(7)), unknown, hours(7));
        assert_eq!(memory.next(Plain, hours(7)), None);
        assert_eq!(memory.first(Plain, hours(26)), Extra);
        memory.record(Extra, Outcome::Picture, hours(26));
        assert_eq!(memory.first(Plain, hours(50)), Extra);
    }

    #[test]
    fn the_names_of_a_memory_on_disk_do_not_change_by_accident() {
        let mut memory = SpellingMemory::default();
        memory.record(Spelling::Extra, Outcome::Picture, Timestamp::from_millis(1));
        let unknown = Outcome::Empty(Empty::Unknown);
        memory.record(Spelling::Plain, unknown, Timestamp::from_millis(1));
        let written = r#"{"answered":"extra","plain_empty_at":1,"extra_empty_at":0}"#;
        assert_eq!(serde_json::to_string(&memory).unwrap(), written);
    }
}
