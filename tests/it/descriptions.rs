//! Gateways as files: an operator's description, from its page in the documents to a face.

use std::{
    fs::{self, File},
    io,
};

use tempfile::TempDir;

use crate::{
    support::program::{Program, errors},
    wire::{Server, picture, response},
};

/// The gateway that docs/providers.md invents.
fn acme() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/providers.md");
    let page = fs::read_to_string(page).unwrap();
    let block = page.split("```toml").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("   ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// A folder with the description, for `providers.dir`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("acme.toml"), acme()).unwrap();
    folder
}

#[tokio::test]
async fn a_description_in_the_operator_s_directory_is_a_gateway() {
    let server = Server::start(|server, received| {
        if received
            .head
            .starts_with("GET /v1/accounts/shop/photo?of=628100000001 ")
        {
            assert!(received.head.contains("x-key: "), "{}", received.head);
            let link = format!("http://{server}/a.jpg");
            let body = format!("{{\"ok\":true,\"photo\":{{\"href\":\"{link}\"}}}}");
            return Some(response("200 OK", "", body.as_bytes()));
        }
        if received.head.starts_with("GET /v1/") {
            let none = br#"{"ok":true,"photo":{"href":null}}"#;
            return Some(response("200 OK", "", none));
        }
        Some(response("200 OK", "", &picture()))
    })
    .await;
    let folder = folder();
    let rig = server
        .settings()
        .section(
            "providers",
            &format!("dir = \"{}\"", folder.path().display()),
        )
        .only("waha", "provider = \"acme\"")
        .start()
        .await;
    rig.face("waha", "628100000001")
        .await
        .assert_picture(&picture());
    rig.face("waha", "628100000002")
        .await
        .assert_fallback("unknown");
}

/// The program, with an instance of the gateway.
fn program(folder: &TempDir) -> Program {
    Program::with(&format!(
        r#"
        [access]
        mode = "open"
        [cache]
        dir = "DIR/cache"
        [providers]
        dir = "{}"
        [instances.shop]
        provider = "acme"
        account = "shop"
        token = "env:TOKEN"
        base_url = "https://acme.example"
        "#,
        folder.path().display()
    ))
}

#[test]
fn the_command_lists_shows_and_checks_descriptions() {
    let folder = folder();
    let program = program(&folder);
    let text = |args: &[&str]| {
        let output = program.run(args);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (is_ok, list) = text(&["providers"]);
    assert!(is_ok, "{list}");
    for name in ["waha", "evolution", "acme"] {
        assert!(list.contains(name), "{name}: {list}");
    }
    let (is_ok, shown) = text(&["providers", "show", "evolution"]);
    assert!(is_ok && shown.contains("format = 1"), "{shown}");
    let file = folder.path().join("acme.toml");
    let file = file.to_str().unwrap();
    let (is_ok, checked) = text(&["providers", "check", file]);
    assert!(is_ok, "{checked}");

    fs::write(file, acme().replace("link =", "lnik =")).unwrap();
    let (is_ok, refused) = text(&["providers", "check", file]);
    assert!(!is_ok, "{refused}");
    for part in ["lnik", "link", "acme.toml"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

#[test]
fn a_saved_reply_is_explained_without_a_call() {
    let folder = folder();
    let program = program(&folder);
    let file = folder.path().join("acme.toml");
    let given = ["acme", file.to_str().unwrap()];
    let replies = [
        ("200", r#"{"ok":true,"photo":{"href":null}}"#, "unknown"),
        ("200", r#"{"okay":true}"#, "vendor_error"),
        ("429", "", "rate_limited"),
    ];
    for (name, (status, body, reading)) in given.iter().flat_map(|it| replies.map(|of| (it, of))) {
        let reply = folder.path().join("reply.json");
        fs::write(&reply, body).unwrap();
        let reply = reply.to_str().unwrap();
        let args = [
            "doctor",
            "--explain",
            name,
            "--reply",
            reply,
            "--status",
            status,
        ];
        let output = program.run(&args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains(reading), "{name} {status} {body}: {text}");
    }
}

/// A gateway described in the configuration, with a further value and limits.
const INLINE: &str = r#"
format = 1
account = "the account's name"
token = "the API key"
headers = { X-Key = "{token}", X-Region = "{region}" }
params = { region = { what = "the region", default = "eu" } }
defaults = { daily = 2 }
jid = { contact = "{user}" }
picture = [{ for = ["contact"], path = "/{region}/{jid}", link = ["/href"] }]
"#;

#[tokio::test]
async fn a_description_in_the_configuration_is_a_gateway_with_its_params_and_defaults() {
    let server = Server::start(|server, received| {
        for region in ["eu", "us"] {
            if received.head.starts_with(&format!("GET /{region}/")) {
                let header = format!("x-region: {region}\r\n");
                assert!(received.head.contains(&header), "{}", received.head);
                let body = format!("{{\"href\":\"http://{server}/{region}.jpg\"}}");
                return Some(response("200 OK", "", body.as_bytes()));
            }
        }
        Some(response("200 OK", "", &picture()))
    })
    .await;
    let address = server.address;
    let rig = server
        .settings()
        .section("providers.acme", INLINE)
        .only("waha", "provider = \"acme\"")
        .only("wawp", "provider = \"acme\"")
        .only("wawp", "account = \"other\"")
        .only("wawp", "params.region = \"us\"")
        .only("wawp", "daily = 1000")
        .only("wawp", &format!("base_url = \"http://{address}\""))
        .only("wawp", &format!("picture_hosts = [\"{address}\"]"))
        .start()
        .await;
    for nth in 1..=3 {
        let jid = format!("62810000000{nth}");
        let other = rig.face("wawp", &jid).await;
        other.assert_picture(&picture());
        let answer = rig.face("waha", &jid).await;
        match nth {
            1 | 2 => answer.assert_picture(&picture()),
            _ => answer.assert_fallback("over_budget"),
        }
    }
}

#[test]
fn check_names_the_params_that_are_missing_or_unknown() {
    let folder = folder();
    let required = acme().replace("[jid]", "params.region.what = \"the region\"\n[jid]");
    fs::write(folder.path().join("acme.toml"), required).unwrap();
    let program = program(&folder);
    let refused = errors(&program.run(&["check"]));
    assert!(
        refused.contains("instances.shop.params.region") && refused.contains("the region"),
        "{refused}"
    );
    let config = fs::read_to_string(program.config()).unwrap();
    let unknown = format!("{config}\nparams = {{ region = \"env:TOKEN\", zone = \"a\" }}\n");
    fs::write(program.config(), unknown).unwrap();
    let refused = errors(&program.run(&["check"]));
    assert!(
        refused.contains("params.zone") && !refused.contains("the region"),
        "{refused}"
    );
}

#[test]
fn check_names_each_instance_with_an_unknown_provider_and_a_mistake_of_a_description_once() {
    let folder = folder();
    let program = program(&folder);
    let more = |config: &str| {
        let branch = "[instances.branch]\nprovider = \"acme\"\naccount = \"branch\"\n\
                      token = \"env:TOKEN\"\nbase_url = \"https://acme.example\"\n";
        format!("{config}\n{branch}")
    };
    let config = more(&fs::read_to_string(program.config()).unwrap());
    let unknown = config.replace("provider = \"acme\"", "provider = \"acmee\"");
    fs::write(program.config(), unknown).unwrap();
    let refused = errors(&program.run(&["check"]));
    for name in ["shop", "branch"] {
        let problem = format!("instances.{name}.provider: \"acmee\" is not a known provider");
        assert_eq!(refused.matches(&problem).count(), 1, "{refused}");
    }
    fs::write(program.config(), config).unwrap();
    let mistaken = acme().replace("link =", "lnik =");
    fs::write(folder.path().join("acme.toml"), mistaken).unwrap();
    let refused = errors(&program.run(&["check"]));
    let lines = refused.lines().filter(|line| line.contains("lnik"));
    assert_eq!(lines.count(), 1, "{refused}");
}

#[test]
fn a_file_of_a_shipped_name_replaces_and_extends_the_shipped_description() {
    let folder = folder();
    let text = "format = 1\nname = \"waha\"\nextends = \"waha\"\ntitle = \"Our WAHA\"\n";
    fs::write(folder.path().join("waha.toml"), text).unwrap();
    let program = program(&folder);
    let printed = |args: &[&str]| String::from_utf8(program.run(args).stdout).unwrap();
    assert!(printed(&["providers"]).contains("Our WAHA (own)"));
    assert_eq!(printed(&["providers", "show", "waha"]), text);
    assert!(!printed(&["check"]).contains("replaces"));
    let config = fs::read_to_string(program.config()).unwrap();
    let config = config.replace("provider = \"acme\"", "provider = \"waha\"");
    fs::write(program.config(), config).unwrap();
    let checked = program.run(&["check"]);
    assert!(checked.status.success(), "{}", errors(&checked));
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(
        checked.contains("waha: your description replaces the one of this program"),
        "{checked}"
    );
}

#[test]
fn a_command_whose_reader_is_gone_ends_quietly_with_its_own_exit_code() {
    let folder = folder();
    let program = program(&folder);
    let file = folder.path().join("acme.toml");
    let reply = folder.path().join("reply.json");
    fs::write(&reply, "{}").unwrap();
    let (file, reply) = (file.to_str().unwrap(), reply.to_str().unwrap());
    for (args, is_ok) in [
        (&["providers"][..], true),
        (&["providers", "show", "waha"], true),
        (&["providers", "check", file], true),
        (&["providers", "show", "nobody"], false),
        (&["check"], true),
        (&["cache", "stats"], false),
        (&["doctor", "--explain", "acme", "--reply", reply], true),
    ] {
        let gone = || {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            writer
        };
        let mut command = program.command(args);
        let output = command.stdout(gone()).output().unwrap();
        let said = errors(&output);
        assert_eq!(output.status.success(), is_ok, "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        // Without standard error, too, as with `2>&1 | head`.
        let status = command.stdout(gone()).stderr(gone()).status().unwrap();
        assert_eq!(status.code(), output.status.code(), "{args:?}");
    }
}

#[test]
fn a_command_that_cannot_print_fails_and_says_why() {
    let folder = folder();
    let program = program(&folder);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = program.command(&["providers"]).stdout(full).output();
    let said = errors(&output.unwrap());
    assert!(said.contains("cannot write to standard output"), "{said}");
}

#[test]
fn descriptions_are_listed_checked_and_explained_without_the_secrets_of_the_configuration() {
    let folder = folder();
    let program = program(&folder);
    let config = fs::read_to_string(program.config()).unwrap();
    let config = config.replace("env:TOKEN", "env:IS_NOT_THERE");
    fs::write(program.config(), config).unwrap();
    let (file, reply) = (
        folder.path().join("acme.toml"),
        folder.path().join("reply.json"),
    );
    fs::write(&reply, r#"{"ok":true,"photo":{"href":null}}"#).unwrap();
    let (file, reply) = (file.to_str().unwrap(), reply.to_str().unwrap());
    assert!(!program.run(&["check"]).status.success());
    for (args, words) in [
        (&["providers"][..], "acme"),
        (&["providers", "show", "acme"], "format = 1"),
        (&["providers", "check", file], "all come out as they say"),
        (
            &["doctor", "--explain", "acme", "--reply", reply],
            "gives unknown",
        ),
    ] {
        let output = program.run(args);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn a_description_with_a_mistake_does_not_hide_the_list_of_the_others() {
    let folder = folder();
    fs::write(folder.path().join("broken.toml"), "format = 1\n").unwrap();
    let output = program(&folder).run(&["providers"]);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("acme") && said.contains("wappfy"), "{said}");
    let problems = errors(&output);
    assert!(
        problems.contains("broken.toml:1: name is missing"),
        "{problems}"
    );
}

/// The commands of the page, and what they print there.
fn commands() -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/providers.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```console\n").skip(1);
    let blocks = blocks.map(|block| {
        let lines = block.split("   ```").next().unwrap().lines();
        let lines: Vec<_> = lines
            .map(|line| line.strip_prefix("   ").unwrap_or(line))
            .collect();
        let command = lines[0].strip_prefix("$ faceplate ").unwrap().to_owned();
        (command, lines[1..].join("\n") + "\n")
    });
    blocks.collect()
}

#[test]
fn the_example_of_the_page_prints_what_the_page_says() {
    let folder = folder();
    let program = program(&folder);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let picture = r#"{"ok":true,"photo":{"href":"https://pps.whatsapp.net/v/a.jpg"}}"#;
    fs::write(file("picture.json"), picture).unwrap();
    let commands = commands();
    assert_eq!(commands.len(), 2);
    for (command, printed) in commands {
        let command = command
            .replace("providers/acme.toml", &file("acme.toml"))
            .replace("picture.json", &file("picture.json"));
        let args: Vec<_> = command.split(' ').collect();
        let output = program.run(&args);
        // No hint, either.
        assert_eq!(errors(&output), "", "{command}");
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            printed,
            "{command}"
        );
    }
    let moved = acme().replace("/photo/href", "/photo/url");
    fs::write(file("acme.toml"), moved).unwrap();
    let args = [
        "doctor",
        "--explain",
        "acme",
        "--reply",
        &file("picture.json"),
    ];
    let said = String::from_utf8(program.run(&args).stdout).unwrap();
    let words = "link at '/photo/url' is missing; members of /photo: href (text)";
    assert!(said.contains(words), "{said}");
}

/// A gateway whose reply is the picture itself.
const BYTES: &str = "format = 1\nname = \"raw\"\nheaders = { X-Key = \"{token}\" }\n[jid]\ncontact = \"{user}\"\n\
    [[picture]]\nfor = [\"contact\"]\npath = \"/photo/{jid}\"\nlink = []\nbytes = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_picture_are_not_taken_for_one_by_doctor() {
    let server = Server::start(|_, received| {
        let is_face = received.head.starts_with("GET /photo/628100000001 ");
        match is_face {
            true => Some(response("200 OK", "", &picture())),
            false => Some(response("200 OK", "", b"\x01\x02 any bytes")),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("raw.toml"), BYTES).unwrap();
    let program = |own: &str| {
        Program::with(&format!(
            "[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n[providers]\ndir = \"{}\"\n[instances.shop]\n\
             provider = \"raw\"\naccount = \"shop\"\ntoken = \"env:TOKEN\"\nown_jid = \"{own}\"\n\
             base_url = \"http://{}\"\nallow_private = [\"127.0.0.0/8\"]\n",
            folder.path().display(),
            server.address
        ))
    };
    let (good, bad) = ("628100000001", "628100000002");
    let said = |own: &str, args: &[&str]| {
        let output = program(own).run(args);
        let text = String::from_utf8(output.stdout.clone()).unwrap() + &errors(&output);
        text.lines()
            .filter(|line| line.contains("instances.shop.token") || line.contains("server"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let accepted = said(good, &["doctor"]);
    assert!(accepted.contains("the session works"), "{accepted}");
    let refused = said(bad, &["doctor"]);
    assert!(refused.contains("with no picture: "), "{refused}");
    assert!(refused.contains("fail  instances.shop.token"), "{refused}");
    for (jid, words) in [
        (good, "the server accepts the bytes: a image/"),
        (
            bad,
            "the server refuses the bytes, and shows vendor_error: the bytes are not",
        ),
    ] {
        let said = said(good, &["doctor", "--explain", "shop", jid]);
        assert!(said.contains(words), "{said}");
    }
    let reply = folder.path().join("reply");
    fs::write(&reply, "GIF89a cut off").unwrap();
    let args = [
        "doctor",
        "--explain",
        "raw",
        "--reply",
        reply.to_str().unwrap(),
    ];
    let said = said(good, &args);
    assert!(said.contains("the server refuses the bytes"), "{said}");
}
