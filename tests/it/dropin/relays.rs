//! WAHA's calls whose replies have pictures among other things: they are made each time inside the budget, and their
//! links lead to Faceplate.

use faceplate::emulator::{Endpoint, Fault, OWN_JID, Rule};
use serde_json::Value;

use crate::{
    support::{Answer, Rig, private::lines_with, rig::Settings},
    wire::{Server, response},
};

const CHATS: &str = "/api/shop/chats/overview";
const PROFILE: &str = "/api/shop/profile";
const FAMILY: [(&str, &str); 2] = [("waha", "x-api-key"), ("wappfy", "apikey")];

async fn signed() -> Rig {
    let key = "signing_keys = [\"env:SIGNING_KEY\"]";
    Settings::default().section("access", key).start().await
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

async fn ask(rig: &Rig, path: &str, header: &str) -> Answer {
    let token = rig.vendors().token().to_owned();
    rig.ask("GET", path, &[(header, &token)]).await
}

#[tokio::test]
async fn a_list_of_chats_is_waha_s_with_links_that_show_the_faces() {
    let rig = signed().await;
    let token = rig.vendors().token().to_owned();
    let path = format!("{CHATS}?limit=12&offset=3");
    let emulator = rig.emulator.api().to_string();
    let theirs = Answer::to(&emulator, "GET", &path, &[("x-api-key", &token)]).await;
    let theirs = json(&theirs);
    for (vendor, header) in FAMILY {
        rig.traffic();
        let answer = ask(&rig, &path, header).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        let calls = rig.calls();
        assert_eq!(
            (calls.list.len(), calls.list[0].endpoint),
            (1, Endpoint::Overview)
        );
        let (mut ours, mut expected) = (json(&answer), theirs.clone());
        let rows = ours.as_array_mut().unwrap();
        assert_eq!(rows.len(), 12);
        let mut shown = 0;
        for (ours, theirs) in rows.iter_mut().zip(expected.as_array_mut().unwrap()) {
            let (link, original) = (ours["picture"].take(), theirs["picture"].take());
            assert_eq!(link.is_null(), original.is_null());
            let Some(link) = link.as_str() else { continue };
            let origin = format!("http://{}", rig.address());
            let jid = ours["id"].as_str().unwrap();
            let path = link.strip_prefix(&origin).unwrap();
            assert!(
                path.starts_with(&format!("/avatar/{vendor}/{jid}?exp=")),
                "{path}"
            );
            rig.get(path).await.assert_picture(&rig.bytes(jid));
            shown += 1;
        }
        assert!(shown > 5, "{shown}");
        assert_eq!(ours, expected, "{vendor}");
        assert!(!answer.text().contains(&token));
    }
}

#[tokio::test]
async fn a_profile_is_waha_s_with_a_link_that_shows_the_own_face() {
    let rig = signed().await;
    let answer = ask(&rig, PROFILE, "x-api-key").await;
    assert_eq!(rig.traffic(), (1, 0));
    let profile = json(&answer);
    assert_eq!(
        (profile["id"].as_str(), profile["name"].as_str()),
        (Some(OWN_JID), Some("Faceplate Demo"))
    );
    let link = profile["picture"].as_str().unwrap();
    let path = link
        .strip_prefix(&format!("http://{}", rig.address()))
        .unwrap();
    assert!(path.starts_with("/avatar/waha/me?"), "{path}");
    rig.get(path).await.assert_picture(&rig.bytes(OWN_JID));
    rig.traffic();
    // Wappfy documents that it has no such call, so none is made.
    let answer = ask(&rig, PROFILE, "apikey").await;
    assert_eq!(answer.status, 501, "{}", answer.text());
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_relayed_call_needs_the_account_s_own_credential() {
    let rig = signed().await;
    let token = rig.vendors().token().to_owned();
    for path in [CHATS, PROFILE] {
        for (_, header) in FAMILY {
            for (path, key, status) in [
                (path.to_owned(), "wrong", 401),
                (path.to_owned(), "", 401),
                (path.replace("shop", "else"), "wrong", 401),
                (path.replace("shop", "else"), token.as_str(), 404),
            ] {
                let answer = rig.ask("GET", &path, &[(header, key)]).await;
                assert_eq!(answer.status, status, "{path}");
            }
        }
        assert_eq!(rig.get(path).await.status, 401);
        let answer = rig.ask("POST", path, &[("x-api-key", &token)]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "GET, HEAD")
        );
    }
    assert_eq!(rig.traffic(), (0, 0));
    // The client's key stays here, also from the query.
    let path = format!("{CHATS}?limit=2&x-api-key={token}&session=else");
    assert_eq!(rig.get(&path).await.status, 200);
}

#[tokio::test]
async fn each_row_of_a_relayed_list_is_paid_for_before_the_call() {
    let settings = Settings::default().instance("lookups = { per_minute = 1, burst = 5 }");
    let rig = settings.start().await;
    let answer = ask(&rig, &format!("{CHATS}?limit=6"), "x-api-key").await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("at most 5 with limit"),
        "{}",
        answer.text()
    );
    assert_eq!(rig.traffic(), (0, 0));
    for limit in ["0", "x", "-1", "99999999999999999999"] {
        let answer = ask(&rig, &format!("{CHATS}?limit={limit}"), "x-api-key").await;
        assert_eq!(answer.status, 400, "{limit}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let answer = ask(&rig, &format!("{CHATS}?limit=3"), "x-api-key").await;
    assert_eq!(json(&answer).as_array().unwrap().len(), 3);
    // Two calls are left. A page that takes three takes none of them.
    let answer = ask(&rig, &format!("{CHATS}?limit=3"), "x-api-key").await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!((1..=60).contains(&answer.header("retry-after").parse().unwrap()));
    for _ in 0..2 {
        assert_eq!(ask(&rig, PROFILE, "x-api-key").await.status, 200);
    }
    assert_eq!(ask(&rig, PROFILE, "x-api-key").await.status, 429);
    assert_eq!(rig.traffic().0, 3);
    // Without a number, a page is as long as the budget allows.
    rig.hours(1);
    let answer = ask(&rig, CHATS, "x-api-key").await;
    assert_eq!(json(&answer).as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn trouble_in_a_relayed_reply_pauses_the_account_and_passes_through() {
    let rig = Settings::default().start().await;
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: Some(120),
    }));
    let answer = ask(&rig, CHATS, "x-api-key").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (429, "120")
    );
    rig.vendors().clear_faults();
    rig.traffic();
    let answer = ask(&rig, CHATS, "x-api-key").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (429, "120")
    );
    rig.face("waha", "628100000001")
        .await
        .assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_relayed_retry_after_of_days_is_capped_and_the_log_says_so() {
    // All tests write to one log, and no other one asks for this number.
    let capped = || lines_with("retry_after_seconds=770123 capped_seconds=21600");
    let rig = Settings::default().start().await;
    assert_eq!(capped(), 0);
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: Some(770_123),
    }));
    for _ in 0..2 {
        let answer = ask(&rig, CHATS, "x-api-key").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (429, "21600")
        );
    }
    assert_eq!((capped(), rig.traffic()), (1, (1, 0)));
}

#[tokio::test]
async fn a_reply_that_is_not_understood_passes_through_unchanged() {
    for (status, media, body) in [
        (
            "200 OK",
            "application/json",
            "{\"chats\":[{\"picture\":\"https://x.example/a\"}]}",
        ),
        (
            "200 OK",
            "application/json",
            "[{\"id\":\"nobody\",\"picture\":\"https://x.example/a\"},1,null]",
        ),
        (
            "200 OK",
            "application/json",
            "[{\"id\":\"628100000001@c.us\",\"picture\":{\"x\":1}}]",
        ),
        ("200 OK", "text/html", "<html>not this page</html>"),
        ("200 OK", "application/json", "[{\"id\""),
        (
            "404 Not Found",
            "application/json",
            "{\"message\":\"x\",\"picture\":\"https://x.example/a\"}",
        ),
        ("501 Not Implemented", "text/plain", "no"),
    ] {
        let server = Server::start(move |_, received| {
            assert!(
                received.head.starts_with("GET /api/shop/"),
                "{}",
                received.head
            );
            assert!(!received.head.contains("cookie"), "{}", received.head);
            let headers = format!("content-type: {media}\r\nset-cookie: a=b\r\n");
            Some(response(status, &headers, body.as_bytes()))
        })
        .await;
        let rig = server.settings().start().await;
        let token = rig.vendors().token().to_owned();
        let headers = [("x-api-key", token.as_str()), ("cookie", "c=d")];
        let answer = rig.ask("GET", CHATS, &headers).await;
        assert_eq!(answer.status.as_str(), &status[..3], "{body}");
        assert_eq!(answer.header("content-type"), media, "{body}");
        assert_eq!(answer.header("set-cookie"), "", "{body}");
        assert_eq!(answer.text(), body);
    }
}
