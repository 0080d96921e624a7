//! Accounts of one name at two servers of a gateway, such as the session `default` of two WAHA servers.

use crate::support::{
    Answer,
    rig::{Rig, Settings, VENDORS},
};

use super::{FACE, Headers, calls};

/// A server that is never there. A call that goes to it is no answer of the emulator's.
const ELSEWHERE: &str = "base_url = \"http://127.0.0.1:1\"";

/// Beside each of the five instances one with the same account name at another server.
fn twice() -> Settings {
    let add = |settings: Settings, vendor: &str| {
        let name = format!("other-{vendor}");
        settings.named(&name, vendor).only(&name, ELSEWHERE)
    };
    VENDORS.into_iter().fold(Settings::default(), add)
}

/// Every drop-in call whose answers are written in Rust.
fn all_calls(token: &str) -> Vec<(&'static str, String, Headers)> {
    let mut all = calls(token, FACE);
    let wachat = format!("/api/v1/instance/profile-picture?instanceName=shop&apiKey={token}");
    all.push(("wachat", wachat, vec![]));
    for (vendor, header) in [("waha", "x-api-key"), ("wappfy", "apikey")] {
        for path in [
            "/api/shop/groups/120363000000000101@g.us/picture".to_owned(),
            format!("/api/contacts/profile-picture?session=shop&contactId={FACE}"),
            "/api/shop/profile".to_owned(),
            "/api/shop/chats/overview".to_owned(),
        ] {
            all.push((vendor, path, vec![(header, token.to_owned())]));
        }
    }
    all
}

async fn ask(rig: &Rig, path: &str, headers: &Headers) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    rig.ask("GET", path, &headers).await
}

fn assert_ambiguous(answer: &Answer, about: &str) {
    assert_eq!(answer.status, 409, "{about}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let text = answer.text();
    assert!(text.contains("ambiguous-account"), "{about}: {text}");
}

#[tokio::test]
async fn a_call_for_an_account_name_that_two_servers_have_under_one_key_is_refused() {
    let rig = twice().start().await;
    let token = rig.vendors().token().to_owned();
    for (vendor, path, headers) in all_calls(&token) {
        let answer = ask(&rig, &path, &headers).await;
        assert_ambiguous(&answer, &format!("{vendor} {path}"));
    }
    assert_eq!(rig.traffic(), (0, 0));
    // Only a client with the key learns of the accounts.
    for (vendor, path, headers) in calls("wrong", FACE) {
        let answer = ask(&rig, &path, &headers).await;
        assert_eq!(answer.status, 401, "{vendor}");
    }
}

#[tokio::test]
async fn a_key_of_its_own_tells_an_account_from_one_of_the_same_name_at_another_server() {
    let own_key = |settings: Settings, vendor: &str| {
        settings.only(&format!("other-{vendor}"), "token = \"env:BEARER\"")
    };
    let rig = VENDORS.into_iter().fold(twice(), own_key).start().await;
    let token = rig.vendors().token().to_owned();
    for (vendor, path, headers) in calls(&token, FACE) {
        let answer = ask(&rig, &path, &headers).await;
        assert_eq!(answer.status, 200, "{vendor}");
        let text = answer.text();
        assert!(text.contains(&format!("/avatar/{vendor}/")), "{text}");
    }
    rig.traffic();
    // The other server does not answer.
    for (vendor, path, headers) in calls("a%20bearer%20token%20for%20tests", FACE) {
        let plain = |(name, value): (_, String)| (name, value.replace("%20", " "));
        let headers: Headers = headers.into_iter().map(plain).collect();
        let answer = ask(&rig, &path, &headers).await;
        assert_eq!(answer.status, 500, "{vendor}");
    }
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn an_account_name_that_a_table_and_a_pattern_have_at_two_servers_is_refused() {
    // `shop` is of the table `waha` and of the name `op`, `default-1` of its own name and of `fault-1`.
    let rig = Settings::default()
        .named("o*", "waha")
        .only("o*", "account = \"sh{instance}\"")
        .only("o*", ELSEWHERE)
        .named("de*", "waha")
        .named("fault*", "waha")
        .only("fault*", "account = \"de{instance}\"")
        .only("fault*", ELSEWHERE)
        .start()
        .await;
    let token = rig.vendors().token().to_owned();
    let key = vec![("x-api-key", token)];
    for account in ["shop", "default-1"] {
        let path = format!("/api/{account}/chats/{FACE}/picture");
        assert_ambiguous(&ask(&rig, &path, &key).await, account);
    }
    let path = format!("/api/desk/chats/{FACE}/picture");
    let answer = ask(&rig, &path, &key).await;
    assert!(answer.text().contains("/avatar/desk/"), "{}", answer.text());
}

#[tokio::test]
async fn an_event_of_an_account_name_that_two_servers_have_is_refused_with_the_remedy() {
    let rig = twice().start().await;
    let event = format!(
        r#"{{"event":"group.v2.update","session":"shop","payload":{{"group":{{"id":"{FACE}"}}}}}}"#
    );
    let post = async |body: &str| {
        let headers = [("content-type", "application/json")];
        Answer::send(
            &rig.admin(),
            "POST",
            "/v1/hooks/waha",
            &headers,
            body.as_bytes(),
        )
        .await
    };
    let answer = post(&event).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.text().contains("/v1/hooks/{instance}/{secret}"),
        "{}",
        answer.text()
    );
    // An event of an account that is not configured is ignored, as ever.
    let answer = post(&event.replace("shop", "else")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
