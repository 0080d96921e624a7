//! What a description of the operator's cannot do: reach another host than the instance's own settings allow.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    support::program::{Program, errors},
    wire::{Server, picture, response},
};

/// A gateway that the operator describes.
const GATEWAY: &str = r#"
format = 1
account = "the account's name"
token = "the API key"
headers = { X-Key = "{token}" }
jid = { contact = "{user}" }
picture = [{ for = ["contact"], path = "/photo/{jid}", link = ["/href"] }]
"#;

const FACE: &str = "628100000001";

#[tokio::test]
async fn the_picture_hosts_of_a_description_do_not_widen_the_address_guard() {
    let downloads = Arc::new(AtomicUsize::new(0));
    let counted = downloads.clone();
    let server = Server::start(move |server, received| {
        if received.head.starts_with("GET /photo/") {
            let body = format!("{{\"href\":\"http://{server}/a.jpg\"}}");
            return Some(response("200 OK", "", body.as_bytes()));
        }
        counted.fetch_add(1, Ordering::Relaxed);
        Some(response("200 OK", "", &picture()))
    })
    .await;
    let address = server.address;
    let described = format!("{GATEWAY}defaults = {{ picture_hosts = [\"{address}\"] }}\n");
    // It has no picture_hosts of its own.
    let trusting = format!(
        "provider = \"acme\"\naccount = \"other\"\ntoken = \"env:TOKEN\"\n\
         base_url = \"http://{address}\"\nallow_private = [\"127.0.0.0/8\"]"
    );
    let rig = server
        .settings()
        .section("providers.acme", &described)
        .section("instances.trusting", &trusting)
        .only("waha", "provider = \"acme\"")
        .start()
        .await;
    rig.face("trusting", FACE)
        .await
        .assert_fallback("vendor_error");
    assert_eq!(downloads.load(Ordering::Relaxed), 0);
    // The same link, for an instance that names the host itself.
    rig.face("waha", FACE).await.assert_picture(&picture());
    assert_eq!(downloads.load(Ordering::Relaxed), 1);
}

#[test]
fn a_description_cannot_allow_a_private_network() {
    let program = Program::with("[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n");
    let file = program.folder.path().join("acme.toml");
    let network = "defaults = { allow_private = [\"10.0.0.0/8\"] }";
    fs::write(&file, format!("name = \"acme\"{GATEWAY}{network}\n")).unwrap();
    let output = program.run(&["providers", "check", file.to_str().unwrap()]);
    let said = errors(&output);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("unknown key defaults.allow_private"),
        "{said}"
    );
}

/// The warnings of `faceplate check` about the provider of an instance with these lines.
fn warnings(described: &str, instance: &str) -> Vec<String> {
    let program = Program::with(&format!(
        "[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n[providers.acme]\n{described}\n\
         [instances.shop]\naccount = \"shop\"\ntoken = \"env:TOKEN\"\n{instance}\n"
    ));
    let output = program.run(&["check"]);
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    let warnings = said.lines().filter(|line| line.contains("warning: "));
    let warnings = warnings.filter_map(|line| line.split_once("instances.shop.provider: "));
    warnings.map(|(_, words)| words.to_owned()).collect()
}

#[test]
fn check_warns_of_a_description_that_names_hosts() {
    const KEY: &str = "its description names the host that the API key is sent to";
    const PICTURES: &str = "the picture_hosts of a description outside of this program do not";
    let own = "provider = \"acme\"\nbase_url = \"https://acme.example\"";
    let hosted = format!("{GATEWAY}base_url = \"https://acme.example\"");
    let hosts = format!("{GATEWAY}defaults = {{ picture_hosts = [\"cdn.example\"] }}");
    let both = format!("{hosts}\nbase_url = \"https://acme.example\"");
    // That of the program, which names a host, too.
    let extended = "format = 1\nextends = \"wawp\"";
    let (hosted, hosts, both) = (hosted.as_str(), hosts.as_str(), both.as_str());
    for (described, instance, expected) in [
        (hosted, "provider = \"acme\"", &[KEY][..]),
        (hosted, own, &[KEY]),
        (hosts, own, &[PICTURES]),
        (both, own, &[KEY, PICTURES]),
        (GATEWAY, own, &[]),
        (extended, "provider = \"acme\"", &[]),
        // A description that no instance uses.
        (both, "provider = \"wawp\"", &[]),
    ] {
        let warnings = warnings(described, instance);
        assert_eq!(warnings.len(), expected.len(), "{described}: {warnings:?}");
        for (warning, words) in warnings.iter().zip(expected) {
            assert!(warning.starts_with(*words), "{described}: {warnings:?}");
        }
    }
}

#[test]
fn check_warns_of_each_instance_whose_description_names_a_host() {
    let names = ["shop", "store", "outlet"];
    let instances = names.map(|name| {
        format!(
            "[instances.{name}]\nprovider = \"acme\"\naccount = \"{name}\"\ntoken = \"env:TOKEN\"\n"
        )
    });
    let program = Program::with(&format!(
        "[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n[providers.acme]\n{GATEWAY}\
         base_url = \"https://acme.example\"\n{}",
        instances.concat()
    ));
    let output = program.run(&["check"]);
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    for name in names {
        let key = format!("instances.{name}.provider: its description names the host");
        assert_eq!(said.matches(&key).count(), 1, "{name}: {said}");
    }
}
