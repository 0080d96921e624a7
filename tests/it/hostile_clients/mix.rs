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

/// The open files of a process.
pub fn descriptors(server: &Running) -> usize {
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

/// Hostile clients, one kind each.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Silence,
    HalfHead,
    Pipelining,
    RangesLeft,
    Nonsense,
    LargeHead,
    NoWindow,
    SmallWindow,
    ManyVariants,
    UnknownFaces,
}

const KINDS: [Kind; 10] = [
    Kind::Silence,
    Kind::HalfHead,
    Kind::Pipelining,
    Kind::RangesLeft,
    Kind::Nonsense,
    Kind::LargeHead,
    Kind::NoWindow,
    Kind::SmallWindow,
    Kind::ManyVariants,
    Kind::UnknownFaces,
];

/// One turn of a hostile client of this kind.
async fn attack(address: &str, kind: Kind, turn: usize) {
    let part = request(&path(turn)).replace("\r\n\r\n", "\r\nrange: bytes=0-12287\r\n\r\n");
    let sent = match kind {
        Kind::Silence => "P".to_owned(),
        Kind::HalfHead => "GET /avatar/waha/6281".to_owned(),
        Kind::Pipelining => request(&path(turn)).repeat(100),
        Kind::RangesLeft => part.repeat(3),
        Kind::Nonsense => "nonsense\r\n\r\n".to_owned(),
        Kind::LargeHead => format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(70_000)),
        Kind::NoWindow => return hold_responses(address, 0).await,
        Kind::SmallWindow => return hold_responses(address, 100).await,
        Kind::ManyVariants => {
            let size = [32, 48, 64, 96, 128, 192, 256, 320, 480, 640][turn % 10];
            request(&format!("{}?s={size}&format=webp", path(turn / 10))).repeat(3)
        }
        Kind::UnknownFaces => request(&format!("/avatar/waha/62899{turn:07}")),
    };
    send_and_leave(address, &sent).await;
}

/// Asks for many faces over HTTP/2 with a window of this size, and takes nothing.
async fn hold_responses(address: &str, window: u32) {
    let mut client = Client::connect(address, window).await;
    let mut held = Vec::new();
    for number in 0..20 {
        let asked = time::timeout(LIMIT, client.get(&path(number))).await;
        held.extend(asked.ok().and_then(Result::ok));
    }
    time::sleep(Duration::from_millis(100)).await;
}

/// Attackers, each of which goes on until `end`.
fn attackers(address: &str, kinds: impl Iterator<Item = Kind>, end: Instant) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for kind in kinds {
        let address = address.to_owned();
        attackers.spawn(async move {
            for turn in 0.. {
                if Instant::now() > end {
                    return;
                }
                attack(&address, kind, turn).await;
            }
        });
    }
    attackers
}

/// A server with small limits that has all faces.
struct Target {
    emulator: Emulator,
    _program: Program,
    server: Running,
    address: String,
}

/// What an honest client met.
#[derive(Debug, Default)]
struct Honest {
    took: Vec<Duration>,
    refused: usize,
}

impl Target {
    async fn start() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let program = Program::before(&emulator, "");
        let mut command = program.command(&["serve"]);
        for (key, value) in [
            ("SERVER__IN_FLIGHT", "1MiB"),
            ("SERVER__MAX_CONNECTIONS", "200"),
            ("SERVER__HEADER_TIMEOUT", "1s"),
            ("SERVER__SEND_TIMEOUT", "500ms"),
            ("CACHE__MEMORY", "64KiB"),
            ("IMAGES__MEMORY", "1MiB"),
            ("IMAGES__WORK", "32MiB"),
        ] {
            command.env(format!("FACEPLATE_{key}"), value);
        }
        let mut server = Running::start(command);
        server.wait_for("serving faces");
        let address = server.address("listen");
        for number in 0..FACES {
            let is_picture = async || {
                let answer = Answer::to(&address, "GET", &path(number), &[]).await;
                answer.header("x-faceplate-source") == "picture"
            };
            until(is_picture, LIMIT).await;
        }
        Self {
            emulator,
            _program: program,
            server,
            address,
        }
    }

    /// An honest client asks for one face, and checks the answer.
    async fn ask(&self, honest: &mut Honest) {
        let number = honest.took.len() + honest.refused;
        let began = Instant::now();
        let answer = Answer::to(&self.address, "GET", &path(number), &[]).await;
        if answer.status == 503 {
            honest.refused += 1;
        } else {
            let bytes = self.emulator.control().face_bytes(&face(number)).unwrap();
            answer.assert_picture(&bytes);
            honest.took.push(began.elapsed());
        }
    }
}

impl Honest {
    /// The latency that this share of the answers did not exceed, in microseconds.
    fn percentile(&mut self, share: f64) -> f64 {
        self.took.sort();
        let index = (self.took.len() as f64 * share) as usize;
        self.took[index.min(self.took.len() - 1)].as_micros() as f64
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_hostile_client_alone_costs_little_memory_and_few_descriptors() {
    let target = Target::start().await;
    let before = descriptors(&target.server);
    let mut quiet = Honest::default();
    for _ in 0..200 {
        target.ask(&mut quiet).await;
    }
    let usual = [0.5, 0.99].map(|share| quiet.percentile(share));
    println!("kind: memory, most descriptors, latency of others as a ratio (median, 99th)");
    for kind in KINDS {
        let (at_first, end) = (memory(&target.server), Instant::now() + duration() / 8);
        let attackers = attackers(&target.address, [kind; 4].into_iter(), end);
        let (mut honest, mut open, mut most) = (Honest::default(), 0, at_first);
        while Instant::now() < end {
            target.ask(&mut honest).await;
            open = open.max(descriptors(&target.server));
            most = most.max(memory(&target.server));
        }
        attackers.join_all().await;
        let grown = most.saturating_sub(at_first);
        assert!(honest.took.len() > honest.refused, "{kind:?}: {honest:?}");
        let [median, high] = [(0.5, usual[0]), (0.99, usual[1])]
            .map(|(share, usual)| honest.percentile(share) / usual);
        println!("{kind:?}: {grown} KiB, {open}, {median:.1}, {high:.1}");
        // The limits above, and what the allocator keeps for each thread.
        assert!(grown < 48 * 1024, "{kind:?}: {grown} KiB");
        assert!(open < before + 250, "{kind:?}: {open} after {before}");
    }
    // Sealed files stay.
    until(async || descriptors(&target.server) <= before + 80, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_of_all_kinds_change_neither_memory_nor_answers() {
    let target = Target::start().await;
    let (before, end) = (descriptors(&target.server), Instant::now() + duration());
    let kinds = KINDS.into_iter().chain(KINDS);
    let attackers = attackers(&target.address, kinds, end);
    let (mut honest, mut samples) = (Honest::default(), vec![memory(&target.server)]);
    let (start, tenth) = (Instant::now(), duration() / 10);
    while Instant::now() < end {
        target.ask(&mut honest).await;
        if start.elapsed() > tenth * samples.len() as u32 {
            samples.push(memory(&target.server));
        }
    }
    attackers.join_all().await;
    samples.push(memory(&target.server));
    let (answers, refused) = (honest.took.len(), honest.refused);
    println!(
        "{answers} answers, {refused} refused; KiB at the start and after each tenth: {samples:?}"
    );
    assert!(answers > refused, "{answers} answers, {refused} refused");
    let most = |samples: &[usize]| samples.iter().max().copied().unwrap_or_default();
    let (first, second) = samples.split_at(samples.len() / 2);
    assert!(
        most(second) < most(first) + most(first) / 4 + 16 * 1024,
        "{samples:?} KiB"
    );
    // Sealed files stay.
    until(async || descriptors(&target.server) <= before + 80, LIMIT).await;
}
