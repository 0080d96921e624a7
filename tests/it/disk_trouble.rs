//! A disk that is full, read-only or not writable for this user: requests are answered, the log and `/readyz`
//! name the problem, and writing resumes by itself. A disk that hangs does not keep the server from its end.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::Command,
};

use crate::support::{
    Answer, LIMIT,
    program::{Program, Running},
    until,
};
use faceplate::emulator::{Emulator, Fault, Options, Picture, Rule};

struct Scene {
    emulator: Emulator,
    program: Program,
    wrapper: Vec<String>,
    server: Running,
}

fn start(program: &Program, wrapper: &[String]) -> Running {
    let served = program.command(&["serve"]);
    let mut command = Command::new(&wrapper[0]);
    command
        .args(&wrapper[1..])
        .arg(served.get_program())
        .args(served.get_args())
        .env("TOKEN", "emulator-token")
        .env("SIGNING_KEY", "a signing key for tests")
        .env("FACEPLATE_CACHE__MIN_FREE", "0b");
    let mut server = Running::start(command);
    server.wait_for("serving faces");
    server
}

impl Scene {
    /// A server started by `wrapper`, a command that runs its arguments.
    async fn set(wrapper: &[&str]) -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let program = Program::before(&emulator, "");
        let dir = program.folder.path().join("cache");
        fs::create_dir(&dir).unwrap();
        // The server may run as another user, which has to reach its directory.
        for path in [program.folder.path(), &dir] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let dir = dir.to_str().unwrap();
        let wrapper: Vec<_> = wrapper
            .iter()
            .map(|word| {
                if *word == "env" || word.starts_with("FACEPLATE_") {
                    (*word).to_owned()
                } else {
                    word.replace("CACHE", dir)
                }
            })
            .collect();
        let server = start(&program, &wrapper);
        Self {
            emulator,
            program,
            wrapper,
            server,
        }
    }

    fn restart(&mut self) {
        self.server.signal("TERM");
        self.server.process.wait().unwrap();
        self.server = start(&self.program, &self.wrapper);
    }

    /// Requests a face, which has to be right in spite of the disk. Returns whether it was stored.
    async fn face(&self, number: usize) -> bool {
        let jid = format!("62855500{number:03}");
        let address = self.server.address("listen");
        let answer = Answer::to(&address, "GET", &format!("/avatar/waha/{jid}"), &[]).await;
        answer.assert_picture(&self.emulator.control().face_bytes(&jid).unwrap());
        answer.cache_status().contains("stored")
    }

    /// Requests a face that cannot be shown now.
    async fn placeholder(&self, number: usize) {
        self.placeholder_at(&format!("62855500{number:03}")).await;
    }

    async fn placeholder_at(&self, jid: &str) {
        let address = self.server.address("listen");
        let answer = Answer::to(&address, "GET", &format!("/avatar/waha/{jid}"), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.source()), (200, "fallback"));
    }

    /// The files below a folder of the cache directory.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let all = everything(self.program.folder.path().join("cache").join(folder));
        all.into_iter().filter(|path| path.is_file()).collect()
    }

    /// Remounts the server's own disk.
    fn remount(&self, how: &str) {
        let pid = self.server.process.id().to_string();
        let folder = self.program.folder.path().join("cache");
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
    }

    async fn readiness(&self) -> String {
        let answer = Answer::to(&self.server.address("admin"), "GET", "/readyz", &[]).await;
        assert_eq!(answer.status, 200);
        answer.text().to_owned()
    }

    /// Asserts that the failure is reported.
    async fn assert_degraded(&mut self) {
        assert!(
            self.readiness().await.contains("degraded"),
            "{}",
            self.readiness().await
        );
        let log = self.server.wait_for("cannot write to the cache");
        // It is logged once, not for each request.
        assert_eq!(
            log.matches("cannot write to the cache; faces").count(),
            1,
            "{log}"
        );
    }

    async fn run_maintenance(&self) {
        self.admin("POST", "/v1/cache/gc").await;
    }

    /// The body of a successful answer of the admin listener.
    async fn admin(&self, method: &str, path: &str) -> String {
        let answer = Answer::to(&self.server.address("admin"), method, path, &[]).await;
        assert_eq!(answer.status, 200);
        answer.text().to_owned()
    }

    /// Asserts that the recovery is reported before the next request for a face.
    async fn assert_resumed(&mut self, number: usize) {
        self.run_maintenance().await;
        assert_eq!(self.readiness().await, "ok\n");
        assert!(self.face(number).await, "writing did not resume");
        self.server.wait_for("can be written to again");
    }

    /// The cache directory as the server sees it, through a mount of its own.
    fn cache(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.server.process.id()));
        let dir = self.program.folder.path().join("cache");
        root.join(dir.strip_prefix("/").unwrap())
    }
}

/// Root may write anywhere, so under root the server runs as an ordinary user.
fn as_nobody<'a>(wrapper: &[&'a str]) -> Vec<&'a str> {
    const NOBODY: [&str; 4] = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let nobody: &[&str] = if is_root { &NOBODY } else { &[] };
    [nobody, wrapper].concat()
}

/// A file system of 512 KB in a mount namespace of its own.
const OWN_DISK: [&str; 7] =
    with_own_mounts("mount -t tmpfs -o size=512k tmpfs CACHE && exec \"$@\"");

/// The start of a command line that runs a shell script in a mount namespace of its own.
const fn with_own_mounts(script: &str) -> [&str; 7] {
    [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_caching_but_no_answer() {
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
    // The earlier face is still in memory and on disk.
    assert!(!scene.face(0).await);
    fs::remove_file(&filler).unwrap();
    scene.assert_resumed(10).await;
}

/// A disk of its own, of which 200 KiB are to be kept free.
fn with_reserve(more: &'static str) -> Vec<&'static str> {
    let env = ["env", "FACEPLATE_CACHE__MIN_FREE=200KiB", more];
    [&OWN_DISK[..], &env].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_other_programs_fill_costs_no_face_and_is_reported() {
    // No memory to speak of, so that every look goes to the disk.
    let mut scene = Scene::set(&with_reserve("FACEPLATE_CACHE__MEMORY=1b")).await;
    for number in 0..3 {
        assert!(scene.face(number).await);
    }
    let filler = scene.cache().join("filler");
    fs::write(&filler, vec![0; 380 * 1024]).unwrap();
    for _ in 0..5 {
        scene.run_maintenance().await;
    }
    scene.emulator.control().reset_calls();
    for number in 0..3 {
        scene.face(number).await;
    }
    assert_eq!(scene.emulator.control().calls().api, 0);
    let ready = scene.readiness().await;
    assert!(
        ready.contains("degraded") && ready.contains("short of space"),
        "{ready}"
    );
    let failing = "faceplate_disk_failing{operation=\"keep_free\"}";
    let metrics = scene.admin("GET", "/metrics").await;
    assert!(metrics.contains(&format!("{failing} 1")), "{metrics}");
    assert!(metrics.contains("faceplate_disk_free_bytes "), "{metrics}");
    let overview = scene.admin("GET", "/v1/overview").await;
    assert!(overview.contains("short of space"), "{overview}");
    let log = scene.server.wait_for("short of space");
    assert_eq!(log.matches("short of space").count(), 1, "{log}");

    fs::remove_file(&filler).unwrap();
    scene.run_maintenance().await;
    assert_eq!(scene.readiness().await, "ok\n");
    let metrics = scene.admin("GET", "/metrics").await;
    assert!(metrics.contains(&format!("{failing} 0")), "{metrics}");
    scene.server.wait_for("enough free space again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_disk_that_other_programs_filled_costs_no_face() {
    const FILLED: &str = "mount -t tmpfs -o size=512k tmpfs CACHE && cp -a SEED/. CACHE && \
        dd if=/dev/zero of=CACHE/filler bs=1k count=COUNT status=none && exec \"$@\"";
    let mut scene = Scene::set(&["env"]).await;
    for number in 0..10 {
        assert!(scene.face(number).await);
    }
    let dir = scene.program.folder.path().join("cache");
    let seed = scene.program.folder.path().join("seed");
    scene.server.signal("TERM");
    scene.server.process.wait().unwrap();
    let files = everything(dir.clone())
        .into_iter()
        .filter(|path| path.is_file());
    let used: u64 = files
        .map(|path| fs::metadata(path).unwrap().blocks() / 2)
        .sum();
    fs::rename(&dir, &seed).unwrap();
    fs::create_dir(&dir).unwrap();
    // The cache is larger than the space that is left.
    let script = FILLED
        .replace("CACHE", dir.to_str().unwrap())
        .replace("SEED", seed.to_str().unwrap())
        .replace("COUNT", &(512 - 24 - used).to_string());
    let wrapper = with_own_mounts(&script);
    let reserve = ["env", "FACEPLATE_CACHE__MIN_FREE=200KiB"];
    scene.wrapper = [&wrapper[..], &reserve]
        .concat()
        .iter()
        .map(|word| (*word).to_owned())
        .collect();
    scene.server = start(&scene.program, &scene.wrapper);
    for _ in 0..3 {
        scene.run_maintenance().await;
    }
    let cache: serde_json::Value =
        serde_json::from_str(&scene.admin("GET", "/v1/cache").await).unwrap();
    assert_eq!(
        (&cache["entries"], &cache["evicted"]),
        (&10.into(), &0.into())
    );
    assert!(scene.readiness().await.contains("short of space"));
}

#[tokio::test(flavor = "multi_thread")]
async fn eviction_keeps_the_configured_free_space_if_the_cache_takes_it() {
    let scene = Scene::set(&with_reserve("FACEPLATE_CACHE__MAX_BYTES=1GiB")).await;
    let free = |scene: &Scene| {
        let space = faceplate::store::disk_space(&scene.cache()).unwrap();
        space.free
    };
    let mut count = 0;
    while free(&scene) >= 200 * 1024 {
        scene.face(count).await;
        count += 1;
    }
    scene.run_maintenance().await;
    assert!(free(&scene) >= 200 * 1024);
    assert_eq!(scene.readiness().await, "ok\n");
    let cache: serde_json::Value =
        serde_json::from_str(&scene.admin("GET", "/v1/cache").await).unwrap();
    let entries = cache["entries"].as_u64().unwrap();
    assert!(
        entries < count as u64 && entries > count as u64 / 2,
        "{entries} of {count}"
    );
    let metrics = scene.admin("GET", "/metrics").await;
    let evicted = format!(
        "faceplate_evictions_total{{cause=\"min_free\"}} {}",
        cache["evicted"]
    );
    assert!(metrics.contains(&evicted), "{metrics}");
    // The evicted faces are still in memory.
    scene.emulator.control().reset_calls();
    for number in 0..count {
        scene.face(number).await;
    }
    assert_eq!(scene.emulator.control().calls().api, 0);
    let log = scene.server.output.lock().unwrap().clone();
    assert!(!log.contains("short of space"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_costs_caching_but_no_answer() {
    let mut scene = Scene::set(&OWN_DISK).await;
    assert!(scene.face(0).await);
    scene.remount("ro");
    for number in 1..4 {
        assert!(!scene.face(number).await);
    }
    scene.remount("rw");
    scene.server.wait_for("cannot write to the cache");
    scene.assert_resumed(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_cache_on_a_read_only_disk_starts_and_serves() {
    const READ_ONLY: &str =
        "mount --bind CACHE CACHE && mount -o remount,bind,ro CACHE && exec \"$@\"";
    let mut scene = Scene::set(&["env"]).await;
    assert!(scene.face(0).await);
    let dir = scene.program.folder.path().join("cache");
    let script = READ_ONLY.replace("CACHE", dir.to_str().unwrap());
    let read_only = with_own_mounts(&script);
    for lock_file in ["it stays", "it is gone"] {
        if lock_file == "it is gone" {
            fs::remove_file(dir.join("lock")).unwrap();
        }
        scene.wrapper = read_only.map(str::to_owned).to_vec();
        scene.restart();
        let doctor = scene.program.command(&["doctor"]);
        let mut command = Command::new(read_only[0]);
        command
            .args(&read_only[1..])
            .arg(doctor.get_program())
            .args(doctor.get_args())
            .env("TOKEN", "emulator-token")
            .env("SIGNING_KEY", "a signing key for tests");
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(
            said.contains("warn  cache.dir") && said.contains("read-only disk"),
            "{said}"
        );
        scene.emulator.control().reset_calls();
        assert!(!scene.face(0).await);
        assert_eq!(scene.emulator.control().calls().api, 0, "{lock_file}");
        assert!(!scene.face(1).await);
        scene.server.wait_for("Read-only file system");
        let ready = scene.readiness().await;
        assert!(ready.contains("cannot write to the cache"), "{ready}");
        let metrics = scene.admin("GET", "/metrics").await;
        assert!(
            metrics.contains("faceplate_disk_failing{operation=\"write\"} 1"),
            "{metrics}"
        );
        // A failure to save a budget is logged once, too.
        scene.face(2).await;
        let log = scene.server.output.lock().unwrap().clone();
        assert_eq!(
            log.matches("cannot save an instance's budget").count(),
            1,
            "{log}"
        );
    }
    scene.wrapper = vec!["env".to_owned()];
    scene.restart();
    assert!(scene.face(3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_users_can_read_nothing_in_a_cache_directory_that_was_open_to_them() {
    let mut scene = Scene::set(&["env", "FACEPLATE_CACHE__RETAIN=forever"]).await;
    assert!(scene.face(0).await);
    scene.server.wait_for("closed to them now");
    let cache = scene.program.folder.path().join("cache");
    let all = everything(cache);
    assert!(all.len() > 10, "{all:?}");
    for path in all {
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{mode:o} {}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_directory_without_write_permission_costs_caching_but_no_answer() {
    let mut scene = Scene::set(&as_nobody(&["env"])).await;
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

/// All paths below a folder, the folder first.
fn everything(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = vec![folder];
    let mut next = 0;
    while next < found.len() {
        if let Ok(items) = fs::read_dir(&found[next]) {
            found.extend(items.map(|item| item.unwrap().path()));
        }
        next += 1;
    }
    found
}

fn set_mode(paths: &[PathBuf], mode: u32) {
    for path in paths {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_picture_is_temporarily_unreadable_is_kept_and_fetched() {
    // No memory to speak of, so that every look goes to the disk.
    let wrapper = ["env", "FACEPLATE_CACHE__MEMORY=1b"];
    let scene = Scene::set(&as_nobody(&wrapper)).await;
    assert!(scene.face(0).await);
    let files = scene.files("content-v2");
    let before: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    set_mode(&files, 0o000);
    scene.face(0).await;
    // An answer without a picture does not replace the entry.
    let fails = Fault::Status {
        status: 500,
        retry_after: None,
    };
    scene.emulator.control().inject(Rule::api(fails)).unwrap();
    scene.placeholder(0).await;
    scene.emulator.control().clear_faults();
    set_mode(&files, 0o666);
    for (path, before) in files.iter().zip(before) {
        assert_eq!(fs::read(path).unwrap(), before);
    }
    scene.emulator.control().reset_calls();
    assert!(!scene.face(0).await);
    assert_eq!(scene.emulator.control().calls().api, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendor_is_not_asked_for_a_face_whose_entry_is_unreadable() {
    let mut scene = Scene::set(&as_nobody(&["env"])).await;
    assert!(scene.face(0).await);
    let path = "/v1/avatars/waha/62855500000";
    let admin = scene.server.address("admin");
    assert_eq!(Answer::to(&admin, "DELETE", path, &[]).await.status, 204);
    let files = scene.files("index-v5");
    let before = fs::read(&files[0]).unwrap();
    set_mode(&files, 0o000);
    scene.restart();
    scene.emulator.control().reset_calls();
    for query in ["", "?refresh=true", "?s=64"] {
        scene.placeholder_at(&format!("62855500000{query}")).await;
    }
    let admin = scene.server.address("admin");
    let refreshed = Answer::to(&admin, "POST", path, &[]).await;
    assert_eq!(refreshed.status, 503, "{}", refreshed.text());
    assert_eq!(scene.emulator.control().calls().api, 0);
    let log = scene.server.wait_for("a cache entry cannot be read now");
    assert_eq!(
        log.matches("a cache entry cannot be read now").count(),
        1,
        "{log}"
    );
    let ready = scene.readiness().await;
    assert!(
        ready.contains("degraded") && ready.contains("cannot read"),
        "{ready}"
    );
    let metrics = scene.admin("GET", "/metrics").await;
    assert!(
        metrics.contains("faceplate_disk_failing{operation=\"read\"} 1"),
        "{metrics}"
    );
    assert!(
        !metrics.contains("faceplate_unreadable_total 0"),
        "{metrics}"
    );

    set_mode(&files, 0o666);
    assert_eq!(fs::read(&files[0]).unwrap(), before);
    scene.run_maintenance().await;
    assert_eq!(scene.readiness().await, "ok\n");
    scene.placeholder(0).await;
    assert_eq!(scene.emulator.control().calls().api, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_an_unreadable_index_file_is_not_collected() {
    let mut scene = Scene::set(&as_nobody(&["env", "FACEPLATE_CACHE__GC_GRACE=0"])).await;
    for number in 0..5 {
        scene.face(number).await;
    }
    let cache = scene.program.folder.path().join("cache");
    let index: Vec<_> = everything(cache.join("index-v5"))
        .into_iter()
        .filter(|path| path.is_dir())
        .skip(1)
        .collect();
    let contents = everything(cache.join("content-v2"));
    set_mode(&index, 0o000);
    scene.restart();
    let admin = scene.server.address("admin");
    let maintained = Answer::to(&admin, "POST", "/v1/cache/gc", &[]).await;
    assert!(
        maintained.text().contains("\"counted\":false"),
        "{}",
        maintained.text()
    );
    set_mode(&index, 0o777);
    assert_eq!(everything(cache.join("content-v2")), contents);
    let maintained = Answer::to(&admin, "POST", "/v1/cache/gc", &[]).await;
    assert!(
        maintained.text().contains("\"counted\":true"),
        "{}",
        maintained.text()
    );
    assert_eq!(everything(cache.join("content-v2")), contents);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_picture_is_kept_while_other_faces_that_have_it_cannot_be_read() {
    let scene = Scene::set(&as_nobody(&["env", "FACEPLATE_CACHE__RETAIN=forever"])).await;
    let control = scene.emulator.control();
    for number in 0..2 {
        let jid = format!("62855500{number:03}");
        control.set_picture(&jid, Picture::Face(31)).unwrap();
        scene.face(number).await;
    }
    let archive = scene.program.folder.path().join("cache/archive");
    let files = |folder: &str| {
        let all = everything(archive.join(folder)).into_iter();
        all.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let contents = files("content-v2");
    assert_eq!(contents.len(), 1);
    let is_others = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("62855500001");
    let others: Vec<_> = files("index-v5").into_iter().filter(is_others).collect();
    let folder = others[0].parent().unwrap().to_owned();
    let admin = scene.server.address("admin");
    for hidden in [others, vec![folder]] {
        set_mode(&hidden, 0o000);
        let path = "/v1/avatars/waha/62855500000";
        let refused = Answer::to(&admin, "DELETE", path, &[]).await;
        set_mode(&hidden, 0o777);
        assert_eq!(refused.status, 500, "{hidden:?}");
        assert_eq!(files("index-v5").len(), 2);
    }
    // The removal can be repeated, and the other face keeps the picture.
    let path = "/v1/avatars/waha/62855500000";
    let done = Answer::to(&admin, "DELETE", path, &[]).await;
    assert_eq!(done.status, 204);
    assert_eq!(files("index-v5").len(), 1);
    assert_eq!(files("content-v2"), contents);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_does_not_keep_the_server_from_its_end() {
    // Longer than the pause between two passes of maintenance, which then waits for the disk, too.
    let mut scene = Scene::set(&["env", "FACEPLATE_SERVER__DRAIN_TIMEOUT=6s"]).await;
    assert!(scene.face(0).await);
    // Opening a named pipe blocks until the other end is opened, like a file of a network disk that is gone.
    let index = scene.files("index-v5").remove(0);
    assert!(scene.face(1).await);
    fs::remove_file(&index).unwrap();
    let made = Command::new("mkfifo").arg(&index).status().unwrap();
    assert!(made.success());
    let control = scene.emulator.control();
    control.reset_calls();
    let address = scene.server.address("listen");
    let path = "/avatar/waha/62855500000?refresh=true";
    Answer::to(&address, "GET", path, &[]).await;
    until(async || control.calls().api > 0, LIMIT).await;
    scene.server.signal("TERM");
    let (code, output) = scene.server.end();
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("did not finish in time"), "{output}");
    // A face that was stored is there for the next process.
    fs::remove_file(&index).unwrap();
    scene.server = start(&scene.program, &scene.wrapper);
    control.reset_calls();
    assert!(!scene.face(1).await);
    assert_eq!(control.calls().api, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_eviction_is_logged_once_and_retried() {
    let mut scene = Scene::set(&as_nobody(&["env"])).await;
    for number in 0..5 {
        assert!(scene.face(number).await);
    }
    let cache = scene.program.folder.path().join("cache");
    let folders: Vec<_> = everything(cache)
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    scene
        .wrapper
        .push("FACEPLATE_CACHE__MAX_ENTRIES=2".to_owned());
    set_mode(&folders, 0o555);
    scene.restart();
    for _ in 0..3 {
        scene.run_maintenance().await;
    }
    let ready = scene.readiness().await;
    assert!(ready.contains("degraded"), "{ready}");
    let log = scene.server.wait_for("cannot remove faces from the cache");
    assert_eq!(log.matches("cannot remove").count(), 1, "{log}");
    set_mode(&folders, 0o777);
    scene.run_maintenance().await;
    assert_eq!(scene.readiness().await, "ok\n");
    scene
        .server
        .wait_for("faces can be removed from the cache again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_fails_on_disk_is_reported_as_failed() {
    let scene = Scene::set(&OWN_DISK).await;
    assert!(scene.face(0).await);
    scene.remount("ro");
    for how in ["", "&hard=true"] {
        let path = format!("/v1/purge?all=true{how}");
        let answer = Answer::to(&scene.server.address("admin"), "POST", &path, &[]).await;
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(answer.text().contains("not on disk"), "{}", answer.text());
    }
    scene.remount("rw");
    let path = "/v1/purge?all=true&hard=true";
    let answer = Answer::to(&scene.server.address("admin"), "POST", path, &[]).await;
    assert_eq!(answer.text(), "{\"purged\":1}");
}
