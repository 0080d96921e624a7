//! Fuzz targets, one function each: it panics if the parser that it names does. `fuzz/` runs them with libFuzzer, and
//! the test below runs them over the seeds in `fuzz/corpus`. Neither is part of the released program.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use secrecy::SecretString;
use toml::{Table, Value};

use crate::{
    avatar::{Digest, Empty, Picture, Subject, Trouble},
    config,
    http::{Scope, SigningKey, Ticket},
    public::route::Route,
    representation::view,
    upstream::{
        Account, AnswerFacts, AnswerKind, CallHead, Description, HeadMatch, Link, Question,
        SHIPPED, Source, VendorAnswer, VendorReply, load, shipped,
    },
};
pub use crate::{server::fuzz::request_head, store::fuzz::index_file};

const SECRET: &str = "a-secret-that-must-not-leak";

/// A valid JID reads back as itself, is short, and has one spelling for one person.
pub fn jid(text: &str) {
    let Ok(subject) = text.parse::<Subject>() else {
        return;
    };
    let canonical = subject.as_str();
    assert!(canonical.len() <= 48);
    assert_eq!(canonical.parse(), Ok(subject));
    if let Some(user) = canonical.strip_suffix("@c.us") {
        assert_eq!(format!("{user}@s.whatsapp.net").parse(), Ok(subject));
        // `0@c.us`, WhatsApp's own account, has no phone number.
        if matches!(subject, Subject::Chat(_)) {
            assert_eq!(format!("+{user}").parse(), Ok(subject));
        }
    }
}

/// A valid picture has its format's magic number and an edge of 1 to 8,192 pixels. Without the file's metadata, it is as valid, and
/// nothing is left to remove.
pub fn picture(bytes: &[u8]) {
    let Ok(picture) = Picture::validate(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    let kept = picture.bytes();
    assert_eq!(picture.digest(), Digest::of(kept));
    assert_eq!(Picture::validate(kept.clone()).as_ref(), Ok(&picture));
    let (width, height) = picture.dimensions();
    assert!((1..=8192).contains(&width) && (1..=8192).contains(&height));
    let begins: &[&[u8]] = match picture.media().as_str() {
        "image/jpeg" => &[b"\xFF\xD8\xFF"],
        "image/png" => &[b"\x89PNG\r\n\x1A\n"],
        "image/webp" => &[b"RIFF"],
        "image/gif" => &[b"GIF87a", b"GIF89a"],
        other => panic!("{other}"),
    };
    assert!(begins.iter().any(|magic| kept.starts_with(magic)));
}

/// Every request target is routed or refused. A size is one that exists, and an unknown parameter changes nothing.
pub fn route(target: &str) {
    let Ok(uri) = target.parse() else {
        return;
    };
    if let Ok(Some(Route::Avatar(url))) = Route::parse(&uri) {
        assert!(url.view.size.is_none_or(|size| view::SIZES.contains(&size)));
        assert!(url.subject.as_str().len() <= 48);
        let separator = if uri.query().is_some() { '&' } else { '?' };
        if let Ok(busted) = format!("{uri}{separator}_cache=1").parse()
            && let Ok(Some(Route::Avatar(same))) = Route::parse(&busted)
        {
            assert_eq!(format!("{url:?}"), format!("{same:?}"));
        }
    }
}

/// A key, an instance, a wrong signature, an expiry, whether a refresh is allowed, and whether all faces are.
pub type SignatureInput<'a> = (&'a str, &'a str, &'a str, u64, bool, bool);

/// A signature is valid for the ticket that was signed and for no other.
pub fn signature((key, instance, given, expires, refresh, whole): SignatureInput<'_>) {
    let key = SigningKey::new(&SecretString::from(key));
    let Ok(subject) = "628100000001@c.us".parse() else {
        return;
    };
    let scope = |whole: bool| match whole {
        true => Scope::Instance,
        false => Scope::Face(subject),
    };
    let ticket = Ticket {
        scope: scope(whole),
        expires,
        refresh,
    };
    let query = key.query(instance, &ticket);
    let signature = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sig="))
        .unwrap_or_default();
    assert!(key.verify(signature, instance, &ticket));
    assert!(given == signature || !key.verify(given, instance, &ticket));
    let others = [
        Ticket {
            expires: expires ^ 1,
            ..ticket
        },
        Ticket {
            refresh: !refresh,
            ..ticket
        },
        Ticket {
            scope: scope(!whole),
            ..ticket
        },
    ];
    for other in others {
        assert!(!key.verify(signature, instance, &other));
    }
    assert!(!key.verify(signature, &format!("{instance}x"), &ticket));
}

/// A status less 100, a media type, whether a refresh is requested, and a body.
pub type ReplyInput<'a> = (u16, &'a str, bool, &'a [u8]);

/// Every provider understands or refuses every reply; a link that is accepted is dialed as it was checked.
pub fn vendor_reply((status, media, refresh, body): ReplyInput<'_>) {
    let Ok(status) = StatusCode::from_u16(100 + status % 500) else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(media) = media.parse() {
        headers.insert(header::CONTENT_TYPE, media);
    }
    let reply = VendorReply {
        status,
        headers,
        body: Bytes::copy_from_slice(body),
    };
    for subject in ["me", "628100000001@c.us", "123-456@g.us"] {
        let Ok(subject) = subject.parse() else {
            continue;
        };
        for provider in providers().iter() {
            let question = Question { subject, refresh };
            match provider.read_picture(&account(), &question, &reply) {
                Ok(VendorAnswer::Link(text)) => {
                    assert!(status.is_success());
                    check_link(&text);
                }
                Ok(VendorAnswer::Bytes(_)) => assert!(status.is_success()),
                _ => {}
            }
        }
    }
}

/// Every shipped description.
fn providers() -> &'static [Arc<Description>] {
    static ALL: LazyLock<Vec<Arc<Description>>> = LazyLock::new(|| {
        SHIPPED
            .iter()
            .filter_map(|(name, _)| shipped(name))
            .collect()
    });
    &ALL
}

fn account() -> Account {
    Account {
        name: "shop".into(),
        token: SECRET.into(),
        own: None,
        params: BTreeMap::new(),
    }
}

/// The text of a description, an account, a status less 100, and a body.
pub type DescriptionInput<'a> = (&'a str, &'a str, u16, &'a [u8]);

/// Every text is a description, or is refused with remedies. What it describes reads every reply, and no value adds a
/// segment or a parameter to a request.
pub fn description((text, name, status, body): DescriptionInput<'_>) {
    let source = Source {
        file: "fuzzed",
        text,
        has_lines: true,
        name: None,
    };
    let description = match load(source, shipped) {
        Ok(description) => description,
        Err(problems) => {
            assert!(problems.iter().all(|problem| !problem.remedy.is_empty()));
            assert!(!problems.is_empty());
            return;
        }
    };
    let _ = description.check_samples();
    let status = StatusCode::from_u16(100 + status % 500).unwrap_or_default();
    let reply = VendorReply {
        status,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
    };
    let odd = Account {
        name: name.into(),
        ..account()
    };
    for subject in [
        "me",
        "628100000001@c.us",
        "123-456@g.us",
        "1@lid",
        "2@newsletter",
    ] {
        let Ok(subject) = subject.parse() else {
            continue;
        };
        let question = Question {
            subject,
            refresh: true,
        };
        let plain = description.picture_call(&account(), &question);
        if let (Ok(plain), Ok(call)) = (plain, description.picture_call(&odd, &question)) {
            let count = |text: &str, sign| text.matches(sign).count();
            for sign in ['/', '?', '#'] {
                assert_eq!(count(&call.target, sign), count(&plain.target, sign));
            }
            assert!(count(&call.target, '&') <= count(&plain.target, '&'));
            assert!(call.target.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        match description.read_picture(&odd, &question, &reply) {
            Ok(VendorAnswer::Link(link)) => check_link(&link),
            Ok(_) => {}
            Err(failure) => assert!(!failure.detail.contains(SECRET)),
        }
    }
    let _ = description.read_chat_list(&reply);
    let _ = description.read_session(&reply);
    for is_form in [false, true] {
        let _ = description.read_event(body, is_form);
    }
}

/// Requests of a program to a gateway, after the name of the gateway or the text of a description:
///
/// ```text
/// evolution
/// ---
/// POST /chat/fetchProfilePictureUrl/shop
/// apikey: KEY
///
/// {"number":"628100000001"}
/// ```
///
/// A request is never one of an account whose credential it does not have, and no answer has a credential.
pub fn dropin(input: &str) {
    let Some((gateway, request)) = input.split_once("\n---\n") else {
        return;
    };
    let source = Source {
        file: "fuzzed",
        text: gateway,
        has_lines: true,
        name: None,
    };
    let written = || load(source, shipped).ok().map(Arc::new);
    let Some(description) = shipped(gateway).or_else(written) else {
        return;
    };
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let (method, target) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .unwrap_or_default();
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<Uri>()) else {
        return;
    };
    let fields = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.parse().ok()?, value.parse().ok()?))
    });
    let headers: HeaderMap = fields.collect();
    let Some(head) = CallHead::new(&method, &uri, &headers) else {
        return;
    };
    // No input has the digest of itself in it.
    let stranger = Account {
        token: Digest::of(input.as_bytes()).short().as_str().into(),
        ..account()
    };
    let found = description.match_head(&stranger, &head);
    assert!(!matches!(found, HeadMatch::Call(_)));
    let _ = description.methods_at(&head);
    for outline in description.outlines() {
        assert!(outline.path.starts_with('/'));
    }
    if let Some(shape) = description.match_shape(&head) {
        check_answers(&description, shape.picture, &head, None);
    }
    let HeadMatch::Call(pictures) = description.match_head(&account(), &head) else {
        return;
    };
    let body = serde_json::from_str(body).ok();
    let read = description.match_face(&pictures, &account(), &head, body.as_ref());
    if let Ok(call) = read {
        assert!(pictures.contains(&call.picture));
        let subject = call.question.subject;
        assert_eq!(subject.as_str().parse(), Ok(subject));
        check_answers(&description, call.picture, &head, Some(subject));
    }
}

/// Every answer to a call is of its media type and repeats no credential but one that the program sent as an account.
fn check_answers(
    description: &Description,
    picture: usize,
    head: &CallHead<'_>,
    subject: Option<Subject>,
) {
    const LINK: &str = "https://faces.example/avatar/shop/me?sig=a%2Fb";
    let named = description.named_account(picture, head);
    let kinds = [
        (AnswerKind::Picture, Some(LINK)),
        (AnswerKind::Empty(Empty::NotSet), None),
        (AnswerKind::Empty(Empty::NotFound), None),
        (AnswerKind::Trouble(Trouble::Auth), None),
        (AnswerKind::Trouble(Trouble::VendorError), None),
        (AnswerKind::TimedOut, None),
        (AnswerKind::Malformed, None),
        (AnswerKind::NoAccount, None),
    ];
    for (kind, link) in kinds {
        let facts = AnswerFacts {
            kind,
            account: &named,
            subject,
            link,
            changed: 1,
        };
        let answer = description.write_answer(picture, &facts);
        let text = String::from_utf8_lossy(&answer.body);
        assert!(named.contains(SECRET) || !text.contains(SECRET));
        if answer.media == "application/json" {
            assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok());
        }
    }
}

/// The host and port that are checked are those that are dialed.
fn check_link(text: &str) {
    if let Ok(link) = Link::parse(text)
        && let Ok(uri) = link.uri()
    {
        let (host, port) = link.origin();
        assert!(!host.is_empty());
        assert_eq!(uri.host(), Some(host));
        let default = if link.is_secure() { 443 } else { 80 };
        assert_eq!(uri.port_u16().unwrap_or(default), port);
    }
}

/// A configuration is valid, or every problem has a remedy; no problem quotes a secret.
pub fn configuration(text: &str) {
    // The content of a named file is not the fuzzer's, and some files never end. A secret that the fuzzer guessed may be
    // quoted from other places.
    if ["file:", ".pem", SECRET].iter().any(|no| text.contains(no)) {
        return;
    }
    // A secret in plain text is not quoted either, whatever its type.
    if let Ok(table) = text.parse::<Table>() {
        for secret in plain_secrets() {
            let misplaced = with_secrets(table.clone(), &secret).to_string();
            check_problems(&misplaced, &[]);
        }
    }
    let env = [("VENDOR_TOKEN", SECRET), ("FACEPLATE_SIGNING_KEY", SECRET)];
    check_problems(text, &env);
}

fn check_problems(text: &str, env: &[(&str, &str)]) {
    if let Err(problems) = config::from_text("fuzzed", text, env.iter().copied()) {
        assert!(!problems.0.is_empty());
        assert!(problems.0.iter().all(|problem| !problem.remedy.is_empty()));
        assert!(!problems.to_string().contains(SECRET), "{problems}");
    }
}

/// The secret as a string, and in three types that a secret cannot have.
fn plain_secrets() -> [Value; 4] {
    let text = Value::String(SECRET.into());
    [
        text.clone(),
        Value::Array(vec![text.clone()]),
        Value::Array(vec![Value::Array(vec![text.clone()])]),
        Value::Table(Table::from_iter([("a".to_owned(), text)])),
    ]
}

/// The same configuration with `secret` at every key that holds one. Other keys are quoted in problems, so that the
/// operator finds them.
fn with_secrets(mut table: Table, secret: &Value) -> Table {
    let places = [
        ("admin", &["token"][..]),
        ("access", &["signing_keys", "bearer_tokens"]),
    ];
    for (section, keys) in places {
        let section = table.get_mut(section).and_then(Value::as_table_mut);
        insert(section, keys, secret);
    }
    let instances = table.get_mut("instances").and_then(Value::as_table_mut);
    for (_, instance) in instances.into_iter().flatten() {
        insert(instance.as_table_mut(), &["token"], secret);
    }
    table
}

fn insert(section: Option<&mut Table>, keys: &[&str], secret: &Value) {
    if let Some(section) = section {
        for key in keys {
            section.insert((*key).to_owned(), secret.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use arbitrary::{Arbitrary, Unstructured};

    use super::*;

    type Target = (&'static str, fn(&[u8]));

    /// The targets of `fuzz/fuzz_targets`, by name.
    const TARGETS: [Target; 10] = [
        ("config", |seed| configuration(decode(seed))),
        ("description", |seed| description(decode(seed))),
        ("dropin", |seed| dropin(decode(seed))),
        ("head", request_head),
        ("image", picture),
        ("index", index_file),
        ("jid", |seed| jid(decode(seed))),
        ("query", |seed| route(decode(seed))),
        ("signature", |seed| signature(decode(seed))),
        ("vendor_json", |seed| vendor_reply(decode(seed))),
    ];

    /// The input that libFuzzer makes of these bytes.
    fn decode<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> T {
        T::arbitrary_take_rest(Unstructured::new(bytes)).expect("a seed of this target's type")
    }

    /// The names in a folder below `fuzz/`, without their endings.
    fn names(folder: &str) -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let items = fs::read_dir(root.join(folder)).unwrap();
        let names = items.map(|item| item.unwrap().path().with_extension(""));
        names
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_fuzz_target_accepts_every_seed_of_its_corpus() {
        let listed = BTreeSet::from(TARGETS.map(|(name, _)| name.to_owned()));
        assert_eq!(listed, names("fuzz_targets"), "TARGETS lists all of them");
        assert_eq!(listed, names("corpus"), "each has a corpus");
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
            let seeds: Vec<_> = fs::read_dir(folder.join(name)).unwrap().collect();
            assert!(!seeds.is_empty(), "fuzz/corpus/{name} is empty");
            for seed in seeds {
                let path = seed.unwrap().path();
                // Shown if the target panics.
                println!("{}", path.display());
                target(&fs::read(path).unwrap());
            }
        }
    }
}
