//! How the emulated vendors read an id: the forms that WhatsApp's gateways accept, made one.

/// The one spelling of `raw`: the device dropped, `s.whatsapp.net` and bare numbers as `c.us`.
/// `None` for what WhatsApp has no entity for.
pub(super) fn canonical(raw: &str) -> Option<String> {
    let (user, server) = raw.split_once('@').unwrap_or((raw, "c.us"));
    let user = user.split_once(':').map_or(user, |(user, _device)| user);
    match server {
        "c.us" | "s.whatsapp.net" if is_number(user) => Some(format!("{user}@c.us")),
        "g.us" if is_group(user) => Some(raw.to_owned()),
        "lid" | "newsletter" if is_number(user) => Some(format!("{user}@{server}")),
        _ => None,
    }
}

/// Groups made before 2021 are called after their founder and the second they were made in.
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
    fn the_spellings_of_one_contact_are_one() {
        for raw in [
            "628100000001",
            "628100000001@c.us",
            "628100000001@s.whatsapp.net",
            "628100000001:7@s.whatsapp.net",
        ] {
            assert_eq!(canonical(raw).as_deref(), Some("628100000001@c.us"));
        }
    }

    #[test]
    fn groups_lids_and_newsletters_keep_their_name() {
        for raw in [
            "120363000000000001@g.us",
            "628100000001-1581234048@g.us",
            "100875997589545@lid",
            "120363000000000201@newsletter",
        ] {
            assert_eq!(canonical(raw).as_deref(), Some(raw));
        }
    }

    #[test]
    fn what_is_no_entity_is_refused() {
        for raw in ["", "@c.us", "+628100000001", "abc@c.us", "1-@g.us", "1@x"] {
            assert_eq!(canonical(raw), None, "{raw:?}");
        }
    }
}
