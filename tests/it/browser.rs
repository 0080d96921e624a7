//! The demo's gallery in a real browser.

use std::process::Command;

use crate::support::{Answer, chromium, program::Running, webdriver::Browser};

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

/// Opens the gallery, and returns when each of its faces is explained.
async fn open_gallery(url: &str) -> Browser {
    let browser = Browser::open(1280, 2400, &[]).await;
    browser.go(url).await;
    browser
        .until("[...document.querySelectorAll('output')].every((line) => line.textContent != '…')")
        .await;
    browser
}

#[tokio::test]
async fn the_demo_has_a_list_that_fills_itself() {
    let (_demo, url) = demo();
    let browser = open_gallery(&url).await;
    let shown = "[...document.querySelectorAll('.inbox img')].filter((image) => /[?&]v=/.test(image.src) && image.complete).length";
    // More than the four that the budget allows at once.
    browser.until(&format!("{shown} > 6")).await;
    let broken = browser.run("return [...document.images].filter((image) => image.complete && !image.naturalWidth).length").await;
    assert_eq!(broken, 0);
}

#[tokio::test]
async fn the_gallery_and_the_dashboard_link_to_each_other() {
    let (_demo, gallery) = demo();
    let browser = open_gallery(&gallery).await;
    let links = "return [...document.querySelectorAll('nav a')].map((link) => link.href)";
    let links = browser.run(links).await;
    let dashboard = links[0].as_str().unwrap().to_owned();
    assert_eq!(links[1], format!("{gallery}openapi.json"));
    browser.go(&dashboard).await;
    browser.until("document.body.dataset.looked").await;
    let text = browser
        .run("return document.querySelector('h1 + small').innerText")
        .await;
    assert!(text.as_str().unwrap().contains(" · up "), "{text}");
    let links = "return [...document.querySelectorAll('nav a')].map((link) => link.href)";
    let links = browser.run(links).await;
    assert_eq!(
        links,
        serde_json::json!([gallery, format!("{dashboard}openapi.json")])
    );
    for url in [&dashboard, &gallery] {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let document = Answer::to(address, "GET", "/openapi.json", &[]).await;
        assert_eq!(document.status, 200, "{url}");
    }
}

#[tokio::test]
async fn a_gallery_for_other_machines_has_no_link_to_a_dashboard_that_they_cannot_reach() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faceplate"));
    command.args(["demo", "--listen", "0.0.0.0:0"]);
    let mut running = Running::start(command);
    let output = running.wait_for("/avatar/waha/");
    let port = output
        .lines()
        .find_map(|line| line.strip_prefix("gallery:   http://127.0.0.1:"));
    let address = format!("127.0.0.1:{}", port.unwrap().trim_end_matches('/'));
    let page = Answer::to(&address, "GET", "/", &[]).await;
    assert!(page.text().contains("<a href=\"/openapi.json\">"));
    assert!(!page.text().contains("Dashboard</a>"));
}

#[tokio::test]
async fn every_image_of_the_demo_gallery_has_pixels_and_an_explanation() {
    let (_demo, url) = demo();
    let browser = open_gallery(&url).await;
    let dom = browser.run("return document.body.innerHTML").await;
    let dom = dom.as_str().unwrap();
    let widths = values(dom, "data-natural-width");
    assert_eq!(widths.len(), values(dom, "<img src").len());
    assert!(widths.len() >= 20, "{}", widths.len());
    for (width, src) in widths.iter().zip(values(dom, "<img src")) {
        assert_ne!(*width, "0", "{src} shows a broken image");
    }
    let told: Vec<_> = dom
        .split("<output>")
        .skip(1)
        .map(|rest| rest.split("</output>").next().unwrap())
        .collect();
    for (line, src) in told.iter().zip(values(dom, "<img src")) {
        assert!(line.starts_with("faceplate; "), "{src}: {line}");
    }
    // Every gateway has its face.
    let section = dom.split("One face per vendor endpoint").nth(1).unwrap();
    let section = section.split("</section>").next().unwrap();
    let endpoints = section.matches("<output>").count();
    assert!(endpoints >= 15, "{endpoints}");
    for outcome in section.split("<output>").skip(1) {
        let outcome = outcome.split("</output>").next().unwrap();
        assert!(!outcome.contains("reason"), "{outcome}: {section}");
    }
    // Each button can be told from the others by its name.
    let names: std::collections::BTreeSet<_> = values(dom, "aria-label").into_iter().collect();
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
        Some(_) => concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gallery.webp").into(),
        None => folder.path().join("gallery.webp"),
    };
    let browser = open_gallery(&url).await;
    browser.screenshot(&path).await;
    assert_eq!(image::image_dimensions(&path).unwrap().0, 960);
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bytes < 120_000, "{bytes}");
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
