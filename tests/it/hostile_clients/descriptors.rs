//! Clients that take all connections leave descriptors to the vendor, the disk and the probes.

use std::process::Command;

use faceplate::emulator::{Emulator, Options};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    Answer, LIMIT,
    program::{Program, Running, errors},
    until,
};

/// `faceplate` with these limits of open files.
fn limited(program: &Program, soft: u32, hard: u32, args: &[&str]) -> Command {
    let inner = program.command(args);
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$@\""),
    ]);
    command
        .arg("sh")
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_listener_leaves_descriptors_to_faces_and_probes() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let mut command = limited(&program, 100, 240, &["serve"]);
    command.env("FACEPLATE_SERVER__HEADER_TIMEOUT", "10m");
    let mut server = Running::start(command);
    let log = server.wait_for("serving faces");
    assert!(log.contains("from=100 to=240"), "{log}");
    assert!(log.contains("wanted=10000 used=120"), "{log}");
    let (address, admin) = (server.address("listen"), server.address("admin"));
    // One client that was there before keeps its connection.
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut ask = async |jid: &str| {
        let request = hyper::Request::get(format!("/avatar/waha/{jid}"))
            .header("host", "localhost")
            .body(http_body_util::Empty::<hyper::body::Bytes>::new())
            .unwrap();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        let source = response.headers()["x-faceplate-source"]
            .to_str()
            .unwrap()
            .to_owned();
        http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap();
        source
    };
    assert_eq!(ask("628100000001").await, "picture");
    let mut idle = Vec::new();
    // The kernel's queue takes the ones beyond the limit.
    for _ in 0..160 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"G").await.unwrap();
        idle.push(stream);
    }
    let is_full = async || {
        let metrics = Answer::to(&admin, "GET", "/metrics", &[]).await;
        metrics
            .text()
            .contains("faceplate_limit_reached_total{limit=\"connections\"} 1")
    };
    until(is_full, LIMIT).await;
    assert_eq!(Answer::to(&admin, "GET", "/livez", &[]).await.status, 200);
    assert_eq!(
        ask("628100000002").await,
        "picture",
        "a face that was not cached"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_the_admin_listener_beyond_its_limit_wait_and_take_no_descriptors() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let mut command = program.command(&["serve"]);
    command.env("FACEPLATE_SERVER__HEADER_TIMEOUT", "10m");
    let mut server = Running::start(command);
    server.wait_for("serving faces");
    let (address, admin) = (server.address("listen"), server.address("admin"));
    let open = || super::target::descriptors(&server);
    let before = open();
    let mut idle = Vec::new();
    // The kernel's queue takes the ones beyond the limit, up to 128.
    for _ in 0..160 {
        let mut stream = TcpStream::connect(&admin).await.unwrap();
        stream.write_all(b"G").await.unwrap();
        idle.push(stream);
    }
    until(async || open() >= before + 64, LIMIT).await;
    let face = Answer::to(&address, "GET", "/avatar/waha/628100000001", &[]).await;
    assert_eq!(face.source(), "picture");
    assert!(open() < before + 100, "{} after {before}", open());
    drop(idle);
    assert_eq!(Answer::to(&admin, "GET", "/livez", &[]).await.status, 200);
}

#[test]
fn check_reports_connections_that_the_limit_of_open_files_does_not_allow() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let emulator = runtime
        .block_on(Emulator::start(Options::default()))
        .unwrap();
    let program = Program::before(&emulator, "");
    let output = limited(&program, 100, 240, &["check"]).output().unwrap();
    let words = "server.max_connections = 10000 is more than the limit of 240 open files allows: 120 will be used";
    assert!(errors(&output).contains(words), "{}", errors(&output));
    let output = limited(&program, 100, 20_000, &["check"]).output().unwrap();
    assert!(!errors(&output).contains("max_connections"));
}
