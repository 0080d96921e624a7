//! Rules for the words of comments and for names.

use super::Source;

/// Words that stand in a comment where its noun should be.
const VAGUE: [&str; 8] = [
    "what",
    "whoever",
    "who",
    "whatever",
    "whichever",
    "nobody",
    "somebody",
    "anybody",
];

/// How many of a thousand words of comments may be vague.
const VAGUE_IN_A_THOUSAND: usize = 2;

/// Former names of types that were no terms of the field.
const GONE: [&str; 13] = [
    "Gate", "Hold", "Lane", "Books", "Outline", "Glance", "Lying", "Told", "Ended", "Shown",
    "Studio", "Caps", "Crew",
];

/// Participles that do not end in "ed".
const IRREGULAR: [&str; 12] = [
    "Begun", "Built", "Found", "Given", "Held", "Kept", "Known", "Lost", "Made", "Said", "Sent",
    "Unmade",
];

/// Names that end like a participle and are usual for types.
const NOUNS: [&str; 1] = ["Shared"];

/// How often each file's comments are vague, if all of them are too often.
pub fn vague(sources: &[Source]) -> Vec<String> {
    let count = |source: &Source| {
        let words = words_of_comments(&source.text);
        (
            words.clone().count(),
            words.filter(|word| VAGUE.contains(&word.as_str())).count(),
        )
    };
    let (mut words, mut vague, mut lines) = (0, 0, Vec::new());
    for source in sources {
        let (of_file, vague_in_file) = count(source);
        words += of_file;
        vague += vague_in_file;
        if vague_in_file > 0 {
            lines.push(format!(
                "{}: {vague_in_file} in {of_file} words of comments",
                source.path
            ));
        }
    }
    if vague == 0 || vague * 1000 < words * VAGUE_IN_A_THOUSAND {
        return Vec::new();
    }
    lines.push(format!(
        "{vague} of {words} words in comments are among {VAGUE:?}, which is not under {VAGUE_IN_A_THOUSAND} in 1,000: name the noun"
    ));
    lines
}

/// The words of lines that begin with `//`, in lower case.
fn words_of_comments(text: &str) -> impl Iterator<Item = String> + Clone + '_ {
    let comments = text
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("//"));
    let words = comments
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '\''));
    // The first part of "what's".
    let words = words.map(|word| word.split('\'').next().unwrap_or_default());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Types that have a former name or whose name is a past participle alone, and functions that are called like a
/// former type.
pub fn former_names(source: &Source) -> Vec<String> {
    let defined = source.code().filter_map(|(line, text)| {
        let (keyword, rest) = ["struct ", "enum ", "trait ", "type ", "fn "]
            .iter()
            .find_map(|keyword| {
                let (before, rest) = text.split_once(keyword)?;
                let is_start = before.is_empty() || before.ends_with([' ', '\t']);
                is_start.then_some((*keyword, rest))
            })?;
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        let is_gone = GONE
            .iter()
            .any(|gone| *gone == name || keyword == "fn " && gone.to_lowercase() == name);
        let is_noun = keyword == "fn " || NOUNS.contains(&name) || !is_participle(name);
        (is_gone || !is_noun).then(|| {
            format!(
                "src/{}:{line}: {keyword}{name}: use a noun, the field's term",
                source.path
            )
        })
    });
    defined.collect()
}

/// Whether the name is one word that is a past participle.
fn is_participle(name: &str) -> bool {
    let is_one_word = name.chars().filter(|c| c.is_uppercase()).count() == 1;
    IRREGULAR.contains(&name) || name.ends_with("ed") && is_one_word
}

mod the_rules_can_fail {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            path: "a.rs".into(),
            text: text.into(),
        }
    }

    #[test]
    fn on_comments_that_leave_out_the_noun() {
        assert_eq!(
            vague(&[source("//! Whoever asks gets what's there.")]).len(),
            2
        );
        let plain = "word ".repeat(1000);
        let comments = |vague: &str| vague_of(&format!("/// {plain}{vague}\nlet what = who;"));
        assert_eq!(comments("nobody, what"), 0);
        assert_eq!(comments("nobody what Who"), 2);
    }

    fn vague_of(text: &str) -> usize {
        vague(&[source(text)]).len()
    }

    #[test]
    fn on_a_former_name() {
        for text in [
            "pub struct Gate {",
            "enum Lane {",
            "    pub(super) async fn hold(&self) {",
            "type Books = u8;",
            "struct Purged {",
            "enum Found<R> {",
        ] {
            assert_eq!(former_names(&source(text)).len(), 1, "{text}");
        }
        for text in [
            "struct Gateway;",
            "struct PurgedFaces;",
            "struct Shared;",
            "// struct Gate",
            "fn holds() {",
            "gate: u8,",
        ] {
            assert_eq!(former_names(&source(text)).len(), 0, "{text}");
        }
    }
}
