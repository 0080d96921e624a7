//! A disk that is full, read-only or somebody else's: answers go on, the log and `/readyz` say what
//! is wrong, and writing resumes by itself.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::Command,
};

use faceplate::emulator::{Emulator, Options};
use support::{
    Answer,
    program::{Program, Running},
};

struct Scene {
    emulator: Emulator,
    program: Program,
    server: Running,
}

impl Scene {
    /// A server started by `wrapper`, a command that runs another: `$0` and what follows.
    async fn set(wrapper: &[&str]) -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let program = Program::before(&emulator, "");
        let dir = program.folder.path().join("cache");
        fs::create_dir(&dir).unwrap();
        // Whoever the server runs as has to reach its directory.
        for path in [program.folder.path(), &dir] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let served = program.command(&["serve"]);
        let mut command = Command::new(wrapper[0]);
        command
            .args(
                wrapper[1..]
                    .iter()
                    .map(|word| word.replace("CACHE", dir.to_str().unwrap())),
            )
            .arg(served.get_program())
            .args(served.get_args())
            .env("TOKEN", "emulator-token")
            .env("SIGNING_KEY", "a signing key for tests")
            .env("FACEPLATE_CACHE__MIN_FREE", "0b");
        let mut server = Running::start(command);
        server.wait_for("serving faces");
        Self {
            emulator,
            program,
            server,
        }
    }

    /// The face, which must be right whatever the disk does. Returns whether it was stored.
    async fn face(&self, number: usize) -> bool {
        let jid = format!("62855500{number:03}");
        let address = self.server.address("listen");
        let answer = Answer::to(&address, "GET", &format!("/avatar/waha/{jid}"), &[]).await;
        answer.assert_picture(&self.emulator.control().face_bytes(&jid).unwrap());
        answer.cache_status().contains("stored")
    }

    async fn readiness(&self) -> String {
        let answer = Answer::to(&self.server.address("admin"), "GET", "/readyz", &[]).await;
        assert_eq!(answer.status, 200);
        answer.text().to_owned()
    }

    /// Trouble is on, and known.
    async fn assert_degraded(&mut self) {
        assert!(
            self.readiness().await.contains("degraded"),
            "{}",
            self.readiness().await
        );
        let log = self.server.wait_for("cannot write to the cache");
        // Once, not once per request.
        assert_eq!(
            log.matches("cannot write to the cache; faces").count(),
            1,
            "{log}"
        );
    }

    /// Trouble is over, and known.
    async fn assert_resumed(&mut self, number: usize) {
        assert!(self.face(number).await, "writing did not resume");
        assert_eq!(self.readiness().await, "ok\n");
        self.server.wait_for("can be written to again");
    }

    /// The cache directory as the server sees it, through a mount of its own.
    fn cache(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.server.process.id()));
        let dir = self.program.folder.path().join("cache");
        root.join(dir.strip_prefix("/").unwrap())
    }
}

/// A disk of its own, half a megabyte large, that nobody else sees.
const OWN_DISK: [&str; 7] = [
    "unshare",
    "--mount",
    "--map-root-user",
    "sh",
    "-c",
    "mount -t tmpfs -o size=512k tmpfs CACHE && exec \"$@\"",
    "sh",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_caching_and_never_answers() {
    let mut scene = Scene::set(&OWN_DISK).await;
    assert!(scene.face(0).await);
    let filler = scene.cache().join("filler");
    let mut size = 512 * 1024;
    while fs::write(&filler, vec![0; size]).is_err() {
        size -= 4096;
    }
    for number in 1..6 {
        assert!(!scene.face(number).await);
    }
    scene.assert_degraded().await;
    // What was in memory and on disk still is.
    assert!(!scene.face(0).await);
    fs::remove_file(&filler).unwrap();
    scene.assert_resumed(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_costs_caching_and_never_answers() {
    let mut scene = Scene::set(&OWN_DISK).await;
    let remount = |how: &str| {
        let pid = scene.server.process.id().to_string();
        let folder = scene.program.folder.path().join("cache");
        let done = Command::new("nsenter")
            .args([
                "--target",
                &pid,
                "--user",
                "--mount",
                "--preserve-credentials",
            ])
            .args(["mount", "-o", &format!("remount,{how}")])
            .arg(folder)
            .status()
            .unwrap();
        assert!(done.success());
    };
    assert!(scene.face(0).await);
    remount("ro");
    for number in 1..4 {
        assert!(!scene.face(number).await);
    }
    remount("rw");
    scene.server.wait_for("cannot write to the cache");
    scene.assert_resumed(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_permission_costs_caching_and_never_answers() {
    // Root may write everywhere, so root's tests run the server as nobody.
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut scene = Scene::set(if is_root { &nobody } else { &["env"] }).await;
    assert!(scene.face(0).await);
    let folder = scene.program.folder.path().join("cache");
    let forbid = |mode| {
        let mut folders = vec![folder.clone()];
        while let Some(folder) = folders.pop() {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
            let items = fs::read_dir(&folder)
                .unwrap()
                .map(|item| item.unwrap().path());
            folders.extend(items.filter(|path| path.is_dir()));
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    forbid(0o555);
    for number in 1..4 {
        assert!(!scene.face(number).await);
    }
    scene.assert_degraded().await;
    forbid(0o777);
    scene.assert_resumed(10).await;
}
