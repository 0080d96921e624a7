//! The dashboard, in a real browser.

mod alarms;
mod figures;

use crate::support::{
    Answer, LIMIT,
    redis::RedisServer,
    rig::{Rig, Settings},
    until,
    webdriver::{Browser, picture},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use faceplate::emulator::{Fault, Rule};
use serde_json::Value;

const FACE: &str = "628100000001";

async fn overview(rig: &Rig) -> Value {
    let answer = Answer::to(&rig.admin(), "GET", "/v1/overview", &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Some traffic of every kind.
async fn traffic(rig: &Rig) {
    for number in 1..=24 {
        for vendor in ["waha", "wawp", "hypersender"] {
            rig.face(vendor, &format!("6281000000{number:02}")).await;
        }
        for _ in 0..number % 5 {
            rig.face("waha", &format!("6281000000{number:02}")).await;
        }
        if number % 3 == 0 {
            rig.seconds(150);
        }
    }
    for group in 1..=4 {
        rig.face("waha", &format!("12036300000000000{group}@g.us"))
            .await;
    }
    rig.face("waha", "628100000102").await;
    rig.face("hypersender", "628100000101").await;
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(600),
    };
    rig.inject(Rule::api(limited).vendor(faceplate::emulator::Vendor::Wappfy));
    rig.face("wappfy", FACE).await;
}

async fn looked_at(rig: &Rig, browser: Browser) -> Browser {
    open_dashboard(&rig.admin(), browser).await
}

/// Opens the page of an admin listener, and returns when it has its first figures.
async fn open_dashboard(admin: &str, browser: Browser) -> Browser {
    browser.go(&format!("http://{admin}/")).await;
    browser.until("document.body.dataset.looked").await;
    browser
}

const ALL_SHOWN: &str = "document.images.length && [...document.images].every((image) => !image.src || image.closest('dialog') || (image.complete && image.naturalWidth > 0))";

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_instances_traffic_and_faces_and_loads_nothing_from_other_origins() {
    let rig = Rig::start().await;
    traffic(&rig).await;
    let browser = looked_at(&rig, Browser::open(1280, 1400, &[]).await).await;
    browser.until(ALL_SHOWN).await;
    let text = browser.run("return document.body.innerText").await;
    let text = text.as_str().unwrap();
    for words in [
        "paused: rate_limited",
        "working",
        "session unknown",
        "Hit ratio",
        "on disk",
        "2 unknown",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let wall = browser
        .run("return document.querySelectorAll('#wall img').length")
        .await;
    assert_eq!(wall, 60);
    let origins = "return [...new Set(performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin))]";
    let origins = browser.run(origins).await;
    assert_eq!(
        origins,
        serde_json::json!([format!("http://{}", rig.admin())])
    );
    let folder = tempfile::tempdir().unwrap();
    browser
        .screenshot(&picture(folder.path(), "dashboard.webp"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_says_for_how_long_the_server_has_run_and_links_to_no_gallery_without_one() {
    let rig = Rig::start().await;
    rig.seconds(26 * 3600 + 50);
    let browser = looked_at(&rig, Browser::open(1000, 700, &[]).await).await;
    let about = browser
        .run("return document.getElementById('about').innerText")
        .await;
    assert!(
        about.as_str().unwrap().contains(" · up 1 d 2 h · "),
        "{about}"
    );
    let links = "return [...document.querySelectorAll('nav a')].filter((link) => link.offsetWidth).map((link) => link.href)";
    let links = browser.run(links).await;
    assert_eq!(
        links,
        serde_json::json!([format!("http://{}/openapi.json", rig.admin())])
    );
    assert_eq!(overview(&rig).await["gallery"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_readable_on_a_phone_in_dark_mode() {
    let rig = Rig::start().await;
    traffic(&rig).await;
    let browser = looked_at(&rig, Browser::dark_phone(360, 740).await).await;
    browser.until(ALL_SHOWN).await;
    assert_eq!(browser.run("return window.innerWidth").await, 360);
    let wide = "return document.documentElement.scrollWidth - window.innerWidth";
    assert_eq!(
        browser.run(wide).await,
        0,
        "the page is wider than the phone"
    );
    let ground = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.run(ground).await, "rgb(18, 21, 26)");
    let folder = tempfile::tempdir().unwrap();
    browser
        .screenshot(&picture(folder.path(), "dashboard-phone.webp"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_updates_without_reloading_and_its_buttons_work() {
    let rig = Rig::start().await;
    let browser = looked_at(&rig, Browser::open(1000, 1000, &[]).await).await;
    browser
        .until("document.body.innerText.includes('No face was requested yet')")
        .await;
    rig.face("waha", FACE).await;
    browser
        .until("document.querySelectorAll('#wall img').length === 1")
        .await;
    rig.traffic();

    browser
        .run("document.querySelector('#wall button').click()")
        .await;
    browser
        .until("document.querySelector('dialog dl').innerText.includes('image/jpeg, 640 × 640')")
        .await;
    browser
        .run("document.querySelector('[data-do=POST]').click()")
        .await;
    browser
        .until("document.querySelector('dialog output').innerText === 'asked anew'")
        .await;
    assert_eq!(rig.traffic().0, 1);

    // Confirms the dialog.
    browser
        .run("window.confirm = () => true; document.querySelector('[data-do=DELETE]').click()")
        .await;
    browser
        .until("document.querySelectorAll('#wall img').length === 0")
        .await;
    rig.face("waha", FACE).await.assert_fallback("hidden");
    assert_eq!(rig.traffic().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_has_figures_in_the_first_minute() {
    let rig = Rig::start().await;
    for _ in 0..4 {
        rig.face("waha", FACE).await;
    }
    let browser = looked_at(&rig, Browser::open(1000, 1000, &[]).await).await;
    for (id, text) in [
        ("ratio", "75.0 %"),
        ("served", "3 hit\n1 miss"),
        ("asked", "1"),
        ("key", "1 picture"),
    ] {
        let script = format!("return document.getElementById('{id}').innerText");
        assert_eq!(browser.run(&script).await, text, "{id}");
    }
    let bars = "return document.querySelectorAll('#hits rect').length";
    assert_eq!(browser.run(bars).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_a_figure_for_a_face_that_was_evicted() {
    let rig = Settings::default()
        .section("cache", "max_entries = 8\nmemory = \"1b\"")
        .start()
        .await;
    for number in 0..12 {
        rig.face("waha", &format!("6281000000{number:02}")).await;
        rig.seconds(1);
    }
    rig.run_maintenance().await;
    let browser = looked_at(&rig, Browser::open(1000, 1000, &[]).await).await;
    browser.until(ALL_SHOWN).await;
    let counts = "return [document.querySelectorAll('#wall img').length, \
                  document.querySelectorAll('#wall [title$=\"no longer in the cache\"] img[src^=\"data:\"]').length]";
    let counts: [u64; 2] = serde_json::from_value(browser.run(counts).await).unwrap();
    assert_eq!(counts[0], 12);
    assert!((4..8).contains(&counts[1]), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_the_dashboard_stays_selected_while_it_updates() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let browser = looked_at(&rig, Browser::open(1000, 1000, &[]).await).await;
    // The first look asks for the sessions of WAHA and Wappfy, and a later one shows them.
    browser
        .until("document.querySelectorAll('#instances .good').length === 2")
        .await;
    let select = |element: &str| {
        format!(
            "getSelection().selectAllChildren({element}); return look().then(look).then(() => getSelection().toString())"
        )
    };
    for (element, text) in [
        (
            "document.querySelector('[data-instance=waha] .left')",
            "1999 of 2000 calls left now",
        ),
        (
            "document.querySelector('#wall figcaption span')",
            "…00000001",
        ),
        ("document.getElementById('entries')", "1 faces"),
        ("document.querySelector('#served li')", "1 miss"),
    ] {
        assert_eq!(browser.run(&select(element)).await, text, "{element}");
    }
    // What changes is shown all the same.
    rig.face("waha", "628100000002").await;
    let changed = "return look().then(() => document.getElementById('entries').innerText)";
    assert_eq!(browser.run(changed).await, "2 faces");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_names_its_parts_and_shows_trouble_first() {
    let rig = Rig::start().await;
    traffic(&rig).await;
    let browser = looked_at(&rig, Browser::open(1000, 1000, &[]).await).await;
    browser
        .run("document.querySelector('#wall button').click()")
        .await;
    let unnamed = "return [...document.querySelectorAll('meter, progress, dialog, #wall button, [role=img]')] \
                   .filter((part) => !(part.ariaLabel || part.ariaLabelledByElements?.[0]?.innerText)).map((part) => part.outerHTML)";
    assert_eq!(browser.run(unnamed).await, serde_json::json!([]));
    let hits = "return document.getElementById('hits').ariaLabel";
    let hits = browser.run(hits).await;
    assert!(hits.as_str().unwrap().ends_with(" %"), "{hits}");
    // The paused instance comes first, and the alphabet decides among the others.
    let order = "return [...document.querySelectorAll('#instances article')].map((card) => card.dataset.instance)";
    let order: Vec<String> = serde_json::from_value(browser.run(order).await).unwrap();
    assert_eq!(order[0], "wappfy");
    assert!(order[1..].is_sorted(), "{order:?}");
    // Faces of one contact at three gateways can be told apart.
    let captions = "return [...document.querySelectorAll('#wall figcaption')].map((caption) => caption.innerText)";
    let captions: Vec<String> = serde_json::from_value(browser.run(captions).await).unwrap();
    for instance in ["waha", "wawp", "hypersender"] {
        let caption = format!("…00000024\n{instance}");
        assert!(captions.contains(&caption), "{caption}: {captions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faces_stay_near_the_top_of_the_dashboard_with_many_instances() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let browser = looked_at(&rig, Browser::open(1000, 1000, &[]).await).await;
    let add = "const all = document.getElementById('instances'), one = all.firstElementChild; \
               for (let n = 0; n < 200; n++) all.append(one.cloneNode(true)); \
               return [document.getElementById('wall').offsetTop, all.scrollHeight - all.clientHeight]";
    let [top, hidden]: [u64; 2] = serde_json::from_value(browser.run(add).await).unwrap();
    assert!(top < 1000, "{top}");
    assert!(hidden > 1000, "the cards cannot be scrolled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_icons_of_the_pages_are_allowed_by_their_policy() {
    let rig = Rig::start().await;
    let browser = looked_at(&rig, Browser::open(600, 600, &[]).await).await;
    let load = "const icon = new Image(); icon.src = document.querySelector('link[rel=icon]').href; \
                return icon.decode().then(() => icon.naturalWidth > 0, () => false)";
    assert_eq!(browser.run(load).await, true);
}

#[tokio::test]
async fn the_overview_covers_the_last_hour() {
    let rig = Rig::start().await;
    let hits = |overview: &Value| {
        let history = overview["history"].as_array().unwrap().clone();
        let count = |sample: &Value| sample["cache"]["hit"].as_u64().unwrap();
        count(history.last().unwrap()) - count(history.first().unwrap())
    };
    for _ in 0..3 {
        rig.face("waha", FACE).await;
        step(&rig).await;
    }
    assert_eq!(hits(&overview(&rig).await), 2);
    for _ in 0..70 {
        step(&rig).await;
    }
    let overview = overview(&rig).await;
    assert_eq!(hits(&overview), 0);
    assert_eq!(overview["history"].as_array().unwrap().len(), 62);
}

/// Advances the clock by a minute, and waits for the sample of the totals.
async fn step(rig: &Rig) {
    let before = overview(rig).await["history"].as_array().unwrap().len();
    rig.seconds(60);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        if overview(rig).await["history"].as_array().unwrap().len() > before || before >= 62 {
            return;
        }
    }
    panic!("the totals were not noted");
}

#[tokio::test]
async fn the_dashboard_shows_recent_faces_after_a_restart() {
    let mut rig = Rig::start().await;
    for number in 1..=3 {
        rig.face("waha", &format!("62810000000{number}")).await;
        rig.seconds(60);
    }
    rig.restart().await;
    rig.face("waha", "628100000004").await;
    let overview = overview(&rig).await;
    let faces = overview["faces"].as_array().unwrap().iter();
    let faces: Vec<_> = faces.map(|face| face["jid"].as_str().unwrap()).collect();
    let expected = [4, 3, 2, 1].map(|number| format!("62810000000{number}@c.us"));
    assert_eq!(faces, expected);
}

#[tokio::test]
async fn with_an_admin_token_the_dashboard_asks_for_a_password() {
    let settings =
        Settings::default().section("admin", "listen = \"127.0.0.1:0\"\ntoken = \"env:BEARER\"");
    let rig = settings.start().await;
    let refused = Answer::to(&rig.admin(), "GET", "/", &[]).await;
    assert_eq!(refused.status, 401);
    assert!(
        refused
            .header("www-authenticate")
            .starts_with("Basic realm=")
    );
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for (authorization, status) in [
        (basic("operator:a bearer token for tests"), 200),
        (basic(":a bearer token for tests"), 200),
        ("Bearer a bearer token for tests".to_owned(), 200),
        (basic("operator:wrong"), 401),
        (basic("a bearer token for tests"), 401),
        ("Basic !".to_owned(), 401),
    ] {
        let headers = [("authorization", authorization.as_str())];
        for path in ["/", "/v1/overview"] {
            let answer = Answer::to(&rig.admin(), "GET", path, &headers).await;
            assert_eq!(answer.status, status, "{authorization} {path}");
        }
    }
}

#[tokio::test]
async fn state_changing_admin_requests_from_another_origin_are_refused() {
    let rig = Rig::start().await;
    let (admin, own) = (rig.admin(), format!("http://{}", rig.admin()));
    let purge = "/v1/purge?all=true&hard=true";
    for (headers, status) in [
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (
            vec![("sec-fetch-site", "same-origin"), ("origin", own.as_str())],
            200,
        ),
        (vec![("origin", own.as_str())], 200),
        (vec![], 200),
    ] {
        let answer = Answer::to(&admin, "POST", purge, &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_learns_nothing_from_the_admin_listener() {
    let rig = Rig::start().await;
    rig.face("waha", "628100000001").await;
    let admin = rig.admin();
    let picture = "/v1/avatars/waha/628100000001/picture";
    let image = ("sec-fetch-dest", "image");
    for site in ["cross-site", "same-site"] {
        let headers = [
            ("sec-fetch-site", site),
            ("sec-fetch-mode", "no-cors"),
            image,
        ];
        for path in [picture, "/", "/v1/overview", "/metrics", "/nothing"] {
            let answer = Answer::to(&admin, "GET", path, &headers).await;
            assert_eq!(answer.status, 403, "{site} {path}");
        }
        // A link to the dashboard works, but no page can show the dashboard in a frame.
        for (dest, status) in [("document", 200), ("iframe", 403)] {
            let headers = [
                ("sec-fetch-site", site),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", dest),
            ];
            let answer = Answer::to(&admin, "GET", "/", &headers).await;
            assert_eq!(answer.status, status, "{site} {dest}");
        }
    }
    let fetched = [("origin", "https://evil.example")];
    assert_eq!(
        Answer::to(&admin, "GET", picture, &fetched).await.status,
        403
    );
    for path in [picture, "/", "/livez", "/nothing"] {
        let answer = Answer::to(&admin, "GET", path, &[]).await;
        let corp = answer.header("cross-origin-resource-policy");
        assert_eq!(corp, "same-origin", "{path}");
    }
    let page = Answer::to(&admin, "GET", "/", &[]).await;
    let csp = page.header("content-security-policy");
    assert!(csp.contains("frame-ancestors 'none'"), "{csp}");
}

#[tokio::test]
async fn without_an_admin_token_a_foreign_host_header_is_refused() {
    let rig = Rig::start().await;
    for (host, status) in [
        ("evil.example", 421),
        ("localhost:9090", 200),
        ("127.0.0.1", 200),
        ("[::1]:9090", 200),
        ("faceplate", 421),
    ] {
        let request =
            format!("GET /v1/cache HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let said = crate::support::raw(&rig.admin(), &request).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}: {said}"
        );
        // Probes may use any Host.
        let probe = request.replace("/v1/cache", "/livez");
        assert!(
            crate::support::raw(&rig.admin(), &probe)
                .await
                .starts_with("HTTP/1.1 200 ")
        );
    }
}

#[tokio::test]
async fn a_picture_on_the_dashboard_causes_no_call() {
    let rig = Rig::start().await;
    let path = format!("/v1/avatars/waha/{FACE}/picture");
    let nobody = Answer::to(&rig.admin(), "GET", &path, &[]).await;
    assert_eq!(nobody.status, 404);
    assert_eq!(rig.traffic(), (0, 0));
    rig.face("waha", FACE).await;
    let small = Answer::to(&rig.admin(), "GET", &path, &[]).await;
    let image = image::load_from_memory(&small.body).unwrap();
    assert_eq!((image.width(), image.height()), (96, 96));
    assert_eq!(small.header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_finds_a_face_by_its_number_and_filters_many_instances() {
    let mut settings = Settings::default();
    for number in 0..12 {
        let name = format!("shop-{number}");
        let account = format!("account = \"{name}\"");
        settings = settings.named(&name, "waha").only(&name, &account);
    }
    let rig = settings.start().await;
    rig.face("waha", FACE).await;
    let browser = looked_at(&rig, Browser::open(1000, 900, &[]).await).await;
    browser
        .run("const find = document.getElementById('find'); find.jid.value = '+628100000001'; find.instance.value = 'waha'; find.requestSubmit()")
        .await;
    browser
        .until("document.getElementById('face').innerText.includes('image/jpeg')")
        .await;
    browser.run("document.getElementById('face').close()").await;
    browser
        .run("const filter = document.getElementById('filter'); filter.value = 'shop-11'; filter.dispatchEvent(new Event('input'))")
        .await;
    browser
        .until("document.querySelectorAll('#instances article').length === 1")
        .await;
    let text = "return document.getElementById('instances').innerText";
    let text = browser.run(text).await;
    assert!(text.as_str().unwrap().contains("shop-11"), "{text}");
    let sort = |order: &str| {
        format!(
            "const filter = document.getElementById('filter'), sort = document.getElementById('sort'); \
             filter.value = ''; sort.value = '{order}'; sort.dispatchEvent(new Event('input'))"
        )
    };
    // The only instance with a call, and the first one in the alphabet.
    for (order, first) in [("calls", "waha"), ("name", "hypersender")] {
        browser.run(&sort(order)).await;
        let is_first =
            format!("document.querySelector('#instances article').dataset.instance === '{first}'");
        browser.until(&is_first).await;
    }
    let order = "return [...document.querySelectorAll('#instances article')].map((card) => card.dataset.instance)";
    let order: Vec<String> = serde_json::from_value(browser.run(order).await).unwrap();
    let place = |name: &str| order.iter().position(|shown| shown == name);
    assert!(place("shop-2") < place("shop-11"), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_what_became_of_each_account_s_calls() {
    let rig = Settings::default().only("waha", "daily = 3").start().await;
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.face("waha", FACE).await;
    rig.inject(Rule::api(broken).jid("628100000003"));
    rig.face("waha", "628100000003").await;
    let record = rig.instance_record("waha").await;
    assert_eq!(
        record["calls"],
        serde_json::json!({ "picture": 1, "vendor_error": 1 })
    );
    assert_eq!(record["calls_today"], 2);
    assert_eq!(record["daily_left"], 1);
    let browser = looked_at(&rig, Browser::open(1000, 900, &[]).await).await;
    let text = "return document.querySelector('[data-instance=waha]').innerText";
    let text = browser.run(text).await;
    for words in [
        "1 picture, 1 vendor_error since the start",
        "2 calls since midnight UTC, 1 left",
    ] {
        assert!(text.as_str().unwrap().contains(words), "{text}");
    }
}

/// Asserts that WAHA's card has this line.
async fn assert_on_card(browser: &Browser, line: &str) {
    let text = "return look().then(() => document.querySelector('[data-instance=waha]').innerText)";
    let text = browser.run(text).await;
    let mut lines = text.as_str().unwrap().lines();
    assert!(lines.any(|shown| shown == line), "{line}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_the_calls_of_today_without_a_cap_and_after_a_restart() {
    let mut rig = Rig::start().await;
    for number in 1..=3 {
        rig.face("waha", &format!("62810000000{number}")).await;
    }
    rig.restart().await;
    let record = rig.instance_record("waha").await;
    assert_eq!(record["calls_today"], 3);
    assert!(record["daily_left"].is_null(), "{record}");
    let browser = looked_at(&rig, Browser::open(1000, 900, &[]).await).await;
    assert_on_card(&browser, "3 calls since midnight UTC").await;
    // A cap that is set later knows these calls.
    rig.reload_only("waha", "daily = 5");
    assert_on_card(&browser, "3 calls since midnight UTC, 2 left").await;
    rig.hours(24);
    assert_on_card(&browser, "0 calls since midnight UTC, 5 left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_of_a_replica_shows_the_calls_of_today_that_it_has_made_itself() {
    let redis = RedisServer::start();
    let replica = || {
        let patient = Settings::default().section("cache", "first_paint = \"0\"");
        patient.fleet(&redis.url(), "timeout = \"5s\"")
    };
    let first = replica().start().await;
    let second = replica().beside(&first).start().await;
    redis.fill_budgets();
    for (rig, number) in [(&first, 1), (&first, 2), (&second, 3)] {
        rig.face("waha", &format!("62810000000{number}")).await;
    }
    assert_eq!(first.traffic().0, 3);
    let browser = looked_at(&first, Browser::open(1000, 900, &[]).await).await;
    assert_on_card(&browser, "2 calls of this replica since midnight UTC").await;
    let fleet = "return document.getElementById('fleet').innerText";
    let fleet = browser.run(fleet).await;
    assert!(fleet.as_str().unwrap().contains("Redis answers"), "{fleet}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_the_last_answer_and_the_last_failed_call_of_each_account() {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let record = rig.instance_record("waha").await;
    assert!(record["answered"].is_string(), "{record}");
    assert!(record["trouble"].is_null(), "{record}");
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.inject(Rule::api(broken).vendor(faceplate::emulator::Vendor::Waha));
    rig.seconds(60);
    rig.face("waha", "628100000002").await;
    let record = rig.instance_record("waha").await;
    let trouble = &record["trouble"];
    assert_eq!(trouble["outcome"], "vendor_error", "{record}");
    assert_eq!(trouble["lasts"], true, "{record}");
    assert!(
        trouble["detail"].as_str().unwrap().contains("502"),
        "{record}"
    );
    let browser = looked_at(&rig, Browser::open(1000, 700, &[]).await).await;
    let first = "document.querySelector('#instances article')";
    browser
        .until(&format!("{first}?.dataset.instance === 'waha'"))
        .await;
    let card = browser.run(&format!("return {first}.innerText")).await;
    let card = card.as_str().unwrap();
    for words in ["vendor_error ", "502", "last answer "] {
        assert!(card.contains(words), "{words}: {card}");
    }
    rig.vendors().clear_faults();
    rig.seconds(60);
    rig.face("waha", "628100000003").await;
    rig.reload_as(|settings| settings);
    let record = rig.instance_record("waha").await;
    assert_eq!(record["trouble"]["lasts"], false, "{record}");
}

/// The faces in trouble, each with its outcome.
async fn in_trouble(rig: &Rig) -> Vec<(String, String)> {
    let overview = overview(rig).await;
    let faces = overview["in_trouble"].as_array().unwrap().iter();
    let text = |face: &Value, name: &str| face[name].as_str().unwrap().to_owned();
    faces
        .map(|face| (text(face, "jid"), text(face, "outcome")))
        .collect()
}

/// Makes WAHA's calls fail, and asks for the faces, a second apart.
async fn fail(rig: &Rig, numbers: &[&str]) {
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.inject(Rule::api(broken).vendor(faceplate::emulator::Vendor::Waha));
    for number in numbers {
        rig.face("waha", number).await;
        rig.seconds(1);
    }
}

#[tokio::test]
async fn a_face_is_listed_as_in_trouble_from_a_failed_call_to_an_answer() {
    let rig = Rig::start().await;
    rig.face("waha", "628100000003").await;
    assert!(in_trouble(&rig).await.is_empty());
    fail(&rig, &[FACE, "628100000002"]).await;
    let listed = |numbers: &[&str]| -> Vec<(String, String)> {
        let jids = numbers.iter().map(|number| format!("{number}@c.us"));
        jids.map(|jid| (jid, "vendor_error".to_owned())).collect()
    };
    assert_eq!(in_trouble(&rig).await, listed(&["628100000002", FACE]));
    let overview = overview(&rig).await;
    let newest = &overview["in_trouble"][0];
    assert_eq!(newest["instance"], "waha");
    let time = |name: &str| httpdate::parse_http_date(newest[name].as_str().unwrap()).unwrap();
    assert!(time("asked") < time("retry_at"), "{newest}");

    rig.vendors().clear_faults();
    let path = format!("/v1/avatars/waha/{FACE}");
    let refreshed = Answer::to(&rig.admin(), "POST", &path, &[]).await;
    assert!(refreshed.status.is_success(), "{}", refreshed.text());
    let left = listed(&["628100000002"]);
    until(async || in_trouble(&rig).await == left, LIMIT).await;
}

#[tokio::test]
async fn a_forgotten_or_purged_face_is_no_longer_listed_as_in_trouble() {
    let rig = Rig::start().await;
    fail(&rig, &[FACE, "628100000002", "628100000003"]).await;
    let listed = async || {
        let faces = in_trouble(&rig).await.into_iter();
        faces.map(|(jid, _)| jid).collect::<Vec<_>>()
    };
    assert_eq!(listed().await.len(), 3);
    let forget = format!("/v1/avatars/waha/{FACE}");
    let purge = "/v1/purge?instance=waha&jid=628100000002&hard=true";
    for (method, path, left) in [("DELETE", &*forget, 2), ("POST", purge, 1)] {
        let answer = Answer::to(&rig.admin(), method, path, &[]).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        assert_eq!(listed().await.len(), left, "{path}");
    }
    assert_eq!(listed().await, ["628100000003@c.us"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_the_faces_in_trouble_only_while_there_are_any() {
    let rig = Rig::start().await;
    let browser = looked_at(&rig, Browser::open(1000, 900, &[]).await).await;
    let part = "document.getElementById('troubled')";
    let hidden = browser.run(&format!("return {part}.hidden")).await;
    assert_eq!(hidden, true);
    fail(&rig, &[FACE]).await;
    browser.until(&format!("!{part}.hidden")).await;
    let text = browser.run(&format!("return {part}.innerText")).await;
    let text = text.as_str().unwrap();
    for words in ["…00000001 waha, vendor_error ", ", next attempt "] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Invalid"), "{text}");
    browser
        .run(&format!("{part}.querySelector('button').click()"))
        .await;
    browser
        .until("document.querySelector('dialog dl').innerText.includes('vendor_error')")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_which_faces_of_an_account_are_fetched_next() {
    let rig = Settings::default()
        .section("cache", "ttl = \"1h\"\nfirst_paint = \"500ms\"")
        .instance("lookups = { per_minute = 6, burst = 1 }")
        .start()
        .await;
    rig.face("waha", FACE).await;
    rig.seconds(3600);
    for number in 2..=9 {
        rig.face("waha", &format!("62810000000{number}")).await;
    }
    // A stale face, which no request waits for.
    rig.face("waha", FACE).await;
    let browser = looked_at(&rig, Browser::open(1000, 900, &[]).await).await;
    let next = "return [...document.querySelectorAll('[data-instance=waha] li')].map((line) => [line.innerText, line.title])";
    let lines = browser.run(next).await;
    let lines: Vec<(String, String)> = serde_json::from_value(lines).unwrap();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for (index, (line, jid)) in lines.iter().enumerate() {
        let number = index + 3;
        let words = format!("…0000000{number}, interactive, about ");
        assert!(line.starts_with(&words), "{words}: {line}");
        assert!(!line.contains("Invalid"), "{line}");
        assert_eq!(jid, &format!("62810000000{number}@c.us"));
    }
    // The last one is the stale face.
    let wanted = async || rig.instance_record("waha").await["wanted"].clone();
    while wanted().await != 2 {
        let before = wanted().await;
        // The burst of the budget is one call.
        rig.seconds(10);
        until(async || wanted().await != before, LIMIT).await;
    }
    browser
        .until("document.querySelectorAll('[data-instance=waha] li').length === 2")
        .await;
    let lines = browser.run(next).await;
    let last = lines[1][0].as_str().unwrap();
    assert!(last.starts_with("…00000001, background, "), "{last}");
}
