//! `[instances."shop-*"]`: an account for each name that matches, with one credential.

use std::{fs, os::unix::fs::DirBuilderExt, time::Duration};

use faceplate::{
    config,
    emulator::{Calls, Emulator, Fault, Options, Rule},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    Answer, LIMIT,
    private::lines_with,
    program::{Program, errors},
    rig::{Rig, Settings},
    until,
};

const FACE: &str = "628100000001";
const OTHER: &str = "628100000002";

fn settings() -> Settings {
    Settings::default().named("shop-*", "waha")
}

/// Lines for the pattern, which has to have a name like `shop-*`.
fn pattern(lines: &[&str]) -> Settings {
    let add = |settings: Settings, line: &&str| settings.only("shop-*", line);
    lines.iter().fold(settings(), add)
}

async fn admin(rig: &Rig, method: &str, path: &str) -> Answer {
    Answer::to(&rig.admin(), method, path, &[]).await
}

/// The names of the pattern that are in memory.
async fn names(rig: &Rig) -> Vec<String> {
    let answer = admin(rig, "GET", "/v1/instances").await;
    let records: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
    let of_pattern = records.iter().filter(|one| one["pattern"] == "shop-*");
    let names = of_pattern.map(|record| record["instance"].as_str().unwrap().to_owned());
    names.collect()
}

fn accounts(calls: &Calls) -> Vec<String> {
    calls.list.iter().map(|call| call.account.clone()).collect()
}

/// The names that have a state on disk.
fn states(rig: &Rig) -> Vec<String> {
    let files = rig.files("instances").into_iter();
    let names = files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let mut names: Vec<_> = names.filter(|name| name.contains("shop-")).collect();
    names.sort();
    names
}

async fn minutes(rig: &Rig, minutes: u64) {
    let before = names(rig).await;
    rig.seconds(minutes * 60);
    // The loop that drops idle names has been woken by the clock; this gives it a turn.
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if names(rig).await != before {
            return;
        }
    }
}

#[tokio::test]
async fn each_matching_name_has_an_account_a_budget_and_faces_of_its_own() {
    let rig = pattern(&["lookups = { per_minute = 1, burst = 1 }"])
        .start()
        .await;
    for name in ["shop-1", "shop-2"] {
        let face = rig.face(name, FACE).await;
        face.assert_picture(&rig.bytes(FACE));
        assert!(face.cache_status().contains("fwd=uri-miss"), "{name}");
        let hit = rig.face(name, FACE).await;
        assert!(hit.cache_status().contains("; hit"), "{name}");
        rig.face(name, OTHER).await.assert_fallback("over_budget");
    }
    let accounts = accounts(&rig.calls());
    for account in ["shop-1", "shop-2"] {
        assert!(accounts.iter().any(|called| called == account));
    }
    for name in ["shop", "shop-", "shop-a.b", "other"] {
        assert_eq!(rig.face(name, FACE).await.status, 404, "{name}");
    }
}

#[tokio::test]
async fn an_instance_with_the_exact_name_counts_before_a_pattern_and_a_longer_pattern_before_a_shorter_one()
 {
    let rig = settings()
        .named("*", "wawp")
        .named("shop-1", "waha")
        .only("shop-1", "account = \"exact\"")
        .only("*", "account = \"any-{instance}\"")
        .start()
        .await;
    for (name, account) in [
        ("shop-1", "exact"),
        ("shop-2", "shop-2"),
        ("store", "any-store"),
        ("waha", "shop"),
    ] {
        rig.vendors().reset_calls();
        rig.face(name, FACE).await.assert_picture(&rig.bytes(FACE));
        let called = accounts(&rig.calls());
        assert!(called.iter().all(|called| called == account), "{called:?}");
    }
}

#[tokio::test]
async fn only_a_client_with_access_makes_a_name() {
    let rig = settings()
        .section(
            "access",
            "signing_keys = [\"env:SIGNING_KEY\"]\nbearer_tokens = [\"env:BEARER\"]",
        )
        .start()
        .await;
    let forged = "?exp=9999999999&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for query in ["", forged] {
        let refused = rig.face("shop-1", &format!("{FACE}{query}")).await;
        assert_eq!(refused.status, 403);
    }
    let path = format!("/avatar/shop-1/{FACE}");
    assert_eq!(rig.ask("PURGE", &path, &[]).await.status, 401);
    assert_eq!(names(&rig).await, [""; 0]);
    assert_eq!(states(&rig), [""; 0]);
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    // A name that was never asked for has no face to purge.
    assert_eq!(rig.ask("PURGE", &path, &bearer).await.status, 404);
    assert_eq!(names(&rig).await, [""; 0]);
    let face = rig.ask("GET", &path, &bearer).await;
    face.assert_picture(&rig.bytes(FACE));
    assert_eq!(names(&rig).await, ["shop-1"]);
    assert_eq!(rig.ask("PURGE", &path, &bearer).await.status, 200);
}

#[tokio::test]
async fn a_full_table_refuses_further_names_and_keeps_those_in_use() {
    let rig = pattern(&["max_names = 4"])
        .section(
            "access",
            "mode = \"open\"\nallow_public = true\nbearer_tokens = [\"env:BEARER\"]",
        )
        .start()
        .await;
    let face = async |name: &str, headers: &[(&str, &str)]| {
        let path = format!("/avatar/{name}/{FACE}");
        rig.ask("GET", &path, headers).await
    };
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    for name in ["shop-1", "shop-2"] {
        assert_eq!(face(name, &[]).await.source(), "picture");
    }
    // Clients without a credential have their half.
    let refused = face("shop-3", &[]).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), "60");
    assert!(refused.text().contains("instances-full"));
    for name in ["shop-3", "shop-4"] {
        assert_eq!(face(name, &bearer).await.source(), "picture");
    }
    assert_eq!(face("shop-5", &bearer).await.status, 503);
    assert_eq!(names(&rig).await, ["shop-1", "shop-2", "shop-3", "shop-4"]);
    for name in ["shop-1", "shop-3"] {
        let face = face(name, &[]).await;
        assert!(face.cache_status().contains("; hit"), "{name}");
    }
    let metrics = admin(&rig, "GET", "/metrics").await;
    let metrics = metrics.text();
    assert!(metrics.contains("faceplate_instance_names{instance=\"shop-*\"} 4"));
    let refusals = metrics
        .lines()
        .find_map(|line| line.strip_prefix("faceplate_limit_reached_total{limit=\"max_names\"} "));
    assert!(refusals.unwrap().parse::<u64>().unwrap() >= 2);
    for name in ["shop-1", "shop-2"] {
        let label = format!("\"{name}\"");
        assert!(!metrics.contains(&label), "a label for each name");
    }
    // A table with more room takes it.
    let mut rig = rig;
    rig.reload_only("shop-*", "max_names = 10");
    assert_eq!(rig.face("shop-5", FACE).await.source(), "picture");
}

/// A table of four names in open mode, of which clients without a credential have two.
async fn open_table() -> Rig {
    pattern(&["max_names = 4"])
        .section("access", "mode = \"open\"\nallow_public = true")
        .section(
            "server",
            "listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]",
        )
        .start()
        .await
}

/// A request for a face without a picture, or with one.
async fn ask_as(rig: &Rig, client: &str, name: &str, jid: &str) -> Answer {
    let path = format!("/avatar/{name}/{jid}");
    rig.ask("GET", &path, &[("x-forwarded-for", client)]).await
}

#[tokio::test]
async fn a_client_that_makes_names_up_does_not_keep_out_another_client() {
    const NO_PICTURE: &str = "628100000102";
    const JUNK: &str = "192.0.2.66";
    let rig = open_table().await;
    for number in 1..=2 {
        let name = format!("shop-junk-{number}");
        assert_eq!(ask_as(&rig, JUNK, &name, NO_PICTURE).await.status, 200);
    }
    // It does not get further by making more up: each would cost a call and a file.
    for number in 3..=9 {
        let name = format!("shop-junk-{number}");
        assert_eq!(ask_as(&rig, JUNK, &name, NO_PICTURE).await.status, 503);
    }
    rig.seconds(1);
    ask_as(&rig, JUNK, "shop-junk-1", NO_PICTURE).await;
    // The name that was asked for longest ago yields to another client.
    let face = ask_as(&rig, "192.0.2.1", "shop-1", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert_eq!(names(&rig).await, ["shop-1", "shop-junk-1"]);
    // Then each has one, and the one with a picture stays.
    assert_eq!(
        ask_as(&rig, JUNK, "shop-junk-3", NO_PICTURE).await.status,
        503
    );
    let face = ask_as(&rig, "192.0.2.2", "shop-2", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert_eq!(names(&rig).await, ["shop-1", "shop-2"]);
    assert_eq!(ask_as(&rig, "192.0.2.3", "shop-3", FACE).await.status, 503);
}

#[tokio::test]
async fn a_name_without_a_picture_yields_after_an_hour_to_any_client() {
    const NO_PICTURE: &str = "628100000102";
    let rig = open_table().await;
    for name in ["shop-1", "shop-2"] {
        assert_eq!(
            ask_as(&rig, "192.0.2.1", name, NO_PICTURE).await.status,
            200
        );
    }
    minutes(&rig, 59).await;
    ask_as(&rig, "192.0.2.1", "shop-2", NO_PICTURE).await;
    assert_eq!(ask_as(&rig, "192.0.2.1", "shop-3", FACE).await.status, 503);
    minutes(&rig, 1).await;
    let face = ask_as(&rig, "192.0.2.1", "shop-3", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert_eq!(names(&rig).await, ["shop-2", "shop-3"]);
}

#[tokio::test]
async fn a_name_that_yielded_comes_back_with_its_budget_and_its_pause() {
    let rig = open_table().await;
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: Some(6 * 3600),
    }));
    for name in ["shop-1", "shop-2"] {
        let limited = ask_as(&rig, "192.0.2.1", name, FACE).await;
        limited.assert_fallback("rate_limited");
        rig.seconds(1);
    }
    rig.vendors().clear_faults();
    let other = ask_as(&rig, "192.0.2.2", "shop-3", FACE).await;
    other.assert_picture(&rig.bytes(FACE));
    assert_eq!(names(&rig).await, ["shop-2", "shop-3"]);
    rig.traffic();
    let limited = ask_as(&rig, "192.0.2.3", "shop-1", OTHER).await;
    limited.assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_name_with_a_picture_stays_after_a_reload_and_a_restart() {
    let mut rig = open_table().await;
    for name in ["shop-1", "shop-2"] {
        let face = ask_as(&rig, "192.0.2.1", name, FACE).await;
        face.assert_picture(&rig.bytes(FACE));
    }
    rig.reload_only("shop-*", "idle = \"20h\"");
    assert_eq!(ask_as(&rig, "192.0.2.2", "shop-3", FACE).await.status, 503);
    rig.restart().await;
    for name in ["shop-1", "shop-2"] {
        let face = ask_as(&rig, "192.0.2.1", name, FACE).await;
        assert!(face.cache_status().contains("; hit"));
    }
    assert_eq!(ask_as(&rig, "192.0.2.2", "shop-3", FACE).await.status, 503);
}

#[tokio::test]
async fn a_name_that_nobody_asks_for_leaves_memory_and_comes_back_with_its_faces_and_its_pause() {
    let rig = pattern(&["max_names = 2", "idle = \"1h\""]).start().await;
    rig.face("shop-1", FACE).await;
    minutes(&rig, 59).await;
    assert_eq!(names(&rig).await, ["shop-1"]);
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: Some(6 * 3600),
    }));
    rig.face("shop-1", OTHER)
        .await
        .assert_fallback("rate_limited");
    rig.vendors().clear_faults();
    minutes(&rig, 59).await;
    assert_eq!(names(&rig).await, ["shop-1"]);
    minutes(&rig, 3).await;
    assert_eq!(names(&rig).await, [""; 0]);
    rig.traffic();
    let face = rig.face("shop-1", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert!(face.cache_status().contains("; hit"));
    rig.face("shop-1", OTHER)
        .await
        .assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_restart_keeps_the_budget_the_pause_and_the_faces_of_a_name() {
    let mut rig = pattern(&["lookups = { per_minute = 1, burst = 2 }"])
        .start()
        .await;
    rig.face("shop-1", FACE).await;
    rig.face("shop-1", OTHER).await;
    rig.restart().await;
    assert_eq!(names(&rig).await, [""; 0]);
    let hit = rig.face("shop-1", FACE).await;
    assert!(hit.cache_status().contains("; hit"));
    let third = rig.face("shop-1", "628100000003").await;
    third.assert_fallback("over_budget");
    let other = rig.face("shop-2", "628100000003").await;
    assert_eq!(other.source(), "picture");
}

#[tokio::test]
async fn a_reload_keeps_the_names_with_their_budgets_and_pauses_also_into_a_table_of_their_own() {
    let mut rig = pattern(&["lookups = { per_minute = 1, burst = 1 }"])
        .start()
        .await;
    rig.face("shop-1", FACE).await;
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: Some(3600),
    }));
    rig.face("shop-2", FACE)
        .await
        .assert_fallback("rate_limited");
    rig.vendors().clear_faults();
    rig.reload_only("shop-*", "max_names = 7");
    assert_eq!(names(&rig).await, ["shop-1", "shop-2"]);
    rig.face("shop-1", OTHER)
        .await
        .assert_fallback("over_budget");
    rig.face("shop-2", OTHER)
        .await
        .assert_fallback("rate_limited");
    rig.traffic();
    rig.add("shop-2", "waha", "account = \"shop-2\"");
    rig.reload_only("shop-2", "lookups = { per_minute = 5, burst = 5 }");
    assert_eq!(names(&rig).await, ["shop-1"]);
    rig.face("shop-2", OTHER)
        .await
        .assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn the_operator_s_routes_work_on_a_name_that_is_only_on_disk() {
    let mut rig = settings().start().await;
    for name in ["shop-1", "shop-2", "shop-3"] {
        rig.face(name, FACE).await;
    }
    rig.restart().await;
    let path = format!("/v1/avatars/shop-1/{FACE}");
    assert_eq!(admin(&rig, "GET", &path).await.status, 200);
    assert_eq!(admin(&rig, "DELETE", &path).await.status, 204);
    rig.face("shop-1", FACE).await.assert_fallback("hidden");
    let purge = "/v1/purge?instance=shop-2&hard=true";
    assert_eq!(admin(&rig, "POST", purge).await.text(), "{\"purged\":1}");
    let face = rig.face("shop-2", FACE).await;
    assert!(face.cache_status().contains("fwd=uri-miss"));
    assert_eq!(
        admin(&rig, "DELETE", "/v1/instances/shop-3/pause")
            .await
            .status,
        404,
        "it is not paused"
    );
    for path in [
        "/v1/instances/shop-9/pause".to_owned(),
        format!("/v1/avatars/shop-9/{FACE}"),
    ] {
        assert_eq!(admin(&rig, "DELETE", &path).await.status, 404);
    }
    assert_eq!(names(&rig).await, ["shop-1", "shop-2", "shop-3"]);
    // A refresh by the operator makes a name.
    let path = format!("/v1/avatars/shop-4/{FACE}");
    assert_eq!(admin(&rig, "POST", &path).await.status, 200);
    assert!(names(&rig).await.contains(&"shop-4".to_owned()));
}

#[tokio::test]
async fn faces_are_renamed_to_a_name_and_not_from_a_name_that_a_pattern_has() {
    let mut rig = settings().start().await;
    rig.face("waha", FACE).await;
    rig.face("shop-1", FACE).await;
    rig.reload_only("waha", "account = \"another\"");
    rig.restart().await;
    let rename = async |from: &str, to: &str| {
        let path = format!("/v1/cache/rename?from={from}&to={to}");
        admin(&rig, "POST", &path).await
    };
    assert_eq!(rename("shop-1", "waha").await.status, 409);
    let renamed = rename("waha", "shop-2").await;
    assert_eq!(renamed.text(), "{\"renamed\":1,\"known\":0}");
    rig.traffic();
    let face = rig.face("shop-2", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_name_without_a_picture_is_forgotten_on_disk_when_its_budget_is_full_again() {
    let rig = pattern(&["account = \"missing-{instance}\"", "idle = \"1h\""])
        .start()
        .await;
    for number in 0..5 {
        let face = rig.face(&format!("shop-{number}"), FACE).await;
        assert_ne!(face.source(), "picture");
    }
    assert_eq!(states(&rig).len(), 10);
    for _ in 0..3 {
        rig.hours(25);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until(async || states(&rig).is_empty(), LIMIT).await;
    assert_eq!(rig.face("shop-0", FACE).await.status, 200);
}

#[tokio::test]
async fn a_name_with_a_picture_stays_on_disk() {
    let rig = pattern(&["idle = \"1h\""]).start().await;
    rig.face("shop-1", FACE).await;
    for _ in 0..3 {
        rig.hours(25);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(names(&rig).await, [""; 0]);
    assert_eq!(states(&rig).len(), 2);
}

#[tokio::test]
async fn a_vendor_s_call_finds_the_name_by_its_account() {
    let rig = pattern(&["account = \"eu_{instance}\""]).start().await;
    let token = rig.vendors().token().to_owned();
    let call = async |account: &str, token: &str| {
        let path = format!("/api/{account}/chats/{FACE}%40c.us/picture");
        rig.ask("GET", &path, &[("x-api-key", token)]).await
    };
    for account in ["eu_shop-1", "us_shop-1", "eu_store"] {
        assert_eq!(call(account, "a wrong token").await.status, 401);
    }
    assert_eq!(names(&rig).await, [""; 0]);
    let answer = call("eu_shop-1", &token).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("/avatar/shop-1/"),
        "{}",
        answer.text()
    );
    assert_eq!(names(&rig).await, ["shop-1"]);
    for account in ["us_shop-1", "eu_store", "eu_"] {
        assert_ne!(call(account, &token).await.status, 200, "{account}");
    }
    assert_eq!(names(&rig).await, ["shop-1"]);
}

#[tokio::test]
async fn the_names_of_a_pattern_share_the_secret_of_its_webhook_and_an_event_makes_no_name() {
    let mut rig = pattern(&["hook = { secret = \"env:HOOK_SECRET\" }"])
        .section("hooks", "listen = \"127.0.0.1:0\"")
        .start()
        .await;
    let event = async |rig: &Rig, name: &str, secret: &str| {
        let body = json!({
            "event": "message", "session": name, "payload": { "from": format!("{FACE}@c.us") }
        });
        let path = format!("/v1/hooks/{name}/{secret}");
        let json = [("content-type", "application/json")];
        let body = body.to_string();
        Answer::send(&rig.hooks(), "POST", &path, &json, body.as_bytes()).await
    };
    let secret = "a%20hook%20secret%20for%20tests";
    assert_eq!(event(&rig, "shop-1", "wrong").await.status, 404);
    assert_eq!(event(&rig, "store-1", secret).await.status, 404);
    let ignored = event(&rig, "shop-1", secret).await;
    assert_eq!(ignored.status, 200);
    assert!(ignored.text().contains("\"ignored\":1"));
    assert_eq!(names(&rig).await, [""; 0]);
    rig.face("shop-1", FACE).await;
    rig.hours(48);
    rig.restart().await;
    let marked = event(&rig, "shop-1", secret).await;
    assert!(marked.text().contains("\"marked\":1"), "{}", marked.text());
    assert_eq!(names(&rig).await, ["shop-1"]);
}

#[tokio::test]
async fn trouble_with_the_events_of_a_pattern_is_logged_once_an_hour_for_all_its_names() {
    let rig = pattern(&["hook = { secret = \"env:HOOK_SECRET\" }"])
        .section("hooks", "listen = \"127.0.0.1:0\"")
        .start()
        .await;
    const LINE: &str = "webhook instance=\"shop-broken-";
    lines_with(LINE);
    for number in 1..=5 {
        let path = format!("/v1/hooks/shop-broken-{number}/a%20hook%20secret%20for%20tests");
        let refused = Answer::send(&rig.hooks(), "POST", &path, &[], b"no event").await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    assert_eq!(lines_with(LINE), 1);
}

#[tokio::test]
async fn a_pushed_picture_makes_its_name() {
    let rig = Settings::default().named("shop-*", "push").start().await;
    let picture = rig.bytes(FACE);
    let path = format!("/v1/avatars/shop-1/{FACE}");
    let media = [("content-type", "image/jpeg")];
    let pushed = Answer::send(&rig.admin(), "PUT", &path, &media, &picture).await;
    assert_eq!(pushed.status, 200, "{}", pushed.text());
    rig.face("shop-1", FACE).await.assert_picture(&picture);
    assert_eq!(names(&rig).await, ["shop-1"]);
}

#[tokio::test]
async fn a_warm_up_of_a_name_goes_on_after_a_restart_and_the_daily_one_is_for_all_names_in_memory()
{
    let mut rig = pattern(&[
        "lookups = { per_minute = 1, burst = 1 }",
        "warm = { at = \"03:00\", top = 1 }",
    ])
    .start()
    .await;
    let list = format!("{FACE}\n{OTHER}\n");
    let path = "/v1/warm?instance=shop-1";
    let begun = Answer::send(&rig.admin(), "POST", path, &[], list.as_bytes()).await;
    assert_eq!(begun.status, 202, "{}", begun.text());
    let state = async |rig: &Rig, name: &str| {
        let answer = admin(rig, "GET", "/v1/warm").await;
        let runs: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
        let run = runs.into_iter().find(|run| run["instance"] == name);
        run.map(|run| run["state"].as_str().unwrap().to_owned())
    };
    until(
        async || state(&rig, "shop-1").await.as_deref() == Some("waiting"),
        LIMIT,
    )
    .await;
    rig.restart().await;
    assert!(state(&rig, "shop-1").await.is_some());
    assert_eq!(names(&rig).await, ["shop-1"]);
    rig.face("shop-2", FACE).await;
    assert_eq!(state(&rig, "shop-2").await, None);
    rig.hours(9);
    until(async || state(&rig, "shop-2").await.is_some(), LIMIT).await;
}

#[tokio::test]
async fn many_requests_for_one_new_name_make_it_once() {
    let rig = pattern(&["lookups = { per_minute = 1, burst = 1 }"])
        .start()
        .await;
    let mut requests = JoinSet::new();
    for number in 0..20 {
        let address = rig.address();
        let path = format!("/avatar/shop-1/6281000000{number:02}");
        requests.spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    }
    let faces = requests.join_all().await;
    let pictures = faces.iter().filter(|face| face.source() == "picture");
    assert_eq!(pictures.count(), 1, "one budget");
    assert_eq!(rig.traffic().0, 1);
    assert_eq!(names(&rig).await, ["shop-1"]);
}

fn problems(instances: &str) -> String {
    let text = format!("[access]\nmode = \"open\"\n{instances}");
    let secrets = [("T", "a token".to_owned())];
    match config::from_text("the test", &text, secrets.into_iter()) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn patterns_that_would_give_an_account_two_budgets_or_a_name_two_tables_are_refused() {
    let table = |name: &str, account: &str, more: &str| {
        format!(
            "[instances.\"{name}\"]\nprovider = \"wawp\"\naccount = \"{account}\"\ntoken = \"env:T\"\n{more}\n"
        )
    };
    let of = |tables: &[(&str, &str, &str)]| {
        let tables = tables
            .iter()
            .map(|(name, account, more)| table(name, account, more));
        problems(&tables.collect::<String>())
    };
    for fine in [
        &[("shop-*", "{instance}", "")][..],
        &[("*", "a-{instance}-b", "max_names = 5\nidle = \"1h\"")],
        &[("shop-*", "{instance}", ""), ("*", "{instance}", "")],
        &[("shop-*", "{instance}", ""), ("shop-1", "shop-1", "")],
        &[("shop-*", "{instance}", ""), ("shop-1", "other", "")],
        &[
            ("shop-*", "eu_{instance}", ""),
            ("store-*", "us_{instance}", ""),
        ],
    ] {
        assert_eq!(of(fine), "", "{fine:?}");
    }
    for (wrong, key, remedy) in [
        (&[("shop-*", "1", "")][..], "account", "{instance}"),
        (&[("shop-*", "{instance}{instance}", "")], "account", "once"),
        (&[("s-*-*", "{instance}", "")], "s-*-*", "one *"),
        (&[("shop.*", "{instance}", "")], "shop.*", "letters"),
        (
            &[("shop-*", "{instance}", "own_jid = \"628123@c.us\"")],
            "own_jid",
            "leave it out",
        ),
        (
            &[("shop-*", "{instance}", ""), ("*-shop", "{instance}", "")],
            "shop-*",
            "longer",
        ),
        (
            &[("shop-*", "{instance}", ""), ("main", "shop-1", "")],
            "main.account",
            "call this instance shop-1",
        ),
        (
            &[("shop-*", "{instance}", ""), ("s*", "{instance}-1", "")],
            "account",
            "second budget",
        ),
        (
            &[("main", "1", "max_names = 5")],
            "main.max_names",
            "leave it out",
        ),
        (
            &[("main", "1", "idle = \"1h\"")],
            "main.idle",
            "leave it out",
        ),
        (
            &[("*", "{instance}", "max_names = 0")],
            "max_names",
            "from 1",
        ),
        (
            &[("*", "{instance}", "idle = \"1s\"")],
            "idle",
            "1m or more",
        ),
    ] {
        let found = of(wrong);
        assert!(
            found.contains(key) && found.contains(remedy),
            "{wrong:?}: {found}"
        );
    }
    let by_token = "[instances.\"shop-*\"]\nprovider = \"wuzapi\"\nbase_url = \"https://w.example\"\naccount = \"{instance}\"\ntoken = \"env:T\"";
    assert!(problems(by_token).contains("by their tokens alone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_take_the_names_of_a_pattern() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let text = fs::read_to_string(program.config()).unwrap();
    let text = text.replace("[instances.waha]", "[instances.\"shop-*\"]");
    let text = text.replace("account = \"shop\"", "account = \"{instance}\"");
    fs::write(program.config(), text).unwrap();
    let run = |args: &[&str]| {
        let output = program.run(args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output);
        (said, output.status.success())
    };
    let (said, is_right) = run(&["check"]);
    assert!(
        is_right && said.contains("shop-*: up to 1000 names"),
        "{said}"
    );
    let cache = program.folder.path().join("cache");
    fs::DirBuilder::new().mode(0o700).create(cache).unwrap();
    let list = program.folder.path().join("list");
    fs::write(&list, FACE).unwrap();
    let list = list.display().to_string();
    for name in ["shop-1", "shop-2"] {
        let (said, is_right) = run(&["warm", name, &list]);
        assert!(is_right && said.contains("1 of 1 faces"), "{said}");
    }
    let (said, _) = run(&["cache", "stats"]);
    assert!(said.contains("1 shop-1"), "{said}");
    assert!(!said.contains("not configured"), "{said}");
    let (said, _) = run(&["doctor"]);
    assert!(!said.contains("not configured"), "{said}");
    assert!(said.contains("doctor --explain NAME JID"), "{said}");
    let (said, is_right) = run(&["doctor", "--explain", "shop-3", FACE]);
    assert!(is_right && said.contains("gives a link"), "{said}");
    assert!(run(&["sign", "shop-1", FACE]).1);
    for args in [["sign", "store-1"], ["warm", "store-1"]] {
        let (said, is_right) = run(&[args[0], args[1], &list]);
        assert!(!is_right && said.contains("no instance"), "{said}");
    }
    let (said, is_right) = run(&["cache", "forget", "shop-1", FACE]);
    assert!(is_right, "{said}");
    assert!(!run(&["cache", "forget", "shop-9", FACE]).1);
    let server = program.serve();
    let face = async |name: &str| {
        let path = format!("/avatar/{name}/{FACE}");
        Answer::to(&server.address("listen"), "GET", &path, &[]).await
    };
    face("shop-1").await.assert_fallback("hidden");
    assert_eq!(face("shop-2").await.source(), "picture");
}
