//! Pictures in the requested size and format.

use crate::support::{
    Answer,
    rig::{Rig, Settings},
};
use faceplate::emulator::Picture;
use image::ImageFormat;

/// 640 pixels square, a JPEG.
const LARGE: &str = "628100000001";
/// 192 pixels square, a PNG.
const PNG: &str = "628100000004";
/// 256 pixels square, a WebP.
const WEBP: &str = "628100000006";
/// 96 pixels square, a JPEG.
const SMALL: &str = "628100000008";

/// The `Accept` that Chrome sends for an `<img>`.
const CHROME: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

async fn ask(rig: &Rig, query: &str, accept: Option<&str>) -> Answer {
    let path = format!("/avatar/waha/{query}");
    let accept = accept.map(|accept| ("accept", accept));
    rig.ask("GET", &path, accept.as_slice()).await
}

/// The edge and format of the bytes, which have to match the headers.
#[track_caller]
fn shape(answer: &Answer) -> (u32, ImageFormat) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.source(), "picture");
    let format = image::guess_format(&answer.body).unwrap();
    assert_eq!(answer.header("content-type"), format.to_mime_type());
    assert_eq!(
        answer.header("content-length"),
        answer.body.len().to_string()
    );
    let image = image::load_from_memory_with_format(&answer.body, format).unwrap();
    assert_eq!(image.width(), image.height());
    (image.width(), format)
}

#[tokio::test]
async fn a_picture_comes_in_the_next_size_of_the_ladder() {
    let rig = Rig::start().await;
    for (asked, edge) in [(1, 32), (32, 32), (33, 48), (96, 96), (97, 128), (600, 640)] {
        let answer = ask(&rig, &format!("{LARGE}?s={asked}"), None).await;
        assert_eq!(shape(&answer), (edge, ImageFormat::Jpeg), "{asked}");
    }
    let named = ask(&rig, &format!("{LARGE}?size=96"), None).await;
    assert_eq!(shape(&named).0, 96);
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn a_picture_is_never_enlarged() {
    let rig = Rig::start().await;
    let answer = ask(&rig, &format!("{SMALL}?s=640"), None).await;
    assert_eq!(shape(&answer), (96, ImageFormat::Jpeg));
    // The original is as near to the requested size as possible, so it is sent unchanged.
    answer.assert_picture(&rig.bytes(SMALL));
}

#[tokio::test]
async fn without_a_size_or_a_format_the_original_picture_is_sent() {
    let rig = Rig::start().await;
    for jid in [LARGE, PNG, WEBP] {
        let answer = ask(&rig, jid, Some(CHROME)).await;
        answer.assert_picture(&rig.bytes(jid));
        assert_eq!(answer.header("vary"), "");
    }
}

#[tokio::test]
async fn the_format_is_the_best_that_the_client_accepts() {
    let rig = Rig::start().await;
    for (jid, accept, format) in [
        (LARGE, Some(CHROME), ImageFormat::WebP),
        (LARGE, Some("image/webp;q=0.1"), ImageFormat::WebP),
        (LARGE, Some("image/webp;q=0, */*"), ImageFormat::Jpeg),
        (LARGE, Some("*/*"), ImageFormat::Jpeg),
        (LARGE, None, ImageFormat::Jpeg),
        (
            LARGE,
            Some("image/webp;q=0.5, image/jpeg"),
            ImageFormat::Jpeg,
        ),
        (
            LARGE,
            Some("image/webp;q=0.5, image/jpeg;q=0.2, */*;q=0.1"),
            ImageFormat::WebP,
        ),
        // Both plain formats are offered, the original's own first.
        (PNG, Some("image/jpeg"), ImageFormat::Jpeg),
        (WEBP, Some("image/jpeg"), ImageFormat::Jpeg),
        (LARGE, Some("image/png"), ImageFormat::Png),
        (LARGE, Some("image/png, image/jpeg"), ImageFormat::Jpeg),
        (LARGE, Some("image/jpeg;q=0, image/png"), ImageFormat::Png),
        (LARGE, Some("image/jpeg;q=0, image/*"), ImageFormat::Png),
        (LARGE, Some("image/jpeg;q=0"), ImageFormat::Png),
        (LARGE, Some("text/html"), ImageFormat::Jpeg),
        (PNG, Some("image/webp;q=0.1, image/jpeg"), ImageFormat::Jpeg),
        (PNG, None, ImageFormat::Png),
        (WEBP, Some("image/*"), ImageFormat::Png),
    ] {
        let answer = ask(&rig, &format!("{jid}?s=96"), accept).await;
        assert_eq!(shape(&answer), (96, format), "{accept:?}");
        // A cache in between must not give one client's answer to the other.
        assert_eq!(answer.header("vary"), "Accept");
    }
}

#[tokio::test]
async fn accept_weights_choose_between_avif_and_webp() {
    let rig = Rig::start().await;
    for (accept, media) in [
        ("image/avif", "image/avif"),
        ("image/avif,image/webp;q=0.9,*/*;q=0.5", "image/avif"),
        ("image/avif;q=0.9,image/webp", "image/webp"),
        ("image/avif;q=0,image/jpeg", "image/jpeg"),
    ] {
        let answer = ask(&rig, &format!("{LARGE}?s=32"), Some(accept)).await;
        assert_eq!(answer.header("content-type"), media, "{accept}");
        assert_eq!(answer.header("vary"), "Accept");
    }
}

#[tokio::test]
async fn a_format_in_the_url_takes_precedence_over_accept() {
    let rig = Rig::start().await;
    for (name, format) in [
        ("jpeg", ImageFormat::Jpeg),
        ("png", ImageFormat::Png),
        ("webp", ImageFormat::WebP),
    ] {
        for (size, edge) in [("", 640), ("&s=64", 64)] {
            let answer = ask(&rig, &format!("{LARGE}?format={name}{size}"), Some(CHROME)).await;
            assert_eq!(shape(&answer), (edge, format));
            assert_eq!(answer.header("vary"), "");
        }
    }
    let avif = ask(&rig, &format!("{LARGE}?format=avif&s=32"), None).await;
    assert_eq!(avif.header("content-type"), "image/avif");
    assert_eq!(&avif.body[4..12], b"ftypavif");
}

#[tokio::test]
async fn every_representation_has_validators_of_its_own() {
    let rig = Rig::start().await;
    let queries = ["", "?s=96", "?s=96&format=webp", "?s=64", "?format=png"];
    let mut seen = Vec::new();
    for query in queries {
        let answer = ask(&rig, &format!("{LARGE}{query}"), None).await;
        let etag = answer.header("etag").to_owned();
        assert!(!seen.contains(&etag), "{query}");
        let path = format!("/avatar/waha/{LARGE}{query}");
        let again = rig.ask("GET", &path, &[("if-none-match", &etag)]).await;
        assert_eq!(again.status, 304, "{query}");
        assert_eq!(again.header("vary"), answer.header("vary"));
        let head = rig.ask("HEAD", &path, &[]).await;
        assert_eq!(
            head.header("content-length"),
            answer.header("content-length")
        );
        assert_eq!(head.header("etag"), etag);
        seen.push(etag);
    }
}

#[tokio::test]
async fn simultaneous_requests_for_one_variant_make_it_once() {
    let rig = Rig::start().await;
    ask(&rig, LARGE, None).await;
    let path = format!("{LARGE}?s=320&format=webp");
    let crowd = (0..200).map(|_| ask(&rig, &path, None));
    let mut crowd = crowd.collect::<Vec<_>>().into_iter();
    let (a, b, c, d) = tokio::join!(
        crowd.next().unwrap(),
        crowd.next().unwrap(),
        crowd.next().unwrap(),
        crowd.next().unwrap()
    );
    for answer in [a, b, c, d] {
        assert_eq!(shape(&answer), (320, ImageFormat::WebP));
    }
    for request in crowd.take(20) {
        request.await;
    }
    assert_eq!(count_made(&rig).await, 1);
}

#[tokio::test]
async fn variants_are_cached_in_the_configured_memory() {
    for (memory, expected) in [("64MiB", 1), ("1b", 3)] {
        let rig = Settings::default()
            .section("images", &format!("memory = \"{memory}\""))
            .start()
            .await;
        for _ in 0..3 {
            shape(&ask(&rig, &format!("{LARGE}?s=96"), None).await);
        }
        assert_eq!(count_made(&rig).await, expected, "{memory}");
    }
}

#[tokio::test]
async fn a_new_picture_is_shown_in_every_size_at_once() {
    let rig = Rig::start().await;
    let before = ask(&rig, &format!("{LARGE}?s=96"), None).await;
    rig.vendors().set_picture(LARGE, Picture::Face(2)).unwrap();
    rig.hours(25);
    ask(&rig, &format!("{LARGE}?s=96&refresh=true"), None).await;
    let after = ask(&rig, &format!("{LARGE}?s=96"), None).await;
    assert_ne!(shape(&after), (0, ImageFormat::Jpeg));
    assert_ne!(before.body, after.body);
}

/// The number of variants that were made.
async fn count_made(rig: &Rig) -> u64 {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let lines = metrics
        .text()
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let counts = lines.iter().filter_map(|line| {
        let (_, count) = line
            .strip_prefix("faceplate_derived_total{")?
            .split_once("} ")?;
        count.parse::<u64>().ok()
    });
    counts.sum()
}
