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
    for (status, body, reading) in [
        ("200", r#"{"ok":true,"photo":{"href":null}}"#, "unknown"),
        ("200", r#"{"okay":true}"#, "vendor_error"),
        ("429", "", "rate_limited"),
    ] {
        let reply = folder.path().join("reply.json");
        fs::write(&reply, body).unwrap();
        let reply = reply.to_str().unwrap();
        let args = [
            "doctor",
            "--explain",
            "acme",
            "--reply",
            reply,
            "--status",
            status,
        ];
        let output = program.run(&args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains(reading), "{status} {body}: {text}");
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
