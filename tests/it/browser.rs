//! The demo's gallery in a real browser.

use crate::support::chromium;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A running `faceplate demo`, stopped on drop.
struct Demo {
    process: Child,
    url: String,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_faceplate"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| Some(line.strip_prefix("gallery: ")?.trim().to_owned()))
            .unwrap();
        // The pipe has to be read on, or the server's log fills it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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
    let demo = Demo::start();
    let dom = chromium::dom(&demo.url).await;
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
    for reason in ["unknown", "not_found", "rate_limited", "vendor_error"] {
        assert!(
            told.iter().any(|line| line.ends_with(reason)),
            "{reason}: {told:#?}"
        );
    }
}

#[tokio::test]
async fn the_demo_gallery_can_be_photographed() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().unwrap();
    // With FACEPLATE_WRITE_DOCS, this replaces the picture in the README.
    let path = match std::env::var_os("FACEPLATE_WRITE_DOCS") {
        Some(_) => concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gallery.png").into(),
        None => folder.path().join("gallery.png"),
    };
    chromium::screenshot(&demo.url, &path, 1280, 1720).await;
    let (width, height) = image::image_dimensions(&path).unwrap();
    assert_eq!((width, height), (1280, 1720));
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
