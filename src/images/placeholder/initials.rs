//! Initials on a colored background.

use unicode_segmentation::UnicodeSegmentation;

use super::{
    color::Color,
    fonts,
    script::{self, is_ideographic, is_joining, is_letter},
    silhouette,
    spec::{Fonts, PlaceholderSpec},
};

/// Draws the name's initials on the face's color, or a silhouette where there are no letters.
pub(super) fn draw(spec: &PlaceholderSpec<'_>, fonts: Fonts) -> String {
    let color = spec.background(Color::of_face(spec.key));
    let letters = spec.name.map(|name| initials(name, spec.look.single));
    let letters = match fonts {
        Fonts::Client => letters,
        Fonts::Embedded => letters.map(|letters| fonts::restrict(&letters)),
    };
    let Some(letters) = letters.filter(|letters| !letters.is_empty()) else {
        return silhouette::draw(color, spec);
    };
    let size = match letters.graphemes(true).count() {
        1 => 50,
        _ => 42,
    };
    let weight = if spec.look.bold { 700 } else { 500 };
    format!(
        concat!(
            r#"{}<text x="50" y="50" dy="0.36em" text-anchor="middle" fill="{}" font-size="{}" "#,
            r#"font-weight="{}" font-family="system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif">{}</text>"#
        ),
        color.fill(),
        spec.foreground(color),
        size,
        weight,
        escape_xml(&letters)
    )
}

/// The first letter of the first and of the last word, in upper case; only one for ideographic scripts.
/// A letter is a grapheme cluster.
fn initials(name: &str, is_single: bool) -> String {
    let mut words = name
        .split_whitespace()
        .filter_map(|word| word.graphemes(true).find(|grapheme| is_letter(grapheme)));
    let Some(first) = words.next() else {
        return String::new();
    };
    let mut letters = to_upper(first);
    if !is_single
        && !is_ideographic(first)
        && let Some(last) = words.next_back()
    {
        if is_joining(first) && is_joining(last) {
            letters.push(script::NON_JOINER);
        }
        letters.push_str(&to_upper(last));
    }
    letters
}

/// Upper case, unless that takes more than one letter: `ß` does not become `SS`.
fn to_upper(grapheme: &str) -> String {
    let upper = grapheme.to_uppercase();
    if upper.graphemes(true).count() == 1 {
        upper
    } else {
        grapheme.to_owned()
    }
}

fn escape_xml(text: &str) -> String {
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
    use crate::{
        avatar::{Key, Subject},
        images::PlaceholderLook,
    };

    #[test]
    fn a_name_gives_the_initials_its_script_expects() {
        for (name, expected) in [
            ("John Doe", "JD"),
            ("john", "J"),
            ("  Ana   María   Silva ", "AS"),
            ("Øystein Åse", "ØÅ"),
            ("Иван Петров", "ИП"),
            ("Γιώργος Παπαδόπουλος", "ΓΠ"),
            ("محمد علي", "م\u{200C}ع"),
            ("สมชาย ใจดี", "สจ"),
            ("דוד כהן", "דכ"),
            ("राम शर्मा", "राश"),
            ("कृष्ण", "कृ"),
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
            assert_eq!(initials(name, false), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_can_add_markup_to_the_svg(name in "\\PC{0,40}") {
            let subject: Subject = "628123".parse().unwrap();
            let key = Key::new("sales", &subject);
            let look = PlaceholderLook::default();
            let spec = PlaceholderSpec { key: &key, subject: &subject, name: Some(&name), look };
            let svg = draw(&spec, Fonts::Client);
            let text = svg.split_once("<text").map_or("", |(_, text)| text);
            prop_assert!(text.matches('<').count() <= 1, "{}", svg);
        }
    }
}
