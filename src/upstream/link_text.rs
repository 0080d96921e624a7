//! Repairs the text of a link that gateways and templates have escaped once too often.

use std::borrow::Cow;

/// Escapes of an ampersand, in lower case. A signature breaks if one of them stays.
const AMPERSANDS: [&str; 5] = ["&amp;", "&#38;", "&#x26;", "\\u0026", "\\x26"];

/// No link is longer; a longer text is a picture in base64, which has no escapes.
const LONGEST: usize = 8 * 1024;

/// The link that `text` was before it was escaped.
pub(super) fn repair(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let mut repaired = if text.len() <= LONGEST && text.contains(['&', '\\']) {
        Cow::Owned(unescape(text))
    } else {
        Cow::Borrowed(text)
    };
    if repaired.starts_with("//") {
        repaired = Cow::Owned(format!("https:{repaired}"));
    }
    repaired
}

fn unescape(text: &str) -> String {
    let mut text = text.replace("\\/", "/");
    loop {
        let lower = text.to_ascii_lowercase();
        let found = AMPERSANDS
            .iter()
            .find_map(|escape| Some((lower.find(escape)?, escape.len())));
        // Each replacement makes the text shorter, so that escapes of escapes come to an end.
        let Some((at, length)) = found else {
            return text;
        };
        text.replace_range(at..at + length, "&");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_ampersands_and_slashes_are_repaired() {
        let link = "https://pps.whatsapp.net/v/1_n.jpg?ccb=11-4&oh=x&oe=7FFFFFFF";
        for escape in [
            "&amp;",
            "&#38;",
            "&#x26;",
            "&AMP;",
            "&amp;amp;",
            "\\u0026",
            "\\x26",
        ] {
            assert_eq!(repair(&link.replace('&', escape)), link, "{escape}");
        }
        assert_eq!(repair(&link.replace('/', "\\/")), link);
        assert_eq!(repair(&format!(" {link}\n")), link);
        assert_eq!(repair(&link[6..]), link);
        assert_eq!(repair(link), link);
    }
}
