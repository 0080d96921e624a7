//! Caches between this server and its clients keep public responses, as long as they are fresh, and nothing
//! that a credential let in.

use crate::support::{Answer, Rig, rig::Settings};
use faceplate::emulator::{Fault, Rule};

const FACE: &str = "/avatar/waha/628100000001";

fn assert_private(answer: &Answer, about: &str) {
    let cache_control = answer.header("cache-control");
    let is_private = cache_control.starts_with("private") || cache_control == "no-store";
    assert!(is_private, "{about}: {cache_control}");
    assert_eq!(answer.header("x-accel-expires"), "", "{about}");
}

#[tokio::test]
async fn an_open_face_is_public_for_as_long_as_it_is_fresh() {
    let rig = Rig::start().await;
    rig.get(FACE).await;
    for (hours, left) in [(0, "86400"), (5, "68400"), (18, "3600")] {
        rig.hours(hours);
        let answer = rig.get(FACE).await;
        assert_eq!(answer.header("cache-control"), "public, max-age=86400");
        // nginx does not subtract `Age`.
        assert_eq!(answer.header("x-accel-expires"), left);
    }
    rig.inject(Rule::api(Fault::Status {
        status: 500,
        retry_after: None,
    }));
    rig.hours(2);
    let stale = rig.get(FACE).await;
    assert_eq!(stale.header("cache-control"), "no-cache");
    assert_eq!(stale.header("x-accel-expires"), "");
}

#[tokio::test]
async fn a_face_that_a_credential_let_in_is_private_in_every_mode() {
    let rig = Rig::start().await;
    let bearer = [("authorization", "Bearer of-anything")];
    assert_private(&rig.ask("GET", FACE, &bearer).await, "open, with a token");
    let signed = format!("{FACE}?exp=1&sig=abc");
    assert_private(&rig.get(&signed).await, "open, with a signature");
    let access = "signing_keys = [\"env:SIGNING_KEY\"]\nbearer_tokens = [\"env:BEARER\"]";
    let rig = Settings::default().section("access", access).start().await;
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    let answer = rig.ask("GET", FACE, &bearer).await;
    assert_eq!(answer.header("cache-control"), "private, max-age=86400");
    assert_private(&answer, "signed, with a token");
}

#[tokio::test]
async fn no_shared_cache_may_keep_what_a_credential_let_in_to_be_revalidated() {
    let access = "signing_keys = [\"env:SIGNING_KEY\"]\nbearer_tokens = [\"env:BEARER\"]";
    for browser_ttl in ["0s", "1h"] {
        let rig = Settings::default()
            .section("access", access)
            .section("http", &format!("browser_ttl = \"{browser_ttl}\""))
            .start()
            .await;
        let bearer = [("authorization", "Bearer a bearer token for tests")];
        let ask = async |path: &str| rig.ask("GET", path, &bearer).await;
        assert_private(&ask(FACE).await, "fresh");
        let refreshed = ask(&format!("{FACE}?refresh=true")).await;
        assert_eq!(refreshed.header("cache-control"), "private, no-cache");
        rig.inject(Rule::api(Fault::Status {
            status: 500,
            retry_after: None,
        }));
        rig.hours(25);
        let stale = ask(FACE).await;
        assert_eq!(stale.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn an_answer_to_a_refresh_is_asked_about_each_time() {
    let rig = Rig::start().await;
    let view = rig.get(FACE).await;
    let path = format!("{FACE}?refresh=true");
    let refreshed = rig.get(&path).await;
    assert_eq!(refreshed.header("cache-control"), "no-cache");
    assert_eq!(refreshed.header("etag"), view.header("etag"));
    assert_eq!(refreshed.header("x-accel-expires"), "");
    let drawn = rig.get("/avatar/waha/628100000102?refresh=true").await;
    assert_ne!(drawn.header("etag"), "");
    assert!(["no-cache", "no-store"].contains(&drawn.header("cache-control")));
}

#[tokio::test]
async fn drop_in_answers_of_every_kind_vary_by_accept_and_are_private() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    let path = "/api/shop/chats/628100000001%40c.us/picture";
    let nobody = "/api/shop/chats/628100000102%40c.us/picture";
    let own = "/api/v1/instance/profile-picture?instanceName=shop";
    let right = ("x-api-key", token.as_str());
    let wrong = ("x-api-key", "no key of ours");
    let bearer = format!("Bearer {token}");
    let image = ("accept", "image/avif,image/webp,*/*;q=0.8");
    let json = ("accept", "application/json");
    for (about, path, headers) in [
        ("JSON", path, vec![right, json]),
        ("image", path, vec![right, image]),
        ("placeholder", nobody, vec![right, image]),
        ("wrong key", path, vec![wrong, image]),
        ("wrong key, JSON", path, vec![wrong, json]),
        ("no key", path, vec![image]),
        ("own picture", own, vec![("authorization", &*bearer)]),
        ("malformed", "/api/shop/chats/x/picture", vec![right]),
    ] {
        let answer = rig.ask("GET", path, &headers).await;
        assert_eq!(answer.header("vary"), "Accept", "{about}");
        assert_private(&answer, about);
    }
}

#[tokio::test]
async fn a_drop_in_client_gets_what_its_accept_prefers() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    let path = "/api/shop/chats/628100000001%40c.us/picture";
    for (accept, is_image) in [
        ("image/*", true),
        ("image/avif,image/webp,image/*;q=0.8,*/*;q=0.5", true),
        ("image/png;q=0.9, application/json;q=0.1", true),
        ("image/*;q=0.1, application/json", false),
        ("image/png, application/json", false),
        ("application/json, text/plain, */*", false),
        ("*/*", false),
        ("image/*;q=0, application/json;q=0.1", false),
    ] {
        let headers = [("x-api-key", token.as_str()), ("accept", accept)];
        let answer = rig.ask("GET", path, &headers).await;
        let media = answer.header("content-type");
        assert_eq!(media.starts_with("image/"), is_image, "{accept}: {media}");
    }
}
