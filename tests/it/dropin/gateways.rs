//! The picture calls that descriptions have the answers to: a gateway's client library, its calls sent to Faceplate,
//! gets the gateway's own shape with a link that shows the face.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use faceplate::{
    emulator::{Fault, Picture, Rule},
    upstream::{SHIPPED, shipped},
};
use serde_json::{Value, json};

use super::calls::{GatewayCall, calls};
use crate::{
    support::{
        Answer, Rig,
        rig::{GATEWAYS, Settings},
    },
    wire::{Server, picture, response},
};

const JID: &str = "628100000001@c.us";
const SIGNED: &str = "signing_keys = [\"env:SIGNING_KEY\"]";

/// Gateways that answer as their sources show it, and what they answer now.
struct Gateways {
    server: Server,
    has_picture: Arc<AtomicBool>,
}

impl Gateways {
    async fn start() -> Self {
        let has_picture = Arc::new(AtomicBool::new(true));
        let now = has_picture.clone();
        let server = Server::start(move |server, received| {
            let mut lines = received.head.lines();
            let target = lines.next()?.split(' ').nth(1)?.to_owned();
            if target == "/picture.jpg" {
                return Some(response("200 OK", "", &picture()));
            }
            let call = of_request(&target, received.head);
            let (status, body) = match now.load(Ordering::Relaxed) {
                true => (200, call.picture.clone()),
                false => call.none.clone(),
            };
            let link = format!("http://{server}/picture.jpg");
            let body = body.to_string().replace("LINK", &link);
            let status = format!("{status} OK");
            Some(response(&status, "connection: close\r\n", body.as_bytes()))
        })
        .await;
        Self {
            server,
            has_picture,
        }
    }

    /// Faceplate in front of all gateways, with signed URLs.
    fn settings(&self) -> Settings {
        let names: Vec<_> = calls().iter().map(|call| call.gateway).collect();
        self.server
            .settings()
            .section("access", SIGNED)
            .instance(&format!("base_url = \"http://{}\"", self.server.address))
            .instance(&format!("picture_hosts = [\"{}\"]", self.server.address))
            .only("evolution-v1", "account = \"old\"")
            .only("z-api", "params = { client_token = \"a second secret\" }")
            .more(&names)
    }
}

/// The gateway that a request is for. A head has no body, but path and headers tell.
fn of_request(target: &str, head: &str) -> GatewayCall {
    let path = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
    let fits = |call: &GatewayCall| {
        let path = path(call.path);
        let (begin, end) = path.split_once("JID").unwrap_or((path.as_str(), ""));
        let begin = begin.split("TOKEN").next().unwrap_or_default();
        let target = target.split('?').next().unwrap_or_default();
        head.starts_with(call.method)
            && target.starts_with(begin)
            && target.ends_with(end)
            && call
                .headers
                .iter()
                .all(|(name, _)| head.contains(&format!("\r\n{name}: ")))
    };
    let mut calls = calls().into_iter();
    calls
        .find(fits)
        .unwrap_or_else(|| panic!("no gateway has {target}"))
}

impl GatewayCall {
    /// Sends the call as a client library does, about a JID in its gateway's spelling.
    async fn send(&self, address: &str, token: &str, jid: &str) -> Answer {
        self.send_with(address, token, jid, &[]).await
    }

    async fn send_with(
        &self,
        address: &str,
        token: &str,
        jid: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let path = self.path.replace("TOKEN", token);
        let path = path.replace("JID", &jid.replace('@', "%40"));
        let base64 = STANDARD.encode(token);
        let headers = self.headers.iter().map(|(name, value)| {
            let value = value.replace("TOKEN", token).replace("BASE64", &base64);
            (*name, value)
        });
        let headers: Vec<_> = headers.collect();
        let mut headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        headers.extend(more);
        let body = self.body.replace("JID", jid);
        Answer::send(address, self.method, &path, &headers, body.as_bytes()).await
    }
}

/// The members of an answer by name and type.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), shape(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "flag".into(),
        Value::Null => "null".into(),
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

/// The first link in an answer.
fn link(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.contains("://") => Some(text.clone()),
        Value::Object(members) => members.values().find_map(link),
        _ => None,
    }
}

#[tokio::test]
async fn each_gateway_s_call_answers_in_its_shape_with_a_link_that_shows_the_face() {
    let gateways = Gateways::start().await;
    let rig = gateways.settings().start().await;
    let token = rig.vendors().token().to_owned();
    for call in calls() {
        let gateway = call.gateway;
        let answer = call.send(&rig.address(), &token, call.jid).await;
        assert_eq!(answer.status, 200, "{gateway} {}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            "application/json",
            "{gateway}"
        );
        assert_eq!(answer.header("cache-control"), "no-store", "{gateway}");
        let (ours, mut theirs) = (json_of(&answer), call.picture.clone());
        if call.has_more {
            let known = ours.as_object().unwrap();
            theirs
                .as_object_mut()
                .unwrap()
                .retain(|name, _| known.contains_key(name));
        }
        assert_eq!(shape(&ours), shape(&theirs), "{gateway}");
        let link = link(&ours).unwrap();
        let origin = format!("http://{}", rig.address());
        let path = link.strip_prefix(&origin).unwrap();
        assert!(
            path.starts_with(&format!("/avatar/{gateway}/{JID}?")),
            "{gateway} {path}"
        );
        rig.get(path).await.assert_picture(&picture());
        assert!(!answer.text().contains(&token), "{gateway}");
    }
}

#[tokio::test]
async fn each_gateway_s_call_answers_none_as_the_gateway_does() {
    let gateways = Gateways::start().await;
    gateways.has_picture.store(false, Ordering::Relaxed);
    let rig = gateways.settings().start().await;
    let token = rig.vendors().token().to_owned();
    for call in calls() {
        let gateway = call.gateway;
        let answer = call.send(&rig.address(), &token, call.jid).await;
        assert_eq!(answer.status, call.none.0, "{gateway} {}", answer.text());
        let mut expected = call.none.1.clone();
        if gateway == "wppconnect" {
            // The number of the picture, of which there is none.
            expected["response"]["tag"] = "0".into();
        }
        assert_eq!(json_of(&answer), expected, "{gateway}");
    }
}

#[tokio::test]
async fn each_gateway_s_call_needs_the_account_s_own_credential() {
    let gateways = Gateways::start().await;
    let rig = gateways.settings().start().await;
    let token = rig.vendors().token().to_owned();
    for mut call in calls() {
        let gateway = call.gateway;
        for wrong in ["wrong", &token[1..], &format!("{token}x")] {
            let answer = call.send(&rig.address(), wrong, call.jid).await;
            assert_eq!(
                answer.status,
                call.unauthorized,
                "{gateway} {}",
                answer.text()
            );
            assert_eq!(link(&json_or_null(&answer)), None, "{gateway}");
        }
        if !call.names_account {
            continue;
        }
        // Only a caller with a right credential learns that there is no such account.
        let other: &str = &call
            .path
            .replace("shop", "nobody")
            .replace("/old", "/nobody");
        let (path, headers) = (
            String::from(other).leak(),
            [("authorization", "Basic BASE64"), ("x-device-id", "nobody")],
        );
        call.path = path;
        if gateway == "gowa" {
            call.headers = headers.to_vec().leak();
        }
        let answer = call.send(&rig.address(), "wrong", call.jid).await;
        assert_eq!(answer.status, call.unauthorized, "{gateway}");
        let answer = call.send(&rig.address(), &token, call.jid).await;
        assert_eq!(answer.status, 404, "{gateway} {}", answer.text());
    }
    assert_eq!(rig.traffic(), (0, 0));
}

fn json_or_null(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

#[tokio::test]
async fn a_second_credential_of_a_gateway_is_checked_too() {
    let gateways = Gateways::start().await;
    let rig = gateways.settings().start().await;
    let token = rig.vendors().token().to_owned();
    let mut call = calls()
        .into_iter()
        .find(|call| call.gateway == "z-api")
        .unwrap();
    for headers in [&[][..], &[("client-token", "another")]] {
        call.headers = headers;
        assert_eq!(
            call.send(&rig.address(), &token, call.jid).await.status,
            401
        );
    }
}

#[tokio::test]
async fn a_call_without_a_face_or_with_another_kind_of_it_is_malformed() {
    let gateways = Gateways::start().await;
    let rig = gateways.settings().start().await;
    let token = rig.vendors().token().to_owned();
    for call in calls() {
        for jid in ["nobody@nowhere", "0123456789", "me"] {
            let answer = call.send(&rig.address(), &token, jid).await;
            assert_eq!(
                answer.status,
                400,
                "{} {jid} {}",
                call.gateway,
                answer.text()
            );
        }
        // As a gateway answers about a chat of its list that has no picture.
        let answer = call.send(&rig.address(), &token, "status@broadcast").await;
        assert_eq!(link(&json_or_null(&answer)), None, "{}", call.gateway);
    }
    let evolution = "/chat/fetchProfilePictureUrl/shop";
    for body in [
        "",
        "{}",
        "[]",
        "{\"number\":null}",
        "{\"number\":{}}",
        "\u{0}",
    ] {
        let headers = [("apikey", token.as_str())];
        let answer =
            Answer::send(&rig.address(), "POST", evolution, &headers, body.as_bytes()).await;
        let expected = json!({
            "status": 400, "error": "Bad Request",
            "response": { "message": ["instance requires property \"number\""] },
        });
        assert_eq!(
            (answer.status.as_u16(), json_of(&answer)),
            (400, expected),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_img_with_a_gateway_s_call_gets_the_picture() {
    let gateways = Gateways::start().await;
    let rig = gateways.settings().start().await;
    let token = rig.vendors().token().to_owned();
    for call in calls() {
        let image = [("accept", "image/avif,image/webp,image/*,*/*;q=0.8")];
        let answer = call
            .send_with(&rig.address(), &token, call.jid, &image)
            .await;
        answer.assert_picture(&picture());
        assert_eq!(answer.header("vary"), "Accept", "{}", call.gateway);
    }
}

#[tokio::test]
async fn a_gateway_whose_picture_is_the_body_is_answered_with_the_picture() {
    const GROUP: &str = "/groups/120363000000000001@g.us/icon";
    let server = Server::start(|_, received| {
        let is_none = received.head.contains("120363000000000002");
        match is_none {
            true => Some(response(
                "404 Not Found",
                "",
                b"{\"error\":{\"code\":404,\"message\":\"not found\"}}",
            )),
            false => Some(response("200 OK", "", &picture())),
        }
    })
    .await;
    let rig = server
        .settings()
        .instance(&format!("base_url = \"http://{}\"", server.address))
        .more(&["whapi"])
        .start()
        .await;
    let bearer = format!("Bearer {}", rig.vendors().token());
    let headers = [("authorization", bearer.as_str())];
    rig.ask("GET", GROUP, &headers)
        .await
        .assert_picture(&picture());
    let none = GROUP.replace("01@", "02@");
    let answer = rig.ask("GET", &none, &headers).await;
    let expected = json!({ "error": { "code": 404, "message": "not found" } });
    assert_eq!((answer.status.as_u16(), json_of(&answer)), (404, expected));
    let person = GROUP.replace("120363000000000001@g.us", JID);
    assert_eq!(rig.ask("GET", &person, &headers).await.status, 400);
}

#[tokio::test]
async fn a_route_exists_only_while_an_instance_of_its_gateway_is_configured() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    for call in calls() {
        let answer = call.send(&rig.address(), &token, call.jid).await;
        assert_eq!(answer.status, 404, "{}", call.gateway);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let rig = Settings::default().more(&GATEWAYS).start().await;
    for (path, allowed) in [
        ("/chat/fetchProfilePictureUrl/shop", "POST"),
        ("/user/avatar", "POST"),
        ("/api/shop/profile-pic/628100000001", "GET, HEAD"),
    ] {
        let answer = rig.ask("DELETE", path, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, allowed)
        );
    }
    // The same path, of two gateways with two methods.
    let rig = Settings::default().more(&["wuzapi", "gowa"]).start().await;
    let answer = rig.ask("PUT", "/user/avatar", &[]).await;
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn a_call_that_fits_two_instances_is_refused_and_not_guessed() {
    let settings = || Settings::default().more(&["wuzapi", "evolution", "evolution-v1"]);
    let rig = settings()
        .named("second", "wuzapi")
        .only("second", "account = \"two\"")
        .start()
        .await;
    let token = rig.vendors().token().to_owned();
    let ask = async |address: &str, gateway: &str| {
        let mut calls = calls().into_iter();
        let call = calls.find(|call| call.gateway == gateway).unwrap();
        call.send(address, &token, call.jid).await
    };
    for gateway in ["wuzapi", "evolution"] {
        let answer = ask(&rig.address(), gateway).await;
        assert_eq!(answer.status, 409, "{gateway}");
        assert!(
            answer.text().contains("ambiguous-account"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(rig.traffic(), (0, 0));
    // A table and a name of a pattern, at two servers.
    let rig = Settings::default()
        .more(&["evolution"])
        .named("sh*", "evolution")
        .only("sh*", "base_url = \"http://127.0.0.1:1\"")
        .start()
        .await;
    assert_eq!(ask(&rig.address(), "evolution").await.status, 409);
    assert_eq!(rig.traffic(), (0, 0));
    // With a token of its own, or another account, each is known.
    let rig = settings()
        .only("evolution-v1", "account = \"old\"")
        .named("second", "wuzapi")
        .only("second", "account = \"two\"")
        .only("second", "token = \"env:BEARER\"")
        .start()
        .await;
    for gateway in ["wuzapi", "evolution"] {
        let answer = ask(&rig.address(), gateway).await;
        let link = link(&json_of(&answer)).unwrap();
        assert!(link.contains(&format!("/avatar/{gateway}/")), "{link}");
    }
    let second = calls()
        .into_iter()
        .find(|call| call.gateway == "wuzapi")
        .unwrap();
    // The emulator knows no such token, and an instance that it refuses is paused.
    rig.traffic();
    let token = "a bearer token for tests";
    let answer = second.send(&rig.address(), token, second.jid).await;
    assert_eq!(answer.status, 401);
    assert_eq!(rig.traffic(), (1, 0));
    assert!(!rig.instance_record("second").await["paused"].is_null());
}

#[tokio::test]
async fn an_account_of_a_pattern_is_made_for_a_caller_with_its_credential() {
    let settings = Settings::default()
        .more(&["evolution"])
        .named("shop-*", "evolution");
    let rig = settings
        .only("shop-*", "account = \"{instance}\"")
        .start()
        .await;
    let token = rig.vendors().token().to_owned();
    let mut call = calls().remove(0);
    for (path, key, status, instance) in [
        ("/chat/fetchProfilePictureUrl/shop-1", "wrong", 401, ""),
        (
            "/chat/fetchProfilePictureUrl/store-1",
            token.as_str(),
            404,
            "",
        ),
        ("/chat/fetchProfilePictureUrl/shop-1", &token, 200, "shop-1"),
        ("/chat/fetchProfilePictureUrl/shop-2", &token, 200, "shop-2"),
        (
            "/chat/fetchProfilePictureUrl/shop",
            &token,
            200,
            "evolution",
        ),
    ] {
        call.path = path;
        let answer = call.send(&rig.address(), key, call.jid).await;
        assert_eq!(answer.status, status, "{path} {}", answer.text());
        let link = link(&json_of(&answer)).unwrap_or_default();
        let path = format!("/avatar/{instance}/{JID}");
        assert_eq!(link.ends_with(&path), status == 200, "{link}");
    }
}

#[tokio::test]
async fn the_emulated_gateways_answer_in_the_same_shape() {
    let rig = Settings::default()
        .section("access", SIGNED)
        .more(&GATEWAYS)
        .start()
        .await;
    let token = rig.vendors().token().to_owned();
    let (ours, theirs) = (rig.address(), rig.emulator.api().to_string());
    let numbers = [
        (Picture::NotSet, "628100000011"),
        (Picture::Hidden, "628100000013"),
    ];
    for (picture, number) in numbers {
        let jid = format!("{number}@c.us");
        rig.vendors().set_picture(&jid, picture).unwrap();
    }
    for call in calls()
        .into_iter()
        .filter(|call| GATEWAYS.contains(&call.gateway))
    {
        let gateway = call.gateway;
        let (ours_to, theirs_to) = (
            call.send(&ours, &token, call.jid).await,
            call.send(&theirs, &token, call.jid).await,
        );
        assert_eq!(
            (ours_to.status.as_u16(), theirs_to.status.as_u16()),
            (200, 200)
        );
        assert_eq!(
            shape(&json_of(&ours_to)),
            shape(&json_of(&theirs_to)),
            "{gateway}"
        );
        for (picture, number) in numbers {
            let jid = call.jid.replace("628100000001", number);
            let (ours, theirs) = (
                call.send(&ours, &token, &jid).await,
                call.send(&theirs, &token, &jid).await,
            );
            assert_eq!(ours.status, theirs.status, "{gateway} {picture:?}");
            assert_eq!(
                shape(&json_of(&ours)),
                shape(&json_of(&theirs)),
                "{gateway} {picture:?}"
            );
            if gateway == "wuzapi" {
                assert_eq!(json_of(&ours), json_of(&theirs), "{picture:?}");
            }
        }
        let (ours, theirs) = (
            call.send(&ours, "wrong", call.jid).await,
            call.send(&theirs, "wrong", call.jid).await,
        );
        assert_eq!(ours.status, theirs.status, "{gateway}");
        assert_eq!(json_of(&ours), json_of(&theirs), "{gateway}");
    }
}

#[tokio::test]
async fn trouble_has_the_gateway_s_own_words_until_there_is_a_picture() {
    let rig = Settings::default().more(&GATEWAYS).start().await;
    let token = rig.vendors().token().to_owned();
    let stopped = Fault::SessionDown {
        status: "STOPPED".to_owned(),
    };
    rig.inject(Rule::api(stopped));
    for (gateway, status, words) in [
        (
            "wuzapi",
            500,
            "{\"code\":500,\"error\":\"no session\",\"success\":false}",
        ),
        ("wppconnect", 404, "\"status\":\"Disconnected\""),
    ] {
        let call = calls()
            .into_iter()
            .find(|call| call.gateway == gateway)
            .unwrap();
        let answer = call.send(&rig.address(), &token, call.jid).await;
        assert_eq!(answer.status, status, "{gateway}");
        assert!(answer.text().contains(words), "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty(), "{gateway}");
    }
}

#[test]
fn the_documentation_has_the_picture_call_of_every_gateway() {
    let table = include_str!("../../../docs/dropin.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let rows: Vec<_> = rows.filter_map(|row| row.split_once(" | ")).collect();
    for (name, _) in SHIPPED {
        let description = shipped(name).unwrap();
        let mut of_gateway = rows
            .iter()
            .filter(|(gateway, _)| *gateway == description.title);
        assert!(of_gateway.next().is_some(), "{}", description.title);
    }
}
