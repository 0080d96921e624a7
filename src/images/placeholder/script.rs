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
    matches!(character,
        '\u{2600}'..='\u{27BF}' | '\u{2B50}' | '\u{2B55}' | '\u{1F1E6}'..='\u{1FAFF}')
}

/// Whether it belongs to Han, kana or Hangul, where a name has one to four characters.
pub(super) fn is_ideographic(grapheme: &str) -> bool {
    grapheme.chars().next().is_some_and(|first| {
        matches!(first,
            '\u{2E80}'..='\u{2FDF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}'
            | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
    })
}

/// Whether it is a digit, in any script.
pub(super) fn is_digit(grapheme: &str) -> bool {
    grapheme.chars().next().is_some_and(char::is_numeric)
}

/// Whether a URL may give it as a letter: a letter of any script, a pictograph or an ASCII sign.
pub(super) fn is_visible(grapheme: &str) -> bool {
    grapheme.chars().next().is_some_and(|first| {
        first.is_alphanumeric() || first.is_ascii_graphic() || is_pictograph(first)
    })
}

/// Whether it is an accent that can be put on a letter any number of times.
pub(super) fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}')
}

/// Whether it draws a ring, a key or a square around a letter, or chooses between styles of it.
pub(super) fn is_surrounding(character: char) -> bool {
    matches!(character, '\u{20D0}'..='\u{20FF}' | '\u{FE00}'..='\u{FE0F}')
}

/// The plain letter for one of an alphabet that people write names in for its looks. Unicode relates only the
/// others to plain letters.
pub(super) fn plain_letter(character: char) -> Option<String> {
    /// The small capitals of A to Z, which phonetic alphabets have.
    const SMALL_CAPITALS: &str = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡxʏᴢ";
    let index = match character {
        '\u{1F150}'..='\u{1F169}' => character as u32 - 0x1F150,
        '\u{1F170}'..='\u{1F189}' => character as u32 - 0x1F170,
        character if character.is_ascii() => return None,
        character => SMALL_CAPITALS
            .chars()
            .position(|capital| capital == character)? as u32,
    };
    char::from_u32('A' as u32 + index).map(String::from)
}

/// The form that begins a name, where it is not the upper case: the title case of a Croatian digraph, and the
/// Georgian letter itself, as Georgian capitals are for whole words only.
pub(super) fn title_letter(character: char) -> Option<char> {
    match character {
        '\u{1C4}'..='\u{1C6}' => Some('ǅ'),
        '\u{1C7}'..='\u{1C9}' => Some('ǈ'),
        '\u{1CA}'..='\u{1CC}' => Some('ǋ'),
        '\u{1F1}'..='\u{1F3}' => Some('ǲ'),
        '\u{10D0}'..='\u{10FF}' => Some(character),
        '\u{1C90}'..='\u{1CBF}' => character.to_lowercase().next(),
        _ => None,
    }
}

/// The width of a wide letter of its script, in units of the font's size, where the font is not known.
pub(super) fn typical_width(grapheme: &str) -> f32 {
    let Some(first) = grapheme.chars().next() else {
        return 0.0;
    };
    let (letter, vowel) = match first {
        _ if is_pictograph(first) => return 1.3,
        '\u{1C4}'..='\u{1CC}' | '\u{1F1}'..='\u{1F3}' => (1.3, 0.0),
        // From Tamil to Sinhala, Burmese and Khmer.
        '\u{B80}'..='\u{DFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' => (1.2, 0.4),
        '\u{600}'..='\u{77F}' => (1.2, 0.0),
        '\u{900}'..='\u{B7F}' => (0.9, 0.3),
        _ => (0.9, 0.0),
    };
    let vowels = grapheme.chars().skip(1).filter(|mark| mark.is_alphabetic());
    vowels.fold(letter, |width, _| width + vowel)
}
