//! Facts about scripts that initials depend on.

/// Zero-width non-joiner: between two letters that would otherwise join into a word.
pub(super) const NON_JOINER: char = '\u{200C}';

/// Whether a grapheme cluster is a letter, a digit or an emoji. Quotes, brackets and dots around a name
/// are not, nor are the vowels that Thai and Lao write before a syllable's first consonant.
pub(super) fn is_letter(grapheme: &str) -> bool {
    let first = grapheme.chars().next();
    first.is_some_and(|first| {
        let is_leading_vowel = matches!(first, '\u{E40}'..='\u{E44}' | '\u{EC0}'..='\u{EC4}');
        (first.is_alphanumeric() && !is_leading_vowel) || is_pictograph(first)
    })
}

/// Whether it is a letter of Arabic or Syriac, which join.
pub(super) fn is_joining(grapheme: &str) -> bool {
    let first = grapheme.chars().next();
    first.is_some_and(|first| matches!(first, '\u{620}'..='\u{77F}'))
}

/// Whether it is an emoji or another pictograph.
pub(super) fn is_pictograph(character: char) -> bool {
    matches!(character, '\u{2600}'..='\u{27BF}' | '\u{1F1E6}'..='\u{1FAFF}')
}

/// Whether it belongs to Han, kana or Hangul, where a name has one to four characters.
pub(super) fn is_ideographic(grapheme: &str) -> bool {
    grapheme.chars().next().is_some_and(|first| {
        matches!(first,
            '\u{2E80}'..='\u{2FDF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}'
            | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
    })
}
