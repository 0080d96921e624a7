//! `faceplate doctor` finds faults of an installation before its users do.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
};

use crate::support::program::{GOOD, Program, errors};
use faceplate::emulator::{Emulator, Fault, Options, Rule};
use serde_json::Value;

async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

/// The exit code, and the verdict and message of each check.
fn examine(program: &Program, env: &[(&str, &str)]) -> (i32, Vec<(String, String, String)>) {
    let mut command = program.command(&["doctor", "--json"]);
    command.envs(env.iter().copied());
    let output = command.output().unwrap();
    let all: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", errors(&output)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = all["findings"].as_array().unwrap().iter().map(|finding| {
        let said = text(&finding["found"]) + " → " + &text(&finding["remedy"]);
        (text(&finding["verdict"]), text(&finding["about"]), said)
    });
    (output.status.code().unwrap(), findings.collect())
}

#[track_caller]
fn assert_found(findings: &[(String, String, String)], verdict: &str, about: &str, word: &str) {
    assert!(
        findings
            .iter()
            .any(|(v, a, said)| v == verdict && a == about && said.contains(word)),
        "no {verdict} about {about} with {word:?} in {findings:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_no_fault_in_a_sound_installation() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let (code, findings) = examine(&program, &[]);
    assert_eq!(code, 0, "{findings:#?}");
    for (about, word) in [
        ("admin.listen", "no server answers"),
        ("cache.dir", "does not exist yet"),
        ("instances.waha.base_url", "127.0.0.1"),
        ("instances.waha.picture_hosts", "127.0.0.1"),
        ("instances.waha.token", "the session works"),
        ("clock", "differs from the vendor's by"),
    ] {
        assert_found(&findings, "ok", about, word);
    }
    assert_eq!(emulator.control().calls().api, 1);
    // It only looks.
    assert!(!program.folder.path().join("cache").exists());
    program.serve();
    let (_, findings) = examine(&program, &[]);
    assert_found(&findings, "ok", "cache.dir", "can be written to");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_accepts_a_running_server() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let running = program.serve();
    let admin = running.address("admin");
    let (code, findings) = examine(&program, &[("FACEPLATE_ADMIN__LISTEN", &admin)]);
    assert_eq!(code, 0, "{findings:#?}");
    assert_found(&findings, "ok", "admin.listen", "is ready");
    assert_found(&findings, "ok", "cache.dir", "in use by the running server");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_distinguishes_a_wrong_credential_from_a_session_that_is_down() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let (code, findings) = examine(&program, &[("TOKEN", "wrong-secret-token")]);
    assert_eq!(code, 1);
    let about = "instances.waha.token";
    assert_found(&findings, "fail", about, "check token");
    assert!(!format!("{findings:?}").contains("wrong-secret-token"));

    let down = Fault::Status {
        status: 422,
        retry_after: None,
    };
    emulator.control().inject(Rule::api(down)).unwrap();
    let (code, findings) = examine(&program, &[]);
    assert_eq!(code, 1);
    assert_found(&findings, "fail", about, "QR code");

    emulator.control().clear_faults();
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(60),
    };
    emulator.control().inject(Rule::api(limited)).unwrap();
    let (code, findings) = examine(&program, &[]);
    assert_eq!(code, 0);
    assert_found(&findings, "warn", about, "make no calls with this account");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_forbidden_address_and_how_to_allow_it() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let env = [("FACEPLATE_INSTANCES__WAHA__BASE_URL", "https://10.11.12.13")];
    let (code, findings) = examine(&program, &env);
    assert_eq!(code, 1);
    let about = "instances.waha.base_url";
    assert_found(
        &findings,
        "fail",
        about,
        "allow_private = [\"10.11.12.13/32\"]",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_the_host_of_the_vendor_s_links_that_is_not_among_picture_hosts() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let env = [("FACEPLATE_INSTANCES__WAHA__PICTURE_HOSTS", "127.0.0.1:9")];
    let (code, findings) = examine(&program, &env);
    assert_eq!(code, 1, "{findings:#?}");
    assert_found(&findings, "ok", "instances.waha.token", "the session works");
    let about = "instances.waha.picture_hosts";
    assert_found(&findings, "fail", about, "write it in picture_hosts");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_an_unreachable_gateway() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    drop(emulator);
    let (code, findings) = examine(&program, &[]);
    assert_eq!(code, 1);
    assert_found(&findings, "fail", "instances.waha.token", "the call failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_a_cache_directory_that_cannot_be_written() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let impossible = crate::support::program::impossible(program.folder.path());
    let (code, findings) = examine(&program, &[("FACEPLATE_CACHE__DIR", &impossible)]);
    assert_eq!(code, 1);
    assert_found(&findings, "fail", "cache.dir", "cache.dir");
    for (key, value, verdict) in [
        ("MIN_FREE", "900TiB", "fail"),
        ("MAX_BYTES", "900TiB", "warn"),
    ] {
        let name = format!("FACEPLATE_CACHE__{key}");
        let (_, findings) = examine(&program, &[(&name, value)]);
        let about = format!("cache.{}", key.to_lowercase());
        assert_found(&findings, verdict, &about, "MiB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_the_file_in_the_cache_directory_that_a_server_could_not_use() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    drop(program.serve());
    let cache = program.folder.path().join("cache");
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // As after a command that root ran.
        chown(&cache, Some(65534), Some(65534)).unwrap();
    } else {
        fs::set_permissions(cache.join("lock"), fs::Permissions::from_mode(0o400)).unwrap();
    }
    let (code, findings) = examine(&program, &[]);
    assert_eq!(code, 1);
    let lock = cache.join("lock").display().to_string();
    assert_found(&findings, "fail", "cache.dir", &lock);
    assert_found(&findings, "fail", "cache.dir", "chown -R");
}

#[test]
fn doctor_s_text_output_names_each_check_and_its_remedy() {
    let config =
        format!("{GOOD}base_url = \"https://192.168.1.1\"\n[admin]\nlisten = \"127.0.0.1:1\"\n");
    let program = Program::with(&config);
    let output = program.run(&["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("fail  instances.sales.base_url: 192.168.1.1"),
        "{said}"
    );
    assert!(
        said.contains("→ if the address is right, write allow_private"),
        "{said}"
    );
    assert!(errors(&output).contains("checks failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_that_the_running_server_has_another_cache_directory_than_the_command() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let server = program.serve();
    let admin = server.address("admin");
    let other = program.folder.path().join("other");
    let env = [
        ("FACEPLATE_ADMIN__LISTEN", admin.as_str()),
        ("FACEPLATE_CACHE__DIR", other.to_str().unwrap()),
    ];
    let (code, findings) = examine(&program, &env);
    assert_eq!(code, 0, "{findings:#?}");
    let used = program.folder.path().join("cache");
    let remedy = format!("FACEPLATE_CACHE__DIR={}", used.display());
    assert_found(&findings, "warn", "cache.dir", &remedy);
}
