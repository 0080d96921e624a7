//! WhatsApp addresses. A [`Jid`] is always canonical: all of the vendors' spellings of one address are
//! the same `Jid` and have the same cache entry.

use std::{fmt, str::FromStr};

use arrayvec::ArrayString;

/// The longest canonical JID: a legacy group, `<15 digits>-<10 digits>@g.us`, with room to spare.
const LONGEST: usize = 48;
/// E.164 numbers have at most fifteen digits.
const PHONE_DIGITS: usize = 15;
/// LIDs, groups and newsletters are plain counters; WhatsApp's are 14 to 18 digits long.
const ID_DIGITS: usize = 20;

/// A WhatsApp address in its canonical spelling: `628123@c.us`, `123-456@g.us`, `123@lid` or
/// `123@newsletter`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jid {
    text: ArrayString<LONGEST>,
    kind: Kind,
}

/// The kind of account or chat behind a [`Jid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A person by phone number, `@c.us` (the same as `@s.whatsapp.net`).
    Contact,
    /// A group, `@g.us`.
    Group,
    /// A person by WhatsApp's own identifier, `@lid`. No phone number can be derived from it.
    Lid,
    /// A channel, `@newsletter`.
    Newsletter,
}

/// The account or chat whose face is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The account that the instance is connected with.
    Me,
    /// A chat that the account can see.
    Chat(Jid),
}

/// Why a text is not a JID. The message never repeats the text, which may be a phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedJid {
    /// An unknown server after the `@`.
    #[error(
        "the part after '@' must be c.us, s.whatsapp.net, g.us, lid or newsletter (a bare number means @c.us)"
    )]
    Server,
    /// No digits before the `@`, or other characters than digits.
    #[error("the part before '@' must be digits only (a group may be digits-digits)")]
    User,
    /// A number longer than any existing one.
    #[error(
        "the number is too long: a phone number has at most 15 digits, any other identifier 20 (a WhatsApp LID is written 123@lid)"
    )]
    TooLong,
    /// A national number: no international one starts with a zero.
    #[error(
        "the number starts with 0: write it in international form, with the country code and without a trunk 0"
    )]
    LeadingZero,
    /// A `:device` that is not a number, or on a server that has no devices.
    #[error("a device, as in 123:7@s.whatsapp.net, is a number and belongs to a contact or a lid")]
    Device,
}

// === impl Jid ===

impl Jid {
    /// The kind of account or chat.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`.
    pub fn user(&self) -> &str {
        self.text.split_once('@').map_or("", |(user, _)| user)
    }
}

impl FromStr for Jid {
    type Err = MalformedJid;

    fn from_str(text: &str) -> Result<Self, MalformedJid> {
        let (user, kind) = match text.split_once('@') {
            Some((user, server)) => (user, Kind::of(server).ok_or(MalformedJid::Server)?),
            // Without a server, `:7` may be a port as well as a device.
            None if text.contains(':') => return Err(MalformedJid::Device),
            None => (text.strip_prefix('+').unwrap_or(text), Kind::Contact),
        };
        let user = without_device(user, kind)?;
        match (kind, user.split_once('-')) {
            (Kind::Group, Some((creator, created))) => {
                number(creator, PHONE_DIGITS)?;
                number(created, PHONE_DIGITS)?;
            }
            (Kind::Contact, _) => number(user, PHONE_DIGITS)?,
            _ => number(user, ID_DIGITS)?,
        }
        let mut canonical = ArrayString::new();
        for part in [user, "@", kind.server()] {
            canonical
                .try_push_str(part)
                .map_err(|_| MalformedJid::TooLong)?;
        }
        Ok(Jid {
            text: canonical,
            kind,
        })
    }
}

/// Drops the device of `123:7`.
fn without_device(user: &str, kind: Kind) -> Result<&str, MalformedJid> {
    let Some((user, device)) = user.split_once(':') else {
        return Ok(user);
    };
    let has_devices = matches!(kind, Kind::Contact | Kind::Lid);
    let is_number =
        (1..=5).contains(&device.len()) && device.bytes().all(|byte| byte.is_ascii_digit());
    if has_devices && is_number {
        Ok(user)
    } else {
        Err(MalformedJid::Device)
    }
}

fn number(text: &str, longest: usize) -> Result<(), MalformedJid> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        Err(MalformedJid::User)
    } else if text.len() > longest {
        Err(MalformedJid::TooLong)
    } else if text.starts_with('0') {
        Err(MalformedJid::LeadingZero)
    } else {
        Ok(())
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// Phone numbers must not get into logs, where `{:?}` would bring them.
impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jid(redacted@{})", self.kind.server())
    }
}

// === impl Kind ===

impl Kind {
    fn of(server: &str) -> Option<Self> {
        Some(match server {
            "c.us" | "s.whatsapp.net" => Kind::Contact,
            "g.us" => Kind::Group,
            "lid" => Kind::Lid,
            "newsletter" => Kind::Newsletter,
            _ => return None,
        })
    }

    fn server(self) -> &'static str {
        match self {
            Kind::Contact => "c.us",
            Kind::Group => "g.us",
            Kind::Lid => "lid",
            Kind::Newsletter => "newsletter",
        }
    }
}

// === impl Subject ===

impl Subject {
    /// The canonical spelling, as URLs and signatures contain it.
    pub fn as_str(&self) -> &str {
        match self {
            Subject::Me => "me",
            Subject::Chat(jid) => jid.as_str(),
        }
    }
}

impl FromStr for Subject {
    type Err = MalformedJid;

    fn from_str(text: &str) -> Result<Self, MalformedJid> {
        match text {
            "me" => Ok(Subject::Me),
            jid => jid.parse().map(Subject::Chat),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Result<String, MalformedJid> {
        text.parse::<Jid>().map(|jid| jid.to_string())
    }

    #[test]
    fn every_documented_spelling_of_a_jid_has_one_canonical_form() {
        for (text, expected) in [
            ("123@c.us", "123@c.us"),
            ("123@s.whatsapp.net", "123@c.us"),
            ("123:7@s.whatsapp.net", "123@c.us"),
            ("+123", "123@c.us"),
            ("123", "123@c.us"),
            ("123-456@g.us", "123-456@g.us"),
            ("120363000000000001@g.us", "120363000000000001@g.us"),
            ("123@lid", "123@lid"),
            ("123:7@lid", "123@lid"),
            ("123@newsletter", "123@newsletter"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_malformed_jid_is_refused_with_the_reason() {
        for (text, why) in [
            ("", MalformedJid::User),
            ("@c.us", MalformedJid::User),
            ("abc@c.us", MalformedJid::User),
            ("+123@c.us", MalformedJid::User),
            ("12 3", MalformedJid::User),
            ("１２３", MalformedJid::User),
            ("123-456", MalformedJid::User),
            ("1-2-3@g.us", MalformedJid::User),
            ("-1@g.us", MalformedJid::User),
            ("123@", MalformedJid::Server),
            ("123@example.com", MalformedJid::Server),
            ("123@c.us@c.us", MalformedJid::Server),
            ("123@C.US", MalformedJid::Server),
            ("status@broadcast", MalformedJid::Server),
            ("1234567890123456", MalformedJid::TooLong),
            ("123456789012345678901@lid", MalformedJid::TooLong),
            ("0812345@c.us", MalformedJid::LeadingZero),
            ("0@c.us", MalformedJid::LeadingZero),
            ("123:7", MalformedJid::Device),
            ("+123:7", MalformedJid::Device),
            ("123:7@g.us", MalformedJid::Device),
            ("123:@c.us", MalformedJid::Device),
            ("123:x@c.us", MalformedJid::Device),
        ] {
            assert_eq!(canonical(text), Err(why), "{text}");
        }
    }

    #[test]
    fn debug_output_of_a_jid_has_no_phone_number() {
        let jid: Jid = "628123456789@c.us".parse().unwrap();
        assert!(!format!("{:?}", Subject::Chat(jid)).contains("628123"));
    }

    proptest! {
        #[test]
        fn parsing_a_jid_never_panics_and_a_canonical_form_parses_to_itself(text in "\\PC{0,64}") {
            if let Ok(jid) = text.parse::<Jid>() {
                prop_assert_eq!(jid.as_str().parse::<Jid>(), Ok(jid));
            }
        }

        #[test]
        fn all_spellings_of_a_phone_number_are_one_jid(
            number in "[1-9][0-9]{0,14}",
            device in 0u16..,
        ) {
            let plain: Jid = number.parse().unwrap();
            for alias in [
                format!("+{number}"),
                format!("{number}@c.us"),
                format!("{number}@s.whatsapp.net"),
                format!("{number}:{device}@s.whatsapp.net"),
            ] {
                prop_assert_eq!(alias.parse::<Jid>(), Ok(plain));
            }
            prop_assert_eq!(plain.user(), number);
        }

        #[test]
        fn different_jids_never_share_a_canonical_form(
            a in "[1-9][0-9]{0,14}(@c\\.us|@g\\.us|@lid|@newsletter)",
            b in "[1-9][0-9]{0,14}(@c\\.us|@g\\.us|@lid|@newsletter)",
        ) {
            let (x, y): (Jid, Jid) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(a == b, x.as_str() == y.as_str());
        }
    }
}
