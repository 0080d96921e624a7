//! `faceplate cache`, with and without a running server.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::PathBuf,
    process::Command,
};

use crate::support::{
    Answer, files_below,
    program::{Program, Running, errors},
    scene::Scene,
};
use faceplate::avatar::Key;

/// A server with five faces and one contact without a picture.
async fn scene_with_faces() -> Scene {
    let scene = Scene::set().await;
    for number in 1..=5 {
        let jid = format!("62810000000{number}");
        face(&scene, &jid)
            .await
            .assert_picture(&scene.emulator.control().face_bytes(&jid).unwrap());
    }
    face(&scene, "628100000102")
        .await
        .assert_fallback("unknown");
    scene
}

async fn face(scene: &Scene, jid: &str) -> Answer {
    scene.get(&format!("/avatar/waha/{jid}")).await
}

/// The command's output and exit code.
fn cache(scene: &Scene, args: &[&str]) -> (String, String, Option<i32>) {
    let output = scene
        .command(&[&["cache"], args].concat())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (said, errors(&output), output.status.code())
}

fn json(scene: &Scene, args: &[&str]) -> serde_json::Value {
    let (said, wrong, _) = cache(scene, &[args, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("no JSON: {said}{wrong}"))
}

fn pictures(scene: &Scene) -> Vec<PathBuf> {
    files_below(scene.program.folder.path().join("cache/content-v2"))
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_stats_counts_entries_while_the_server_runs() {
    let scene = scene_with_faces().await;
    let stats = json(&scene, &["stats"]);
    assert_eq!(
        (stats["entries"].as_u64(), stats["pictures"].as_u64()),
        (Some(6), Some(5))
    );
    assert_eq!(
        (stats["files"].as_u64(), stats["orphans"].as_u64()),
        (Some(5), Some(0))
    );
    assert_eq!(stats["outcomes"]["picture"], 5);
    assert_eq!(stats["outcomes"]["unknown"], 1);
    let (said, _, code) = cache(&scene, &["stats"]);
    assert!(said.contains("6 entries, 5 with a picture"), "{said}");
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_list_hides_phone_numbers_by_default() {
    let scene = scene_with_faces().await;
    let (said, ..) = cache(&scene, &["list"]);
    assert_eq!(said.lines().count(), 7);
    assert!(
        said.contains("628…102@c.us") && !said.contains("628100000102"),
        "{said}"
    );
    let (said, ..) = cache(&scene, &["list", "--show-jids"]);
    assert!(said.contains("628100000102@c.us"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_verify_finds_damage_and_exits_with_an_error() {
    let scene = scene_with_faces().await;
    let (said, _, code) = cache(&scene, &["verify"]);
    assert!(said.contains("6 entries are good, 0 damaged"), "{said}");
    assert_eq!(code, Some(0));
    let pictures = pictures(&scene);
    fs::write(&pictures[0], "damaged").unwrap();
    fs::remove_file(&pictures[1]).unwrap();
    let (said, wrong, code) = cache(&scene, &["verify"]);
    assert!(said.contains("4 entries are good, 2 damaged"), "{said}");
    assert!(wrong.contains("fetched again"), "{wrong}");
    assert_eq!(code, Some(1));
    let found = json(&scene, &["verify"]);
    assert_eq!(
        (
            found["kinds"]["content"].as_u64(),
            found["kinds"]["missing"].as_u64()
        ),
        (Some(1), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_forget_works_with_and_without_a_running_server() {
    let mut scene = scene_with_faces().await;
    let (said, wrong, code) = cache(&scene, &["forget", "waha", "628100000001"]);
    assert_eq!((said.as_str(), code), ("forgotten\n", Some(0)), "{wrong}");
    assert_eq!(pictures(&scene).len(), 4);
    // The running server has removed it from memory, too.
    face(&scene, "628100000001").await.assert_fallback("hidden");
    scene.stop();
    let (said, wrong, _) = cache(&scene, &["forget", "waha", "+628100000002"]);
    assert_eq!(said, "forgotten\n", "{wrong}");
    assert_eq!(pictures(&scene).len(), 3);
    scene.serve();
    face(&scene, "628100000002").await.assert_fallback("hidden");
    let (_, wrong, code) = cache(&scene, &["forget", "nobody", "1"]);
    assert!(wrong.contains("no instance") && code == Some(1), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_gc_works_with_and_without_a_running_server() {
    let mut scene = scene_with_faces().await;
    let orphan = || {
        let folder = scene
            .program
            .folder
            .path()
            .join("cache/content-v2/sha256/ab/cd");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("ef".repeat(30));
        fs::write(&path, "left by a crash").unwrap();
        let file = fs::File::options().append(true).open(&path).unwrap();
        // File dates follow the system's clock.
        #[allow(clippy::disallowed_methods)]
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(7200))
            .unwrap();
        path
    };
    let left = orphan();
    assert_eq!(json(&scene, &["gc"])["entries"], 6);
    assert!(!left.exists());
    let left = orphan();
    scene.stop();
    let (said, wrong, code) = cache(&scene, &["gc"]);
    assert!(said.starts_with("6 entries"), "{said}{wrong}");
    assert_eq!(code, Some(0));
    assert!(!left.exists());
}

#[test]
fn a_missing_cache_directory_is_named_in_the_error() {
    let program = Program::with(
        "[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/nothing\"\n[instances.a]\nprovider = \"wawp\"\naccount = \"1\"\ntoken = \"env:TOKEN\"",
    );
    let output = program.run(&["cache", "stats"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("/nothing") && errors(&output).contains("cache.dir"),
        "{}",
        errors(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_list_has_a_header_and_the_keys_of_the_log() {
    let scene = scene_with_faces().await;
    let (said, ..) = cache(&scene, &["list"]);
    let header: Vec<_> = said.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        ["KEY", "INSTANCE", "JID", "OUTCOME", "BYTES", "AGE"]
    );
    let key = Key::new("waha", &"628100000001".parse().unwrap()).to_string();
    assert!(said.lines().any(|line| line.starts_with(&key)), "{said}");
    let (said, ..) = cache(&scene, &["list", "--json"]);
    assert!(said.contains(&format!("\"key\":\"{key}\"")), "{said}");
}

#[test]
fn a_command_makes_nothing_where_there_is_no_cache_directory() {
    let program = Program::with(
        "[access]\nmode = \"open\"\n[admin]\nlisten = \"127.0.0.1:1\"\n[cache]\ndir = \"nothing\"\n[instances.a]\nprovider = \"waha\"\naccount = \"1\"\ntoken = \"env:TOKEN\"\nbase_url = \"http://127.0.0.1:1\"\nallow_private = [\"127.0.0.0/8\"]",
    );
    let folder = fs::canonicalize(program.folder.path()).unwrap();
    for args in [
        &["cache", "stats"][..],
        &["cache", "list"],
        &["cache", "verify"],
        &["cache", "gc"],
        &["cache", "forget", "a", "628100000001"],
        &["doctor"],
    ] {
        let output = program.command(args).current_dir(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = errors(&output) + &String::from_utf8_lossy(&output.stdout);
        // A relative path is named in full.
        let dir = folder.join("nothing").display().to_string();
        assert!(said.contains(&dir), "{args:?}: {said}");
        assert!(!folder.join("nothing").exists(), "{args:?}");
    }
}

/// The user that servers of these tests run as, if the tests run as root.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Starts a server as an ordinary user, for whom the cache directory is.
fn serve_as_nobody(program: &Program) -> Running {
    use std::os::unix::fs::PermissionsExt;

    let dir = program.folder.path().join("cache");
    fs::create_dir_all(&dir).unwrap();
    chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(program.folder.path(), open).unwrap();
    let serve = program.command(&["serve"]);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(serve.get_program())
        .args(serve.get_args())
        .env("TOKEN", "emulator-token")
        .env("SIGNING_KEY", "a signing key for tests");
    let mut server = Running::start(command);
    server.wait_for("serving faces");
    server
}

fn owners(folder: PathBuf) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            found.push((path.clone(), fs::symlink_metadata(&path).unwrap().uid()));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn root_leaves_nothing_that_the_server_cannot_read() {
    if !is_root() {
        return;
    }
    let mut scene = Scene::before_the_start().await;
    scene.server = Some(serve_as_nobody(&scene.program));
    face(&scene, "628100000001").await;
    face(&scene, "628100000002").await;
    // The server does the work while it runs.
    let (said, wrong, _) = cache(&scene, &["forget", "waha", "628100000001"]);
    assert_eq!(said, "forgotten\n", "{wrong}");
    scene.stop();
    for args in [&["forget", "waha", "628100000002"][..], &["gc"]] {
        let (_, wrong, code) = cache(&scene, args);
        assert_eq!(code, Some(1), "{wrong}");
        assert!(wrong.contains("sudo -u '#65534'"), "{wrong}");
    }
    let warm = scene.program.run(&["warm", "waha", "/dev/null"]);
    assert!(
        errors(&warm).contains("sudo -u '#65534'"),
        "{}",
        errors(&warm)
    );
    scene.program.run(&["doctor"]);
    let all = owners(scene.program.folder.path().join("cache"));
    assert!(all.iter().all(|(_, owner)| *owner == NOBODY), "{all:?}");
    scene.emulator.control().reset_calls();
    scene.server = Some(serve_as_nobody(&scene.program));
    face(&scene, "628100000001").await.assert_fallback("hidden");
    assert_eq!(scene.emulator.control().calls().api, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_server_is_named_as_such() {
    let scene = scene_with_faces().await;
    let other = Program::before(&scene.emulator, "");
    let second = other.serve();
    let run = |args: &[&str], admin: &str| {
        let mut command = scene.program.command(args);
        let output = command
            .env("FACEPLATE_ADMIN__LISTEN", admin)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        errors(&output) + &String::from_utf8_lossy(&output.stdout)
    };
    let forget = ["cache", "forget", "waha", "628100000001"];
    for args in [&["cache", "gc"][..], &forget, &["doctor"]] {
        let said = run(args, "127.0.0.1:1");
        assert!(
            said.contains("is in use by a server, but"),
            "{args:?}: {said}"
        );
        // `doctor` warns of it: see `doctor.rs`.
        if args != ["doctor"] {
            let said = run(args, &second.address("admin"));
            assert!(said.contains("the one at"), "{args:?}: {said}");
        }
    }
    let jid = "628100000001";
    let bytes = scene.emulator.control().face_bytes(jid).unwrap();
    face(&scene, jid).await.assert_picture(&bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_replica_of_a_fleet_forgets_no_face_and_makes_no_calls_behind_its_siblings() {
    let scene = Scene::before_the_start().await;
    let fleet = "[fleet]\nname = \"crm\"\nredis = \"env:REDIS\"\nsecret = \"env:SIGNING_KEY\"";
    let replica = Program::before(&scene.emulator, fleet);
    for (program, is_refused) in [(&replica, true), (&scene.program, false)] {
        // Commands make no cache directory.
        fs::create_dir(program.folder.path().join("cache")).unwrap();
        for args in [
            &["cache", "forget", "waha", "628100000001"][..],
            &["warm", "waha", "--chats"],
        ] {
            let mut command = program.command(args);
            let output = command.env("REDIS", "redis://127.0.0.1:1").output();
            let output = output.unwrap();
            let said = errors(&output);
            assert_eq!(output.status.success(), !is_refused, "{args:?}: {said}");
            assert_eq!(said.contains("a replica of a fleet"), is_refused, "{said}");
        }
        let calls = scene.emulator.control().calls().api;
        assert_eq!(calls == 0, is_refused, "{calls} calls");
    }
}
