//! A frontend on another origin, in a real browser, that uses plain `<img>`.

use crate::support::{
    Answer, frontend,
    rig::{Rig, Settings},
    webdriver::Browser,
};
use faceplate::emulator::{Fault, Picture, Rule, Vendor};

/// A page with these images, in sizes set by the page.
fn page(images: impl IntoIterator<Item = String>) -> String {
    let images: String = images.into_iter().collect();
    format!(
        "<!doctype html><meta charset=utf-8><style>body {{ margin: 8px }} \
         img {{ width: 48px; height: 48px; border-radius: 50% }}</style>{images}"
    )
}

async fn open_page(html: String, more: &[&str]) -> Browser {
    let origin = frontend::serve(html).await;
    let browser = Browser::open(720, 480, more).await;
    browser.go(&origin).await;
    browser.until("document.readyState === 'complete'").await;
    browser
}

/// The images without pixels.
async fn broken(browser: &Browser) -> Vec<String> {
    let script = "return [...document.images].filter((image) => !image.complete || image.naturalWidth === 0).map((image) => image.src)";
    serde_json::from_value(browser.run(script).await).unwrap()
}

fn stranger(number: usize) -> String {
    format!("62899{number:07}@c.us")
}

fn image(rig: &Rig, vendor: &str, jid: &str, query: &str) -> String {
    let address = rig.address();
    format!(r#"<img src="http://{address}/avatar/{vendor}/{jid}?s=48{query}" alt="">"#)
}

/// The number of answers with this source and reason.
async fn count_faces(rig: &Rig, source: &str, reason: &str) -> u64 {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let name = format!("faceplate_served_total{{source=\"{source}\",reason=\"{reason}\"}} ");
    let mut lines = metrics.text().lines();
    let count = lines.find_map(|line| line.strip_prefix(&name)?.parse().ok());
    count.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_img_shows_no_broken_icon_for_any_outcome() {
    let rig = Rig::start().await;
    let status = |status| Fault::Status {
        status,
        retry_after: None,
    };
    let dead_link = Fault::ExpiredLink {
        even_when_refreshed: true,
    };
    // Each failure that can concern a single face, on a face of its own.
    let (outage, reset, dead, slow, spoiled) = (901, 902, 903, 904, 905);
    for (number, fault) in [
        (outage, status(502)),
        (reset, Fault::Reset),
        (dead, dead_link),
        (slow, Fault::Hang),
        (spoiled, Fault::Html),
    ] {
        rig.inject(Rule::api(fault).jid(&stranger(number)));
    }
    let hidden = "120363000000000002@g.us";
    rig.vendors().set_picture(hidden, Picture::Hidden).unwrap();
    let faces = (0..400).map(|number| image(&rig, "waha", &stranger(number), ""));
    let others = [
        ("wawp", hidden, "&name=Family"),
        ("wawp", "628100000101", "&name=Ana"),
        ("waha", "628100000102", "&d=mp"),
        ("hypersender", "628100000103", "&d=identicon"),
        ("waha", "120363000000000001@g.us", ""),
        ("waha", "100875997589545@lid", ""),
        ("waha", "120363000000000201@newsletter", ""),
        ("waha", "me", ""),
        ("wachat", "me", ""),
        ("waha", "628100000001", "&format=avif"),
        ("waha", "628100000001", "&f=y&format=png&name=Ana"),
        ("waha", "628100000102", "&d=blank"),
    ]
    .map(|(vendor, jid, query)| image(&rig, vendor, jid, query));
    let troubled = [outage, reset, dead, slow, spoiled]
        .map(|number| image(&rig, "waha", &stranger(number), "&name=Ana+Silva"));
    let images: Vec<_> = others.into_iter().chain(troubled).chain(faces).collect();
    let count = images.len();

    let browser = open_page(page(images), &[]).await;
    assert_eq!(broken(&browser).await, Vec::<String>::new());
    assert_eq!(browser.run("return document.images.length").await, count);
    assert!(count_faces(&rig, "picture", "none").await >= 400);
    for (reason, least) in [
        ("hidden", 1),
        ("unknown", 2),
        ("not_found", 1),
        ("vendor_error", 4),
        ("deferred", 1),
        ("forced", 1),
    ] {
        assert!(
            count_faces(&rig, "fallback", reason).await >= least,
            "{reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_img_shows_no_broken_icon_while_the_vendor_fails_and_the_picture_afterward() {
    let settings = Settings::default().only("waha", "daily = 30");
    let rig = settings.start().await;
    let status = |status| Fault::Status {
        status,
        retry_after: None,
    };
    let stopped = Fault::SessionDown {
        status: "STOPPED".to_owned(),
    };
    rig.inject(Rule::api(status(429)).vendor(Vendor::Wawp));
    rig.inject(Rule::api(status(401)).vendor(Vendor::Wappfy));
    rig.inject(Rule::api(stopped).vendor(Vendor::Hypersender));
    let vendors = ["wawp", "wappfy", "hypersender", "waha"];
    let images = vendors.into_iter().flat_map(|vendor| {
        let names = (0..60).map(|number| (number, format!("&name=Ana+{number}")));
        names.map(move |(number, name)| (vendor, number, name))
    });
    let images: Vec<_> = images
        .map(|(vendor, number, name)| image(&rig, vendor, &stranger(number), &name))
        .collect();
    let browser = open_page(page(images), &[]).await;
    assert_eq!(broken(&browser).await, Vec::<String>::new());
    for (reason, least) in [
        ("rate_limited", 60),
        ("auth", 60),
        ("session_down", 60),
        ("over_budget", 30),
    ] {
        assert!(
            count_faces(&rig, "fallback", reason).await >= least,
            "{reason}"
        );
    }
    // A placeholder for a failure is not cached, so it is gone with the failure.
    rig.vendors().clear_faults();
    rig.hours(24);
    rig.traffic();
    let page = browser.run("return location.href").await;
    browser.go(page.as_str().unwrap()).await;
    browser.until("document.readyState === 'complete'").await;
    let calls = rig.traffic().0;
    assert!(calls >= 180, "the browser asked for {calls} of 180 again");
    assert_eq!(broken(&browser).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn srcset_gets_the_larger_picture_on_a_high_density_screen() {
    let rig = Rig::start().await;
    let url = format!("http://{}/avatar/waha/628100000004", rig.address());
    let html = page([format!(
        r#"<img src="{url}?s=48" srcset="{url}?s=96 2x, {url}?s=192 4x" alt="">"#
    )]);
    for (scale, size) in [("1", "s=48"), ("2", "s=96"), ("4", "s=192")] {
        let flag = format!("--force-device-scale-factor={scale}");
        let browser = open_page(html.clone(), &[&flag]).await;
        assert_eq!(broken(&browser).await, Vec::<String>::new());
        let source = browser.run("return document.images[0].currentSrc").await;
        assert!(
            source.as_str().unwrap().ends_with(size),
            "{scale}: {source}"
        );
        // It takes 48 pixels of the page at every density.
        let width = browser.run("return document.images[0].naturalWidth").await;
        assert_eq!(width, 48, "{scale}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lazy_images_load_when_they_are_scrolled_into_view() {
    let rig = Rig::start().await;
    let images = (0..400).map(|number| {
        format!(
            r#"<div style="height: 80px"><img src="http://{}/avatar/waha/{}?s=48" loading="lazy" width="48" height="48" alt=""></div>"#,
            rig.address(),
            stranger(number)
        )
    });
    let browser = open_page(page(images), &[]).await;
    browser.until("document.images[0].naturalWidth > 0").await;
    let at_first = rig.traffic().0;
    assert!(at_first < 200, "{at_first} faces were asked for at once");
    browser.run("document.images[399].scrollIntoView()").await;
    browser.until("document.images[399].naturalWidth > 0").await;
    assert!(rig.traffic().0 < 200);
}

/// Placeholders have the status 200 all the same, because other clients, proxies and frameworks treat an image
/// with an error status as an error.
#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_an_image_whose_status_is_404() {
    let rig = Rig::start().await;
    let nothing = format!("http://{}/avatar/waha/628100000102?d=404", rig.address());
    let html = page([
        r#"<img src="/lost" alt="">"#.to_owned(),
        format!(r#"<img src="{nothing}" alt="" onerror="this.dataset.failed = 'true'">"#),
    ]);
    let browser = open_page(html, &[]).await;
    assert_eq!(
        browser.run("return document.images[0].naturalWidth").await,
        7
    );
    // `d=404` brings no image, so that a frontend's own `onerror` can act.
    assert_eq!(broken(&browser).await, [nothing]);
    assert_eq!(
        browser
            .run("return document.images[1].dataset.failed")
            .await,
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canvas_may_read_a_face_with_crossorigin() {
    let rig = Rig::start().await;
    let html = page([format!(
        r#"<img crossorigin src="http://{}/avatar/waha/628100000004?s=48" alt="">"#,
        rig.address()
    )]);
    let browser = open_page(html, &[]).await;
    let read = "const canvas = document.createElement('canvas'); const context = canvas.getContext('2d'); \
                context.drawImage(document.images[0], 0, 0); return context.getImageData(9, 9, 1, 1).data[3]";
    assert_eq!(browser.run(read).await, 255);
}
