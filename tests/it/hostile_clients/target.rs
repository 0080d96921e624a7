//! The servers that the mix of hostile clients attacks, one of them behind TLS, and an honest client of both.

use std::{
    fs,
    time::{Duration, Instant},
};

use faceplate::emulator::{Emulator, Options};
use tokio::time;
use tokio_rustls::TlsConnector;

use crate::{
    support::{
        Answer, LIMIT,
        program::{Program, Running},
        until,
    },
    tls,
};

const FACES: usize = 10;

/// Small limits.
const SETTINGS: [(&str, &str); 9] = [
    ("SERVER__IN_FLIGHT", "1MiB"),
    ("SERVER__MAX_CONNECTIONS", "200"),
    ("SERVER__HEADER_TIMEOUT", "1s"),
    ("SERVER__BODY_TIMEOUT", "500ms"),
    ("SERVER__SEND_TIMEOUT", "500ms"),
    ("LIVE__HEARTBEAT", "1s"),
    ("CACHE__MEMORY", "64KiB"),
    ("IMAGES__MEMORY", "1MiB"),
    ("IMAGES__WORK", "32MiB"),
];

/// Two servers with the same settings and one vendor. Both have all faces.
pub struct Target {
    emulator: Emulator,
    plain: Server,
    tls: Server,
}

pub struct Server {
    _program: Program,
    running: Running,
    faces: String,
    admin: String,
    /// The client that trusts its certificate; `None` for the server without TLS.
    client: Option<TlsConnector>,
}

/// The listeners that are attacked.
#[derive(Clone)]
pub struct Addresses {
    /// The listeners of the server without TLS.
    pub faces: String,
    pub admin: String,
    /// The listener behind TLS.
    pub tls: String,
    /// A client that trusts its certificate.
    pub client: TlsConnector,
}

/// The answers that an honest client got.
#[derive(Debug, Default)]
pub struct Honest {
    pub took: Vec<Duration>,
    pub refused: usize,
}

/// The path of one of the faces.
pub fn path(number: usize) -> String {
    format!("/avatar/waha/{}", face(number))
}

fn face(number: usize) -> String {
    format!("62810000000{}", number % FACES)
}

/// The open files of a process.
pub fn descriptors(server: &Running) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", server.process.id()));
    open.unwrap().count()
}

/// The memory of a process that is no file's, in KiB.
fn memory(server: &Running) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
}

impl Target {
    pub async fn start() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let plain = Server::start(&emulator, false).await;
        let tls = Server::start(&emulator, true).await;
        Self {
            emulator,
            plain,
            tls,
        }
    }

    /// The servers, the one without TLS first.
    pub fn servers(&self) -> [&Server; 2] {
        [&self.plain, &self.tls]
    }

    pub fn addresses(&self) -> Addresses {
        Addresses {
            faces: self.plain.faces.clone(),
            admin: self.plain.admin.clone(),
            tls: self.tls.faces.clone(),
            client: self.tls.client.clone().unwrap(),
        }
    }

    /// The memory of both servers, in KiB.
    pub fn memory(&self) -> usize {
        let servers = self.servers().into_iter();
        servers.map(|server| memory(&server.running)).sum()
    }

    /// The open files of both servers.
    pub fn descriptors(&self) -> usize {
        let servers = self.servers().into_iter();
        servers.map(|server| descriptors(&server.running)).sum()
    }

    /// An honest client asks a server for one face, and checks the answer.
    pub async fn ask(&self, server: &Server, honest: &mut Honest) {
        let number = honest.took.len() + honest.refused;
        let began = Instant::now();
        let answer = server.get(&path(number)).await;
        if answer.status == 503 {
            honest.refused += 1;
        } else {
            let bytes = self.emulator.control().face_bytes(&face(number)).unwrap();
            answer.assert_picture(&bytes);
            honest.took.push(began.elapsed());
        }
        server.running.bound_output();
    }

    /// The memory and the descriptors of now. Probes are answered, too.
    pub async fn sample(&self) -> (usize, usize) {
        for server in self.servers() {
            let probe = Answer::to(&server.admin, "GET", "/livez", &[]).await;
            assert_eq!(probe.status, 200);
        }
        (self.memory(), self.descriptors())
    }
}

impl Server {
    async fn start(emulator: &Emulator, has_tls: bool) -> Self {
        let program = Program::before(emulator, "");
        let mut command = program.command(&["serve"]);
        for (key, value) in SETTINGS {
            command.env(format!("FACEPLATE_{key}"), value);
        }
        let client = has_tls.then(|| {
            let folder = program.folder.path();
            for (key, file) in [("CERTIFICATE", "cert.pem"), ("KEY", "key.pem")] {
                command.env(format!("FACEPLATE_SERVER__{key}"), folder.join(file));
            }
            tls::client(&tls::certificate(folder), &["http/1.1"])
        });
        let mut running = Running::start(command);
        running.wait_for("serving faces");
        let server = Self {
            faces: running.address("listen"),
            admin: running.address("admin"),
            _program: program,
            running,
            client,
        };
        for number in 0..FACES {
            let is_picture = async || server.get(&path(number)).await.source() == "picture";
            until(is_picture, LIMIT).await;
        }
        server
    }

    async fn get(&self, path: &str) -> Answer {
        let address = self.faces.as_str();
        let Some(client) = &self.client else {
            return Answer::to(address, "GET", path, &[]).await;
        };
        let mut answer = Err("there was no attempt".into());
        // A handshake on a busy machine may take longer than the server waits for a request.
        for _ in 0..5 {
            let attempt = async {
                let stream = tls::connect(client, address).await?;
                Answer::over(stream, address, "GET", path, &[], &[]).await
            };
            answer = time::timeout(LIMIT, attempt).await.unwrap_or(answer);
            if answer.is_ok() {
                break;
            }
        }
        answer.unwrap()
    }
}

impl Honest {
    /// The latency that this share of the answers did not exceed, in microseconds.
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.took.sort();
        let index = (self.took.len() as f64 * share) as usize;
        self.took[index.min(self.took.len() - 1)].as_micros() as f64
    }
}
