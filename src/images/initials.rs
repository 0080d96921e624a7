//! Initials on a colored ground.

use unicode_segmentation::UnicodeSegmentation;

use super::{Color, Sitter, silhouette};

/// Letters on the face's color, or a silhouette on it where there is no name.
pub(super) fn draw(sitter: &Sitter<'_>) -> String {
    let color = Color::of(sitter.key);
    let letters = sitter.name.map(initials).unwrap_or_default();
    if letters.is_empty() {
        return silhouette::draw(color, sitter.kind());
    }
    let size = match letters.graphemes(true).count() {
        1 => 50,
        _ => 42,
    };
    format!(
        concat!(
            r#"<rect width="100" height="100" fill="{}"/>"#,
            r##"<text x="50" y="50" dy="0.36em" text-anchor="middle" fill="#fff" font-size="{}" "##,
            r#"font-weight="500" font-family="system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif">{}</text>"#
        ),
        color,
        size,
        escaped(&letters)
    )
}

/// The first letter of the first and of the last word, in upper case. One is enough for scripts
/// that write a name in one or two characters. A letter is what a reader takes for one: a
/// grapheme cluster.
fn initials(name: &str) -> String {
    let mut words = name
        .split_whitespace()
        .filter_map(|word| word.graphemes(true).find(|grapheme| is_letter(grapheme)));
    let Some(first) = words.next() else {
        return String::new();
    };
    let mut letters = upper(first);
    if !is_ideographic(first)
        && let Some(last) = words.next_back()
    {
        letters.push_str(&upper(last));
    }
    letters
}

/// Letters, digits and emoji; not the quotes, brackets and dots around a name.
fn is_letter(grapheme: &str) -> bool {
    let first = grapheme.chars().next();
    first.is_some_and(|first| first.is_alphanumeric() || is_pictograph(first))
}

fn is_pictograph(character: char) -> bool {
    matches!(character, '\u{2600}'..='\u{27BF}' | '\u{1F1E6}'..='\u{1FAFF}')
}

fn is_ideographic(grapheme: &str) -> bool {
    grapheme.chars().next().is_some_and(|first| {
        matches!(first,
            '\u{2E80}'..='\u{2FDF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}'
            | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
    })
}

/// Upper case, but one letter stays one: `ß` does not become `SS`.
fn upper(grapheme: &str) -> String {
    let upper = grapheme.to_uppercase();
    if upper.graphemes(true).count() == 1 {
        upper
    } else {
        grapheme.to_owned()
    }
}

fn escaped(text: &str) -> String {
    text.chars()
        // XML 1.0 allows no control characters, not even escaped.
        .filter(|character| !character.is_control())
        .map(|character| match character {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            character => character.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::avatar::{Key, Subject};

    #[test]
    fn a_name_gives_the_initials_its_script_expects() {
        for (name, expected) in [
            ("John Doe", "JD"),
            ("john", "J"),
            ("  Ana   María   Silva ", "AS"),
            ("Øystein Åse", "ØÅ"),
            ("Иван Петров", "ИП"),
            ("Γιώργος Παπαδόπουλος", "ΓΠ"),
            ("محمد علي", "مع"),
            ("דוד כהן", "דכ"),
            ("李小龙", "李"),
            ("山田 太郎", "山"),
            ("김 민준", "김"),
            ("👩‍👩‍👧 Family", "👩‍👩‍👧F"),
            ("\"Johnny\" (Work)", "JW"),
            ("e\u{301}lan", "E\u{301}"),
            ("ßen", "ß"),
            ("42 Club", "4C"),
            ("", ""),
            ("...", ""),
        ] {
            assert_eq!(initials(name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_the_drawing(name in "\\PC{0,40}") {
            let subject: Subject = "628123".parse().unwrap();
            let key = Key::new("sales", &subject);
            let svg = draw(&Sitter { key: &key, subject: &subject, name: Some(&name) });
            let text = svg.split_once("<text").map_or("", |(_, text)| text);
            prop_assert!(text.matches('<').count() <= 1, "{}", svg);
        }
    }
}
