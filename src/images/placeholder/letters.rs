//! The letters of a placeholder: the initials of a name, or those that the URL gives. A letter is a grapheme
//! cluster.

use icu_normalizer::ComposingNormalizerBorrowed as Composition;
use unicode_segmentation::UnicodeSegmentation;

use super::{
    fonts,
    script::{self, is_ideographic, is_joining, is_letter, is_pictograph},
    spec::Fonts,
};

/// The most letters that a URL can give.
const MOST_GIVEN: usize = 3;
/// The most characters of a letter: a family of four with skin colors has eleven.
const MOST_CHARACTERS: usize = 12;
/// The most accents of a letter, which would otherwise rise out of the picture.
const MOST_ACCENTS: usize = 2;
/// The least digits that are a number and not part of a name.
const NUMBER: usize = 4;

/// The first letter of the first and of the last word that have one; only one for ideographic scripts. A letter
/// that the fonts lack is passed over. Empty for a number: its digits say nothing, and they may be a phone's.
pub(super) fn of_name(name: &str, is_single: bool, fonts: Fonts) -> String {
    let name = Composition::new_nfc().normalize(name);
    let without_digits = is_number(&name);
    let first_letter = |word: &str| {
        let is_address = word
            .split_once('@')
            .is_some_and(|(user, _)| is_number(user));
        let mut letters = word
            .graphemes(true)
            .filter_map(simplify)
            .filter(|letter| is_letter(letter) && !(without_digits && script::is_digit(letter)));
        letters
            .find_map(|letter| fonts.draw(to_title(&letter)))
            .filter(|_| !is_address)
    };
    let mut words = name.split_whitespace().filter_map(first_letter);
    let Some(first) = words.next() else {
        return String::new();
    };
    let last = match is_single || is_ideographic(&first) {
        true => None,
        false => words.next_back(),
    };
    join([first].into_iter().chain(last))
}

/// The letters that the URL gives, as they are, but not more than three. Empty for a number.
pub(super) fn given(text: &str, is_single: bool, fonts: Fonts) -> String {
    let text = Composition::new_nfc().normalize(text);
    if text.chars().filter(|digit| digit.is_numeric()).count() >= NUMBER {
        return String::new();
    }
    let most = if is_single { 1 } else { MOST_GIVEN };
    let letters = text
        .graphemes(true)
        .filter_map(simplify)
        .filter(|letter| script::is_visible(letter))
        .filter_map(|letter| fonts.draw(letter));
    join(letters.take(most))
}

impl Fonts {
    /// The letter as the fonts can draw it; `None` if they cannot.
    fn draw(self, letter: String) -> Option<String> {
        match self {
            Fonts::Client => Some(letter),
            Fonts::Embedded => fonts::restrict(&letter),
        }
    }
}

/// Whether it is a number, or has one as long as a phone's.
fn is_number(text: &str) -> bool {
    let digits = text.chars().filter(|digit| digit.is_numeric()).count();
    let is_word = |character: char| {
        is_pictograph(character) || (character.is_alphabetic() && !character.is_numeric())
    };
    digits >= NUMBER || (digits > 0 && !text.chars().any(is_word))
}

/// Keeps letters apart that would join into a word.
fn join(letters: impl Iterator<Item = String>) -> String {
    let mut joined = String::new();
    let mut joins = false;
    for letter in letters {
        if joins && is_joining(&letter) {
            joined.push(script::NON_JOINER);
        }
        joins = is_joining(&letter);
        joined.push_str(&letter);
    }
    joined
}

/// The plain form of a letter: `A` for 𝓐, Ａ, ᴀ and Ⓐ. The key around a digit and other surroundings are left out, and
/// so are more accents than a letter can have.
fn simplify(grapheme: &str) -> Option<String> {
    let mut characters = grapheme.chars();
    let first = characters.next()?;
    let mut letter = match script::title_letter(first) {
        // Croatian and Georgian letters have no plainer form, although Unicode takes digraphs apart.
        Some(_) => first.to_string(),
        None => script::plain_letter(first).unwrap_or_else(|| compatible(first)),
    };
    let whole = is_pictograph(first);
    let mut accents = 0;
    for character in characters.take(MOST_CHARACTERS - 1) {
        accents += usize::from(script::is_accent(character));
        if whole || (accents <= MOST_ACCENTS && !script::is_surrounding(character)) {
            letter.push(character);
        }
    }
    Some(letter)
}

/// The first letter of the character's compatibility decomposition: `f` of the ligature ﬁ.
fn compatible(character: char) -> String {
    let composed = Composition::new_nfkc()
        .normalize(character.encode_utf8(&mut [0; 4]))
        .into_owned();
    let letter = composed.graphemes(true).find(|letter| is_letter(letter));
    letter.map_or_else(|| composed.clone(), str::to_owned)
}

/// Title case, unless that takes more than one letter: `ß` does not become `SS`.
fn to_title(letter: &str) -> String {
    if let Some(first) = letter.chars().next()
        && let Some(title) = script::title_letter(first)
    {
        return format!("{title}{}", &letter[first.len_utf8()..]);
    }
    let upper = letter.to_uppercase();
    if upper.graphemes(true).count() == 1 {
        upper
    } else {
        letter.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            ("ເພັດ ແກ້ວ", "ພ\u{EB1}ກ\u{EC9}"),
            ("דוד כהן", "דכ"),
            ("राम शर्मा", "राश"),
            ("कृष्ण", "कृ"),
            ("李小龙", "李"),
            ("山田 太郎", "山"),
            ("김 민준", "김"),
            ("\u{1100}\u{1175}\u{11B7} \u{1106}\u{1175}\u{11AB}", "김"),
            ("👩‍👩‍👧 Family", "👩‍👩‍👧F"),
            ("\"Johnny\" (Work)", "JW"),
            ("e\u{301}lan", "É"),
            ("ßen", "ß"),
            ("გიორგი მაისურაძე", "გმ"),
            ("ᲒᲘᲝᲠᲒᲘ", "გ"),
            ("ǆuro ǳeko", "ǅǲ"),
            ("42 Club", "4C"),
            ("", ""),
            ("...", ""),
        ] {
            assert_eq!(of_name(name, false, Fonts::Client), expected, "{name}");
        }
    }

    #[test]
    fn letters_of_a_fancy_alphabet_are_plain_initials() {
        for (name, expected) in [
            ("𝓐𝓷𝓪 𝓢𝓲𝓵𝓿𝓪", "AS"),
            ("Ａｎａ", "A"),
            ("ᴀɴᴀ sɪʟᴠᴀ", "AS"),
            ("ꜰɪᴏɴᴀ ʏɪ", "FY"),
            ("ﬁona", "F"),
            ("ⒶⓃⒶ 🅢ilva", "AS"),
            ("🅰na 🄱ela", "AB"),
            ("1️⃣ Um", "1U"),
            ("A\u{20DD}na", "A"),
        ] {
            for fonts in [Fonts::Client, Fonts::Embedded] {
                assert_eq!(of_name(name, false, fonts), expected, "{name}");
            }
        }
    }

    #[test]
    fn a_letter_that_the_embedded_fonts_lack_gives_way_to_the_next() {
        for (name, expected) in [
            ("🇧🇷 João", "J"),
            ("🏳️‍🌈 Pride", "P"),
            ("✿ Mia", "M"),
            ("🛸 Ufo", "U"),
            ("🛸Ufo Bela", "UB"),
            ("⭐ Luna", "⭐L"),
            ("😀 Ana", "😀A"),
            ("𒀀𒀀 Ana", "A"),
            ("Ana 𒀀", "A"),
            ("𒀀𒀀", ""),
        ] {
            assert_eq!(of_name(name, false, Fonts::Embedded), expected, "{name}");
        }
    }

    #[test]
    fn a_number_gives_no_initials() {
        for (name, expected) in [
            ("628123456789", ""),
            ("+62 812 3456", ""),
            ("\u{202A}+55 (11) 98765-4321\u{202C}", ""),
            ("٠٩١٢٣٤٥٦٧", ""),
            ("６２８１２３", ""),
            ("6️⃣2️⃣8️⃣", ""),
            ("628123456789@c.us", ""),
            ("123", ""),
            ("João +55 11 98765-4321", "J"),
            ("+62812345 Ana", "A"),
            ("Ana1234567 Silva", "AS"),
        ] {
            for fonts in [Fonts::Client, Fonts::Embedded] {
                assert_eq!(of_name(name, false, fonts), expected, "{name}");
            }
        }
    }

    #[test]
    fn given_letters_are_shown_as_they_are_and_bounded() {
        for (text, expected) in [
            ("JD", "JD"),
            ("j d", "jd"),
            ("ABCD", "ABC"),
            ("A&B", "A&B"),
            ("7", "7"),
            ("م ع", "م\u{200C}ع"),
            ("👩‍👩‍👧X", "👩‍👩‍👧X"),
            ("628123", ""),
            (" \u{FFFE}\u{7} ", ""),
        ] {
            assert_eq!(given(text, false, Fonts::Client), expected, "{text}");
        }
        assert_eq!(given("JD", true, Fonts::Client), "J");
        let zalgo = format!("A{}", "\u{301}".repeat(1000));
        assert!(given(&zalgo, false, Fonts::Client).chars().count() <= 3);
    }

    proptest! {
        #[test]
        fn no_digit_of_a_phone_number_appears(number in "[+(]?[0-9]{4,15}[ ()0-9-]{0,6}", name in "[A-Z]?") {
            for text in [number.clone(), format!("{name} {number}"), format!("{number} {name}")] {
                for letters in [of_name(&text, false, Fonts::Client), given(&text, false, Fonts::Client)] {
                    prop_assert!(!letters.contains(|letter: char| letter.is_numeric()), "{letters}");
                }
            }
        }

        #[test]
        fn letters_are_few_and_short(text in "\\PC{0,60}") {
            for fonts in [Fonts::Client, Fonts::Embedded] {
                for letters in [of_name(&text, false, fonts), given(&text, false, fonts)] {
                    prop_assert!(letters.chars().count() <= 50);
                }
            }
        }
    }
}
