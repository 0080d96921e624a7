//! The demo's gallery in a real browser.

use std::process::Command;

use crate::support::{chromium, program::Running};

/// Starts `faceplate demo`, and returns it with the gallery's URL.
fn demo() -> (Running, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faceplate"));
    command.args(["demo", "--listen", "127.0.0.1:0"]);
    let mut running = Running::start(command);
    let output = running.wait_for("vendors: ");
    let mut lines = output.lines();
    let url = lines.find_map(|line| line.strip_prefix("gallery: "));
    (running, url.unwrap().trim().to_owned())
}

/// The values of an attribute, in the page's order.
fn values<'a>(dom: &'a str, attribute: &str) -> Vec<&'a str> {
    dom.split(&format!("{attribute}=\""))
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

#[tokio::test]
async fn every_image_of_the_demo_gallery_has_pixels_and_an_explanation() {
    let (_demo, url) = demo();
    let dom = chromium::dom(&url).await;
    let widths = values(&dom, "data-natural-width");
    assert_eq!(widths.len(), values(&dom, "<img src").len());
    assert!(widths.len() >= 20, "{}", widths.len());
    for (width, src) in widths.iter().zip(values(&dom, "<img src")) {
        assert_ne!(*width, "0", "{src} shows a broken image");
    }
    let told: Vec<_> = dom
        .split("<output>")
        .skip(1)
        .map(|rest| rest.split("</output>").next().unwrap())
        .collect();
    for (line, src) in told.iter().zip(values(&dom, "<img src")) {
        assert!(line.starts_with("faceplate; "), "{src}: {line}");
    }
    // Each button can be told from the others by its name.
    let names: std::collections::BTreeSet<_> = values(&dom, "aria-label").into_iter().collect();
    assert_eq!(names.len(), widths.len());
    for reason in [
        "hidden",
        "not_set",
        "unknown",
        "not_found",
        "rate_limited",
        "vendor_error",
    ] {
        assert!(
            told.iter().any(|line| line.ends_with(reason)),
            "{reason}: {told:#?}"
        );
    }
}

#[tokio::test]
async fn the_demo_gallery_can_be_photographed() {
    let (_demo, url) = demo();
    let folder = tempfile::tempdir().unwrap();
    // With FACEPLATE_WRITE_DOCS, this replaces the picture in the README.
    let path = match std::env::var_os("FACEPLATE_WRITE_DOCS") {
        Some(_) => concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gallery.png").into(),
        None => folder.path().join("gallery.png"),
    };
    chromium::screenshot(&url, &path, 1280, 2000).await;
    let (width, height) = image::image_dimensions(&path).unwrap();
    assert_eq!((width, height), (1280, 2000));
}

#[tokio::test]
async fn the_browser_would_notice_a_broken_image() {
    let page = "data:text/html,<img src=data:image/png;base64,AAAA><script>\
                onload = () => { let i = document.images[0]; i.dataset.naturalWidth = i.naturalWidth }</script>";
    assert_eq!(
        values(&chromium::dom(page).await, "data-natural-width"),
        ["0"]
    );
}
