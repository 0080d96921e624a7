//! WhatsApp addresses. A [`Jid`] is always canonical: all of the vendors' spellings of one address are
//! the same `Jid` and have the same cache entry.

use std::{fmt, str::FromStr};

use arrayvec::ArrayString;
use memchr::memchr;

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
    /// An address in a chat list that has no picture. Vendors are never asked about it.
    Faceless(Faceless),
}

/// An address that chat lists have, and that has no picture: a status or broadcast list, a bot, a hosted
/// account, or WhatsApp's own `0@c.us`. In its canonical spelling.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Faceless {
    text: ArrayString<LONGEST>,
    kind: Kind,
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
        let server = self.kind.server();
        &self.text[..self.text.len() - server.len() - "@".len()]
    }
}

impl FromStr for Jid {
    type Err = MalformedJid;

    fn from_str(text: &str) -> Result<Self, MalformedJid> {
        let (user, server) = match memchr(b'@', text.as_bytes()) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let kind = match server {
            Some(server) => Kind::of(server).ok_or(MalformedJid::Server)?,
            None => Kind::Contact,
        };
        let user = match kind {
            Kind::Contact => user.strip_prefix('+').unwrap_or(user),
            _ => user,
        };
        // Nearly all are digits alone.
        let user = match server {
            _ if is_digits(user) => user,
            Some(_) => without_agent(without_device(user, kind)?, kind),
            // Without a server, `:7` may be a port as well as a device.
            None if user.contains(':') => return Err(MalformedJid::Device),
            None => user,
        };
        let group = match kind {
            Kind::Group => user.split_once('-'),
            _ => None,
        };
        match (kind, group) {
            (_, Some((creator, created))) => {
                number(creator, PHONE_DIGITS)?;
                number(created, PHONE_DIGITS)?;
            }
            (Kind::Contact, None) => number(user, PHONE_DIGITS)?,
            (_, None) => number(user, ID_DIGITS)?,
        }
        let text = canonical(user, kind.server())?;
        Ok(Jid { text, kind })
    }
}

fn canonical(user: &str, server: &str) -> Result<ArrayString<LONGEST>, MalformedJid> {
    let mut text = ArrayString::new();
    for part in [user, "@", server] {
        text.try_push_str(part).map_err(|_| MalformedJid::TooLong)?;
    }
    Ok(text)
}

/// Drops the agent of `123.0` and `123_1`, which gateways put between a user and a device.
fn without_agent(user: &str, kind: Kind) -> &str {
    match user.rsplit_once(['.', '_']) {
        Some((user, agent)) if has_devices(kind) && is_small_number(agent) => user,
        _ => user,
    }
}

/// Drops the device of `123:7`.
fn without_device(user: &str, kind: Kind) -> Result<&str, MalformedJid> {
    let Some((user, device)) = user.split_once(':') else {
        return Ok(user);
    };
    if has_devices(kind) && is_small_number(device) {
        Ok(user)
    } else {
        Err(MalformedJid::Device)
    }
}

fn has_devices(kind: Kind) -> bool {
    matches!(kind, Kind::Contact | Kind::Lid)
}

fn is_small_number(text: &str) -> bool {
    (1..=5).contains(&text.len()) && is_digits(text)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(text: &str, longest: usize) -> Result<(), MalformedJid> {
    if text.is_empty() || !is_digits(text) {
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
        Some(match lower(server)?.as_str() {
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

/// A server in lower case; `None` if it is longer than any.
fn lower(server: &str) -> Option<ArrayString<16>> {
    let mut server = ArrayString::from(server).ok()?;
    server.make_ascii_lowercase();
    Some(server)
}

// === impl Faceless ===

impl Faceless {
    /// The kind of account or chat that it resembles.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Reads an address that is no [`Jid`].
    fn parse(text: &str) -> Option<Self> {
        let (user, server) = text.split_once('@')?;
        let server = lower(server)?;
        let (kind, server) = match server.as_str() {
            "c.us" | "s.whatsapp.net" if user == "0" => (Kind::Contact, "c.us"),
            "broadcast" => (Kind::Group, "broadcast"),
            "bot" => (Kind::Contact, "bot"),
            "hosted" => (Kind::Contact, "hosted"),
            "hosted.lid" => (Kind::Lid, "hosted.lid"),
            _ => return None,
        };
        let user = match user {
            "0" => "0",
            status if status.eq_ignore_ascii_case("status") && server == "broadcast" => "status",
            user => {
                let user = without_agent(without_device(user, Kind::Lid).ok()?, Kind::Lid);
                number(user, ID_DIGITS).ok()?;
                user
            }
        };
        let text = canonical(user, server).ok()?;
        Some(Self { text, kind })
    }
}

// As for a JID: some of these are phone numbers.
impl fmt::Debug for Faceless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faceless(redacted)")
    }
}

// === impl Subject ===

impl Subject {
    /// The canonical spelling, as URLs and signatures contain it.
    pub fn as_str(&self) -> &str {
        match self {
            Subject::Me => "me",
            Subject::Chat(jid) => jid.as_str(),
            Subject::Faceless(faceless) => &faceless.text,
        }
    }
}

impl FromStr for Subject {
    type Err = MalformedJid;

    fn from_str(text: &str) -> Result<Self, MalformedJid> {
        match text {
            "me" => Ok(Subject::Me),
            jid => match jid.parse().map(Subject::Chat) {
                Err(error) => Faceless::parse(jid).map(Subject::Faceless).ok_or(error),
                subject => subject,
            },
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
    fn addresses_of_chat_lists_that_have_no_picture_are_subjects() {
        for (text, expected) in [
            ("status@broadcast", "status@broadcast"),
            ("Status@Broadcast", "status@broadcast"),
            ("1699999999@broadcast", "1699999999@broadcast"),
            ("0@c.us", "0@c.us"),
            ("0@s.whatsapp.net", "0@c.us"),
            ("867051314767696@bot", "867051314767696@bot"),
            ("628123:99@hosted", "628123@hosted"),
            ("123@hosted.lid", "123@hosted.lid"),
        ] {
            let subject: Subject = text.parse().unwrap();
            assert!(matches!(subject, Subject::Faceless(_)), "{text}");
            assert_eq!(subject.as_str(), expected);
            assert!(!format!("{subject:?}").contains("628123"));
        }
        for text in ["status@bot", "x@broadcast", "@bot", "00@c.us", "0@g.us"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
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
            ("+123@c.us", "123@c.us"),
            ("123.0:4@s.whatsapp.net", "123@c.us"),
            ("123_1@s.whatsapp.net", "123@c.us"),
            ("123_1:22@lid", "123@lid"),
            ("123@C.US", "123@c.us"),
            ("123-456@G.us", "123-456@g.us"),
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
            ("12 3", MalformedJid::User),
            ("123.0", MalformedJid::User),
            ("++123@c.us", MalformedJid::User),
            ("123.x@c.us", MalformedJid::User),
            ("+123@lid", MalformedJid::User),
            ("１２３", MalformedJid::User),
            ("123-456", MalformedJid::User),
            ("1-2-3@g.us", MalformedJid::User),
            ("-1@g.us", MalformedJid::User),
            ("123@", MalformedJid::Server),
            ("123@example.com", MalformedJid::Server),
            ("123@c.us@c.us", MalformedJid::Server),
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
