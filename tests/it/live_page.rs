//! `/faceplate.js` in a real browser: a page on another origin fills itself.

use std::time::Duration;

use faceplate::emulator::{Fault, Picture, Rule};
use tokio::time;

use crate::{
    access::{KEY, LATER, signature},
    support::{Answer, LIMIT, Rig, frontend, rig::Settings, until, webdriver::Browser},
};

/// Which images show a picture: a blank placeholder has no pixel that can be seen.
const PICTURES: &str = "const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1; \
     const context = canvas.getContext('2d', { willReadFrequently: true }); \
     const pictures = [...document.images].filter((image) => { \
         if (!image.complete || !image.naturalWidth) return false; \
         context.clearRect(0, 0, 1, 1); context.drawImage(image, 0, 0, 1, 1); \
         return context.getImageData(0, 0, 1, 1).data[3] > 0 });";

fn numbered(number: usize) -> String {
    format!("62810{number:07}")
}

/// An image that is transparent without a picture.
fn image(rig: &Rig, jid: &str, query: &str) -> String {
    let address = rig.address();
    format!(
        r#"<img crossorigin src="http://{address}/avatar/waha/{jid}?s=48&amp;d=blank{query}" width="48" height="48" alt="">"#
    )
}

fn page(rig: &Rig, script: &str, images: impl IntoIterator<Item = String>) -> String {
    let address = rig.address();
    let images: String = images.into_iter().collect();
    format!(
        r#"<!doctype html><meta charset=utf-8><script src="http://{address}/faceplate.js" {script}></script>{images}"#
    )
}

async fn open(html: String) -> Browser {
    let origin = frontend::serve(html).await;
    let browser = Browser::open(720, 600, &[]).await;
    browser.go(&origin).await;
    browser
}

async fn count_pictures(browser: &Browser) -> u64 {
    let script = format!("{PICTURES} return pictures.length");
    browser.run(&script).await.as_u64().unwrap()
}

async fn until_pictures(browser: &Browser, count: u64) {
    let mut shown = 0;
    for _ in 0..600 {
        shown = count_pictures(browser).await;
        if shown == count {
            return;
        }
        time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{shown} pictures, not {count}");
}

async fn until_listening(rig: &Rig, clients: usize) {
    let line = format!("faceplate_live_clients {clients}\n");
    let is_listening = async || {
        let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
        metrics.text().contains(&line)
    };
    until(is_listening, LIMIT).await;
}

/// One call, then one every ten seconds of the test's clock.
fn slow_budget() -> Settings {
    Settings::default()
        .section("cache", "first_paint = \"500ms\"")
        .instance("lookups = { per_minute = 6, burst = 1 }")
}

/// Changes a picture, so that the next request for it shows the new one.
async fn change(rig: &Rig, jid: &str, picture: Picture) {
    rig.vendors().set_picture(jid, picture).unwrap();
    rig.vendors().forget_vendor_cache();
    let path = format!("/v1/purge?instance=waha&jid={jid}");
    Answer::to(&rig.admin(), "POST", &path, &[]).await;
}

#[tokio::test]
async fn the_script_is_short_and_may_be_kept_by_every_cache() {
    let rig = Rig::start_signed().await;
    let script = rig.get("/faceplate.js").await;
    assert_eq!(script.status, 200);
    assert!(script.body.len() < 2048, "{}", script.body.len());
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("cache-control", "public, max-age=3600"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
    ] {
        assert_eq!(script.header(name), value, "{name}");
    }
    let known = [("if-none-match", script.header("etag"))];
    assert_eq!(rig.ask("GET", "/faceplate.js", &known).await.status, 304);
    assert_eq!(rig.ask("POST", "/faceplate.js", &[]).await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_500_new_faces_paints_at_once_and_fills_itself_without_a_reload() {
    let settings = Settings::default().instance("lookups = { per_minute = 30, burst = 10 }");
    let rig = settings.start().await;
    let cached: Vec<_> = (1500..1520).map(numbered).collect();
    for jids in cached.chunks(10) {
        for jid in jids {
            let path = format!("/avatar/waha/{jid}?s=48&d=blank");
            assert_eq!(rig.get(&path).await.source(), "picture");
        }
        // The budget is full again, and the page gets no events of faces that are so old.
        rig.hours(1);
    }
    assert_eq!(rig.traffic().0, 20);
    rig.inject(Rule::api(Fault::Latency { ms: 300 }));
    // The profiles without a picture have lower numbers.
    let new = (1000..1500).map(|number| image(&rig, &numbered(number), ""));
    let mut images: Vec<_> = new.collect();
    for (nth, jid) in cached.iter().enumerate() {
        let image = image(&rig, jid, "").replace("<img", "<img class=cached");
        images.insert(26 * nth + 25, image);
    }
    // Else, the browser keeps the times of 250 requests.
    let buffer = "<script>performance.setResourceTimingBufferSize(1000)</script>";
    let browser = open(format!("{buffer}{}", page(&rig, "", images))).await;
    let times = "const [page] = performance.getEntriesByType('navigation'); \
         const [paint] = performance.getEntriesByType('paint'); \
         return [Math.round(paint ? paint.startTime : -1), Math.round(page.loadEventEnd)]";
    browser
        .until("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
        .await;
    let times = browser.run(times).await;
    // Without `v=`, it is the first answer that has the picture.
    let first = format!(
        "{PICTURES} \
         const first = pictures.filter((image) => image.matches('.cached') && !/[?&]v=/.test(image.src)); \
         const entries = first.map((image) => performance.getEntriesByName(image.src)[0]); \
         const times = entries.map((entry) => entry.responseEnd - entry.requestStart); \
         return [times.length, Math.ceil(Math.max(...times))]"
    );
    let first = browser.run(&first).await;
    assert_eq!(first[0], 20, "cached faces that are shown at once");
    let at_load = count_pictures(&browser).await;
    // What was paid for is shown.
    until_pictures(&browser, 30).await;
    assert_eq!(rig.calls().api, 10);
    rig.vendors().clear_faults();
    // Seventeen minutes, in steps that the burst of the budget covers.
    for step in 1..=49 {
        rig.seconds(20);
        until(async || rig.calls().api == 10 + 10 * step, LIMIT).await;
    }
    until_pictures(&browser, 520).await;
    let reloads = "return performance.getEntriesByType('navigation').length";
    assert_eq!(browser.run(reloads).await, 1);
    assert_eq!(rig.calls().api, 500);
    println!(
        "500 new faces and 20 cached ones: painted after {} ms, loaded after {} ms with {at_load} pictures, a cached one in {} ms at most from request to picture, all 520 after 16 min 20 s of the test's clock and {} calls",
        times[0],
        times[1],
        first[1],
        rig.calls().api
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faces_come_on_images_that_are_added_later_in_any_spelling() {
    let rig = slow_budget().start().await;
    let browser = open(page(&rig, "", [image(&rig, &numbered(0), "")])).await;
    until_pictures(&browser, 1).await;
    for (number, spelling) in [
        (1, format!("%2B{}", numbered(1))),
        (2, format!("{}%40s.whatsapp.net", numbered(2))),
        (3, format!("{}:7@s.whatsapp.net.png", numbered(3))),
        (4, format!("{}_1@C.US", numbered(4))),
    ] {
        let html = image(&rig, &spelling, "").replace("&amp;", "&");
        let script = format!("document.body.insertAdjacentHTML('beforeend', `{html}`)");
        browser.run(&script).await;
        browser
            .until("[...document.images].every((image) => image.complete)")
            .await;
        assert_eq!(count_pictures(&browser).await, number, "{spelling}");
        rig.seconds(10);
        until_pictures(&browser, number + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_picture_replaces_the_one_that_the_browser_keeps_also_in_a_srcset() {
    let rig = Rig::start().await;
    let jid = numbered(1);
    let url = format!("http://{}/avatar/waha/{jid}", rig.address());
    let html = format!(r#"<img src="{url}?s=48" srcset="{url}?s=48 1x, {url}?s=96 2x" alt="">"#);
    let browser = open(page(&rig, "", [html])).await;
    browser.until("document.images[0].naturalWidth > 0").await;
    until_listening(&rig, 1).await;
    change(&rig, &jid, Picture::Face(3)).await;
    rig.face("waha", &jid).await;
    browser
        .until("/[?&]v=/.test(document.images[0].currentSrc)")
        .await;
    browser.until("document.images[0].complete").await;
    let set = browser.run("return document.images[0].srcset").await;
    let set = set.as_str().unwrap();
    assert_eq!(set.matches("&v=").count(), 2, "{set}");
    assert!(set.contains("s=96") && set.ends_with(" 2x"), "{set}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_page_does_not_listen_and_catches_up_when_it_is_seen_again() {
    let rig = slow_budget().start().await;
    let images = [0, 1].map(|number| image(&rig, &numbered(number), ""));
    let browser = open(page(&rig, "", images)).await;
    until_pictures(&browser, 1).await;
    until_listening(&rig, 1).await;
    let show = |is_hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ configurable: true, value: {is_hidden} }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    browser.run(&show(true)).await;
    until_listening(&rig, 0).await;
    rig.seconds(10);
    until(async || rig.calls().api == 2, LIMIT).await;
    // Longer than a new client is told of.
    rig.hours(1);
    assert_eq!(count_pictures(&browser).await, 1);
    browser.run(&show(false)).await;
    until_listening(&rig, 1).await;
    until_pictures(&browser, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_events_a_face_is_looked_at_again_after_its_retry_after() {
    for (live, before) in [
        ("enabled = false", ""),
        ("", "<script>delete self.EventSource</script>"),
    ] {
        let rig = Settings::default()
            .section("live", live)
            .section("cache", "first_paint = \"500ms\"")
            .instance("lookups = { per_minute = 60, burst = 1 }")
            .start()
            .await;
        let images = [0, 1].map(|number| image(&rig, &numbered(number), ""));
        let html = format!("{before}{}", page(&rig, "", images));
        let browser = open(html).await;
        until_pictures(&browser, 1).await;
        rig.seconds(2);
        until_pictures(&browser, 2).await;
        until_listening(&rig, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_listens_with_the_signature_of_its_images_or_with_the_one_of_the_script() {
    let access = "signing_keys = [\"env:SIGNING_KEY\"]";
    let whole = format!(
        "exp={LATER}&amp;sig={}&amp;scope=instance",
        signature(KEY, "waha", "*", LATER, "")
    );
    for is_each_signed in [false, true] {
        let rig = slow_budget().section("access", access).start().await;
        let images = [0, 1].map(|number| {
            let jid = format!("{}@c.us", numbered(number));
            let query = match is_each_signed {
                true => {
                    let sig = signature(KEY, "waha", &jid, LATER, "");
                    format!("&amp;exp={LATER}&amp;sig={sig}")
                }
                false => format!("&amp;{whole}"),
            };
            image(&rig, &jid, &query)
        });
        let script = match is_each_signed {
            true => format!(r#"data-live="http://{}/live/waha?{whole}""#, rig.address()),
            false => String::new(),
        };
        let browser = open(page(&rig, &script, images)).await;
        until_pictures(&browser, 1).await;
        until_listening(&rig, 1).await;
        rig.seconds(10);
        until_pictures(&browser, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_many_accounts_leaves_connections_to_its_images() {
    let accounts = [
        "waha",
        "wawp",
        "wappfy",
        "hypersender",
        "evolution",
        "wuzapi",
    ];
    let rig = Settings::default()
        .more(&["evolution", "wuzapi"])
        .section("cache", "first_paint = \"500ms\"")
        .instance("lookups = { per_minute = 60, burst = 1 }")
        .start()
        .await;
    let images = accounts.iter().flat_map(|account| {
        let images = [1, 2].map(|number| image(&rig, &numbered(number), ""));
        images.map(|image| image.replace("/waha/", &format!("/{account}/")))
    });
    let browser = open(page(&rig, "", images)).await;
    until_pictures(&browser, 6).await;
    until_listening(&rig, 3).await;
    rig.seconds(2);
    until_pictures(&browser, 12).await;
}
