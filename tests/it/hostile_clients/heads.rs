//! Heads of requests that are wrong are answered with a problem, which the metrics count, on every way through the server.

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{FACE, connect, rig, until_closed, windows::Client};
use crate::support::{
    Answer, Rig,
    program::{Program, Running},
    rig::Settings,
};
use faceplate::emulator::{Emulator, Options};

/// The answer to bytes after which the server closes the connection.
async fn answer(rig: &Rig, sent: &str) -> String {
    answer_of(&rig.address(), sent).await
}

/// The same of any listener.
async fn answer_of(address: &str, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    until_closed(&mut stream).await
}

/// How many requests without a route were answered with this status.
async fn counted(rig: &Rig, status: u16) -> u64 {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let name =
        format!("http_server_request_duration_seconds_count{{route=\"-\",status=\"{status}\"}} ");
    let lines = metrics.text().lines();
    let mut counts = lines.filter_map(|line| line.strip_prefix(&name));
    counts.next().map_or(0, |count| count.parse().unwrap())
}

#[track_caller]
fn assert_problem(answer: &str, status: &str, kind: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(
        answer.contains("content-type: application/problem+json\r\n"),
        "{answer}"
    );
    assert!(answer.contains("x-request-id: "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(
        answer.contains(&format!("urn:faceplate:problem:{kind}\"")),
        "{answer}"
    );
}

async fn assert_counted(rig: &Rig, status: u16) {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let name =
        format!("http_server_request_duration_seconds_count{{route=\"-\",status=\"{status}\"}}");
    assert!(metrics.text().contains(&name), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_head_is_answered_with_a_problem() {
    for server in ["", "fast_path = false"] {
        let rig = rig(server).await;
        for head in [
            "nonsense\r\n\r\n",
            "GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nbad name: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        ] {
            assert_problem(&answer(&rig, head).await, "400", "malformed-request");
        }
        assert_counted(&rig, 400).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_head_behind_others_is_answered_with_a_problem() {
    let rig = rig("").await;
    let mut stream = connect(&rig).await;
    // hyper keeps the connection from here on.
    let odd = "GET /nowhere HTTP/1.1\r\nhost: x\r\nte: trailers\r\n\r\n";
    stream.write_all(odd.as_bytes()).await.unwrap();
    let mut first = vec![0; 16];
    stream.read_exact(&mut first).await.unwrap();
    assert!(first.starts_with(b"HTTP/1.1 404"));
    // The body of the answer ends here.
    let mut rest = Vec::new();
    while !rest.ends_with(b"}") {
        stream.read_buf(&mut rest).await.unwrap();
    }
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    assert_problem(&until_closed(&mut stream).await, "400", "malformed-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_answered_with_a_problem() {
    for server in ["", "fast_path = false"] {
        let rig = rig(&format!("max_header = \"16KiB\"\n{server}")).await;
        for length in [17 * 1024, 40 * 1024] {
            let long = "y".repeat(length);
            let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n");
            assert_problem(&answer(&rig, &head).await, "431", "header-too-large");
        }
        let mut client = Client::connect(&rig.address(), 65_535).await;
        let response = client
            .get_with("/", "x", &"y".repeat(17 * 1024))
            .await
            .unwrap();
        assert_eq!(response.status(), 431);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("header-too-large"));
        assert_counted(&rig, 431).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_head_is_answered_with_a_problem_and_counted_at_the_other_listeners_too() {
    let hooks = "listen = \"127.0.0.1:0\"";
    let rig = Settings::default().section("hooks", hooks).start().await;
    let long = "y".repeat(40 * 1024);
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n");
    for (listener, address) in [("admin", rig.admin()), ("hooks", rig.hooks())] {
        for (head, status, kind) in [
            ("nonsense\r\n\r\n", 400, "malformed-request"),
            (
                "GET / HTTP/1.1\r\nhost: x\r\nbad name: x\r\n\r\n",
                400,
                "malformed-request",
            ),
            (long.as_str(), 431, "header-too-large"),
        ] {
            let before = counted(&rig, status).await;
            let answer = answer_of(&address, head).await;
            assert_problem(&answer, &status.to_string(), kind);
            assert_eq!(counted(&rig, status).await, before + 1, "{listener} {kind}");
        }
        let mut client = Client::connect(&address, 65_535).await;
        let response = client
            .get_with("/", "x", &"y".repeat(40 * 1024))
            .await
            .unwrap();
        assert_eq!(response.status(), 431, "{listener}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("header-too-large"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_head_has_its_line_in_the_access_log() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "[log]\nformat = \"json\"");
    let long = "y".repeat(40 * 1024);
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n");
    for fast_path in ["true", "false"] {
        let mut command = program.command(&["serve"]);
        command.env("FACEPLATE_SERVER__FAST_PATH", fast_path);
        let mut server = Running::start(command);
        server.wait_for("serving faces");
        // The identifier of each request, with what its line says.
        let mut expected = Vec::new();
        for listener in ["listen", "admin"] {
            for (head, status, reason) in [
                ("nonsense\r\n\r\n", 400, "malformed-request"),
                (long.as_str(), 431, "header-too-large"),
            ] {
                let answer = answer_of(&server.address(listener), head).await;
                let (_, id) = answer.split_once("x-request-id: ").expect(&answer);
                let id = id.split("\r\n").next().unwrap().to_owned();
                expected.push((id, status, reason));
            }
        }
        let mut client = Client::connect(&server.address("listen"), 65_535).await;
        let refused = client.get_with("/", "x", &"y".repeat(17 * 1024)).await;
        let id = refused.unwrap().headers()["x-request-id"].clone();
        expected.push((id.to_str().unwrap().to_owned(), 431, "header-too-large"));
        server.signal("TERM");
        let (_, output) = server.end();
        let lines = output.lines().map(serde_json::from_str);
        let lines: Vec<serde_json::Value> = lines.filter_map(Result::ok).collect();
        for (id, status, reason) in expected {
            let mut of_request = lines.iter().filter(|line| line["request"] == id.as_str());
            let line = of_request.next();
            let line = line.unwrap_or_else(|| panic!("no line of {id} in {output}"));
            assert_eq!(line["status"], status, "{line}");
            assert_eq!(line["reason"], reason, "{line}");
            // Nothing of such a head is repeated.
            assert_eq!(
                (&line["method"], &line["route"]),
                (&"-".into(), &"-".into())
            );
            assert!(of_request.next().is_none(), "{output}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let rig = rig("").await;
    let path = format!("/avatar/waha/{FACE}");
    for way in ["", "te: trailers\r\n"] {
        for hosts in [
            "",
            "host: a\r\nhost: b\r\n",
            "host: a b/c@d\r\n",
            "host: \r\n",
        ] {
            let head = format!("GET {path} HTTP/1.1\r\n{hosts}{way}connection: close\r\n\r\n");
            assert_problem(&answer(&rig, &head).await, "400", "host");
        }
    }
    let old = answer(&rig, &format!("GET {path} HTTP/1.0\r\n\r\n")).await;
    assert!(
        old.starts_with("HTTP/1.1 200") || old.starts_with("HTTP/1.0 200"),
        "{}",
        &old[..40]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_checks_the_authority_of_http2() {
    let rig = rig("").await;
    let mut client = Client::connect(&rig.admin(), 65_535).await;
    for (host, status) in [("evil.example", 421), ("localhost", 200)] {
        let uri = format!("http://{host}/v1/instances");
        assert_eq!(
            client.get_uri(&uri).await.unwrap().status(),
            status,
            "{host}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_a_late_body_ends_says_so() {
    let rig = rig("").await;
    for method in ["GET", "POST"] {
        let head = format!("{method} /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n");
        let late = answer(&rig, &head).await;
        assert!(late.contains("connection: close\r\n"), "{late}");
        // A body that is there keeps the connection.
        let next = "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let both = answer(&rig, &format!("{head}123456789{next}")).await;
        assert_eq!(both.matches("HTTP/1.1 4").count(), 2, "{both}");
        assert_eq!(both.matches("connection: close").count(), 1, "{both}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_picture_than_the_expected_one_is_refused_with_412() {
    let rig = rig("").await;
    let path = format!("/avatar/waha/{FACE}");
    let etag = rig.get(&path).await.header("etag").to_owned();
    for (name, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "\"other\"", 412),
        ("if-unmodified-since", "Fri, 20 Nov 2037 00:00:00 GMT", 200),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 412),
    ] {
        let answer = rig.ask("GET", &path, &[(name, value)]).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}
