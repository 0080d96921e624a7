//! How a gateway writes JIDs, read in both directions.

use super::template::Template;
use crate::avatar::{Jid, Kind};

/// The form of each kind of JID. A kind without a form cannot be asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct JidForms {
    pub(super) forms: Vec<(Kind, Template)>,
}

/// The kinds by their names in descriptions.
pub(super) const KINDS: [(&str, Kind); 4] = [
    ("contact", Kind::Contact),
    ("lid", Kind::Lid),
    ("group", Kind::Group),
    ("newsletter", Kind::Newsletter),
];

// === impl JidForms ===

impl JidForms {
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.forms.iter().any(|(known, _)| *known == kind)
    }

    /// The JID as the gateway writes it.
    pub(super) fn write(&self, jid: &Jid) -> Option<String> {
        let (_, form) = self.forms.iter().find(|(kind, _)| *kind == jid.kind())?;
        let (before, after) = form.around_user();
        Some(format!("{before}{}{after}", jid.user()))
    }

    /// The JID that the gateway wrote, in WhatsApp's spelling or in its own.
    pub(super) fn read(&self, text: &str) -> Option<Jid> {
        if let Ok(jid) = text.parse() {
            return Some(jid);
        }
        let mut forms = self.forms.iter();
        forms.find_map(|(kind, _)| self.read_as(*kind, text))
    }

    /// The JID of this kind that the gateway wrote in its own form.
    pub(super) fn read_as(&self, kind: Kind, text: &str) -> Option<Jid> {
        let (_, form) = self.forms.iter().find(|(known, _)| *known == kind)?;
        let (before, after) = form.around_user();
        with_server(text.strip_prefix(before)?.strip_suffix(after)?, kind)
    }
}

/// The JID of this kind with this part before the `@`.
pub(super) fn with_server(user: &str, kind: Kind) -> Option<Jid> {
    let server = match kind {
        Kind::Contact => "c.us",
        Kind::Group => "g.us",
        Kind::Lid => "lid",
        Kind::Newsletter => "newsletter",
    };
    format!("{user}@{server}").parse().ok()
}
