//! Limits of the cache and the level of the log, which change by a reload.

use std::fs;

use serde_json::Value;

use crate::support::{
    Answer, LIMIT, Rig,
    program::{Program, Running},
    rig::Settings,
    until,
};
use faceplate::emulator::{Emulator, Options};

/// Replaces a part of the configuration, and waits until the server has read it.
async fn edit(program: &Program, server: &Running, from: &str, to: &str) {
    let text = fs::read_to_string(program.config()).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    let before = server.output.lock().unwrap().len();
    fs::write(program.config(), text.replace(from, to)).unwrap();
    let is_read = async || server.output.lock().unwrap()[before..].contains("read again");
    until(is_read, LIMIT).await;
}

async fn cache(server: &Running, method: &str, path: &str) -> Value {
    let answer = Answer::to(&server.address("admin"), method, path, &[]).await;
    serde_json::from_slice(&answer.body).unwrap()
}

async fn face(server: &Running, number: u32) {
    let path = format!("/avatar/waha/62810000000{number}@c.us");
    let answer = Answer::to(&server.address("listen"), "GET", &path, &[]).await;
    assert_eq!(answer.source(), "picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_makes_the_cache_smaller_without_a_restart() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let server = program.serve();
    for number in 1..=4 {
        face(&server, number).await;
    }
    let before = cache(&server, "POST", "/v1/cache/gc").await;
    assert_eq!(before["entries"], 4, "{before}");
    edit(
        &program,
        &server,
        "dir = ",
        "max_entries = 2\nmax_bytes = \"1GiB\"\ndir = ",
    )
    .await;
    assert_eq!(
        cache(&server, "GET", "/v1/cache").await["max_bytes"],
        1 << 30
    );
    let after = cache(&server, "POST", "/v1/cache/gc").await;
    assert!(after["entries"].as_u64().unwrap() <= 2, "{after}");
    let output = server.output.lock().unwrap().clone();
    assert!(!output.contains("takes effect after a restart"), "{output}");
}

#[tokio::test]
async fn a_reload_changes_how_many_pictures_and_variants_memory_keeps() {
    const FACE: &str = "628100000001";
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    // From here on, the pictures are in memory alone.
    for file in rig.files("content-v2") {
        fs::remove_file(file).unwrap();
    }
    let variants = async |rig: &Rig| {
        let resized = rig.get(&format!("/avatar/waha/{FACE}?s=64")).await;
        assert_eq!(resized.source(), "picture");
        let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
        let made = metrics.text().lines();
        let made = made.filter(|line| line.starts_with("faceplate_derived_total{"));
        let counts = made.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum::<u64>()
    };
    assert_eq!(variants(&rig).await, variants(&rig).await);
    rig.traffic();
    rig.reload_as(|settings| with_memory(settings, "1b"));
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic().0, 1);
    assert!(variants(&rig).await < variants(&rig).await);
    rig.reload_as(|settings| with_memory(settings, "64MiB"));
    variants(&rig).await;
    for file in rig.files("content-v2") {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(variants(&rig).await, variants(&rig).await);
    assert_eq!(rig.traffic(), (0, 0));
}

fn with_memory(settings: Settings, memory: &str) -> Settings {
    let memory = format!("memory = \"{memory}\"");
    let settings = settings.section("cache", &memory);
    settings.section("images", &memory)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_level_of_the_log_and_turns_the_access_log_off_and_on() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "[log]\nlevel = \"info\"");
    let server = program.serve();
    // The number of access-log lines, once those so far are written.
    let lines = async |asked: usize| {
        let path = format!("/nothing-{asked}");
        Answer::to(&server.address("listen"), "GET", &path, &[]).await;
        let output = server.output.lock().unwrap().clone();
        output.matches("faceplate::access:").count()
    };
    until(async || lines(1).await > 0, LIMIT).await;
    let access_off = "level = \"info,faceplate::access=warn\"";
    edit(&program, &server, "level = \"info\"", access_off).await;
    let quiet = lines(2).await;
    face(&server, 1).await;
    // Every line that was written before this one is in the output.
    edit(&program, &server, "burst = 10000", "burst = 9999").await;
    assert_eq!(lines(3).await, quiet);
    edit(&program, &server, access_off, "level = \"info\"").await;
    until(async || lines(4).await > quiet, LIMIT).await;
}
