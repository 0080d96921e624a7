//! All hostile clients at once, while an honest one checks each answer. Memory and descriptors stay flat.
//! `FACEPLATE_HOSTILE_SECONDS=1800` (`make torture`) goes on for half an hour.

use std::{
    fs,
    time::{Duration, Instant},
};

use faceplate::emulator::{Emulator, Options};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time,
};

use super::{request, windows::Client};
use crate::support::{
    Answer, LIMIT,
    program::{Program, Running},
    until,
};

const FACES: usize = 10;

fn duration() -> Duration {
    let wanted = std::env::var("FACEPLATE_HOSTILE_SECONDS").ok();
    Duration::from_secs(wanted.and_then(|text| text.parse().ok()).unwrap_or(4))
}

fn face(number: usize) -> String {
    format!("62810000000{}", number % FACES)
}

fn path(number: usize) -> String {
    format!("/avatar/waha/{}", face(number))
}

/// The memory of a process that is no file's, in KiB.
fn memory(server: &Running) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
}

fn descriptors(server: &Running) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", server.process.id()));
    open.unwrap().count()
}

/// Sends bytes, waits a moment and leaves.
async fn send_and_leave(address: &str, sent: &str) {
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let sending = async {
            let _ = stream.write_all(sent.as_bytes()).await;
            let mut some = [0; 100];
            let _ = stream.read(&mut some).await;
        };
        let _ = time::timeout(Duration::from_millis(50), sending).await;
    }
}

/// One turn of a hostile client of this kind.
async fn attack(address: &str, kind: usize, turn: usize) {
    let part = request(&path(turn)).replace("\r\n\r\n", "\r\nrange: bytes=0-12287\r\n\r\n");
    match kind {
        0 => send_and_leave(address, "P").await,
        1 => send_and_leave(address, "GET /avatar/waha/6281").await,
        2 => send_and_leave(address, &request(&path(turn)).repeat(100)).await,
        3 => send_and_leave(address, &part.repeat(3)).await,
        4 => send_and_leave(address, "nonsense\r\n\r\n").await,
        5 => {
            send_and_leave(
                address,
                &format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(70_000)),
            )
            .await
        }
        _ => {
            let mut client = Client::connect(address, (turn % 2 * 100) as u32).await;
            let mut held = Vec::new();
            for number in 0..20 {
                let asked = time::timeout(LIMIT, client.get(&path(number))).await;
                held.extend(asked.ok().and_then(Result::ok));
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_of_all_kinds_change_neither_memory_nor_answers() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let mut command = program.command(&["serve"]);
    for (key, value) in [
        ("SERVER__IN_FLIGHT", "1MiB"),
        ("SERVER__MAX_CONNECTIONS", "200"),
        ("SERVER__HEADER_TIMEOUT", "1s"),
        ("SERVER__SEND_TIMEOUT", "500ms"),
        ("CACHE__MEMORY", "64KiB"),
    ] {
        command.env(format!("FACEPLATE_{key}"), value);
    }
    let mut server = Running::start(command);
    server.wait_for("serving faces");
    let address = server.address("listen");
    for number in 0..FACES {
        Answer::to(&address, "GET", &path(number), &[]).await;
    }
    let (before, end) = (descriptors(&server), Instant::now() + duration());
    let mut attackers = JoinSet::new();
    for kind in 0..14 {
        let address = address.clone();
        attackers.spawn(async move {
            for turn in 0.. {
                if Instant::now() > end {
                    return;
                }
                attack(&address, kind % 7, turn).await;
            }
        });
    }
    let half = Instant::now() + duration() / 2;
    let (mut at_half, mut answers, mut refused) = (None, 0, 0);
    while Instant::now() < end {
        let number = answers + refused;
        let answer = Answer::to(&address, "GET", &path(number), &[]).await;
        if answer.status == 503 {
            refused += 1;
        } else {
            let bytes = emulator.control().face_bytes(&face(number)).unwrap();
            answer.assert_picture(&bytes);
            answers += 1;
        }
        if at_half.is_none() && Instant::now() > half {
            at_half = Some(memory(&server));
        }
    }
    attackers.join_all().await;
    let (at_half, at_end) = (at_half.unwrap_or_default(), memory(&server));
    println!(
        "{answers} answers, {refused} refused; {at_half} KiB at half time, {at_end} KiB at the end"
    );
    assert!(answers > refused, "{answers} answers, {refused} refused");
    assert!(
        at_end < at_half + at_half / 2 + 16 * 1024,
        "{at_half} KiB, then {at_end} KiB"
    );
    // Sealed files stay.
    until(async || descriptors(&server) <= before + 80, LIMIT).await;
}
