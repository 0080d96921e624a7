//! The session behind a gateway: empty answers of a session that is down are no answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use faceplate::emulator::{Fault, Rule, Vendor};
use serde_json::Value;

use crate::{
    support::{
        Answer, LIMIT,
        program::{Program, errors},
        rig::{Rig, Settings},
        until,
    },
    wire::{Server, picture, response},
};

/// A gateway that answers "no picture" for every contact while its session is down, as Evolution does.
struct Gateway {
    server: Server,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_down: AtomicBool,
    /// Whether the call for the session fails.
    is_silent: AtomicBool,
    /// Whether contacts have pictures, if the session is up.
    has_pictures: AtomicBool,
    pictures: AtomicUsize,
    sessions: AtomicUsize,
}

impl Gateway {
    /// A server that drops a picture after one empty answer.
    async fn dropping_rig(&self) -> Rig {
        self.settings()
            // The other detector stays out of this.
            .only("waha", "empty_answers = { lost = 100, window = 100 }")
            .section(
                "cache",
                "first_paint = \"0\"\non_hidden = \"drop\"\nconfirmations = 1",
            )
            .start()
            .await
    }

    async fn start() -> Self {
        let state = Arc::new(State::default());
        let known = state.clone();
        let server = Server::start(move |server, received| {
            let head = received.head;
            let body = if head.starts_with("GET /api/sessions/shop ") {
                known.sessions.fetch_add(1, Ordering::Relaxed);
                if known.is_silent.load(Ordering::Relaxed) {
                    return Some(response("500 Internal Server Error", "", b"{}"));
                }
                match known.is_down.load(Ordering::Relaxed) {
                    true => br#"{"name":"shop","status":"SCAN_QR_CODE"}"#.to_vec(),
                    false => br#"{"name":"shop","status":"WORKING"}"#.to_vec(),
                }
            } else if head.starts_with("GET /api/") {
                known.pictures.fetch_add(1, Ordering::Relaxed);
                let has_picture = known.has_pictures.load(Ordering::Relaxed);
                match has_picture && !known.is_down.load(Ordering::Relaxed) {
                    true => format!("{{\"url\":\"http://{server}/a.jpg\"}}").into_bytes(),
                    false => br#"{"url":null}"#.to_vec(),
                }
            } else {
                picture().to_vec()
            };
            Some(response("200 OK", "", &body))
        })
        .await;
        Self { server, state }
    }

    fn settings(&self) -> Settings {
        self.server.settings()
    }

    fn set(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::Relaxed);
    }

    /// The numbers of calls for pictures and for the session since the last call of this function.
    fn calls(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (take(&self.state.pictures), take(&self.state.sessions))
    }
}

fn jid(number: usize) -> String {
    format!("62855500{number:04}")
}

/// Asks for faces one after the other. Returns their reasons.
async fn reasons(rig: &Rig, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut reasons = Vec::new();
    for number in numbers {
        // A blank placeholder is the quickest to draw.
        let path = format!("/avatar/waha/{}?d=blank", jid(number));
        let face = rig.get(&path).await;
        reasons.push(face.reason().to_owned());
    }
    reasons
}

async fn session(rig: &Rig) -> String {
    let answer = Answer::to(&rig.admin(), "GET", "/v1/instances", &[]).await;
    let all: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut all = all.as_array().unwrap().iter();
    let waha = all.find(|one| one["instance"] == "waha").unwrap();
    waha["session"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_emulator_s_session_is_shown_without_a_request_for_a_face() {
    let rig = Rig::start().await;
    until(async || session(&rig).await == "working", LIMIT).await;
    let down = Fault::SessionDown {
        status: "SCAN_QR_CODE".to_owned(),
    };
    rig.inject(Rule::api(down).vendor(Vendor::Waha).times(1));
    rig.seconds(60);
    until(async || session(&rig).await == "down", LIMIT).await;
    // These calls count neither as traffic nor for the rule.
    assert_eq!(rig.traffic(), (0, 0));
    rig.face("waha", "628100000001")
        .await
        .assert_fallback("session_down");
}

#[tokio::test]
async fn eight_empty_answers_of_a_cold_cache_are_session_down_and_not_unknown_for_six_hours() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    gateway.set(true);
    assert_eq!(reasons(&rig, 0..7).await, ["unknown"; 7]);
    assert_eq!(gateway.calls(), (7, 0));
    assert_eq!(reasons(&rig, 7..9).await, ["session_down"; 2]);
    // The ninth face found the instance paused.
    assert_eq!(gateway.calls(), (1, 1));
    assert_eq!(session(&rig).await, "down");
    // The answers since then are taken back.
    let taken_back = async || reasons(&rig, 0..7).await == ["session_down"; 7];
    until(taken_back, LIMIT).await;
    // Once the session works again, no face waits for six hours.
    gateway.set(false);
    gateway.state.has_pictures.store(true, Ordering::Relaxed);
    rig.seconds(60);
    for number in 0..8 {
        rig.face("waha", &jid(number))
            .await
            .assert_picture(&picture());
    }
    assert_eq!(session(&rig).await, "working");
}

#[tokio::test]
async fn the_nulls_of_an_evolution_whose_session_is_closed_are_session_down() {
    let rig = Settings::default().more(&["evolution"]).start().await;
    let closed = Fault::SessionDown {
        status: "close".to_owned(),
    };
    rig.inject(Rule::api(closed).vendor(Vendor::Evolution));
    let ask = async |number: usize| {
        let path = format!("/avatar/evolution/{}?d=blank", jid(number));
        rig.get(&path).await.reason().to_owned()
    };
    for number in 0..7 {
        assert_eq!(ask(number).await, "unknown", "{number}");
    }
    assert_eq!(ask(7).await, "session_down");
    until(async || ask(0).await == "session_down", LIMIT).await;
    rig.vendors().clear_faults();
    rig.seconds(60);
    let face = rig.face("evolution", "628100000001").await;
    face.assert_picture(&rig.bytes("628100000001"));
}

#[tokio::test]
async fn while_the_session_stays_down_each_minute_has_one_call_and_one_check() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    gateway.set(true);
    reasons(&rig, 0..8).await;
    for minute in 0..5 {
        gateway.calls();
        rig.seconds(60);
        let from = 100 * (minute + 1);
        assert_eq!(reasons(&rig, from..from + 20).await, ["session_down"; 20]);
        assert_eq!(gateway.calls(), (1, 1), "{minute}");
    }
}

#[tokio::test]
async fn faces_of_a_burst_share_one_check_and_none_stays_unknown() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    gateway.set(true);
    let numbers = 0..30;
    let asks = numbers.clone().map(|number| {
        let address = rig.address();
        tokio::spawn(async move {
            let path = format!("/avatar/waha/{}?d=blank", jid(number));
            Answer::to(&address, "GET", &path, &[]).await
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap();
    }
    assert_eq!(gateway.calls().1, 1);
    let taken_back = async || {
        let reasons = reasons(&rig, numbers.clone()).await;
        reasons.iter().all(|reason| reason == "session_down")
    };
    until(taken_back, LIMIT).await;
}

#[tokio::test]
async fn contacts_without_pictures_behind_a_working_session_stay_unknown() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    assert_eq!(reasons(&rig, 0..40).await, ["unknown"; 40]);
    // Once a minute at most.
    assert_eq!(gateway.calls(), (40, 1));
    rig.seconds(60);
    reasons(&rig, 40..80).await;
    assert_eq!(gateway.calls(), (40, 1));
    assert_eq!(session(&rig).await, "working");
}

#[tokio::test]
async fn a_picture_among_the_empty_answers_is_proof_of_the_session() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    for round in 0..4 {
        gateway.state.has_pictures.store(false, Ordering::Relaxed);
        reasons(&rig, round * 10..round * 10 + 7).await;
        gateway.state.has_pictures.store(true, Ordering::Relaxed);
        reasons(&rig, round * 10 + 7..round * 10 + 8).await;
    }
    assert_eq!(gateway.calls(), (32, 0));
}

#[tokio::test]
async fn a_gateway_that_does_not_tell_its_session_is_taken_at_its_word() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    gateway.state.is_silent.store(true, Ordering::Relaxed);
    assert_eq!(reasons(&rig, 0..20).await, ["unknown"; 20]);
    assert_eq!(gateway.calls(), (20, 1));
}

#[tokio::test]
async fn an_empty_answer_of_a_session_that_is_down_counts_neither_against_a_picture_nor_for_a_pause()
 {
    let gateway = Gateway::start().await;
    let rig = gateway.dropping_rig().await;
    gateway.state.has_pictures.store(true, Ordering::Relaxed);
    for number in 0..8 {
        rig.face("waha", &jid(number))
            .await
            .assert_picture(&picture());
    }
    gateway.set(true);
    rig.hours(24 * 9);
    for number in 0..8 {
        rig.face("waha", &jid(number)).await;
    }
    // Seven were dropped before the session was known to be down, and come back.
    let are_back = async || {
        for number in 0..8 {
            if rig.face("waha", &jid(number)).await.source() != "picture" {
                return false;
            }
        }
        true
    };
    until(are_back, LIMIT).await;
}

#[tokio::test]
async fn a_check_from_before_the_clock_was_set_back_does_not_stand_for_the_session() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    let today = rig.clock.now();
    rig.clock.set(today + Duration::from_secs(7 * 3600));
    assert_eq!(reasons(&rig, 0..8).await, ["unknown"; 8]);
    assert_eq!(gateway.calls(), (8, 1));
    rig.clock.set(today);
    gateway.set(true);
    rig.seconds(60);
    assert_eq!(reasons(&rig, 8..15).await, ["unknown"; 7]);
    assert_eq!(reasons(&rig, 15..16).await, ["session_down"]);
    assert_eq!(gateway.calls(), (8, 1));
}

#[tokio::test]
async fn a_picture_that_an_empty_answer_removed_does_not_come_back_after_a_purge() {
    let gateway = Gateway::start().await;
    let rig = gateway.dropping_rig().await;
    gateway.state.has_pictures.store(true, Ordering::Relaxed);
    rig.face("waha", &jid(0)).await.assert_picture(&picture());
    gateway.set(true);
    rig.hours(24 * 9);
    assert_eq!(reasons(&rig, 0..1).await, ["unknown"]);
    let purge = format!("/v1/purge?instance=waha&jid={}&hard=true", jid(0));
    let purged = Answer::to(&rig.admin(), "POST", &purge, &[]).await;
    assert_eq!(purged.text(), "{\"purged\":1}");
    assert_eq!(reasons(&rig, 0..6).await, ["unknown"; 6]);
    assert_eq!(reasons(&rig, 6..7).await, ["session_down"]);
    // The answers since the purge are taken back, and with them no older one.
    let taken_back = async || reasons(&rig, 0..6).await == ["session_down"; 6];
    until(taken_back, LIMIT).await;
    let face = rig.face("waha", &jid(0)).await;
    assert_eq!(face.source(), "fallback");
}

#[tokio::test]
async fn the_cost_of_the_call_for_the_session_is_paid_from_the_budget() {
    let gateway = Gateway::start().await;
    let description = r#"
format = 1
extends = "waha"
[providers.dear.session]
path = "/api/sessions/{account}"
at = ["/status"]
up = ["WORKING"]
cost = 3
"#;
    let budget = async |burst: usize| {
        let rig = gateway
            .settings()
            .section("providers.dear", description)
            .only("waha", "provider = \"dear\"")
            .only(
                "waha",
                &format!("lookups = {{ per_minute = 1, burst = {burst} }}"),
            )
            .start()
            .await;
        gateway.set(true);
        gateway.calls();
        let reasons = reasons(&rig, 0..9).await;
        (gateway.calls(), reasons[7].clone(), reasons[8].clone())
    };
    // Eight calls and the check. Half of the budget is for requests alone.
    let (calls, eighth, ninth) = budget(40).await;
    assert_eq!(
        (calls, eighth.as_str(), ninth.as_str()),
        ((8, 1), "session_down", "session_down")
    );
    let (calls, eighth, _) = budget(9).await;
    assert_eq!((calls.1, eighth.as_str()), (0, "unknown"));
    // A dashboard does not spend it.
    let rig = gateway
        .settings()
        .section("providers.dear", description)
        .only("waha", "provider = \"dear\"")
        .start()
        .await;
    gateway.calls();
    for _ in 0..3 {
        session(&rig).await;
        rig.seconds(61);
    }
    assert_eq!(gateway.calls(), (0, 0));
}

#[tokio::test]
async fn the_status_shows_a_session_before_any_face_was_asked_for() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    for (is_down, expected) in [(true, "down"), (false, "working")] {
        gateway.set(is_down);
        gateway.calls();
        until(async || session(&rig).await == expected, LIMIT).await;
        for _ in 0..20 {
            session(&rig).await;
        }
        // Once a minute at most, whoever looks.
        assert_eq!(gateway.calls(), (0, 1));
        rig.seconds(60);
    }
}

#[tokio::test]
async fn empty_answers_are_taken_back_when_the_status_finds_the_session_down() {
    let gateway = Gateway::start().await;
    let rig = gateway.settings().start().await;
    gateway.set(true);
    assert_eq!(reasons(&rig, 0..3).await, ["unknown"; 3]);
    until(async || session(&rig).await == "down", LIMIT).await;
    let taken_back = async || reasons(&rig, 0..3).await == ["session_down"; 3];
    until(taken_back, LIMIT).await;
    assert_eq!(gateway.calls(), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_does_not_take_no_picture_for_a_session_that_works() {
    let gateway = Gateway::start().await;
    let address = gateway.server.address;
    let program = Program::with(&format!(
        r#"
        [access]
        mode = "open"
        [cache]
        dir = "DIR/cache"
        [instances.sales]
        provider = "waha"
        account = "shop"
        token = "env:TOKEN"
        base_url = "http://{address}"
        own_jid = "628999@c.us"
        picture_hosts = ["{address}"]
        allow_private = ["127.0.0.0/8"]
        "#
    ));
    for (is_down, code, words) in [
        (true, 1, "not connected to WhatsApp"),
        (false, 0, "the session works"),
    ] {
        gateway.set(is_down);
        let command = program.command(&["doctor", "--json"]).output();
        let output = command.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(words), "{said} {}", errors(&output));
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
}
