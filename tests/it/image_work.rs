//! Image work is bounded: in memory, in its queue and for each client. What stands in for a variant says so,
//! and is asked about each time.

use std::process::Command;

use crate::support::{
    Answer, LIMIT, Rig,
    image_files::{self as files, plain, png_without_sense},
    old_cache,
    program::{Program, Running},
    rig::Settings,
    until,
};
use faceplate::emulator::{Emulator, Fault, Match, Options, Rule};
use image::ImageFormat;
use tokio::task::JoinSet;

const FACE: &str = "628100000001";
/// An account without a picture.
const NOBODY: &str = "628100000102";

const CHROME: (&str, &str) = (
    "accept",
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
);

/// The CDN sends `file` as the picture of `jid`.
fn serve(file: &[u8], jid: &str) -> Rule {
    let bytes = file.to_vec();
    Rule {
        matching: Match {
            jid: Some(jid.to_owned()),
            ..Rule::cdn(Fault::DefaultImage).matching
        },
        ..Rule::cdn(Fault::File { bytes })
    }
}

async fn rig_with(file: &[u8], images: &str) -> Rig {
    let rig = Settings::default().section("images", images).start().await;
    rig.inject(serve(file, FACE));
    rig
}

async fn variant(rig: &Rig, jid: &str, query: &str) -> Answer {
    rig.get(&format!("/avatar/waha/{jid}?{query}")).await
}

async fn metrics(rig: &Rig) -> String {
    let answer = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    answer.text().to_owned()
}

/// The value of a metric; 0 if it has none yet.
fn value(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// Asserts that an answer stands in for a variant, for this reason.
#[track_caller]
fn assert_stands_in(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-faceplate-variant"), why);
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-accel-expires"), "");
    assert!(!answer.header("etag").is_empty());
}

#[tokio::test]
async fn a_picture_that_would_take_more_than_all_image_work_is_sent_as_it_is() {
    let file = plain(ImageFormat::Png);
    let rig = rig_with(&file, "work = \"64KiB\"").await;
    let answer = variant(&rig, FACE, "s=96").await;
    assert_stands_in(&answer, "too_large");
    answer.assert_picture(&file.clone().into());
    let limit = "faceplate_limit_reached_total{limit=\"image_work\"}";
    assert_eq!(value(&metrics(&rig).await, limit), 1);
    // The browser revalidates it, so that it gets the variant once that is made.
    let path = format!("/avatar/waha/{FACE}?s=96");
    let known = [("if-none-match", answer.header("etag"))];
    let again = rig.ask("GET", &path, &known).await;
    assert_eq!(again.status, 304);
    assert_eq!(again.header("cache-control"), "no-cache");
    let rig = rig_with(&file, "work = \"64MiB\"").await;
    let answer = variant(&rig, FACE, "s=96").await;
    assert_eq!(answer.header("x-faceplate-variant"), "");
    assert_eq!(answer.header("cache-control"), "public, max-age=86400");
    assert_ne!(answer.body, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_work_than_the_queue_holds_is_refused_at_once() {
    let file = files::png_bomb(900);
    for (queue, is_refused) in [(1, true), (512, false)] {
        let rig = rig_with(&file, &format!("queue = {queue}")).await;
        variant(&rig, FACE, "").await;
        let mut crowd = JoinSet::new();
        for format in ["png", "jpeg"] {
            for edge in [32, 48, 64, 96, 128, 192, 256, 320, 480, 640] {
                let path = format!("/avatar/waha/{FACE}?s={edge}&format={format}");
                let address = rig.address();
                crowd.spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
            }
        }
        let answers = crowd.join_all().await;
        let is_busy = |answer: &&Answer| answer.header("x-faceplate-variant") == "busy";
        let busy = answers.iter().filter(is_busy).count();
        assert_eq!(busy > 0, is_refused, "{busy} of 20");
        for answer in answers.iter().filter(is_busy) {
            assert_stands_in(answer, "busy");
            answer.assert_picture(&file.clone().into());
        }
        let metrics = metrics(&rig).await;
        let limit = "faceplate_limit_reached_total{limit=\"image_queue\"}";
        assert_eq!(value(&metrics, limit), busy as u64);
        assert_eq!(value(&metrics, "faceplate_image_queue"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_much_work_leaves_room_in_the_queue_for_others() {
    let rig = Settings::default()
        .section("images", "queue = 8")
        .section(
            "server",
            "listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]",
        )
        .start()
        .await;
    rig.inject(serve(&files::png_bomb(900), FACE));
    variant(&rig, FACE, "").await;
    let mut crowd = JoinSet::new();
    for edge in [32, 48, 64, 96, 128, 192, 256, 320, 480, 640] {
        for format in ["png", "jpeg", "webp"] {
            let path = format!("/avatar/waha/{FACE}?s={edge}&format={format}");
            let address = rig.address();
            crowd.spawn(async move {
                let client = [("x-forwarded-for", "192.0.2.1")];
                Answer::to(&address, "GET", &path, &client).await
            });
        }
    }
    let answers = crowd.join_all().await;
    let busy = answers
        .iter()
        .filter(|answer| answer.header("x-faceplate-variant") == "busy");
    let busy = busy.count() as u64;
    let metrics = metrics(&rig).await;
    let of = |limit: &str| {
        value(
            &metrics,
            &format!("faceplate_limit_reached_total{{limit=\"{limit}\"}}"),
        )
    };
    // Its own share ends before the queue is full.
    assert!(busy > 0);
    assert_eq!((of("image_client"), of("image_queue")), (busy, 0));
}

#[tokio::test]
async fn a_placeholder_that_cannot_be_drawn_now_is_an_svg_or_a_silhouette() {
    let rig = rig_with(&plain(ImageFormat::Png), "work = \"1KiB\"").await;
    let path = format!("/avatar/waha/{NOBODY}?format=png&s=96&f=y&name=Ana");
    let svg = rig.ask("GET", &path, &[CHROME]).await;
    assert_stands_in(&svg, "too_large");
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert_eq!(svg.header("vary"), "Accept");
    let mut silhouettes = Vec::new();
    for accept in ["image/png,image/*", "*/*"] {
        let answer = rig.ask("GET", &path, &[("accept", accept)]).await;
        assert_stands_in(&answer, "too_large");
        assert_eq!(answer.header("content-type"), "image/png");
        assert!(image::load_from_memory(&answer.body).is_ok());
        silhouettes.push(answer.body);
    }
    assert_eq!(silhouettes[0], silhouettes[1]);
}

#[tokio::test]
async fn avif_of_more_than_a_megapixel_is_webp() {
    let rig = rig_with(&files::webp_bomb(1100, false), "").await;
    // It is sent as it is: it is a WebP already.
    let answer = variant(&rig, FACE, "format=avif").await;
    assert_eq!(answer.header("content-type"), "image/webp");
    assert_eq!(answer.header("x-faceplate-variant"), "");
    // A small one is an AVIF, as soon as it is made.
    let is_avif = async || {
        let answer = variant(&rig, FACE, "format=avif&s=32").await;
        answer.header("content-type") == "image/avif"
    };
    until(is_avif, LIMIT).await;
}

#[tokio::test]
async fn a_picture_of_a_kind_that_only_browsers_show_is_sent_as_it_is() {
    let mut odd = plain(ImageFormat::Jpeg);
    let frame = files::segment_start(&odd, 0xC0);
    // Luma three times as wide as chroma.
    odd[frame + 11] = 0x31;
    for (kind, file) in [
        ("arithmetic coding", files::jpeg_with_frame(0xC9, 8)),
        ("odd sampling", odd),
    ] {
        let rig = rig_with(&file, "").await;
        let answer = variant(&rig, FACE, "s=96").await;
        if answer.body == file {
            assert_stands_in(&answer, "unsupported");
        } else {
            assert_eq!(answer.source(), "picture", "{kind}");
        }
    }
}

#[tokio::test]
async fn a_stored_picture_that_cannot_be_decoded_is_a_placeholder_in_every_size() {
    let file = png_without_sense();
    let mut rig = Rig::start().await;
    variant(&rig, FACE, "").await;
    rig.stop().await;
    old_cache::store_as_0_1_0(rig.cache.path(), &file);
    rig.restart().await;
    // As large as the original, and of its format.
    let same = variant(&rig, FACE, "s=64&format=png").await;
    assert_stands_in(&same, "undecodable");
    assert_eq!(same.source(), "fallback");
    assert!(image::load_from_memory(&same.body).is_ok());
    for query in ["s=96", "s=64", "s=96&d=mp", "s=96"] {
        let path = format!("/avatar/waha/{FACE}?{query}");
        let answer = rig.ask("GET", &path, &[CHROME]).await;
        assert_stands_in(&answer, "undecodable");
        assert_eq!(answer.source(), "fallback");
        assert_eq!(answer.reason(), "undecodable");
        assert_eq!(answer.header("content-type"), "image/svg+xml");
        assert_eq!(answer.header("last-modified"), "");
    }
    // It was tried once, whatever the size.
    let tried = "faceplate_derived_total{format=\"image/webp\"}";
    assert!(!metrics(&rig).await.contains(tried));
    let raster = variant(&rig, FACE, "s=96&format=png").await;
    assert_stands_in(&raster, "undecodable");
    assert!(image::load_from_memory(&raster.body).is_ok());
    let nothing = variant(&rig, FACE, "s=96&d=404").await;
    assert_eq!(nothing.status, 404);
    assert_eq!(nothing.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn the_log_names_the_request_and_the_key_of_a_picture_that_cannot_be_decoded() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let path = format!("/avatar/waha/{FACE}?format=webp");
    let name = [("x-request-id", "a-request-of-this-test")];
    let running = program.serve();
    Answer::to(&running.address("listen"), "GET", &path, &[]).await;
    running.signal("TERM");
    running.end();
    let cache = program.folder.path().join("cache");
    old_cache::store_as_0_1_0(&cache, &png_without_sense());
    let mut running = program.serve();
    Answer::to(&running.address("listen"), "GET", &path, &name).await;
    let output = running.wait_for("could not make this variant");
    let line = output
        .lines()
        .find(|line| line.contains("could not make this variant"));
    let line = line.unwrap();
    assert!(line.contains("request=a-request-of-this-test"), "{line}");
    let (_, key) = line.split_once("key=").unwrap();
    let key = key.split(' ').next().unwrap();
    let is_hash = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(is_hash, "{line}");
}

/// The container as it is shipped has 256 MiB, of which the caches take 128. Here the caches are empty, and
/// the other half is all that the process may allocate.
#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_container_survives_any_pictures_in_any_sizes_at_once() {
    let kinds: Vec<(&str, Vec<u8>)> = vec![
        // As large as pictures may be.
        ("628100000001", files::png_bomb(4096)),
        ("628100000003", files::webp_bomb(4096, true)),
        ("628100000004", files::webp_bomb(4096, false)),
        ("628100000005", files::jpeg_bomb(4096)),
        // A small picture with a profile of 256 MiB.
        ("628100000010", files::png_with_profile(&vec![0; 256 << 20])),
        // Small files of small pictures, with hundreds of megabytes of codes.
        ("628100000011", files::webp_with_many_codes(16)),
        // As large as they may be to be worked on.
        ("628100000006", files::png_bomb(1900)),
        ("628100000007", files::webp_bomb(2200, true)),
        ("628100000008", files::jpeg_bomb(2300)),
    ];
    let emulator = Emulator::start(Options::default()).await.unwrap();
    for (jid, file) in &kinds {
        emulator.control().inject(serve(file, jid)).unwrap();
    }
    let program = Program::before(&emulator, "[images]\nmemory = \"1MiB\"");
    let mut command = Command::new("prlimit");
    command.arg(format!("--data={}", 128 << 20));
    let serve = program.command(&["serve"]);
    command.arg(serve.get_program()).args(serve.get_args());
    for (name, value) in serve.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("FACEPLATE_CACHE__MEMORY", "1MiB");
    // As in the Dockerfile.
    command.env("MALLOC_TRIM_THRESHOLD_", "131072");
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    let address = running.address("listen");
    let mut crowd = JoinSet::new();
    for (jid, _) in &kinds {
        for query in [
            "s=96",
            "s=640",
            "s=320&format=webp",
            "format=png",
            "s=64&format=jpeg",
        ] {
            let (address, path) = (address.clone(), format!("/avatar/waha/{jid}?{query}"));
            crowd.spawn(async move {
                let answer = Answer::attempt(&address, "GET", &path, &[]).await;
                (path, answer)
            });
        }
    }
    for (path, answer) in crowd.join_all().await {
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.source(), "picture", "{path}");
    }
    for (jid, file) in &kinds[..4] {
        let path = format!("/avatar/waha/{jid}?s=96");
        let answer = Answer::to(&address, "GET", &path, &[]).await;
        assert_stands_in(&answer, "too_large");
        assert!(answer.body == *file, "{jid}");
    }
    for (jid, _) in &kinds[6..] {
        let path = format!("/avatar/waha/{jid}?s=96");
        let is_made = async || {
            let answer = Answer::attempt(&address, "GET", &path, &[]).await;
            let answer = answer.unwrap_or_else(|error| {
                panic!("{path}: {error}: {}", running.output.lock().unwrap())
            });
            answer.header("x-faceplate-variant").is_empty()
        };
        until(is_made, LIMIT).await;
    }
    let ordinary = Answer::to(&address, "GET", "/avatar/waha/628100000009?s=96", &[]).await;
    assert_eq!(ordinary.status, 200);
    assert!(running.process.try_wait().unwrap().is_none());
}
