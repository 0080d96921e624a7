//! Mistakes in a description, as a newcomer makes them: each is one error, with its line and its remedy.

use std::fs;

use crate::support::program::{Program, errors};

const ACME: &str = r#"format = 1
name = "acme"
account = "the account's name"
token = "the API key"
headers = { X-Key = "{token}" }

[jid]
contact = "{user}"
group = "{user}@g.us"

[[picture]]
for = ["contact", "group"]
method = "POST"
path = "/v1/accounts/{account}/photo"
json = { of = "{jid}" }
link = ["/photo/href"]

[[reply]]
at = "/error"
is = "unknown number"
then = "not_found"

[[reply]]
status = 410
then = "not_set"

[session]
path = "/v1/accounts/{account}"
at = ["/state"]
up = ["open"]

[hook]
[[hook.event]]
at = "/kind"
is = ["photo"]
jid = ["/of"]

[[answer]]
to = ["picture", "none"]
json = { photo = { href = "{link}" } }

[[sample]]
from = "a call on 2026-11-20"
ask = "628123@c.us"
reply = '{"photo":{"href":"https://pps.whatsapp.net/v/a.jpg"}}'
gives = "link https://pps.whatsapp.net/v/a.jpg"
"#;

/// What is written instead of what, and the line and the words of the error.
const MISTAKES: [(&str, &str, usize, &str); 40] = [
    (
        "format = 1",
        "format = \"1\"",
        1,
        "format is a text, not a whole number",
    ),
    (
        "format = 1",
        "format = 2",
        1,
        "format must be 1: this program knows format 1 alone",
    ),
    (
        "format = 1\n",
        "",
        1,
        "format is missing; write format = 1 in the first line",
    ),
    (
        "name = \"acme\"\n",
        "",
        1,
        "name is missing; write the name that provider of an instance has, as name = \"acme\"",
    ),
    (
        "name = \"acme\"",
        "name = \"Acme Gateway\"",
        2,
        "name is \"Acme Gateway\"; it is made of lower-case letters, digits and -",
    ),
    (
        "name = \"acme\"",
        "name = \"acme-two\"",
        2,
        "name is \"acme-two\", but the file is called acme; write name = \"acme\", or rename the file to acme-two.toml",
    ),
    (
        "token = \"the",
        "toke = \"the",
        4,
        "unknown key toke; did you mean token?",
    ),
    (
        "X-Key = \"{token}\"",
        "X-Key = \"{tokn}\"",
        5,
        "headers.X-Key has {tokn}; did you mean {token}?",
    ),
    (
        "X-Key = \"{token}\"",
        "X-Key = \"{token\"",
        5,
        "headers.X-Key has a brace without its partner; a placeholder is written {name}",
    ),
    (
        "X-Key =",
        "Content-Type =",
        5,
        "headers.Content-Type is no header that a description can set; leave it out, the program sets it where it is needed",
    ),
    (
        "headers = { X-Key = \"{token}\" }\n\n[jid]",
        "[jid]\nheaders = { X-Key = \"{token}\" }",
        6,
        "unknown key jid.headers; the keys here are contact, lid, group, newsletter",
    ),
    (
        "account = \"the account's name\"\ntoken = \"the API key\"\nheaders = { X-Key = \"{token}\" }\n\n[jid]",
        "headers = { X-Key = \"{token}\" }\n[jid]\naccount = \"the account's name\"\n",
        5,
        "unknown key jid.account; account belongs to the whole file: write it above the first line in brackets",
    ),
    (
        "[jid]\ncontact = \"{user}\"\ngroup = \"{user}@g.us\"\n",
        "",
        8,
        "picture.for has contact, group, but [jid] does not say how one is written; add contact = \"{user}...\" there",
    ),
    (
        "contact = \"{user}\"",
        "contacts = \"{user}\"",
        8,
        "unknown key jid.contacts; did you mean contact?",
    ),
    (
        "contact = \"{user}\"",
        "contact = \"@c.us\"",
        8,
        "jid.contact must have {user} in it, once: the part of a JID before the @",
    ),
    (
        "contact = \"{user}\"",
        "contact = \"{jid}\"",
        8,
        "jid.contact has {jid}; known here: user",
    ),
    (
        "[[picture]]",
        "[picture]",
        11,
        "picture is a table, not a list; write [[picture]]",
    ),
    (
        "[[picture]]",
        "[[pictures]]",
        11,
        "unknown key pictures; did you mean picture?",
    ),
    (
        "for = [\"contact\", \"group\"]\n",
        "",
        11,
        "picture.for is missing; write a list such as [\"contact\", \"group\"]",
    ),
    (
        "for = [\"contact\", \"group\"]",
        "for = [\"contacts\", \"group\"]",
        12,
        "picture.for has \"contacts\"; did you mean contact?",
    ),
    (
        "method = \"POST\"\n",
        "",
        14,
        "picture.json needs method = \"POST\": a GET has no body",
    ),
    (
        "method = \"POST\"",
        "methode = \"POST\"",
        13,
        "unknown key picture.methode; did you mean method?",
    ),
    (
        "method = \"POST\"",
        "method = \"post\"",
        13,
        "picture.method is \"post\"; write \"GET\" or \"POST\"",
    ),
    (
        "\"/v1/accounts/{account}/photo\"",
        "\"v1/accounts/{account}/photo\"",
        14,
        "picture.path is \"v1/accounts/{account}/photo\"; a path begins with one / and has no ?, #, //, .., \\ or spaces (parameters go into query)",
    ),
    (
        "\"/v1/accounts/{account}/photo\"",
        "\"/v1/photo?account={account}\"",
        14,
        "picture.path is \"/v1/photo?account={account}\"; a path begins with one / and has no ?, #, //, .., \\ or spaces (parameters go into query)",
    ),
    (
        "{ of = \"{jid}\" }",
        "{ of = \"{jidd}\" }",
        15,
        "picture.json.of has {jidd}; did you mean {jid}?",
    ),
    (
        "{ of = \"{jid}\" }",
        "{ of = \"628123\" }",
        11,
        "the request has neither {jid} nor {user}, so every face would be the same one; put one of them in path, query or json",
    ),
    (
        "link = [\"/photo/href\"]",
        "link = [\"photo.href\"]",
        16,
        "picture.link: 'photo.href' is no JSON Pointer; it begins with /, as \"/photo/href\"",
    ),
    (
        "link = [\"/photo/href\"]",
        "link = 1",
        16,
        "picture.link is a number, not a text in quotes",
    ),
    (
        "then = \"not_found\"",
        "then = \"notfound\"",
        21,
        "reply.then is \"notfound\"; did you mean not_found?",
    ),
    (
        "then = \"not_found\"\n",
        "",
        18,
        "reply.then is missing; write one of not_set, hidden, unknown, not_found, rate_limited, auth, session_down, vendor_error, words",
    ),
    (
        "status = 410",
        "status = \"410\"",
        24,
        "reply.status is a text, not a status such as 404 or \"5xx\"",
    ),
    (
        "status = 410\n",
        "",
        23,
        "a rule that looks at no member with at needs an error status: the text of a success belongs to others; write status = [404] or at = \"/error\"",
    ),
    (
        "up = [\"open\"]\n",
        "",
        27,
        "session.up is missing; write the values that mean: connected to WhatsApp, as up = [\"open\"]",
    ),
    (
        "is = [\"photo\"]",
        "ist = [\"photo\"]",
        35,
        "unknown key hook.event.ist; did you mean is?",
    ),
    (
        "to = [\"picture\", \"none\"]",
        "to = [\"pictures\", \"none\"]",
        39,
        "answer.to has \"pictures\"; did you mean picture?",
    ),
    (
        "href = \"{link}\"",
        "href = \"{url}\"",
        40,
        "answer.json.photo.href has {url}; known here: account canonical changed jid link null reason status user",
    ),
    (
        "from = \"a call on 2026-11-20\"\n",
        "",
        42,
        "sample.from is missing; write whose word it is, or \"assumed\"",
    ),
    (
        "ask = \"628123@c.us\"",
        "ask = \"+62 8123\"",
        44,
        "sample.ask is \"+62 8123\": ",
    ),
    ("reply = '{", "reply = '''{", 47, "is not valid TOML: "),
];

#[test]
fn each_mistake_in_a_description_is_one_error_with_its_line_and_remedy() {
    let program = Program::with("[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.toml");
    let shown = file.to_str().unwrap();
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        program.run(&["providers", "check", shown])
    };
    let output = check(ACME);
    assert!(output.status.success(), "{}", errors(&output));
    let mut wrong = String::new();
    for (part, mistake, line, words) in MISTAKES {
        assert_eq!(ACME.matches(part).count(), 1, "{part}");
        let output = check(&ACME.replace(part, mistake));
        let said = errors(&output);
        let expected = format!("faceplate: {shown}:{line}: {words}");
        let lines: Vec<_> = said.lines().collect();
        let is_right = match words.ends_with(": ") {
            true => lines.len() == 1 && lines[0].starts_with(&expected),
            false => lines == [expected.as_str()],
        };
        if output.status.success() || !is_right {
            let said = said.replace(shown, "FILE");
            wrong.push_str(&format!(
                "{part} -> {mistake}\n  {line}: {words}\n  {said}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn several_mistakes_in_a_description_are_all_reported_in_the_order_of_the_file() {
    let program = Program::with("[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.toml");
    let text = ACME
        .replace("ask = \"628123@c.us\"", "asks = \"628123@c.us\"")
        .replace("up = [\"open\"]\n", "")
        .replace("{token}", "{tokn}");
    fs::write(&file, text).unwrap();
    let said = errors(&program.run(&["providers", "check", file.to_str().unwrap()]));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, part) in lines.iter().zip(["tokn", "session.up", "sample.asks"]) {
        assert!(line.contains(part), "{said}");
    }
}

#[test]
fn a_description_that_extends_an_unknown_one_is_one_error() {
    let program = Program::with("[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ours.toml");
    fs::write(&file, "format = 1\nname = \"ours\"\nextends = \"wahaa\"\n").unwrap();
    let said = errors(&program.run(&["providers", "check", file.to_str().unwrap()]));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("ours.toml:3: extends \"wahaa\""), "{said}");
    assert!(said.contains("`faceplate providers` lists"), "{said}");
}
