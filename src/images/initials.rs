//! Initials on a colored ground.

use unicode_segmentation::UnicodeSegmentation;

use super::{Color, Fonts, Sitter, ground, raster, silhouette};

/// Letters on the face's color, or a silhouette on it where there is no name.
pub(super) fn draw(sitter: &Sitter<'_>, fonts: Fonts) -> String {
    let color = sitter.ground(Color::of(sitter.key));
    let letters = sitter.name.map(|name| initials(name, sitter.look.single));
    let letters = match fonts {
        Fonts::Theirs => letters,
        Fonts::Ours => letters.map(|letters| raster::drawable(&letters)),
    };
    let Some(letters) = letters.filter(|letters| !letters.is_empty()) else {
        return silhouette::draw(color, sitter);
    };
    let size = match letters.graphemes(true).count() {
        1 => 50,
        _ => 42,
    };
    let weight = if sitter.look.bold { 700 } else { 500 };
    format!(
        concat!(
            r#"{}<text x="50" y="50" dy="0.36em" text-anchor="middle" fill="{}" font-size="{}" "#,
            r#"font-weight="{}" font-family="system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif">{}</text>"#
        ),
        ground(color),
        sitter.ink(color),
        size,
        weight,
        escaped(&letters)
    )
}

/// The first letter of the first and of the last word, in upper case. One is enough for scripts
/// that write a name in one or two characters. A letter is what a reader takes for one: a
/// grapheme cluster.
fn initials(name: &str, is_single: bool) -> String {
    let mut words = name
        .split_whitespace()
        .filter_map(|word| word.graphemes(true).find(|grapheme| is_letter(grapheme)));
    let Some(first) = words.next() else {
        return String::new();
    };
    let mut letters = upper(first);
    if !is_single
        && !is_ideographic(first)
        && let Some(last) = words.next_back()
    {
        if is_joining(first) && is_joining(last) {
            letters.push(NON_JOINER);
        }
        letters.push_str(&upper(last));
    }
    letters
}

/// Two letters that would join to a word are kept apart with it.
pub(super) const NON_JOINER: char = '\u{200C}';

/// Letters, digits and emoji; not the quotes, brackets and dots around a name, nor the vowels that
/// Thai and Lao write before the letter that a syllable begins with.
fn is_letter(grapheme: &str) -> bool {
    let first = grapheme.chars().next();
    first.is_some_and(|first| {
        let is_leading_vowel = matches!(first, '\u{E40}'..='\u{E44}' | '\u{EC0}'..='\u{EC4}');
        (first.is_alphanumeric() && !is_leading_vowel) || is_pictograph(first)
    })
}

/// Arabic's and Syriac's letters.
fn is_joining(grapheme: &str) -> bool {
    let first = grapheme.chars().next();
    first.is_some_and(|first| matches!(first, '\u{620}'..='\u{77F}'))
}

pub(super) fn is_pictograph(character: char) -> bool {
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
    use crate::{
        avatar::{Key, Subject},
        images::Look,
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
        fn no_name_breaks_out_of_the_drawing(name in "\\PC{0,40}") {
            let subject: Subject = "628123".parse().unwrap();
            let key = Key::new("sales", &subject);
            let look = Look::default();
            let sitter = Sitter { key: &key, subject: &subject, name: Some(&name), look };
            let svg = draw(&sitter, Fonts::Theirs);
            let text = svg.split_once("<text").map_or("", |(_, text)| text);
            prop_assert!(text.matches('<').count() <= 1, "{}", svg);
        }
    }
}
