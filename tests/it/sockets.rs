//! Sockets opened by a service manager, readiness notification, and Unix sockets.

use std::{os::unix::net::UnixDatagram, process::Command};

use crate::support::{
    Answer,
    program::{Program, Running},
};
use faceplate::emulator::{Emulator, Options};

const FACE: &str = "/avatar/waha/628100000001";

/// Opens sockets as systemd does, passes them on from descriptor 3, and executes the server.
const MANAGER: &str = r#"
import os, socket, sys
names, addresses, command = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
sockets = []
for address in addresses:
    host, port = address.rsplit(":", 1)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind((host, int(port)))
    opened.listen()
    print("opened", opened.getsockname()[1], flush=True)
    sockets.append(opened.detach())
kept = [os.dup(fd) for fd in sockets]
os.dup2(kept[0], 3)
for index, fd in enumerate(kept):
    os.dup2(fd, 3 + index, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(kept)), LISTEN_PID=str(os.getpid()))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(command[0], command)
"#;

fn managed(program: &Program, names: &str, addresses: &str) -> Running {
    let served = program.command(&["serve"]);
    let mut command = Command::new("python3");
    command
        .args(["-c", MANAGER, names, addresses])
        .arg(served.get_program())
        .args(served.get_args());
    for (name, value) in served.get_envs() {
        command.env(name, value.unwrap());
    }
    Running::start(command)
}

fn opened(running: &Running) -> Vec<String> {
    let output = running.output.lock().unwrap();
    let lines = output
        .lines()
        .filter_map(|line| line.strip_prefix("opened "));
    lines.map(|port| format!("127.0.0.1:{port}")).collect()
}

#[tokio::test]
async fn sockets_opened_by_a_service_manager_are_served() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    for (names, faces, admin) in [
        ("", 0, 1),
        ("admin:faces", 1, 0),
        ("connection:unknown", 0, 1),
    ] {
        let mut running = managed(&program, names, "127.0.0.1:0,127.0.0.1:0");
        running.wait_for("serving faces");
        let opened = opened(&running);
        let face = Answer::to(&opened[faces], "GET", FACE, &[]).await;
        assert_eq!(face.status, 200, "{names:?}");
        let ready = Answer::to(&opened[admin], "GET", "/readyz", &[]).await;
        assert_eq!(ready.text(), "ok\n", "{names:?}");
    }
}

#[tokio::test]
async fn with_one_inherited_socket_the_admin_address_comes_from_the_configuration() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let mut running = managed(&program, "", "127.0.0.1:0");
    running.wait_for("serving faces");
    let face = Answer::to(&opened(&running)[0], "GET", FACE, &[]).await;
    assert_eq!(face.status, 200);
    let ready = Answer::to(&running.address("admin"), "GET", "/readyz", &[]).await;
    assert_eq!(ready.status, 200);
}

#[tokio::test]
async fn an_inherited_public_socket_needs_allow_public_too() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    for (addresses, word) in [
        ("0.0.0.0:0", "access.allow_public"),
        ("127.0.0.1:0,0.0.0.0:0", "admin.token"),
    ] {
        let (code, output) = managed(&program, "", addresses).end();
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(word), "{output}");
    }
}

#[tokio::test]
async fn the_service_manager_is_notified_of_readiness_and_of_stopping() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let path = program.folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut command = program.command(&["serve"]);
    command.env("NOTIFY_SOCKET", &path);
    let mut running = Running::start(command);
    let mut told = [0; 256];
    let length = manager.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"READY=1\n");
    running.wait_for("serving faces");
    let address = running.address("listen");
    assert_eq!(Answer::to(&address, "GET", FACE, &[]).await.status, 200);
    running.signal("TERM");
    let length = manager.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"STOPPING=1\n");
    assert_eq!(running.end().0, Some(0));
}
