//! The commands of the real binary, and their messages when something is wrong.

use std::{io::Write, net::TcpStream, os::unix::fs::PermissionsExt};

use crate::support::{
    Answer, LIMIT,
    program::{GOOD, Program, Running, errors, impossible},
    until,
};
use faceplate::emulator::{Emulator, Fault, Options, Rule, Vendor};

async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

#[test]
fn check_accepts_a_valid_configuration() {
    let output = Program::with(GOOD).run(&["check"]);
    assert!(output.status.success(), "{}", errors(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("sales: wawp at https://api.wawp.net/"),
        "{said}"
    );
}

#[test]
fn check_accepts_the_sample_configuration_once_its_secrets_are_set() {
    let sample = include_str!("../../config/faceplate.toml");
    let program = Program::with(sample);
    let mut command = program.command(&["check"]);
    let output = command
        .env("FACEPLATE_SIGNING_KEY", "0123456789abcdef")
        .env("VENDOR_TOKEN", "x")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
}

#[test]
fn check_reports_every_problem_at_once_with_file_key_and_remedy() {
    let program = Program::with(
        r#"
        [server]
        listen = "0.0.0.0:8080"
        listne = "127.0.0.1:8080"
        [admin]
        listen = "0.0.0.0:9090"
        [access]
        mode = "open"
        [cache]
        ttl = "24 hours"
        max_bytes = "10GB of it"
        [instances.sales]
        provider = "whatsapp"
        account = "1"
        token = "env:NOT_SET_ANYWHERE"
        own_jid = "08123"
        picture_hosts = ["*"]
        [instances.support]
        provider = "waha"
        account = "default"
        token = "file:/does/not/exist"
        allow_private = ["10.0.0.0/99"]
        "#,
    );
    let output = program.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    for (key, remedy) in [
        ("server.listne", "listen"),
        ("admin.token", "/run/secrets/admin"),
        ("access.mode", "allow_public"),
        ("cache.ttl", "24h"),
        ("cache.max_bytes", "10GiB"),
        ("instances.sales.provider", "did you mean"),
        ("instances.sales.token", "NOT_SET_ANYWHERE"),
        ("instances.sales.own_jid", "country code"),
        ("instances.sales.picture_hosts", "*.whatsapp.net"),
        ("instances.support.token", "/does/not/exist"),
        ("instances.support.allow_private", "CIDR"),
        ("instances.support.base_url", "https://waha.example"),
    ] {
        let line = said
            .lines()
            .find(|line| line.contains(&format!("faceplate.toml: {key}: ")));
        let line = line.unwrap_or_else(|| panic!("nothing about {key} in:\n{said}"));
        assert!(
            line.to_lowercase().contains(&remedy.to_lowercase()),
            "{line}"
        );
    }
}

#[test]
fn an_environment_variable_overrides_a_key_and_is_named_when_it_is_wrong() {
    let program = Program::with(GOOD);
    let check = |name: &str, value: &str| {
        let output = program
            .command(&["check"])
            .env(name, value)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            errors(&output),
        )
    };
    let (_, said, _) = check("FACEPLATE_INSTANCES__SALES__PROVIDER", "hypersender");
    assert!(said.contains("sales: hypersender"), "{said}");
    let (_, said, _) = check("FACEPLATE_INSTANCES__SALES__LOOKUPS__PER_MINUTE", "7");
    assert!(said.contains("7 lookups a minute"), "{said}");
    let (fine, _, said) = check("FACEPLATE_CACHE__TTL", "soon");
    assert!(!fine);
    assert!(said.contains("FACEPLATE_CACHE__TTL: cache.ttl: "), "{said}");
}

#[test]
fn a_toml_syntax_error_is_reported_with_its_line() {
    let output = Program::with("[server]\nlisten = \n").run(&["check"]);
    assert!(
        errors(&output).contains("faceplate.toml:2: is not valid TOML"),
        "{}",
        errors(&output)
    );
}

#[test]
fn a_missing_configuration_file_is_reported_with_a_remedy() {
    let program = Program::with("");
    std::fs::remove_file(program.config()).unwrap();
    let output = program.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("faceplate init GATEWAY"),
        "{}",
        errors(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_refuses_a_setup_that_cannot_work_and_names_the_reason() {
    let emulator = emulator().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let program = Program::before(&emulator, "");
    let impossible = impossible(program.folder.path());
    for (name, value, words) in [
        (
            "FACEPLATE_SERVER__LISTEN",
            taken.to_string(),
            [
                taken.to_string(),
                "server.listen".into(),
                "another port".into(),
            ],
        ),
        (
            "FACEPLATE_ADMIN__LISTEN",
            taken.to_string(),
            [
                taken.to_string(),
                "admin.listen".into(),
                "another port".into(),
            ],
        ),
        (
            "FACEPLATE_CACHE__DIR",
            impossible.clone(),
            [impossible, "cannot make".into(), "cache.dir".into()],
        ),
        (
            "FACEPLATE_CACHE__DIR",
            "/proc/self".into(),
            [
                "/proc/self".into(),
                "cannot write".into(),
                "cache.dir".into(),
            ],
        ),
        (
            "FACEPLATE_SERVER__LISTEN",
            "0.0.0.0:0".into(),
            [
                "access.mode".into(),
                "0.0.0.0:0".into(),
                "allow_public".into(),
            ],
        ),
    ] {
        let output = program
            .command(&["serve"])
            .env(name, value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = errors(&output);
        for word in words {
            assert!(said.contains(&word), "{word} is not in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_directory_has_one_owner() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let _first = program.serve();
    let second = program.run(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        errors(&second).contains("in use by another faceplate"),
        "{}",
        errors(&second)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_serves_faces_and_exits_on_sigterm() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let running = program.serve();
    let answer = Answer::to(
        &running.address("listen"),
        "GET",
        "/avatar/waha/628100000001",
        &[],
    )
    .await;
    answer.assert_picture(&emulator.control().face_bytes("628100000001").unwrap());
    running.signal("TERM");
    let (code, output) = running.end();
    assert_eq!(code, Some(0), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_exits_with_the_server_s_readiness() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let running = program.serve();
    let ask = |address: &str| {
        program
            .command(&["healthcheck"])
            .env("FACEPLATE_ADMIN__LISTEN", address)
            .output()
            .unwrap()
    };
    let admin = running.address("admin");
    assert!(ask(&admin).status.success());
    // With an address, it needs no configuration.
    let named = |address: &str| {
        let mut command = program.command(&["healthcheck", "--admin", address]);
        let command = command.env("FACEPLATE_CACHE__TTL", "nonsense");
        command.output().unwrap().status.success()
    };
    assert!(named(&admin));
    assert!(!named("127.0.0.1:1"));
    drop(running);
    let output = ask(&admin);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("is faceplate serve running?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_prints_a_url_that_the_server_accepts() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let mut command = program.command(&["serve"]);
    command.env("FACEPLATE_ACCESS__MODE", "signed");
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    let address = running.address("listen");
    for args in [
        &["sign", "waha", "+628100000001"][..],
        &["sign", "waha", "628100000001", "--refresh", "--ttl", "5m"],
        &["sign", "waha", "*"],
    ] {
        let output = program.run(args);
        assert!(output.status.success(), "{}", errors(&output));
        let path = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .replace("{jid}", "628100000001");
        let answer = Answer::to(&address, "GET", &path, &[]).await;
        answer.assert_picture(&emulator.control().face_bytes("628100000001").unwrap());
    }
    let mut public = program.command(&["sign", "waha", "628100000001"]);
    public.env("FACEPLATE_SERVER__PUBLIC_URL", "https://faces.example/");
    let url = String::from_utf8(public.output().unwrap().stdout).unwrap();
    let is_whole = url.starts_with("https://faces.example/avatar/waha/628100000001@c.us?");
    assert!(is_whole, "{url}");
    let refused = Answer::to(&address, "GET", "/avatar/waha/628100000001", &[]).await;
    assert_eq!(refused.status, 403);
    assert!(errors(&program.run(&["sign", "nobody", "1"])).contains("no instance"));
    assert!(errors(&program.run(&["sign", "waha", "x"])).contains("not a JID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_serves_faces_too() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let socket = program.folder.path().join("faces.sock");
    let mut command = program.command(&["serve"]);
    command.env(
        "FACEPLATE_SERVER__LISTEN",
        format!("unix:{}", socket.display()),
    );
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    let output = std::process::Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--unix-socket",
        ])
        .arg(&socket)
        .arg("http://faces/avatar/waha/628100000001")
        .output();
    if let Ok(output) = output {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
    }
    running.signal("TERM");
    assert_eq!(running.end().0, Some(0));
    assert!(!socket.exists());
}

#[test]
fn check_refuses_short_secrets_and_files_that_are_no_line_of_text() {
    let program = Program::with(
        r#"
        [admin]
        token = "env:SHORT"
        [access]
        signing_keys = ["env:SHORT"]
        bearer_tokens = ["env:LONG", "env:SHORT"]
        [instances.sales]
        provider = "wawp"
        account = "1"
        token = "env:SHORT"
        [instances.binary]
        provider = "wawp"
        account = "2"
        token = "file:DIR/binary"
        [instances.wide]
        provider = "wawp"
        account = "3"
        token = "file:DIR/wide"
        [instances.nameless]
        provider = "wawp"
        account = "4"
        token = "env:"
        "#,
    );
    let folder = program.folder.path();
    std::fs::write(folder.join("binary"), b"\x80\x81").unwrap();
    std::fs::write(folder.join("wide"), b"\xFF\xFEs\0e\0c\0").unwrap();
    let mut check = program.command(&["check"]);
    check
        .env("SHORT", "fifteen letters")
        .env("LONG", "sixteen letters.");
    let said = errors(&check.output().unwrap());
    for (key, remedy) in [
        (
            "admin.token",
            "shorter than 16 characters; make one with: openssl",
        ),
        ("access.signing_keys", "shorter than 16"),
        ("access.bearer_tokens", "shorter than 16"),
        ("instances.binary.token", "binary"),
        ("instances.wide.token", "UTF-8"),
        ("instances.nameless.token", "names no variable"),
    ] {
        let line = said.lines().find(|line| line.contains(&format!("{key}: ")));
        assert!(
            line.is_some_and(|line| line.contains(remedy)),
            "{key}: {said}"
        );
    }
    assert_eq!(said.lines().count(), 6, "{said}");
}

#[test]
fn check_warns_of_http_links_behind_a_proxy_without_a_public_url() {
    for (lines, is_warned) in [
        ("trusted_proxies = [\"127.0.0.1\"]", true),
        (
            "trusted_proxies = [\"127.0.0.1\"]\npublic_url = \"https://faces.example\"",
            false,
        ),
        ("", false),
    ] {
        let program = Program::with(&format!("{GOOD}[server]\n{lines}\n"));
        let output = program.run(&["check"]);
        assert!(output.status.success(), "{}", errors(&output));
        let said = errors(&output);
        assert_eq!(said.contains("server.public_url"), is_warned, "{said}");
    }
}

#[test]
fn check_warns_of_a_webhook_s_secret_that_its_url_has_to_encode() {
    let hook = "[hooks]\nlisten = \"127.0.0.1:0\"\n[instances.sales.hook]\nsecret = \"env:HOOK\"\n";
    let program = Program::with(&format!("{GOOD}{hook}"));
    for (secret, is_warned) in [("0123456789/ab+cd==", true), ("0123456789-ab+cd==", false)] {
        let output = program.command(&["check"]).env("HOOK", secret).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let said = errors(&output);
        assert_eq!(said.contains("percent-encode"), is_warned, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_umask_decides_who_may_connect_to_a_unix_socket() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let socket = program.folder.path().join("faces.sock");
    let serve = program.command(&["serve"]);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "umask 0007 && exec \"$@\"", "sh"])
        .arg(serve.get_program())
        .args(serve.get_args())
        .env("TOKEN", "emulator-token")
        .env("SIGNING_KEY", "a signing key for tests")
        .env(
            "FACEPLATE_SERVER__LISTEN",
            format!("unix:{}", socket.display()),
        );
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o770);
}

#[test]
fn a_secret_of_the_wrong_type_is_not_repeated_either() {
    for value in [
        "1234567890",
        "[\"hunter2-hunter2\"]",
        "{ a = \"hunter2-hunter2\" }",
    ] {
        let program = Program::with(&format!(
            r#"
            [admin]
            token = {value}
            [access]
            signing_keys = {{ a = "hunter2-hunter2" }}
            bearer_tokens = [["hunter2-hunter2"]]
            [instances.sales]
            provider = "wawp"
            account = "1"
            token = {value}
            own_jid = 628100000001
            "#
        ));
        let output = program.run(&["check"]);
        assert_eq!(output.status.code(), Some(1));
        let said = errors(&output);
        for key in [
            "admin.token",
            "access.signing_keys",
            "instances.sales.token",
            "own_jid",
        ] {
            assert!(said.contains(key), "{key} is not in: {said}");
        }
        for private in ["hunter2", "1234567890", "628100000001"] {
            assert!(!said.contains(private), "{private} is in: {said}");
        }
    }
}

#[test]
fn no_command_repeats_a_secret() {
    let program = Program::with(
        r#"
        [access]
        signing_keys = ["tooshort"]
        [instances.sales]
        provider = "wawp"
        account = "1"
        token = "in-the-open\n"
        base_url = "https://user:in-the-url@api.example"
        "#,
    );
    let output = program.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    assert!(said.contains("access.signing_keys"), "{said}");
    assert!(said.contains("instances.sales.base_url"), "{said}");
    for secret in ["tooshort", "in-the-open", "in-the-url"] {
        assert!(!said.contains(secret), "{secret} is in: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn emulate_prints_commands_to_try() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_faceplate"));
    command.args(["emulate", "--listen", "127.0.0.1:0", "--cdn", "127.0.0.1:0"]);
    let mut running = Running::start(command);
    let said = running.wait_for("how to use them");
    assert!(said.contains("emulator-token"), "{said}");
    let (_, rest) = said.split_once("vendors: http://").unwrap();
    let (address, _) = rest.split_once('/').unwrap();
    let index = Answer::to(address, "GET", "/_emulator/", &[]).await;
    assert!(index.text().contains("Log of calls"), "{}", index.text());
    let path = "/api/shop/chats/628100000001@c.us/picture";
    let token = [("x-api-key", "emulator-token")];
    let answer = Answer::to(address, "GET", path, &token).await;
    assert!(
        answer.text().contains("http://127.0.0.1:"),
        "{}",
        answer.text()
    );
    running.signal("TERM");
    assert_eq!(running.end().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_that_emulate_prints_shows_a_face() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_faceplate"));
    command.args(["emulate", "--listen", "127.0.0.1:0", "--cdn", "127.0.0.1:0"]);
    let mut emulator = Running::start(command);
    let printed = emulator.wait_for("[instances.wuzapi]");
    let printed = match printed.ends_with("allow_private = [\"127.0.0.0/8\"]\n") {
        true => printed,
        false => emulator.wait_for("wuzapi\"\naccount"),
    };
    let program = Program::with(&printed);
    let mut command = program.command(&["serve"]);
    command
        .env("FACEPLATE_SERVER__LISTEN", "127.0.0.1:0")
        .env("FACEPLATE_ADMIN__LISTEN", "127.0.0.1:0")
        .env("FACEPLATE_CACHE__DIR", program.folder.path().join("cache"));
    let mut server = Running::start(command);
    server.wait_for("serving faces");
    for instance in Vendor::ALL.map(Vendor::name) {
        let path = format!("/avatar/{instance}/628100000001@c.us?wait=10");
        let answer = Answer::to(&server.address("listen"), "GET", &path, &[]).await;
        // Its API has only the account's own picture.
        let is_known = instance != "wachat";
        assert_eq!(
            answer.status,
            if is_known { 200 } else { 404 },
            "{instance}"
        );
        assert!(
            !is_known || answer.header("x-faceplate-source") == "picture",
            "{instance}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_server_that_waits_for_a_slow_client() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let mut command = program.command(&["serve"]);
    command.env("FACEPLATE_SERVER__DRAIN_TIMEOUT", "1h");
    let hang = Rule::api(Fault::Hang);
    emulator.control().inject(hang).unwrap();
    command.env("FACEPLATE_CACHE__FIRST_PAINT", "1h");
    let mut server = Running::start(command);
    server.wait_for("serving faces");
    let mut client = TcpStream::connect(server.address("listen")).unwrap();
    let request = "GET /avatar/waha/628100000001@c.us HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    until(async || emulator.control().calls().api > 0, LIMIT).await;
    server.signal("INT");
    server.wait_for("a second signal ends at once");
    server.signal("INT");
    let (code, said) = server.end();
    assert_eq!(code, Some(130), "{said}");
}
