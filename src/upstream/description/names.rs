//! Two names of one person in an answer or an event: a LID and a number.

use serde_json::Value;

use super::{jid_forms::JidForms, lists::jid, pointer::Pointer};
use crate::avatar::{Jid, Kind};

/// The places of two names of one person.
#[derive(Clone)]
pub(super) struct NamePair(pub(super) Pointer, pub(super) Pointer);

/// The LIDs and numbers in `item` that are one person, the LID first.
pub(super) fn find(pairs: &[NamePair], item: &Value, forms: &JidForms) -> Vec<(Jid, Jid)> {
    let found = pairs.iter().filter_map(|NamePair(one, other)| {
        let read = |place: &Pointer| jid(std::slice::from_ref(place), item, forms);
        let (one, other) = (read(one)?, read(other)?);
        match (one.kind(), other.kind()) {
            (Kind::Lid, Kind::Contact) => Some((one, other)),
            (Kind::Contact, Kind::Lid) => Some((other, one)),
            _ => None,
        }
    });
    found.collect()
}
