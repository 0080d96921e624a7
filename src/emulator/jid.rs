//! JIDs as the emulated vendors parse them: the spellings that WhatsApp's gateways accept.

/// The canonical spelling of `raw`: without the device; `s.whatsapp.net` and bare numbers become `c.us`.
/// `None` if it is no JID.
pub(super) fn canonicalize(raw: &str) -> Option<String> {
    let (user, server) = raw.split_once('@').unwrap_or((raw, "c.us"));
    let user = user.split_once(':').map_or(user, |(user, _device)| user);
    match server {
        "c.us" | "s.whatsapp.net" if is_number(user) => Some(format!("{user}@c.us")),
        "g.us" if is_group(user) => Some(raw.to_owned()),
        "lid" | "newsletter" if is_number(user) => Some(format!("{user}@{server}")),
        _ => None,
    }
}

/// Groups created before 2021 are named after their founder and the second of their creation.
fn is_group(user: &str) -> bool {
    match user.split_once('-') {
        Some((founder, second)) => is_number(founder) && is_number(second),
        None => is_number(user),
    }
}

fn is_number(text: &str) -> bool {
    (5..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_contact_have_one_canonical_form() {
        for raw in [
            "628100000001",
            "628100000001@c.us",
            "628100000001@s.whatsapp.net",
            "628100000001:7@s.whatsapp.net",
        ] {
            assert_eq!(canonicalize(raw).as_deref(), Some("628100000001@c.us"));
        }
    }

    #[test]
    fn groups_lids_and_newsletters_keep_their_spelling() {
        for raw in [
            "120363000000000001@g.us",
            "628100000001-1581234048@g.us",
            "100875997589545@lid",
            "120363000000000201@newsletter",
        ] {
            assert_eq!(canonicalize(raw).as_deref(), Some(raw));
        }
    }

    #[test]
    fn text_that_is_no_jid_is_refused() {
        for raw in ["", "@c.us", "+628100000001", "abc@c.us", "1-@g.us", "1@x"] {
            assert_eq!(canonicalize(raw), None, "{raw:?}");
        }
    }
}
