//! The alarms and the warnings of the dashboard, of a program that is in each of these conditions.

use std::fs;

use super::{FACE, open_dashboard};
use crate::{
    alerts::write_certificate,
    support::{program::Running, scene::Scene, webdriver::Browser},
};
use faceplate::emulator::{Fault, Rule};

/// The lines of a part of the page after a new look at the server, and their classes. None if the part is hidden.
async fn lines(browser: &Browser, part: &str, line: &str) -> Vec<(String, String)> {
    let script = format!(
        "return look().then(() => [...document.querySelectorAll('{part}:not([hidden]) {line}')] \
         .map((line) => [line.innerText, line.className]))"
    );
    let lines: Vec<(String, String)> = serde_json::from_value(browser.run(&script).await).unwrap();
    for (text, _) in &lines {
        // Such a line has a date, and the page has no private number of a contact.
        assert!(text.contains(':') && !text.contains("Invalid"), "{text}");
        assert!(!text.contains(FACE), "{text}");
    }
    lines
}

/// Asserts that the page has these alarms, which begin with these words, and no others.
#[track_caller]
fn assert_alarms(shown: &[(String, String)], expected: &[&str]) {
    assert_eq!(shown.len(), expected.len(), "{shown:?}");
    for ((alarm, _), words) in shown.iter().zip(expected) {
        assert!(alarm.starts_with(*words), "{words}: {shown:?}");
    }
}

const DISK: &str = "The disk is in trouble since ";
const CONFIGURATION: &str = "The newest configuration has a problem, ";
const CERTIFICATE: &str = "The certificate ends ";

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_has_an_alarm_for_a_short_disk_a_bad_configuration_and_a_certificate_s_end() {
    let mut scene = Scene::before_the_start().await;
    let folder = scene.program.folder.path().to_owned();
    let file = scene.program.config();
    let text = fs::read_to_string(&file).unwrap();
    let reserve = |size: &str| {
        let lines = format!("[cache]\nmin_free = \"{size}\"\n");
        text.replace("[cache]\n", &lines)
    };
    // No disk has so much free space.
    let short = reserve("9999TiB");
    let bad = short.replace("mode = \"open\"", "mode = \"opne\"");
    assert!(short != text && bad != short, "{text}");
    fs::write(&file, &short).unwrap();
    write_certificate(&folder, 3);
    let mut command = scene.program.command(&["serve"]);
    command.env(
        "FACEPLATE_SERVER__CERTIFICATE",
        folder.join("certificate.pem"),
    );
    command.env("FACEPLATE_SERVER__KEY", folder.join("key.pem"));
    scene.server = Some(Running::start(command));
    scene.server().wait_for("serving faces");
    scene.server().wait_for("the disk is short of space");

    let browser = Browser::open(1000, 700, &[]).await;
    let browser = open_dashboard(&scene.address("admin"), browser).await;
    let alarms = async || lines(&browser, "#alarm", "div").await;
    let shown = alarms().await;
    assert_alarms(&shown, &[DISK, CERTIFICATE]);
    for words in ["short of space", "MiB are free", "cache.min_free"] {
        assert!(shown[0].0.contains(words), "{words}: {shown:?}");
    }
    assert!(shown[1].0.ends_with(": renew its file"), "{shown:?}");

    fs::write(&file, &bad).unwrap();
    scene.server().wait_for("the old one stays in use");
    let shown = alarms().await;
    assert_alarms(&shown, &[DISK, CONFIGURATION, CERTIFICATE]);
    let words = "stays in use, and a restart would fail";
    assert!(shown[1].0.ends_with(words), "{shown:?}");

    write_certificate(&folder, 90);
    fs::write(&file, reserve("0b")).unwrap();
    scene.server().wait_for("enough free space again");
    let alarm = "document.getElementById('alarm')";
    browser.until(&format!("{alarm}.hidden")).await;
    assert_alarms(&alarms().await, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_the_latest_warnings_of_the_log_newest_first_and_errors_in_red() {
    let mut scene = Scene::set().await;
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    let control = scene.emulator.control();
    control.inject(Rule::api(broken).jid(FACE)).unwrap();
    scene.get(&format!("/avatar/waha/{FACE}")).await;
    scene.server().wait_for("no usable answer");
    scene.rewrite("mode = \"open\"", "mode = \"opne\"");
    scene.server().wait_for("the old one stays in use");

    let browser = Browser::open(1000, 700, &[]).await;
    let browser = open_dashboard(&scene.address("admin"), browser).await;
    let shown = lines(&browser, "#warned", "#warnings > div").await;
    let place = |words: &str| {
        let found = shown.iter().position(|(text, _)| text.contains(words));
        found.unwrap_or_else(|| panic!("{words}: {shown:?}"))
    };
    let result = place("the new configuration has problems; the old one stays in use");
    let problem = place("faceplate.toml: access.mode: ");
    let call = place("no usable answer");
    assert!(result < problem && problem < call, "{shown:?}");
    assert_eq!(shown[result].1, "bad");
    assert_eq!(shown[problem].1, "bad");
    assert_eq!(shown[call].1, "");
    for field in ["instance=waha", "outcome=\"vendor_error\"", "status=502"] {
        assert!(shown[call].0.contains(field), "{field}: {shown:?}");
    }
    let color = async |line: &str| {
        let line = format!("document.querySelector('#warnings > {line}')");
        let script = format!("return getComputedStyle({line}).color");
        browser.run(&script).await
    };
    assert_eq!(color("div.bad").await, "rgb(179, 38, 30)");
    assert_ne!(color("div:not(.bad)").await, "rgb(179, 38, 30)");
}
