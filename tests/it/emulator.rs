//! The emulated vendors and their CDN, over sockets: the documented answers, the lifetime of links, the vendors'
//! own caches, every fault, and the counts of calls.

// Clippy allows `unwrap` in test functions, but not in functions that tests share.
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::support::{LIMIT, until};
use faceplate::{
    clock::{Clock, Timestamp},
    emulator::{Emulator, Endpoint, Fault, Hop, OWN_JID, Options, Picture, Rule, Vendor},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

const TOKEN: &str = "emulator-token";
const HENDRA: &str = "628100000001@c.us";
const HIDDEN: &str = "628100000101@c.us";
const NOT_SET: &str = "628100000102@c.us";
const GONE: &str = "628100000103@c.us";
const DAY: Duration = Duration::from_secs(86_400);

/// An answer as received.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| {
            let key = line.split(':').next().unwrap();
            key.eq_ignore_ascii_case(name)
        })?;
        Some(line.split_once(':').unwrap().1.trim())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn promised(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }
}

async fn send(
    to: SocketAddr,
    method: &str,
    target: &str,
    header: &str,
    body: &str,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(to).await?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: emulator\r\n{header}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = bytes.split_off(end + 4);
    Ok(Answer { status, head, body })
}

async fn get(to: SocketAddr, target: &str, header: &str) -> Answer {
    send(to, "GET", target, header, "").await.unwrap()
}

/// A running emulator with a clock that only the test moves.
struct Stage {
    emulator: Emulator,
    clock: Clock,
}

impl Stage {
    async fn set() -> Self {
        let clock = Clock::manual(Timestamp::from_secs(1_795_132_800));
        let options = Options {
            clock: clock.clone(),
            ..Options::default()
        };
        let emulator = Emulator::start(options).await.unwrap();
        Self { emulator, clock }
    }

    fn inject(&self, rule: Rule) {
        self.emulator.control().inject(rule).unwrap();
    }

    async fn wachat(&self) -> Answer {
        let target = "/api/v1/instance/profile-picture?instanceName=shop";
        let header = format!("Authorization: Bearer {TOKEN}");
        get(self.emulator.api(), target, &header).await
    }

    async fn wawp(&self, call: &str, id: &str) -> Answer {
        let parameter = if call == "chats/picture" {
            "chatId"
        } else {
            "contactId"
        };
        let target = format!("/v2/{call}?instance_id=shop&access_token={TOKEN}&{parameter}={id}");
        get(self.emulator.api(), &target, "X: y").await
    }

    async fn hypersender(&self, id: &str) -> Answer {
        let target = format!("/api/whatsapp/v2/shop/contacts/profile-picture?chat_id={id}");
        let header = format!("Authorization: Bearer {TOKEN}");
        get(self.emulator.api(), &target, &header).await
    }

    async fn wappfy(&self, path: &str) -> Answer {
        let target = format!("/api/shop/{path}");
        get(self.emulator.api(), &target, &format!("apikey: {TOKEN}")).await
    }

    async fn waha(&self, path: &str) -> Answer {
        let target = format!("/api/shop/{path}");
        get(self.emulator.api(), &target, &format!("X-Api-Key: {TOKEN}")).await
    }

    async fn link(&self, jid: &str) -> String {
        let answer = self.waha(&format!("chats/{jid}/picture")).await;
        answer.json()["url"].as_str().unwrap().to_owned()
    }

    async fn refreshed(&self, jid: &str) -> Value {
        let path = format!("chats/{jid}/picture?refresh=true");
        self.waha(&path).await.json()["url"].clone()
    }

    async fn follow(&self, link: &str) -> Answer {
        get(self.emulator.cdn(), &self.target(link), "X: y").await
    }

    /// Follows a fresh link to Hendra's picture under `fault`.
    async fn download_under(&self, fault: Fault) -> Answer {
        let link = self.link(HENDRA).await;
        self.emulator.control().clear_faults();
        self.inject(Rule::cdn(fault));
        self.follow(&link).await
    }

    async fn ask_under(&self, fault: Fault) -> Answer {
        self.emulator.control().clear_faults();
        self.inject(Rule::api(fault));
        self.waha(&format!("chats/{HENDRA}/picture")).await
    }

    fn target(&self, link: &str) -> String {
        let origin = format!("http://{}", self.emulator.cdn());
        link.strip_prefix(&origin).unwrap().to_owned()
    }

    fn face(&self, jid: &str) -> Vec<u8> {
        self.emulator.control().face_bytes(jid).unwrap().to_vec()
    }

    async fn control(&self, method: &str, path: &str, body: &str) -> Answer {
        let target = format!("/_emulator{path}");
        send(self.emulator.api(), method, &target, "X: y", body)
            .await
            .unwrap()
    }
}

fn file_of(link: &str) -> &str {
    link.split('?').next().unwrap()
}

// === The vendors' pages ===

#[tokio::test]
async fn wachat_sends_the_accounts_own_picture_as_bytes() {
    let stage = Stage::set().await;
    let answer = stage.wachat().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("image/jpeg"));
    assert_eq!(answer.body, stage.face(OWN_JID));

    let target = format!("/api/v1/instance/profile-picture?instanceName=shop&apiKey={TOKEN}");
    let by_query = get(stage.emulator.api(), &target, "X: y").await;
    assert_eq!(by_query.body, answer.body);
}

#[tokio::test]
async fn wachat_says_what_is_wrong_by_status() {
    let stage = Stage::set().await;
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for (query, header, status) in [
        ("", bearer.as_str(), 400),
        ("?instanceName=shop", "Authorization: Bearer wrong", 401),
        ("?instanceName=shop", "X: y", 401),
        ("?instanceName=missing-shop", &bearer, 404),
    ] {
        let target = format!("/api/v1/instance/profile-picture{query}");
        let answer = get(stage.emulator.api(), &target, header).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(answer.json()["success"], false);
    }
    let control = stage.emulator.control();
    control.set_picture(OWN_JID, Picture::NotSet).unwrap();
    assert_eq!(stage.wachat().await.status, 404);
}

#[tokio::test]
async fn wawp_wraps_the_link_of_a_chat_in_its_envelope() {
    let stage = Stage::set().await;
    let answer = stage.wawp("chats/picture", HENDRA).await;
    let (before, after) = (
        r#"{"success":true,"message":"Operation completed successfully","data":{"url":""#,
        r#""}}"#,
    );
    let text = answer.text();
    let link = text.strip_prefix(before).unwrap();
    let link = link.strip_suffix(after).unwrap();
    assert_eq!(stage.follow(link).await.body, stage.face(HENDRA));
}

#[tokio::test]
async fn wawp_has_three_ways_to_say_that_a_chat_has_no_picture() {
    let stage = Stage::set().await;
    let not_set = stage.wawp("chats/picture", NOT_SET).await;
    assert_eq!(
        not_set.text(),
        r#"{"success":true,"message":"Operation completed successfully","data":{"url":null}}"#
    );
    let hidden = stage.wawp("chats/picture", HIDDEN).await;
    assert_eq!(
        hidden.text(),
        r#"{"success":true,"message":"restricted","data":{"url":null}}"#
    );
    assert_eq!(stage.wawp("chats/picture", GONE).await.status, 404);
}

#[tokio::test]
async fn wawp_wants_the_full_jid_of_a_chat() {
    let stage = Stage::set().await;
    let answer = stage.wawp("chats/picture", "628100000001").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (
            400,
            r#"{"status":400,"message":"Bad Request - Invalid Parameter Format","error":"Bad Request"}"#
        )
    );
}

#[tokio::test]
async fn wawp_repeats_the_contact_it_was_asked_about() {
    let stage = Stage::set().await;
    let call = "contacts/profile-picture";
    let answer = stage.wawp(call, HENDRA).await.text();
    assert!(answer.starts_with(r#"{"id":"628100000001@c.us","url":"http://127.0.0.1:"#));
    let none = stage.wawp(call, NOT_SET).await.text();
    assert_eq!(none, format!(r#"{{"id":"{NOT_SET}","url":null}}"#));
    let hidden = stage.wawp(call, HIDDEN).await.text();
    assert_eq!(hidden, format!(r#"{{"id":"{HIDDEN}","url":""}}"#));
    assert_eq!(stage.wawp(call, OWN_JID).await.status, 404);
}

#[tokio::test]
async fn wawp_lists_chats_by_index_and_without_pictures() {
    let stage = Stage::set().await;
    let target = format!("/v2/chats/overview?instance_id=shop&access_token={TOKEN}");
    let chats = get(stage.emulator.api(), &target, "X: y").await.json();
    assert_eq!(chats["0"]["id"], HENDRA);
    assert_eq!(chats["0"]["lastMessage"]["body"], "Hello!");
    assert!(chats["0"].get("picture").is_none());
    assert_eq!(chats.as_object().unwrap().len(), 34);
}

#[tokio::test]
async fn hypersender_answers_as_its_page_says() {
    let stage = Stage::set().await;
    let text = stage.hypersender("628100000001").await.text();
    let before = r#"{"message":"Profile picture retrieved successfully.","data":{"profilePictureURL":"http://"#;
    assert!(text.starts_with(before), "{text}");
    assert_eq!(
        stage.hypersender(NOT_SET).await.text(),
        r#"{"message":"Profile picture not available.","data":{"profilePictureURL":null}}"#
    );
    let lid = stage.hypersender("100875997589545@lid").await.json();
    let link = lid["data"]["profilePictureURL"].as_str().unwrap();
    assert_eq!(stage.follow(link).await.status, 200);
}

#[tokio::test]
async fn hypersender_fails_like_laravel() {
    let stage = Stage::set().await;
    let invalid = stage.hypersender("").await;
    assert_eq!(invalid.status, 422);
    assert_eq!(invalid.json()["message"], "The given data was invalid.");
    assert_eq!(invalid.json()["statusCode"], 422);
    assert!(invalid.json()["errors"]["chat_id"].is_array());

    let target = "/api/whatsapp/v2/shop/contacts/profile-picture?chat_id=628100000001";
    let refused = get(stage.emulator.api(), target, "X: y").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.text(), r#"{"message":"Unauthenticated."}"#);
}

#[tokio::test]
async fn waha_and_wappfy_answer_with_a_link_or_null() {
    let stage = Stage::set().await;
    for jid in [HIDDEN, NOT_SET, GONE] {
        let path = format!("chats/{jid}/picture");
        assert_eq!(stage.waha(&path).await.text(), r#"{"url":null}"#);
        assert_eq!(stage.wappfy(&path).await.text(), r#"{"url":null}"#);
    }
    for id in ["628100000001", "628100000001%40s.whatsapp.net"] {
        let answer = stage.wappfy(&format!("chats/{id}/picture")).await;
        let url = answer.json()["url"].as_str().unwrap().to_owned();
        assert_eq!(stage.follow(&url).await.body, stage.face(HENDRA));
    }
}

#[tokio::test]
async fn waha_tells_the_own_profile_and_wappfy_has_none_yet() {
    let stage = Stage::set().await;
    let profile = stage.waha("profile").await.json();
    assert_eq!(profile["id"], OWN_JID);
    let picture = profile["picture"].as_str().unwrap();
    assert_eq!(stage.follow(picture).await.body, stage.face(OWN_JID));
    assert_eq!(stage.wappfy("profile").await.status, 501);
}

#[tokio::test]
async fn waha_lists_chats_in_pages_with_pictures() {
    let stage = Stage::set().await;
    let page = stage.waha("chats/overview?limit=3&offset=1").await.json();
    let rows = page.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["id"], "628100000002@c.us");
    let picture = rows[0]["picture"].as_str().unwrap();
    assert_eq!(
        file_of(picture),
        file_of(&stage.link("628100000002@c.us").await)
    );
    let second = stage.wappfy("chats/overview?limit=50").await.json();
    let hidden = &second.as_array().unwrap()[24];
    assert_eq!(
        (&hidden["id"], &hidden["picture"]),
        (&json!(HIDDEN), &Value::Null)
    );
}

#[tokio::test]
async fn waha_refuses_in_its_own_words() {
    let stage = Stage::set().await;
    let target = format!("/api/shop/chats/{HENDRA}/picture");
    for header in ["X-Api-Key: wrong", "apikey: wrong", "X: y"] {
        let answer = get(stage.emulator.api(), &target, header).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.text(),
            r#"{"message":"Unauthorized","statusCode":401}"#
        );
    }
    let target = format!("/api/missing/chats/{HENDRA}/picture");
    let header = format!("X-Api-Key: {TOKEN}");
    let missing = get(stage.emulator.api(), &target, &header).await;
    assert_eq!(missing.status, 404);
    let message = missing.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("We didn't find a session with name 'missing'"));
}

#[tokio::test]
async fn a_session_that_is_down_is_told_as_by_waha() {
    let stage = Stage::set().await;
    let down = Fault::SessionDown {
        status: "SCAN_QR_CODE".to_owned(),
    };
    let answer = stage.ask_under(down).await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.text(),
        r#"{"error":"Session status is not as expected. Try again later or restart the session","session":"shop","status":"SCAN_QR_CODE","expected":["WORKING"]}"#
    );
}

// === Links ===

#[tokio::test]
async fn a_link_looks_like_whatsapps_and_serves_with_its_headers() {
    let stage = Stage::set().await;
    let link = stage.link(HENDRA).await;
    assert!(file_of(&link).contains("/v/t61.24694-24/"));
    assert!(file_of(&link).ends_with("_n.jpg"));
    assert!(link.contains("?ccb=11-4&oh=01_"));
    assert!(link.contains("&_nc_sid=5e03e0&_nc_cat=104"));
    let answer = stage.follow(&link).await;
    assert_eq!(answer.body, stage.face(HENDRA));
    assert_eq!(answer.promised(), answer.body.len());
    assert_eq!(answer.header("cache-control"), Some("max-age=1209600"));
    assert!(httpdate::parse_http_date(answer.header("last-modified").unwrap()).is_ok());
}

#[tokio::test]
async fn files_have_the_type_of_their_bytes_whatever_their_name() {
    let stage = Stage::set().await;
    for (jid, media_type) in [
        ("628100000001@c.us", "image/jpeg"),
        ("628100000004@c.us", "image/png"),
        ("628100000006@c.us", "image/webp"),
    ] {
        let answer = stage.follow(&stage.link(jid).await).await;
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert!((3_000..100_000).contains(&answer.body.len()), "{jid}");
    }
}

#[tokio::test]
async fn a_link_expires_at_the_time_it_names() {
    let stage = Stage::set().await;
    let link = stage.link(HENDRA).await;
    stage.clock.advance(2 * DAY - Duration::from_secs(1));
    assert_eq!(stage.follow(&link).await.status, 200);
    stage.clock.advance(Duration::from_secs(1));
    let answer = stage.follow(&link).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (403, "URL signature expired")
    );
}

#[tokio::test]
async fn a_link_with_a_wrong_hash_is_refused() {
    let stage = Stage::set().await;
    let link = stage.link(HENDRA).await.replace("oh=01_", "oh=01_A");
    let answer = stage.follow(&link).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (403, "Bad URL hash")
    );
}

#[tokio::test]
async fn a_file_that_never_was_is_not_found() {
    let stage = Stage::set().await;
    let cdn = stage.emulator.cdn();
    let unknown = get(cdn, "/v/t61.24694-24/1_2_3_n.jpg?oe=7FFFFFFF", "X: y").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(get(cdn, "/pp?e=http%3A%2F%2Fx", "X: y").await.status, 404);
}

#[tokio::test]
async fn the_file_name_changes_with_the_picture_and_the_hash_with_every_fetch() {
    let stage = Stage::set().await;
    let first = stage.link(HENDRA).await;
    let second = stage.refreshed(HENDRA).await.as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(file_of(&first), file_of(&second));

    let control = stage.emulator.control();
    let before = stage.face(HENDRA);
    control.set_picture(HENDRA, Picture::Face(7)).unwrap();
    let third = stage.refreshed(HENDRA).await.as_str().unwrap().to_owned();
    assert_ne!(file_of(&third), file_of(&first));
    assert_eq!(stage.follow(&third).await.body, stage.face(HENDRA));
    assert_eq!(stage.follow(&first).await.body, before);
}

#[tokio::test]
async fn every_phone_number_has_its_own_emulated_face() {
    let stage = Stage::set().await;
    let one = stage.follow(&stage.link("5511999990001@c.us").await).await;
    let two = stage.follow(&stage.link("5511999990002@c.us").await).await;
    assert_eq!((one.status, two.status), (200, 200));
    assert_ne!(one.body, two.body);
    assert_eq!(one.body, Stage::set().await.face("5511999990001@c.us"));
}

// === The vendors' own caches ===

#[tokio::test]
async fn the_emulated_waha_caches_a_link_for_a_day_unless_a_refresh_is_requested() {
    let stage = Stage::set().await;
    let first = stage.link(HENDRA).await;
    stage.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(stage.link(HENDRA).await, first);
    stage.clock.advance(Duration::from_secs(1));
    let second = stage.link(HENDRA).await;
    assert_ne!(second, first);
    assert_ne!(stage.refreshed(HENDRA).await, json!(second));
}

#[tokio::test]
async fn the_emulated_waha_caches_no_picture_for_a_day() {
    let stage = Stage::set().await;
    let control = stage.emulator.control();
    let path = format!("chats/{NOT_SET}/picture");
    assert_eq!(stage.waha(&path).await.json()["url"], Value::Null);
    control.set_picture(NOT_SET, Picture::Face(3)).unwrap();
    assert_eq!(stage.waha(&path).await.json()["url"], Value::Null);
    assert!(stage.refreshed(NOT_SET).await.is_string());
    assert!(stage.waha(&path).await.json()["url"].is_string());
}

#[tokio::test]
async fn a_refresh_that_finds_nothing_loses_the_link_that_waha_had() {
    let stage = Stage::set().await;
    stage.link(HENDRA).await;
    stage.inject(Rule::api(Fault::Empty { remembered: true }).times(1));
    assert_eq!(stage.refreshed(HENDRA).await, Value::Null);
    let path = format!("chats/{HENDRA}/picture");
    assert_eq!(stage.waha(&path).await.json()["url"], Value::Null);
    stage.emulator.control().forget_vendor_cache();
    assert!(stage.waha(&path).await.json()["url"].is_string());
}

#[tokio::test]
async fn waha_keeps_each_spelling_of_an_id_apart() {
    let stage = Stage::set().await;
    let one = stage.link("628100000001@c.us").await;
    let other = stage.link("628100000001@s.whatsapp.net").await;
    assert_ne!(one, other);
    assert_eq!(file_of(&one), file_of(&other));
}

#[tokio::test]
async fn hypersender_remembers_nothing() {
    let stage = Stage::set().await;
    let first = stage.hypersender(HENDRA).await.text();
    assert_ne!(stage.hypersender(HENDRA).await.text(), first);
}

// === Faults of the API ===

#[tokio::test]
async fn every_error_status_comes_in_the_vendors_shape() {
    let stage = Stage::set().await;
    for status in [400, 401, 403, 404, 422, 429, 500, 501, 502, 503, 504] {
        stage.emulator.control().clear_faults();
        stage.inject(Rule::api(Fault::Status {
            status,
            retry_after: Some(60),
        }));
        for answer in [
            stage.wachat().await,
            stage.wawp("chats/picture", HENDRA).await,
            stage.hypersender(HENDRA).await,
            stage.wappfy(&format!("chats/{HENDRA}/picture")).await,
            stage.waha(&format!("chats/{HENDRA}/picture")).await,
        ] {
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("retry-after"), Some("60"));
            assert!(answer.json().is_object());
        }
    }
}

#[tokio::test]
async fn an_overlimit_hides_inside_of_a_200() {
    let stage = Stage::set().await;
    let answer = stage.ask_under(Fault::RateOverlimit).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), r#"{"error":"rate-overlimit","code":429}"#);
}

#[tokio::test]
async fn visual_rate_limiting_starts_after_some_good_answers() {
    let stage = Stage::set().await;
    stage.inject(Rule::api(Fault::Empty { remembered: false }).after(2));
    let mut pictures = Vec::new();
    for nth in 1..=4 {
        let path = format!("chats/62810000000{nth}@c.us/picture");
        pictures.push(stage.waha(&path).await.json()["url"].is_string());
    }
    assert_eq!(pictures, [true, true, false, false]);
}

#[tokio::test]
async fn an_api_fault_can_replace_the_json() {
    let stage = Stage::set().await;
    for (fault, media_type) in [
        (Fault::NotJson, "application/json; charset=utf-8"),
        (Fault::Html, "text/html; charset=utf-8"),
        (Fault::Svg, "image/svg+xml"),
        (Fault::Truncated, "application/json; charset=utf-8"),
        (Fault::BadImage, "application/json; charset=utf-8"),
    ] {
        let answer = stage.ask_under(fault.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(media_type));
        let json: Result<Value, _> = serde_json::from_slice(&answer.body);
        assert!(json.is_err(), "{fault:?}");
    }
}

#[tokio::test]
async fn an_expired_link_is_handed_out_until_a_refresh_or_for_ever() {
    let stage = Stage::set().await;
    for (even_when_refreshed, status) in [(false, 200), (true, 403)] {
        let fault = Fault::ExpiredLink {
            even_when_refreshed,
        };
        let stale = stage.ask_under(fault).await.json();
        let stale = stage.follow(stale["url"].as_str().unwrap()).await;
        assert_eq!(stale.text(), "URL signature expired");
        let fresh = stage.refreshed(HENDRA).await;
        let fresh = stage.follow(fresh.as_str().unwrap()).await;
        assert_eq!(fresh.status, status);
    }
}

#[tokio::test]
async fn links_can_be_garbled_in_three_ways() {
    let stage = Stage::set().await;
    let plain = stage.link(HENDRA).await;
    let url = |answer: Answer| answer.json()["url"].as_str().unwrap().to_owned();
    let entity = url(stage.ask_under(Fault::AmpEntity).await);
    assert_eq!(entity.replace("&amp;", "&"), plain);
    let unicode = url(stage.ask_under(Fault::AmpUnicode).await);
    assert_eq!(unicode.replace(r"\u0026", "&"), plain);
    assert_ne!(unicode, plain);

    let wrapped = url(stage.ask_under(Fault::WrappedLink).await);
    let parsed = url::Url::parse(&wrapped).unwrap();
    assert_eq!(parsed.path(), "/pp");
    let inner = parsed.query_pairs().find(|(key, _)| key == "e").unwrap().1;
    assert_eq!(inner, plain);
    assert_eq!(stage.follow(&wrapped).await.status, 404);
}

#[tokio::test]
async fn links_can_be_empty_or_lead_to_the_silhouette() {
    let stage = Stage::set().await;
    let empty = stage.ask_under(Fault::EmptyUrl).await;
    assert_eq!(empty.text(), r#"{"url":""}"#);
    let default = stage.ask_under(Fault::DefaultImage).await.json();
    let silhouette = stage.follow(default["url"].as_str().unwrap()).await;
    assert_eq!(silhouette.status, 200);
    assert_ne!(silhouette.body, stage.face(HENDRA));
}

#[tokio::test]
async fn a_restricted_picture_is_told_in_wawps_words() {
    let stage = Stage::set().await;
    stage.inject(Rule::api(Fault::Restricted));
    let answer = stage.wawp("chats/picture", HENDRA).await.json();
    assert_eq!(answer["message"], "restricted");
}

#[tokio::test]
async fn an_oversized_answer_has_the_configured_length() {
    let stage = Stage::set().await;
    let fault = |declared| Fault::Oversized {
        bytes: 100_000,
        declared,
    };
    let declared = stage.ask_under(fault(true)).await;
    assert_eq!(
        (declared.promised(), declared.body.len()),
        (100_000, 100_000)
    );
    let streamed = stage.ask_under(fault(false)).await;
    assert_eq!(streamed.header("transfer-encoding"), Some("chunked"));
    assert!(streamed.body.len() > 100_000);
}

#[tokio::test]
async fn an_api_can_redirect_anywhere() {
    let stage = Stage::set().await;
    let location = Some("http://169.254.169.254/".to_owned());
    let answer = stage.ask_under(Fault::Redirect { location }).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("http://169.254.169.254/"));
}

#[tokio::test]
async fn a_hanging_call_is_counted_and_never_answered() {
    let stage = Stage::set().await;
    stage.inject(Rule::api(Fault::Hang));
    let call = time::timeout(Duration::from_millis(100), stage.wachat());
    assert!(call.await.is_err());
    let calls = stage.emulator.control().calls();
    assert_eq!((calls.api, calls.list[0].status), (1, None));
}

#[tokio::test]
async fn latency_delays_an_answer_that_is_as_usual() {
    let stage = Stage::set().await;
    let started = Instant::now();
    let answer = stage.ask_under(Fault::Latency { ms: 60 }).await;
    assert!(started.elapsed() >= Duration::from_millis(60));
    assert!(answer.json()["url"].is_string());
}

// === Faults of the CDN ===

#[tokio::test]
async fn bodies_on_the_cdn_can_end_early_in_three_ways() {
    let stage = Stage::set().await;
    let face = stage.face(HENDRA);
    let half = face.len() / 2;

    let truncated = stage.download_under(Fault::Truncated).await;
    assert_eq!(
        (truncated.promised(), truncated.body),
        (half, face[..half].to_vec())
    );
    let short = stage.download_under(Fault::WrongLength).await;
    assert!(short.promised() > face.len());
    assert_eq!(short.body, face);
    let reset = stage.download_under(Fault::Reset).await;
    assert_eq!(
        (reset.promised(), reset.body),
        (face.len(), face[..half].to_vec())
    );
}

#[tokio::test]
async fn a_cdn_fault_can_replace_the_picture() {
    let stage = Stage::set().await;
    let jpeg = "image/jpeg";
    for (fault, media_type) in [
        (Fault::Empty { remembered: true }, jpeg),
        (Fault::NotJson, jpeg),
        (Fault::Html, jpeg),
        (Fault::BadImage, jpeg),
        (Fault::Svg, "image/svg+xml"),
        (Fault::RateOverlimit, "text/plain"),
    ] {
        let answer = stage.download_under(fault.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert!(image::guess_format(&answer.body).is_err(), "{fault:?}");
    }
}

#[tokio::test]
async fn an_oversized_picture_starts_like_a_good_one() {
    let stage = Stage::set().await;
    let fault = Fault::Oversized {
        bytes: 3_000_000,
        declared: true,
    };
    let answer = stage.download_under(fault).await;
    assert_eq!(answer.body.len(), 3_000_000);
    assert_eq!(answer.body[..4], [0xFF, 0xD8, 0xFF, 0xE0]);
}

#[tokio::test]
async fn the_cdn_redirects_to_another_good_link_unless_told_where() {
    let stage = Stage::set().await;
    let answer = stage
        .download_under(Fault::Redirect { location: None })
        .await;
    assert_eq!(answer.status, 302);
    stage.emulator.control().clear_faults();
    let picture = stage.follow(answer.header("location").unwrap()).await;
    assert_eq!(picture.body, stage.face(HENDRA));
}

#[tokio::test]
async fn the_cdn_can_refuse_a_good_link() {
    let stage = Stage::set().await;
    let expired = Fault::ExpiredLink {
        even_when_refreshed: false,
    };
    let answer = stage.download_under(expired).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (403, "URL signature expired")
    );
    let gone = Fault::Status {
        status: 410,
        retry_after: None,
    };
    assert_eq!(stage.download_under(gone).await.status, 410);
    let default = stage.download_under(Fault::DefaultImage).await;
    assert_ne!(default.body, stage.face(HENDRA));
}

#[tokio::test]
async fn a_rule_for_the_cdn_knows_whose_picture_it_is_and_who_got_the_link() {
    let stage = Stage::set().await;
    let fault = Fault::Status {
        status: 500,
        retry_after: None,
    };
    let hendra = stage.link(HENDRA).await;
    let other = stage.link("628100000002@c.us").await;
    for (rule, statuses) in [
        (Rule::cdn(fault.clone()).jid(HENDRA), [500, 200]),
        (Rule::cdn(fault.clone()).account("shop"), [500, 500]),
        (Rule::cdn(fault.clone()).account("office"), [200, 200]),
        (
            Rule::cdn(fault.clone()).vendor(Vendor::Waha).times(1),
            [500, 200],
        ),
        (Rule::cdn(fault).vendor(Vendor::Wawp), [200, 200]),
    ] {
        stage.emulator.control().clear_faults();
        stage.inject(rule.clone());
        let answers = [stage.follow(&hendra).await, stage.follow(&other).await];
        assert_eq!(answers.map(|answer| answer.status), statuses, "{rule:?}");
    }
}

// === The count ===

#[tokio::test]
async fn calls_are_counted_with_what_they_asked_and_got() {
    let stage = Stage::set().await;
    let path = "chats/628100000001@s.whatsapp.net/picture?refresh=true";
    let url = stage.waha(path).await.json()["url"].clone();
    stage.follow(url.as_str().unwrap()).await;
    stage.wawp("chats/picture", "nobody").await;
    stage.control("GET", "/calls", "").await;

    let calls = stage.emulator.control().calls();
    assert_eq!((calls.api, calls.cdn), (2, 1));
    let hendra: Vec<_> = calls.for_jid(HENDRA).collect();
    assert_eq!(
        (hendra[0].hop, hendra[0].endpoint),
        (Hop::Api, Endpoint::Picture)
    );
    assert_eq!((hendra[0].refresh, hendra[0].status), (true, Some(200)));
    assert_eq!(
        (hendra[1].hop, hendra[1].vendor),
        (Hop::Cdn, Some(Vendor::Waha))
    );
    assert_eq!(calls.for_account("shop").count(), 3);
    assert_eq!(calls.for_jid("nobody").next().unwrap().status, Some(400));

    stage.emulator.control().reset_calls();
    assert_eq!(stage.emulator.control().calls().api, 0);
}

// === The control routes ===

#[tokio::test]
async fn the_control_routes_and_the_control_handle_do_the_same() {
    let stage = Stage::set().await;
    let index = stage.control("GET", "/", "").await.text();
    assert!(index.contains("curl") && index.contains(TOKEN));
    let population = stage.control("GET", "/population", "").await.json();
    assert_eq!(population[0]["jid"], OWN_JID);

    let rule = r#"{"match": {"hop": "cdn", "jid": "628100000001"},
                   "fault": {"kind": "status", "status": 404}, "after": 1, "times": 2}"#;
    let created = stage.control("POST", "/faults", rule).await;
    assert_eq!(
        (created.status, created.text().as_str()),
        (201, r#"{"id":1}"#)
    );
    let listed = stage.control("GET", "/faults", "").await.json();
    assert_eq!(listed[0]["rule"]["match"]["jid"], HENDRA);
    assert_eq!(stage.control("DELETE", "/faults/1", "").await.status, 204);
    assert_eq!(stage.control("DELETE", "/faults/1", "").await.status, 404);
    assert_eq!(stage.control("DELETE", "/faults", "").await.status, 204);

    let path = format!("/pictures/{HENDRA}");
    let hidden = stage
        .control("PUT", &path, r#"{"picture": "hidden"}"#)
        .await;
    assert_eq!(hidden.status, 204);
    assert_eq!(stage.emulator.control().face_bytes(HENDRA), None);
    let face = stage
        .control("PUT", &path, r#"{"picture": {"face": 7}}"#)
        .await;
    assert_eq!(face.status, 204);

    stage.waha("profile").await;
    let calls = stage.control("GET", "/calls", "").await.json();
    assert_eq!(calls["list"][0]["endpoint"], "profile");
    assert_eq!(stage.control("DELETE", "/calls", "").await.status, 204);
    assert_eq!(
        stage.control("DELETE", "/vendor-cache", "").await.status,
        204
    );
}

#[tokio::test]
async fn every_kind_of_fault_can_be_written_as_json() {
    let stage = Stage::set().await;
    for fault in [
        json!({"kind": "latency", "ms": 1}),
        json!({"kind": "status", "status": 429, "retry_after": 60}),
        json!({"kind": "rate_overlimit"}),
        json!({"kind": "empty"}),
        json!({"kind": "not_json"}),
        json!({"kind": "html"}),
        json!({"kind": "svg"}),
        json!({"kind": "oversized", "bytes": 9}),
        json!({"kind": "truncated"}),
        json!({"kind": "wrong_length"}),
        json!({"kind": "reset"}),
        json!({"kind": "hang"}),
        json!({"kind": "expired_link", "even_when_refreshed": true}),
        json!({"kind": "redirect"}),
        json!({"kind": "default_image"}),
        json!({"kind": "empty_url"}),
        json!({"kind": "restricted"}),
        json!({"kind": "session_down", "status": "STOPPED"}),
        json!({"kind": "amp_entity"}),
        json!({"kind": "amp_unicode"}),
        json!({"kind": "wrapped_link"}),
        json!({"kind": "bad_image"}),
    ] {
        let rule = json!({ "fault": fault }).to_string();
        let answer = stage.control("POST", "/faults", &rule).await;
        assert_eq!(answer.status, 201, "{rule}: {}", answer.text());
    }
}

#[tokio::test]
async fn invalid_control_input_gets_an_error_with_a_remedy() {
    let stage = Stage::set().await;
    for (method, path, body, status) in [
        ("POST", "/faults", "{", 400),
        ("POST", "/faults", r#"{"fault": {"kind": "rain"}}"#, 400),
        (
            "POST",
            "/faults",
            r#"{"fault": {"kind": "html", "ms": 1}}"#,
            400,
        ),
        (
            "POST",
            "/faults",
            r#"{"fault": {"kind": "html"}, "afer": 1}"#,
            400,
        ),
        (
            "POST",
            "/faults",
            r#"{"fault": {"kind": "latency", "ms": 1, "s": 1}}"#,
            400,
        ),
        (
            "POST",
            "/faults",
            r#"{"match": {"hop": "cdn"}, "fault": {"kind": "empty_url"}}"#,
            400,
        ),
        (
            "POST",
            "/faults",
            r#"{"match": {"jid": "x"}, "fault": {"kind": "html"}}"#,
            400,
        ),
        ("PUT", "/pictures/nobody", r#"{"picture": "hidden"}"#, 400),
        (
            "PUT",
            "/pictures/628100000001@c.us",
            r#"{"picture": "shy"}"#,
            400,
        ),
        ("PUT", "/faults", "{}", 405),
        ("GET", "/weather", "", 404),
    ] {
        let answer = stage.control(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}");
        assert!(!answer.json()["error"].as_str().unwrap().is_empty());
        assert!(!answer.json()["remedy"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_call_with_another_method_is_told_the_methods_of_the_path() {
    let stage = Stage::set().await;
    let api = stage.emulator.api().to_string();
    for (method, path, status, allow) in [
        ("GET", "/chat/fetchProfilePictureUrl/shop", 405, "POST"),
        ("PUT", "/user/avatar", 405, "POST"),
        ("POST", "/v2/chats/picture", 405, "GET"),
        (
            "DELETE",
            "/api/shop/chats/628100000001@c.us/picture",
            405,
            "GET",
        ),
        ("POST", "/nowhere", 404, ""),
        ("PATCH", "/nowhere", 404, ""),
        ("GET", "/nowhere", 404, ""),
    ] {
        let answer = crate::support::Answer::to(&api, method, path, &[]).await;
        let told = (answer.status.as_u16(), answer.header("allow"));
        assert_eq!(told, (status, allow), "{method} {path}");
    }
}

#[tokio::test]
async fn dropping_the_emulator_stops_both_listeners() {
    let stage = Stage::set().await;
    let (api, cdn) = (stage.emulator.api(), stage.emulator.cdn());
    drop(stage);
    for address in [api, cdn] {
        until(async || TcpStream::connect(address).await.is_err(), LIMIT).await;
    }
}

#[tokio::test]
async fn waha_s_call_for_the_session_says_whether_it_works_and_who_it_is() {
    let stage = Stage::set().await;
    let session = async |header: &str, name: &str| {
        let target = format!("/api/sessions/{name}");
        get(stage.emulator.api(), &target, &format!("{header}: {TOKEN}")).await
    };
    for header in ["X-Api-Key", "apikey"] {
        let up = session(header, "shop").await;
        assert_eq!((up.status, &up.json()["status"]), (200, &json!("WORKING")));
        assert_eq!(up.json()["name"], "shop");
        assert_eq!(up.json()["me"]["id"], OWN_JID);
    }
    assert_eq!(session("X-Api-Key", "missing-shop").await.status, 404);
    let unknown = get(stage.emulator.api(), "/api/sessions/shop", "X-Api-Key: x").await;
    assert_eq!(unknown.status, 401);
    let down = Fault::SessionDown {
        status: "SCAN_QR_CODE".to_owned(),
    };
    stage.inject(Rule::api(down).times(1));
    for _ in 0..2 {
        let down = session("X-Api-Key", "shop").await;
        assert_eq!(down.status, 200);
        assert_eq!(down.json()["status"], "SCAN_QR_CODE");
        assert_eq!(down.json()["me"], Value::Null);
    }
    let calls = stage.emulator.control().calls();
    assert_eq!((calls.sessions, calls.api, calls.list.len()), (6, 0, 0));
}
