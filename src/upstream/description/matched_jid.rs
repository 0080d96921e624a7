//! The face that a program asks for, in any spelling that its gateway would take.

use super::{
    PictureSubject,
    jid_forms::{JidForms, with_server},
    template::Placeholder,
};
use crate::{
    avatar::{Jid, Kind, Subject},
    upstream::provider::Account,
};

/// More digits than a phone number that a program writes without a server. With gateways that write a LID and a phone
/// number alike, it is a LID then.
const LONG_NUMBER: usize = 14;

/// The face that `text` names in the place of `of`, in a call for `subjects`.
pub(super) fn subject(
    forms: &JidForms,
    subjects: &[PictureSubject],
    account: &Account,
    of: &Placeholder,
    text: &str,
) -> Option<Subject> {
    let is_asked = |jid: &Jid| {
        let is_own = subjects.contains(&PictureSubject::Own) && account.own == Some(*jid);
        is_own || subjects.contains(&PictureSubject::Kind(jid.kind()))
    };
    if text.contains('@') {
        return match text.parse() {
            Ok(Subject::Chat(jid)) => is_asked(&jid).then_some(Subject::Chat(jid)),
            Ok(Subject::Faceless(faceless)) => Some(Subject::Faceless(faceless)),
            Ok(Subject::Me) | Err(_) => None,
        };
    }
    let kinds = subjects.iter().filter_map(|subject| match subject {
        PictureSubject::Kind(kind) => Some(*kind),
        PictureSubject::Me | PictureSubject::Own => None,
    });
    let written: Vec<Jid> = kinds
        .clone()
        .filter_map(|kind| match of {
            Placeholder::User => with_server(text, kind),
            _ => forms.read_as(kind, text),
        })
        .collect();
    let is_long = text.len() > LONG_NUMBER;
    let is_likely = |jid: &&Jid| (jid.kind() != Kind::Contact) == is_long;
    let jid = match written.as_slice() {
        [] => bare(text).filter(is_asked)?,
        [jid] => *jid,
        several => *several.iter().find(is_likely).or(several.first())?,
    };
    Some(Subject::Chat(jid))
}

/// A number without a server, as programs write it: of a contact, or, if none is that long, of a group.
fn bare(text: &str) -> Option<Jid> {
    with_server(text, Kind::Contact).or_else(|| with_server(text, Kind::Group))
}
