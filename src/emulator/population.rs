//! The profiles of the emulated WhatsApp: a fixed list for galleries, and a made-up picture for every other
//! number.

use serde::{Deserialize, Serialize};

use super::art::Portrait;

/// The own JID of every emulated account.
pub const OWN_JID: &str = "628100000000@c.us";

/// The picture of a JID, or the reason why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// The picture with this number. Two numbers are two different pictures.
    Face(u32),
    /// The person has set no picture.
    NotSet,
    /// The person's privacy settings hide the picture from the account.
    Hidden,
    /// WhatsApp gives no reason: every vendor answers with its plain "no picture".
    Unknown,
    /// There is no such contact; a vendor with a 404 answers with that.
    NotFound,
}

/// The kind of a JID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The connected account itself.
    Own,
    /// A person.
    Contact,
    /// A group.
    Group,
    /// A person with a linked identity (LID) instead of a number.
    Lid,
    /// A channel.
    Newsletter,
}

/// A profile of the fixed list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// The canonical JID.
    pub jid: String,
    /// The name in chat lists.
    pub name: &'static str,
    /// The kind of JID.
    pub kind: Kind,
    /// The picture that WhatsApp shows for it now.
    pub picture: Picture,
}

const CONTACTS: [&str; 24] = [
    "Hendra Gunawan",
    "Maya Lestari",
    "Bagus Pratama",
    "Siti Rahmawati",
    "Grace Wanjiru",
    "Clara Nugroho",
    "Dimas Saputra",
    "Ibu Ratna",
    "Rizky Hidayat",
    "Putri Anggraini",
    "Samuel Okafor",
    "Daniel Tesfaye",
    "Laura Wijaya",
    "Adi Kurniawan",
    "Nur Aisyah",
    "Ruby Santoso",
    "Melati Sari",
    "Joseph Mensah",
    "Amina Diallo",
    "Fajar Nugraha",
    "Yuki Tan",
    "Pak Bambang",
    "Arif Setiawan",
    "Rosa Ginting",
];

const OTHERS: [(&str, &str, Picture); 10] = [
    ("628100000101@c.us", "Hidden Harum", Picture::Hidden),
    ("628100000102@c.us", "Nova No-Picture", Picture::NotSet),
    ("628100000103@c.us", "Gone Gilang", Picture::NotFound),
    ("120363000000000001@g.us", "Sales Team", Picture::Face(1)),
    ("120363000000000002@g.us", "Family", Picture::Face(2)),
    ("120363000000000003@g.us", "Futsal Friday", Picture::Face(3)),
    ("120363000000000004@g.us", "Customer Care", Picture::Face(4)),
    (
        "628100000001-1581234048@g.us",
        "Class of 2010",
        Picture::Face(5),
    ),
    ("100875997589545@lid", "Linked Lena", Picture::Face(101)),
    (
        "120363000000000201@newsletter",
        "Daily Digest",
        Picture::Face(1),
    ),
];

/// The fixed list, with the pictures of the start.
pub(super) fn fixed_profiles() -> Vec<Profile> {
    let own = (OWN_JID.to_owned(), "Faceplate Demo", Picture::Face(0));
    let contacts = CONTACTS
        .into_iter()
        .zip(1..)
        .map(|(name, nth)| (format!("6281000000{nth:02}@c.us"), name, Picture::Face(nth)));
    let others = OTHERS.map(|(jid, name, picture)| (jid.to_owned(), name, picture));
    std::iter::once(own)
        .chain(contacts)
        .chain(others)
        .map(|(jid, name, picture)| Profile {
            kind: Kind::of(&jid),
            jid,
            name,
            picture,
        })
        .collect()
}

/// The picture of a JID outside of the fixed list: one of its own, with a number above those of the list.
pub(super) fn default_picture(jid: &str) -> Picture {
    const FIRST: u32 = 1000;
    let mut digest = [0; 4];
    digest.copy_from_slice(&blake3::hash(jid.as_bytes()).as_bytes()[..4]);
    Picture::Face(FIRST.saturating_add(u32::from_le_bytes(digest) >> 1))
}

// === impl Kind ===

impl Kind {
    /// The kind of a canonical JID.
    pub(super) fn of(jid: &str) -> Self {
        match jid.split_once('@') {
            _ if jid == OWN_JID => Kind::Own,
            Some((_, "g.us")) => Kind::Group,
            Some((_, "lid")) => Kind::Lid,
            Some((_, "newsletter")) => Kind::Newsletter,
            _ => Kind::Contact,
        }
    }

    /// The portrait on the picture `number` of a JID of this kind.
    pub(super) fn portrait(self, number: u32) -> Portrait {
        match self {
            Kind::Own | Kind::Contact | Kind::Lid => Portrait::Person(number),
            Kind::Group => Portrait::Group(number),
            Kind::Newsletter => Portrait::Channel(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_list_has_24_contacts_with_faces_and_every_kind_of_jid() {
        let profiles = fixed_profiles();
        assert_eq!(profiles[24].jid, "628100000024@c.us");
        for (kind, count) in [
            (Kind::Own, 1),
            (Kind::Contact, 27),
            (Kind::Group, 5),
            (Kind::Lid, 1),
            (Kind::Newsletter, 1),
        ] {
            let found = profiles
                .iter()
                .filter(|profile| profile.kind == kind)
                .count();
            assert_eq!(found, count, "{kind:?}");
        }
    }
}
