//! The access log: one line for each request, without private data.

use std::{process::Stdio, time::Duration};

use crate::support::{
    Answer,
    events::Events,
    program::{Program, Running, on_a_terminal},
};
use faceplate::emulator::{Emulator, Fault, Options, Rule};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
    time,
};

/// Requests of every kind: a hit, a miss, no picture, a failure, and refused ones.
async fn drive(address: &str, emulator: &Emulator) -> usize {
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    emulator
        .control()
        .inject(Rule::api(broken).jid("628100000003"))
        .unwrap();
    let expired = Fault::ExpiredLink {
        even_when_refreshed: true,
    };
    emulator
        .control()
        .inject(Rule::api(expired).jid("628100000004"))
        .unwrap();
    let requests = [
        ("GET", "/avatar/waha/628100000001@c.us?name=Secret%20Name"),
        ("GET", "/avatar/waha/628100000001@c.us"),
        ("HEAD", "/avatar/waha/628100000102"),
        ("GET", "/avatar/waha/628100000003"),
        ("GET", "/avatar/waha/628100000004?refresh=true"),
        ("GET", "/avatar/waha/0628100000001"),
        ("GET", "/avatar/nobody/628100000001"),
        ("GET", "/628100000001"),
        (
            "GET",
            "/avatar/waha/628100000001?exp=1999999999&sig=c2lnbmVk",
        ),
        ("POST", "/avatar/waha/628100000001"),
        ("628100000001", "/avatar/waha/628100000001"),
    ];
    for (method, path) in requests {
        Answer::to(
            address,
            method,
            path,
            &[("authorization", "Bearer 628100000009")],
        )
        .await;
    }
    requests.len()
}

async fn logged(format: &str) -> (usize, String) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(
        &emulator,
        &format!("[log]\nformat = \"{format}\"\nlevel = \"debug\""),
    );
    let running = program.serve();
    let requests = drive(&running.address("listen"), &emulator).await;
    running.signal("TERM");
    let (_, output) = running.end();
    for private in [
        "62810000",
        "emulator-token",
        "a signing key",
        "Secret",
        "pps.",
        "t61.24694",
        "oe=",
        "_nc_",
        "1999999999",
        "c2lnbmVk",
        "sig=",
    ] {
        assert!(
            !output.contains(private),
            "{private} is in the log:\n{output}"
        );
    }
    (requests, output)
}

/// A stream of events is open for `time`.
async fn listen_for(address: &str, time: Duration) -> usize {
    let mut events = Events::open(address, "/live/waha", &[]).await;
    assert_eq!(events.next().await.kind, "ready");
    time::sleep(time).await;
    events.received_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_stream_comes_at_its_end_with_its_duration_and_bytes() {
    const OPEN: Duration = Duration::from_millis(1200);
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "[log]\nformat = \"json\"");
    let running = program.serve();
    let address = running.address("listen");
    let head = Answer::to(&address, "HEAD", "/live/waha", &[]).await;
    assert_eq!(head.status, 200);
    let bytes = listen_for(&address, OPEN).await;
    // The next one is open when the server stops.
    let mut open = Events::open(&address, "/live/waha", &[]).await;
    assert_eq!(open.next().await.kind, "ready");
    let metrics = Answer::to(&running.address("admin"), "GET", "/metrics", &[]).await;
    let metrics = metrics.text().to_owned();
    running.signal("TERM");
    let (_, output) = running.end();
    let lines: Vec<serde_json::Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["route"] == "live")
        .collect();
    let [head, ended, at_shutdown] = &lines[..] else {
        panic!("{output}");
    };
    assert_eq!(
        (&head["method"], &head["bytes"]),
        (&"HEAD".into(), &0.into())
    );
    assert_eq!(ended["bytes"], bytes);
    assert!(
        ended["ms"].as_f64().unwrap() >= OPEN.as_millis() as f64,
        "{ended}"
    );
    assert_eq!(
        (&ended["instance"], &ended["status"]),
        (&"waha".into(), &200.into())
    );
    assert_eq!(at_shutdown["bytes"], open.received_bytes());
    // An hour with an open stream is no latency.
    let name = "http_server_request_duration_seconds_sum{route=\"live\",status=\"200\"} ";
    let sum = metrics.lines().find_map(|line| line.strip_prefix(name));
    let sum: f64 = sum.unwrap().parse().unwrap();
    assert!(sum < OPEN.as_secs_f64(), "{sum}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_access_log_has_every_field_and_nothing_private() {
    let (requests, output) = logged("json").await;
    let lines: Vec<serde_json::Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        // All lines have their time to the millisecond.
        .inspect(|line: &serde_json::Value| {
            let time = line["timestamp"].as_str().unwrap();
            assert_eq!(time.len(), "2026-11-20T18:40:00.000Z".len(), "{line}");
        })
        .filter(|line: &serde_json::Value| line["target"] == "faceplate::access")
        .collect();
    assert_eq!(lines.len(), requests);
    for line in &lines {
        for field in ["method", "route", "instance", "cache", "source", "reason"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
        for field in ["status", "ms", "bytes"] {
            assert!(line[field].is_number(), "{field}: {line}");
        }
    }
    let first = &lines[0];
    for (field, value) in [
        ("method", "GET"),
        ("route", "avatar"),
        ("instance", "waha"),
        (
            "cache",
            "faceplate; fwd=uri-miss; fwd-status=200; stored; ttl=86400",
        ),
    ] {
        assert_eq!(first[field], value, "{first}");
    }
    assert!(first["bytes"].as_u64() > Some(1000), "{first}");
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["status"].as_u64().unwrap(),
                line["source"].as_str().unwrap(),
                line["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (200, "picture", "-"),
            (200, "picture", "-"),
            (200, "fallback", "unknown"),
            (200, "fallback", "vendor_error"),
            (200, "fallback", "vendor_error"),
            (400, "-", "malformed-jid"),
            (404, "-", "unknown-instance"),
            (404, "-", "no-route"),
            (200, "picture", "-"),
            (405, "-", "method"),
            (405, "-", "method"),
        ]
    );
    assert_eq!(lines.last().unwrap()["method"], "_OTHER");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_access_log_holds_nothing_private() {
    let (requests, output) = logged("text").await;
    assert_eq!(output.matches("faceplate::access").count(), requests);
    assert!(output.contains("the vendor could not reach its own upstream (502)"));
}

#[tokio::test]
async fn the_answer_and_the_access_log_have_the_same_request_id() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "[log]\nformat = \"json\"");
    let running = program.serve();
    let address = running.address("listen");
    let ask = async |id: &str| {
        let headers = [("x-request-id", id)];
        let answer = Answer::to(&address, "GET", "/avatar/waha/628100000001", &headers).await;
        answer.header("x-request-id").to_owned()
    };
    // A valid request id of the client is kept.
    for id in ["crm-7f3a.page_2", "12345678-1234-4321-8765-1234567890ab"] {
        assert_eq!(ask(id).await, id);
    }
    let mut given = vec![];
    for id in [
        "628100000001",
        "tel-628100000001-abc",
        "crm.628100000001",
        "short",
        "with space 1",
        &"long".repeat(40),
    ] {
        let name = ask(id).await;
        assert_ne!(name, id);
        given.push(name);
    }
    running.signal("TERM");
    let (_, output) = running.end();
    assert!(
        output.contains("\"request\":\"crm-7f3a.page_2\""),
        "{output}"
    );
    for name in &given {
        let count = output.matches(name.as_str()).count();
        assert_eq!(count, 1, "{name} in {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_log_reader_loses_lines_and_delays_no_answer_probe_or_shutdown() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let mut command = Command::from(program.command(&["serve"]));
    let command = command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    // The pipe stays open, and nothing after this line is read.
    let mut log = BufReader::new(process.stdout.take().unwrap()).lines();
    let serving = loop {
        let line = log.next_line().await.unwrap().unwrap();
        if line.contains("serving faces") {
            break line;
        }
    };
    let address = |key: &str| {
        let (_, rest) = serving.split_once(&format!("{key}=")).unwrap();
        rest.split(' ').next().unwrap().to_owned()
    };
    let (listen, admin) = (address("listen"), address("admin"));
    let has_dropped = async || {
        let metrics = Answer::to(&admin, "GET", "/metrics", &[]).await;
        let name = "faceplate_log_lines_dropped_total ";
        let (_, count) = metrics.text().split_once(name).unwrap();
        !count.starts_with("0\n")
    };
    let client = TcpStream::connect(&listen).await.unwrap();
    let (read, mut write) = client.into_split();
    let mut answers = BufReader::new(read).lines();
    let requests = "HEAD /nowhere HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let mut batches = 0;
    while !has_dropped().await {
        batches += 1;
        assert!(batches < 100, "the log took 100,000 lines");
        let writing = write.write_all(requests.as_bytes());
        let reading = async {
            let mut heads = 0;
            while heads < 1000 {
                let line = answers.next_line().await.unwrap().unwrap();
                heads += usize::from(line.is_empty());
            }
        };
        let both = async { tokio::join!(writing, reading).0 };
        let sent = time::timeout(Duration::from_secs(30), both).await;
        sent.expect("answers in time").unwrap();
    }
    assert_eq!(Answer::to(&admin, "GET", "/livez", &[]).await.status, 200);
    let pid = Pid::from_raw(process.id().unwrap() as i32).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let end = time::timeout(Duration::from_secs(20), process.wait()).await;
    assert!(end.expect("an end in time").unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_in_the_environment_keeps_colors_out_of_the_log_on_a_terminal() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // The log has begun when the server finds the address in use, and ends.
    let shown = |no_color: &str| {
        let mut command = program.command(&["serve"]);
        let address = taken.local_addr().unwrap().to_string();
        command.env("FACEPLATE_SERVER__LISTEN", address);
        command.env("NO_COLOR", no_color);
        let screen = program.folder.path().join("screen");
        on_a_terminal(&command, &screen).wait().unwrap();
        let shown = std::fs::read_to_string(screen).unwrap();
        assert!(shown.contains("the limit of open files"), "{shown}");
        shown
    };
    assert!(shown("").contains("\u{1b}["));
    let plain = shown("1");
    assert!(!plain.contains("\u{1b}["), "{plain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_beyond_its_rate_is_named_in_the_access_log_where_that_is_configured() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    for (setting, is_named) in [("true", true), ("false", false)] {
        let program = Program::before(&emulator, "");
        let mut command = program.command(&["serve"]);
        command
            .env("FACEPLATE_LOG__LIMITED_CLIENTS", setting)
            .env("FACEPLATE_ACCESS__ALLOW_PUBLIC", "true")
            .env("FACEPLATE_SERVER__TRUSTED_PROXIES", "127.0.0.0/8")
            .env("FACEPLATE_SERVER__CLIENT_RATE__PER_MINUTE", "1")
            .env("FACEPLATE_SERVER__CLIENT_RATE__BURST", "1");
        let mut server = Running::start(command);
        server.wait_for("serving faces");
        let client = [("x-forwarded-for", "203.0.113.7")];
        for status in [200, 429] {
            let address = server.address("listen");
            let path = "/avatar/waha/628100000001@c.us";
            let answer = Answer::to(&address, "GET", path, &client).await;
            assert_eq!(answer.status, status);
        }
        let said = server.wait_for("status=429");
        let lines = said.lines().filter(|line| line.contains("203.0.113.7"));
        let named: Vec<_> = lines.collect();
        assert_eq!(!named.is_empty(), is_named, "{said}");
        assert!(
            named.iter().all(|line| line.contains("status=429")),
            "{named:?}"
        );
    }
}
