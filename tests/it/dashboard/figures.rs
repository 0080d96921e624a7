//! The figures on the dashboard's cards and in its head, and the cards of many accounts.

use std::process::Command;

use super::{FACE, looked_at, overview};
use crate::support::{
    LIMIT,
    rig::{Rig, Settings},
    until,
    webdriver::Browser,
};
use faceplate::emulator::{Fault, Rule, Vendor};

async fn open(rig: &Rig) -> Browser {
    looked_at(rig, Browser::open(1000, 900, &[]).await).await
}

/// A condition in the page: a line of WAHA's card matches this regular expression.
fn is_on_card(pattern: &str) -> String {
    let lines = "[...document.querySelectorAll('[data-instance=waha] > div')]";
    format!("{lines}.some((line) => /^{pattern}$/.test(line.innerText))")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_of_an_instance_says_how_long_its_vendor_takes_just_now() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::Latency { ms: 150 }).vendor(Vendor::Waha));
    let browser = open(&rig).await;
    let without = is_on_card("last answer (?!.* after ).*");
    // Two fetches are too few to say it.
    for number in 1..=2 {
        rig.face("waha", &format!("62810000000{number}")).await;
        browser.until(&without).await;
    }
    rig.face("waha", "628100000003").await;
    let latency = async || rig.instance_record("waha").await["latency"].as_u64();
    until(async || latency().await.is_some(), LIMIT).await;
    let latency = latency().await.unwrap();
    assert!((150..30_000).contains(&latency), "{latency}");
    let shown = format!("last answer .*, after {latency} ms");
    browser.until(&is_on_card(&shown)).await;
    // They say nothing about a vendor that was not asked since.
    rig.seconds(300);
    browser.until(&without).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_of_an_instance_says_how_many_faces_wait_for_its_budget_while_any_do() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"500ms\"")
        .instance("lookups = { per_minute = 6, burst = 1 }")
        .start()
        .await;
    let browser = open(&rig).await;
    let some_wait = is_on_card(".* faces wait .*");
    rig.face("waha", FACE).await;
    browser.until(&is_on_card("last answer .*")).await;
    browser.until(&format!("!{some_wait}")).await;
    for number in 2..=5 {
        rig.face("waha", &format!("62810000000{number}")).await;
    }
    for waiting in [4, 3, 2] {
        let line = format!("{waiting} faces wait for the budget; next:");
        browser.until(&is_on_card(&line)).await;
        // The budget has another call.
        rig.seconds(10);
        let wanted = async || rig.instance_record("waha").await["wanted"].clone();
        until(async || wanted().await == waiting - 1, LIMIT).await;
    }
    rig.seconds(10);
    browser.until(&format!("!{some_wait}")).await;
}

/// A time as the page writes it, as an expression of JavaScript.
fn said(seconds: u64) -> String {
    let parts = "weekday: 'short', hour: 'numeric', minute: '2-digit', timeZoneName: 'short'";
    format!("new Date({seconds} * 1000).toLocaleString(undefined, {{ {parts} }})")
}

/// Returns once the page's head says that the configuration was read then, and what time it is.
async fn until_read(browser: &Browser, rig: &Rig, read: u64) {
    let (read, now) = (said(read), said(rig.clock.now().as_secs()));
    let end = format!("` · configuration of ${{{read}}} · ${{{now}}}`");
    let about = "document.getElementById('about').innerText";
    browser.until(&format!("{about}.endsWith({end})")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_the_dashboard_says_when_the_configuration_in_use_was_read() {
    let mut rig = Rig::start().await;
    let started = rig.clock.now().as_secs();
    rig.hours(30);
    let browser = open(&rig).await;
    until_read(&browser, &rig, started).await;
    rig.reload_as(|settings| settings);
    rig.seconds(120);
    until_read(&browser, &rig, started + 30 * 3600).await;
}

/// A number of bytes as the page writes it.
fn size(bytes: u64) -> String {
    let (mut size, mut units) = (bytes as f64, ["B", "KiB", "MiB", "GiB", "TiB"].iter());
    let mut unit = units.next().unwrap();
    while size >= 1024.0 {
        size /= 1024.0;
        unit = units.next().unwrap();
    }
    let decimals = usize::from(*unit != "B" && size < 100.0);
    format!("{size:.decimals$} {unit}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_of_the_cache_says_how_much_space_is_free_on_its_disk() {
    let rig = Rig::start().await;
    rig.run_maintenance().await;
    let free = overview(&rig).await["cache"]["free"].as_u64().unwrap();
    let mut df = Command::new("df");
    df.args(["--output=avail", "--block-size=1"]);
    let said = df.arg(rig.cache.path()).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let now: u64 = said.lines().nth(1).unwrap().trim().parse().unwrap();
    // Other tests write to the disk at the same time.
    assert!(free.abs_diff(now) < (1 << 30).max(now / 4), "{free}: {now}");
    let browser = open(&rig).await;
    let rest = "return document.getElementById('rest').innerText";
    let expected = format!("{} free, 0 evicted, 0 damaged since the start", size(free));
    assert_eq!(browser.run(rest).await, expected);
}

/// The names on the cards, in their order.
const CARDS: &str =
    "[...document.querySelectorAll('#instances article')].map((card) => card.dataset.instance)";

/// Returns once the page has these cards.
async fn until_cards(browser: &Browser, names: &[String]) {
    let names = serde_json::to_string(names).unwrap();
    let is_shown = format!("JSON.stringify({CARDS}) === JSON.stringify({names})");
    browser.until(&is_shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_names_of_a_pattern_can_be_filtered_and_sorted_by_trouble_calls_and_name() {
    let rig = Settings::default().named("shop-*", "waha").start().await;
    let shops = || (1..=200).map(|number| format!("shop-{number}"));
    for shop in shops() {
        rig.face(&shop, FACE).await;
    }
    for number in 2..=4 {
        let face = format!("62810000000{number}");
        rig.face("shop-120", &face).await;
    }
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.inject(Rule::api(broken).jid("628100000009"));
    rig.seconds(1);
    rig.face("shop-150", "628100000009").await;

    let browser = open(&rig).await;
    browser.until(&format!("{CARDS}.length === 205")).await;
    // Trouble comes first.
    browser.until(&format!("{CARDS}[0] === 'shop-150'")).await;
    let set = async |id: &str, value: &str| {
        let control = format!("document.getElementById('{id}')");
        browser.until(&format!("!{control}.hidden")).await;
        let script = format!(
            "const control = {control}; control.value = '{value}'; control.dispatchEvent(new Event('input'))"
        );
        browser.run(&script).await;
    };
    set("filter", "shop-137").await;
    until_cards(&browser, &["shop-137".to_owned()]).await;
    set("filter", "SHOP-12").await;
    browser.until(&format!("{CARDS}.length === 11")).await;
    set("filter", "shop-201").await;
    until_cards(&browser, &[]).await;
    set("filter", "").await;
    browser.until(&format!("{CARDS}.length === 205")).await;

    set("sort", "calls").await;
    let most = format!("{CARDS}.slice(0, 2).join() === 'shop-120,shop-150'");
    browser.until(&most).await;
    set("sort", "name").await;
    let mut names = vec!["hypersender".to_owned()];
    names.extend(shops());
    names.extend(["wachat", "waha", "wappfy", "wawp"].map(str::to_owned));
    until_cards(&browser, &names).await;
}
