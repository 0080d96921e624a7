//! The file names of default pictures, which some gateways link to instead of saying that there is no picture.

/// Parts of their file names, without punctuation.
const PARTS: [&str; 11] = [
    "default",
    "placeholder",
    "noavatar",
    "nopicture",
    "nophoto",
    "noimage",
    "nopic",
    "blank",
    "anonymous",
    "silhouette",
    "genericavatar",
];
/// Whole names.
const NAMES: [&str; 3] = ["unknown", "avatar-unknown", "user-unknown"];

/// Whether a link's file name is that of a default picture. WhatsApp's own names are numbers.
pub(super) fn is_named_by(link: &str) -> bool {
    let path = link.split(['?', '#']).next().unwrap_or(link);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let Some((_, name)) = path.rsplit_once('/') else {
        return false;
    };
    let name = name.to_ascii_lowercase();
    let stem = name
        .rsplit_once('.')
        .map_or(name.as_str(), |(stem, _)| stem);
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    NAMES.contains(&stem) || PARTS.iter().any(|part| plain.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_recognized_by_its_file_name() {
        for name in [
            "default-avatar.png?v=2",
            "nopicture.png",
            "no-photo.png",
            "nophoto.jpg",
            "no_avatar.png",
            "anonymous.png",
            "silhouette.png",
            "generic-avatar.png",
            "unknown.png",
        ] {
            assert!(
                is_named_by(&format!("https://a.example/x/{name}")),
                "{name}"
            );
        }
        for link in [
            "https://pps.whatsapp.net/v/t61.24694-24/374498176_337577482181161_n.jpg?x=default",
            "https://default.example/1_n.jpg",
            "https://unknown.example",
            "https://a.example/unknown/1.jpg",
        ] {
            assert!(!is_named_by(link), "{link}");
        }
    }
}
