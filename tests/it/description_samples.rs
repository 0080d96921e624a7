//! `faceplate providers check` asks for a sample of each part of a description that none reaches.

use std::fs;

use crate::support::program::{Program, errors};

/// A gateway with every section that a sample can reach.
const ACME: &str = r#"format = 1
name = "acme"
account = "the account's name"
token = "the API key"
headers = { X-Key = "{token}" }

[jid]
contact = "{user}"
lid = "{user}@lid"
group = "{user}@g.us"

[[picture]]
for = ["contact", "group"]
path = "/v1/photos/{jid}"
link = ["/photo/href", "/photo/old"]

[[picture]]
for = ["me"]
path = "/v1/photo"
link = []
base64 = ["/data"]

[[reply]]
at = "/error"
is = "unknown number"
then = "not_found"

[[reply]]
status = 410
then = "not_set"

[chats]
path = "/v1/chats"
jid = ["/id"]

[session]
path = "/v1/state"
at = ["/state"]
up = ["open"]

[lid]
path = "/v1/lids/{jid}"
phone = ["/phone"]

[hook]
[[hook.event]]
at = "/kind"
is = ["photo"]
jid = ["/of"]
"#;

/// A sample, and the parts of the description that no other sample reaches.
const SAMPLES: [(&str, &[&str]); 9] = [
    (
        r#"ask = "628123@c.us"
reply = '{"photo":{"href":"https://pps.whatsapp.net/v/a.jpg"}}'
gives = "link https://pps.whatsapp.net/v/a.jpg""#,
        &["/photo/href of picture 1"],
    ),
    (
        r#"ask = "628123@c.us"
reply = '{"photo":{"old":"https://pps.whatsapp.net/v/a.jpg"}}'
gives = "link https://pps.whatsapp.net/v/a.jpg""#,
        &["/photo/old of picture 1"],
    ),
    (
        r#"ask = "me"
reply = '{"data":"iVBORw0KGgo="}'
gives = "bytes 8""#,
        &["picture 2", "/data of picture 2"],
    ),
    (
        r#"ask = "628123@c.us"
status = 404
reply = '{"error":"unknown number"}'
gives = "not_found""#,
        &["rule 1"],
    ),
    (
        r#"ask = "120363000000000001@g.us"
status = 410
reply = '{}'
gives = "not_set""#,
        &["rule 2", "a JID of the kind group"],
    ),
    (
        r#"call = "chats"
reply = '[{"id":"628123@c.us"}]'
gives = "628123@c.us""#,
        &["the call chats"],
    ),
    (
        r#"call = "session"
reply = '{"state":"open"}'
gives = "up""#,
        &["the call session"],
    ),
    (
        r#"call = "lid"
ask = "81896604192873@lid"
reply = '{"phone":"628123@c.us"}'
gives = "628123@c.us""#,
        &["a JID of the kind lid", "the call lid"],
    ),
    (
        r#"call = "hook"
reply = '{"kind":"photo","of":"628123@c.us"}'
gives = "?: 628123@c.us""#,
        &["the call hook", "event 1"],
    ),
];

/// The parts that the hints name for a description with these samples.
fn unreached(samples: &[&str]) -> Vec<String> {
    let program = Program::with("[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n");
    let file = program.folder.path().join("acme.toml");
    let mut text = ACME.to_owned();
    for sample in samples {
        text.push_str(&format!("\n[[sample]]\nfrom = \"assumed\"\n{sample}\n"));
    }
    fs::write(&file, text).unwrap();
    let output = program.run(&["providers", "check", file.to_str().unwrap()]);
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    let hint = "faceplate: hint: acme: no sample reaches ";
    let parts = said.lines().map(|line| line.strip_prefix(hint));
    let parts: Option<Vec<_>> = parts.map(|part| part.map(str::to_owned)).collect();
    parts.unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_description_is_asked_for_a_sample_of_each_part_that_none_reaches() {
    let all = SAMPLES.map(|(sample, _)| sample);
    assert!(unreached(&all).is_empty(), "{:?}", unreached(&all));
    for (left_out, parts) in SAMPLES {
        let others: Vec<_> = all.into_iter().filter(|one| *one != left_out).collect();
        assert_eq!(unreached(&others), parts, "{left_out}");
    }
}

#[test]
fn a_description_without_samples_is_asked_for_one_of_every_part() {
    let parts = unreached(&[]);
    let expected = SAMPLES.iter().flat_map(|(_, parts)| *parts);
    for part in expected.chain(&["picture 1", "a JID of the kind contact", "the call picture"]) {
        let count = parts.iter().filter(|one| one == part).count();
        assert_eq!(count, 1, "{part}: {parts:?}");
    }
    assert_eq!(parts.len(), 16, "{parts:?}");
}
