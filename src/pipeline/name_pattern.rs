//! A pattern of names, such as `shop-*`: text with one `*`, which stands for at least one character.

use std::fmt;

/// A pattern of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    before: String,
    after: String,
}

/// The longest name of an instance.
const MAX_LENGTH: usize = 64;

/// Whether an instance may be called `name`.
pub fn is_instance_name(name: &str) -> bool {
    (1..=MAX_LENGTH).contains(&name.len()) && name.bytes().all(is_in_names)
}

impl NamePattern {
    /// The pattern of instances' names that `text` is. `None` if it has not exactly one `*`, or characters that no
    /// name has.
    pub fn parse(text: &str) -> Option<Self> {
        let pattern = Self::split(text, "*")?;
        let mut literals = pattern.before.bytes().chain(pattern.after.bytes());
        (text.len() <= MAX_LENGTH && literals.all(is_in_names)).then_some(pattern)
    }

    /// The pattern of the texts that have anything in place of `wildcard`. `None` if `text` has it not exactly once.
    pub fn split(text: &str, wildcard: &str) -> Option<Self> {
        let (before, after) = text.split_once(wildcard)?;
        (!after.contains(wildcard)).then(|| Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    /// The part of `text` in place of the wildcard. `None` if `text` does not match.
    pub fn capture<'t>(&self, text: &'t str) -> Option<&'t str> {
        let rest = text.strip_prefix(&*self.before)?;
        let captured = rest.strip_suffix(&*self.after)?;
        (!captured.is_empty()).then_some(captured)
    }

    /// Whether an instance called `name` is of this pattern.
    pub fn matches(&self, name: &str) -> bool {
        self.capture(name).is_some() && is_instance_name(name)
    }

    /// The text with `value` in place of the wildcard.
    pub fn fill(&self, value: &str) -> String {
        format!("{}{value}{}", self.before, self.after)
    }

    /// The number of literal characters: of two patterns that match a name, the one with more of them counts.
    pub fn literals(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Whether a text can match both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (before, after) = (&*self.before, &*self.after);
        let is_before_alike =
            before.starts_with(&*other.before) || other.before.starts_with(before);
        let is_after_alike = after.ends_with(&*other.after) || other.after.ends_with(after);
        is_before_alike && is_after_alike
    }

    /// The pattern of the texts that `outer` gives for the names of this pattern.
    pub fn within(&self, outer: &Self) -> Self {
        Self {
            before: format!("{}{}", outer.before, self.before),
            after: format!("{}{}", self.after, outer.after),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*{}", self.before, self.after)
    }
}

fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_matches_names_with_at_least_one_character_for_its_star() {
        for (text, name, is_match) in [
            ("shop-*", "shop-1", true),
            ("shop-*", "shop-", false),
            ("shop-*", "Shop-1", false),
            ("*-shop", "a-shop", true),
            ("a*a", "a", false),
            ("a*a", "aa", false),
            ("a*a", "aba", true),
            ("*", "sales", true),
            ("*", "sales.1234", false),
            ("*", "", false),
        ] {
            assert_eq!(pattern(text).matches(name), is_match, "{text} {name}");
        }
        let long = "a".repeat(65);
        assert!(!pattern("*").matches(&long));
        assert!(pattern("*").matches(&long[1..]));
    }

    #[test]
    fn a_text_without_exactly_one_star_or_with_other_characters_is_no_pattern() {
        for text in ["shop", "a*b*", "**", "a.*", "a/*", "é*"] {
            assert_eq!(NamePattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_overlap_if_a_name_can_match_both() {
        for (one, other, do_overlap) in [
            ("shop-*", "*", true),
            ("shop-*", "*-shop", true),
            ("shop-*", "store-*", false),
            ("a*x", "ab*y", false),
            ("a*x", "ab*yx", true),
        ] {
            assert_eq!(pattern(one).overlaps(&pattern(other)), do_overlap);
            assert_eq!(pattern(other).overlaps(&pattern(one)), do_overlap);
        }
    }

    #[test]
    fn a_filled_pattern_gives_its_value_back() {
        let account = NamePattern::split("acc:{instance}.eu", "{instance}").unwrap();
        assert_eq!(account.fill("shop-1"), "acc:shop-1.eu");
        assert_eq!(account.capture("acc:shop-1.eu"), Some("shop-1"));
        let accounts = pattern("shop-*").within(&account);
        assert_eq!(accounts.capture("acc:shop-1.eu"), Some("1"));
    }
}
