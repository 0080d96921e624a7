//! Gateways whose answers say little: Evolution has a null for everything, wuzapi an error with words, and WPPConnect
//! makes the JID anew. The emulator plays them from their sources.

use crate::{
    support::{
        Answer, Rig,
        private::lines_with,
        program::{Program, errors},
        rig::{GATEWAYS, Settings},
    },
    wire::{Server, response},
};
use faceplate::emulator::{Emulator, Endpoint, Fault, OWN_JID, Options, Picture, Rule};

const FACE: &str = "628100000001@c.us";
const GROUP: &str = "120363000000000001@g.us";
const LID: &str = "100875997589545@lid";

async fn rig() -> Rig {
    Settings::default().more(&GATEWAYS).start().await
}

#[tokio::test]
async fn evolution_wuzapi_and_wppconnect_show_faces_of_each_kind_for_one_call() {
    let rig = rig().await;
    for gateway in GATEWAYS {
        for jid in [FACE, GROUP, "628100000001-1581234048@g.us", LID] {
            rig.face(gateway, jid).await.assert_picture(&rig.bytes(jid));
            // WPPConnect is asked for the number of a LID, too.
            let calls = match (gateway, jid) {
                ("wppconnect", LID) => 2,
                _ => 1,
            };
            assert_eq!(rig.traffic(), (calls, 1), "{gateway} {jid}");
        }
        rig.face(gateway, "me")
            .await
            .assert_picture(&rig.bytes(OWN_JID));
        let endpoint = rig.calls().list[0].endpoint;
        let own = if gateway == "wuzapi" {
            Endpoint::Session
        } else {
            Endpoint::Picture
        };
        assert_eq!(endpoint, own, "{gateway}");
        rig.traffic();
    }
    let channel = "120363000000000201@newsletter";
    rig.face("wuzapi", channel)
        .await
        .assert_picture(&rig.bytes(channel));
    // Evolution would make a group of it, and WPPConnect a LID.
    for gateway in ["evolution", "wppconnect"] {
        assert_eq!(rig.face(gateway, channel).await.status, 404, "{gateway}");
    }
}

#[tokio::test]
async fn evolution_and_wppconnect_say_none_and_wuzapi_says_why() {
    for (gateway, reasons) in [
        ("evolution", ["unknown"; 4]),
        ("wuzapi", ["not_set", "hidden", "not_set", "not_set"]),
        ("wppconnect", ["unknown"; 4]),
    ] {
        let pictures = [
            Picture::NotSet,
            Picture::Hidden,
            Picture::Unknown,
            Picture::NotFound,
        ];
        let rig = rig().await;
        for (picture, reason) in pictures.into_iter().zip(reasons) {
            rig.vendors().set_picture(FACE, picture).unwrap();
            rig.face(gateway, FACE).await.assert_fallback(reason);
            assert_eq!(rig.traffic(), (1, 0), "{gateway} {picture:?}");
            // Long enough for the stored answer to expire.
            rig.hours(48);
        }
    }
}

#[tokio::test]
async fn every_error_of_evolution_wuzapi_and_wppconnect_has_its_outcome() {
    const STATUSES: [u16; 6] = [400, 401, 404, 429, 500, 502];
    for (gateway, outcomes) in [
        (
            "evolution",
            [
                "vendor_error",
                "auth",
                "not_found",
                "rate_limited",
                "vendor_error",
                "vendor_error",
            ],
        ),
        (
            "wuzapi",
            [
                "vendor_error",
                "auth",
                "vendor_error",
                "rate_limited",
                "vendor_error",
                "vendor_error",
            ],
        ),
        (
            "wppconnect",
            [
                "vendor_error",
                "auth",
                "session_down",
                "rate_limited",
                "vendor_error",
                "vendor_error",
            ],
        ),
    ] {
        let rig = rig().await;
        for (status, outcome) in STATUSES.into_iter().zip(outcomes) {
            rig.inject(Rule::api(Fault::Status {
                status,
                retry_after: None,
            }));
            let answer = rig.face(gateway, FACE).await;
            assert_eq!(answer.reason(), outcome, "{gateway} {status}");
            rig.vendors().clear_faults();
            // Long enough for every pause to end and every stored answer to expire.
            rig.hours(48);
        }
    }
}

#[tokio::test]
async fn a_session_that_is_down_and_a_rate_limit_are_told_by_wuzapi_and_not_by_evolution() {
    let down = Fault::SessionDown {
        status: "STOPPED".into(),
    };
    for (fault, reasons) in [
        (down, ["unknown", "session_down", "session_down"]),
        (Fault::RateOverlimit, ["unknown", "rate_limited", "unknown"]),
    ] {
        let rig = rig().await;
        rig.inject(Rule::api(fault));
        for (gateway, reason) in GATEWAYS.into_iter().zip(reasons) {
            rig.face(gateway, FACE).await.assert_fallback(reason);
            let other = rig.face(gateway, "628100000002").await;
            other.assert_fallback(reason);
            let calls = if reason == "unknown" { 2 } else { 1 };
            assert_eq!(rig.traffic(), (calls, 0), "{gateway}");
        }
    }
}

#[tokio::test]
async fn an_account_that_the_gateway_does_not_have_is_told_apart_from_a_wrong_key() {
    let missing = Settings::default()
        .more(&GATEWAYS)
        .instance("account = \"missing-shop\"")
        .start()
        .await;
    missing
        .face("evolution", FACE)
        .await
        .assert_fallback("not_found");
    missing
        .face("wppconnect", FACE)
        .await
        .assert_fallback("session_down");
    let refused = Settings::default()
        .more(&GATEWAYS)
        .instance("token = \"env:BEARER\"")
        .start()
        .await;
    for gateway in GATEWAYS {
        refused.face(gateway, FACE).await.assert_fallback("auth");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_for_the_session_where_the_picture_call_does_not_tell() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let mut text = String::from("[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n");
    for gateway in ["evolution", "wppconnect"] {
        text.push_str(&format!(
            "[instances.{gateway}]\nprovider = \"{gateway}\"\naccount = \"shop\"\ntoken = \"env:TOKEN\"\n\
             base_url = \"http://{}\"\npicture_hosts = [\"{}\"]\nallow_private = [\"127.0.0.0/8\"]\n",
            emulator.api(),
            emulator.cdn()
        ));
    }
    let program = Program::with(&text);
    let verdicts = || {
        let output = program.run(&["doctor"]);
        let text = String::from_utf8(output.stdout.clone()).unwrap() + &errors(&output);
        let lines = text.lines().filter(|line| line.contains(".token:"));
        lines
            .map(|line| line[..4].trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(verdicts(), ["ok", "ok"]);
    let down = Fault::SessionDown {
        status: "STOPPED".into(),
    };
    emulator.control().inject(Rule::api(down)).unwrap();
    assert_eq!(verdicts(), ["fail", "fail"]);
    let calls = emulator.control().calls();
    assert!(
        calls
            .list
            .iter()
            .all(|call| call.endpoint == Endpoint::Session)
    );
}

#[tokio::test]
async fn the_session_calls_answer_in_each_gateway_s_shape() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let (to, control) = (emulator.api().to_string(), emulator.control());
    let bearer = format!("Bearer {}", control.token());
    let calls = [
        (
            "/instance/fetchInstances?instanceName=shop",
            ("apikey", control.token()),
            ["/0/connectionStatus", "\"open\"", "\"close\""],
        ),
        (
            "/instance/connectionState/shop",
            ("apikey", control.token()),
            ["/instance/state", "\"open\"", "\"close\""],
        ),
        (
            "/session/status",
            ("token", control.token()),
            ["/data/loggedIn", "true", "false"],
        ),
        (
            "/api/shop/check-connection-session",
            ("authorization", bearer.as_str()),
            ["/status", "true", "false"],
        ),
    ];
    for is_up in [true, false] {
        for (path, header, [place, up, down]) in calls {
            let answer = Answer::to(&to, "GET", path, &[header]).await;
            assert_eq!(answer.status, 200, "{path}");
            let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let found = json.pointer(place).unwrap().to_string();
            assert_eq!(found, if is_up { up } else { down }, "{path}");
        }
        let down = Fault::SessionDown {
            status: "STOPPED".into(),
        };
        control.inject(Rule::api(down)).unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_not_understood_is_logged_once_an_hour_for_each_instance() {
    let server = Server::start(|_, _| {
        let body = br#"{"shownAs":"https://secret.example/628100000001","628100000001":{"n":1}}"#;
        Some(response("200 OK", "", body))
    })
    .await;
    let rig = server
        .settings()
        .only("wawp", &format!("base_url = \"http://{}\"", server.address))
        .start()
        .await;
    // Names and types of the members; a name that is a phone number is left out.
    const MEMBERS: &str = "it has: * {n (number)}, shownAs (text)";
    const VALUE: &str = "secret.example";
    let lines = || (lines_with(MEMBERS), lines_with(VALUE));
    assert_eq!(lines(), (0, 0));
    for (seconds, gateway, expected) in [
        (0, "waha", 1),
        (0, "waha", 1),
        (3599, "waha", 1),
        (1, "waha", 2),
        (0, "wawp", 3),
        (10, "wawp", 3),
        (10, "waha", 3),
    ] {
        rig.seconds(seconds);
        for jid in ["628100000001", "628100000002"] {
            // Past the entry of the last time, without waiting for the face's next turn.
            let path = format!("/avatar/{gateway}/{jid}?refresh=true");
            assert_eq!(
                rig.get(&path).await.reason(),
                "vendor_error",
                "{gateway} {seconds}"
            );
        }
        assert_eq!(lines(), (expected, 0), "{gateway} {seconds}");
    }
}

#[tokio::test]
async fn a_member_with_a_broken_picture_or_link_is_named_with_its_fault_and_never_its_value() {
    const BASE64: &str = "format = 1\nextends = \"waha\"\n[[providers.raw.picture]]\nfor = [\"contact\"]\n\
        path = \"/api/{account}/chats/{jid}/picture\"\nlink = [\"/data/url\"]\nbase64 = [\"/data/base64\"]\n";
    const SECRET: &str = "c2VjcmV0IQ-unusable-value";
    let secret = SECRET;
    let bodies = [
        ("base64", format!(r#"{{"data":{{"base64":"{secret}*"}}}}"#)),
        (
            "relative",
            format!(r#"{{"data":{{"url":"/media/{secret}.jpg"}}}}"#),
        ),
        (
            "data",
            format!(r#"{{"data":{{"url":"data:image/png;base64,{secret}*"}}}}"#),
        ),
        (
            "text",
            format!(r#"{{"data":{{"url":"{secret} changed"}}}}"#),
        ),
        ("number", r#"{"data":{"url":17}}"#.to_owned()),
        (
            "family",
            format!(r#"{{"data":{{"profilePicUrl":"/{secret}.jpg"}}}}"#),
        ),
    ];
    let words = [
        "the member '/data/base64' is a text that is not base64, or is damaged",
        "the member '/data/url' is a link without a host; a link has to begin with https://",
        "the member '/data/url' is a data: URL that is not base64, or is damaged",
        "the member '/data/url' is a text that is neither a link with https:// nor a picture",
        "the member '/data/url' has the type number, not text with a link",
        "the member 'profilePicUrl' is a link without a host",
    ];
    for ((name, body), words) in bodies.into_iter().zip(words) {
        let server = Server::start(move |_, _| Some(response("200 OK", "", body.as_bytes()))).await;
        let provider = match name {
            "family" => "provider = \"wawp\"",
            _ => "provider = \"raw\"",
        };
        let rig = server
            .settings()
            .section("providers.raw", BASE64)
            .only("waha", provider)
            .start()
            .await;
        let before = lines_with(words);
        assert_eq!(
            rig.get("/avatar/waha/628100000001").await.reason(),
            "vendor_error",
            "{name}"
        );
        assert_eq!(
            (lines_with(words), lines_with(SECRET)),
            (before + 1, 0),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_the_members_of_an_answer_that_is_not_understood() {
    let server = Server::start(|_, _| {
        let body = br#"{"shown":"https://secret.example/628100000001"}"#;
        Some(response("200 OK", "", body))
    })
    .await;
    let program = Program::with(&format!(
        "[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n[instances.shop]\nprovider = \"waha\"\n\
         account = \"shop\"\ntoken = \"env:TOKEN\"\nown_jid = \"628100000000\"\nbase_url = \"http://{0}\"\n\
         picture_hosts = [\"{0}\"]\nallow_private = [\"127.0.0.0/8\"]\n",
        server.address
    ));
    for args in [
        &["doctor"][..],
        &["doctor", "--explain", "shop", "628100000001"],
    ] {
        let output = program.run(args);
        let said = String::from_utf8(output.stdout.clone()).unwrap() + &errors(&output);
        assert!(said.contains("shown (text)"), "{said}");
        assert!(!said.contains("secret.example"), "{said}");
    }
    let output = String::from_utf8(program.run(&["doctor"]).stdout).unwrap();
    assert!(output.contains("doctor --explain shop JID"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_whether_the_host_of_a_link_may_be_reached() {
    let server = Server::start(|server, _| {
        let body = format!("{{\"url\":\"http://{server}/a.jpg\"}}");
        Some(response("200 OK", "", body.as_bytes()))
    })
    .await;
    for (hosts, words) in [
        (server.address.to_string(), "may download from"),
        ("faces.example".to_owned(), "not among picture_hosts"),
    ] {
        let program = Program::with(&format!(
            "[access]\nmode = \"open\"\n[cache]\ndir = \"DIR/cache\"\n[instances.shop]\nprovider = \"waha\"\n\
             account = \"shop\"\ntoken = \"env:TOKEN\"\nbase_url = \"http://{}\"\n\
             picture_hosts = [\"{hosts}\"]\nallow_private = [\"127.0.0.0/8\"]\n",
            server.address
        ));
        let output = program.run(&["doctor", "--explain", "shop", "628100000001"]);
        let said = String::from_utf8(output.stdout.clone()).unwrap() + &errors(&output);
        assert!(said.contains(words), "{said}");
    }
}
