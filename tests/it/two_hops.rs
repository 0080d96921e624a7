//! A call to the vendor and a download from its link: their order, their number, and the addresses that are never
//! dialed.

use crate::support::{
    Answer, LIMIT, Rig,
    program::{Program, Running},
    rig::Settings,
    until,
};
use faceplate::emulator::{Emulator, Fault, Hop, Options, Picture, Rule};
use tokio::net::TcpListener;

const FACE: &str = "628100000001";

/// The calls in order: `api`, `api!` with refresh, `cdn`.
fn order(rig: &Rig) -> Vec<&'static str> {
    let calls = rig.calls();
    calls
        .list
        .iter()
        .map(|call| match (call.hop, call.refresh) {
            (Hop::Api, false) => "api",
            (Hop::Api, true) => "api!",
            (Hop::Cdn, _) => "cdn",
        })
        .collect()
}

#[tokio::test]
async fn an_expired_link_is_not_downloaded_and_a_new_one_is_requested_once() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::ExpiredLink {
        even_when_refreshed: false,
    }));
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(order(&rig), ["api", "api!", "cdn"]);
}

#[tokio::test]
async fn a_new_link_is_requested_once_after_a_dead_one() {
    for status in [403, 404, 410] {
        let rig = Rig::start().await;
        rig.inject(
            Rule::cdn(Fault::Status {
                status,
                retry_after: None,
            })
            .times(1),
        );
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        assert_eq!(order(&rig), ["api", "cdn", "api!", "cdn"], "{status}");
    }
}

#[tokio::test]
async fn a_link_that_stays_dead_is_abandoned_after_two_calls() {
    let rig = Rig::start().await;
    rig.inject(Rule::cdn(Fault::Status {
        status: 403,
        retry_after: None,
    }));
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    assert_eq!(order(&rig), ["api", "cdn", "api!", "cdn"]);
}

#[tokio::test]
async fn a_link_that_stays_expired_is_abandoned_after_two_calls_and_not_retried_at_once() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::ExpiredLink {
        even_when_refreshed: true,
    }));
    for _ in 0..3 {
        rig.face("waha", FACE).await.assert_fallback("vendor_error");
        assert_eq!(order(&rig), ["api", "api!"]);
    }
}

#[tokio::test]
async fn no_new_link_is_requested_after_a_dead_one_without_refresh_budget() {
    let rig = Settings::default()
        .instance("refreshes = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    rig.get("/avatar/waha/628100000002?refresh=true").await;
    rig.traffic();
    rig.inject(Rule::cdn(Fault::Status {
        status: 410,
        retry_after: None,
    }));
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    assert_eq!(order(&rig), ["api", "cdn"]);
}

#[tokio::test]
async fn escaped_and_wrapped_links_are_repaired_and_followed() {
    for fault in [Fault::AmpEntity, Fault::AmpUnicode, Fault::WrappedLink] {
        let rig = Rig::start().await;
        rig.inject(Rule::api(fault.clone()));
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        assert_eq!(order(&rig), ["api", "cdn"], "{fault:?}");
    }
}

#[tokio::test]
async fn an_unchanged_link_confirms_the_picture_without_a_download() {
    let rig = Settings::default()
        .section("cache", "stale_while_revalidate = \"0\"")
        .start()
        .await;
    let before = rig.face("waha", FACE).await;
    rig.hours(25);
    rig.traffic();
    let after = rig.face("waha", FACE).await;
    after.assert_picture(&before.body);
    assert_eq!(order(&rig), ["api"]);
    assert_eq!(after.header("age"), "0");
    for validator in ["etag", "last-modified"] {
        assert_eq!(after.header(validator), before.header(validator));
    }
}

#[tokio::test]
async fn a_demand_for_a_fresh_picture_downloads_it_although_its_link_is_unchanged() {
    for demand in ["refresh", "admin", "purge", "hook"] {
        let rig = Settings::default()
            .section("cache", "stale_while_revalidate = \"0\"")
            .start()
            .await;
        let before = rig.face("waha", FACE).await;
        rig.traffic();
        let face = format!("/avatar/waha/{FACE}");
        match demand {
            "refresh" => {
                rig.get(&format!("{face}?refresh=true")).await;
            }
            "admin" => {
                let path = format!("/v1/avatars/waha/{FACE}");
                let answer = Answer::to(&rig.admin(), "POST", &path, &[]).await;
                assert_eq!(answer.status, 200);
            }
            "purge" => {
                let path = format!("/v1/purge?instance=waha&jid={FACE}");
                let answer = Answer::to(&rig.admin(), "POST", &path, &[]).await;
                assert_eq!(answer.status, 200);
                rig.face("waha", FACE).await;
            }
            _ => {
                let event = format!(
                    r#"{{"session":"shop","event":"engine.event","payload":{{"event":"events.Picture","data":{{"JID":"{FACE}@c.us"}}}}}}"#
                );
                let path = "/v1/hooks/waha";
                let answer = Answer::send(&rig.admin(), "POST", path, &[], event.as_bytes()).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                rig.face("waha", FACE).await;
            }
        }
        until(async || rig.calls().cdn == 1, LIMIT).await;
        rig.face("waha", FACE).await.assert_picture(&before.body);
    }
}

#[tokio::test]
async fn a_new_file_name_with_the_same_bytes_is_the_same_picture() {
    let rig = Rig::start().await;
    let before = rig.face("wawp", FACE).await;
    // Another person's picture under another name, then the first one again: the bytes decide.
    rig.hours(25);
    rig.vendors().set_picture(FACE, Picture::Face(2)).unwrap();
    let changed = rig.get(&format!("/avatar/wawp/{FACE}?refresh=true")).await;
    assert_ne!(changed.header("etag"), before.header("etag"));
    assert_ne!(
        changed.header("last-modified"),
        before.header("last-modified")
    );
    rig.vendors().set_picture(FACE, Picture::Face(1)).unwrap();
    let again = rig.get(&format!("/avatar/wawp/{FACE}?refresh=true")).await;
    assert_eq!(again.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn a_redirect_within_the_allowed_hosts_is_followed() {
    let rig = Rig::start().await;
    rig.inject(Rule::cdn(Fault::Redirect { location: None }).times(1));
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(order(&rig), ["api", "cdn", "cdn"]);
}

#[tokio::test]
async fn three_redirects_are_followed_and_a_fourth_is_not() {
    for (redirects, source) in [(3, "picture"), (4, "fallback"), (1000, "fallback")] {
        let rig = Rig::start().await;
        rig.inject(Rule::cdn(Fault::Redirect { location: None }).times(redirects));
        let answer = rig.face("waha", FACE).await;
        assert_eq!(answer.source(), source, "{redirects}");
        assert_eq!(order(&rig), ["api", "cdn", "cdn", "cdn", "cdn"]);
    }
}

/// A listener that must never get a connection.
async fn forbidden_ground() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn untouched(listener: TcpListener) -> bool {
    let listener = listener.into_std().unwrap();
    listener.accept().is_err()
}

#[tokio::test]
async fn a_redirect_to_a_host_that_is_not_allowed_is_not_followed() {
    let rig = Rig::start().await;
    let (listener, address) = forbidden_ground().await;
    let location = Some(format!("http://{address}/secret.jpg"));
    rig.inject(Rule::cdn(Fault::Redirect { location }));
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    assert!(untouched(listener));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_host_that_is_not_allowed_is_not_dialed() {
    let (listener, address) = forbidden_ground().await;
    // Every link names the forbidden listener; `picture_hosts` names the CDN.
    let emulator = Emulator::start(Options {
        cdn_authority: Some(address),
        ..Options::default()
    })
    .await
    .unwrap();
    let running = Program::before(&emulator, "").serve();
    let path = format!("/avatar/waha/{FACE}");
    Answer::to(&running.address("listen"), "GET", &path, &[])
        .await
        .assert_fallback("vendor_error");
    assert_eq!(emulator.control().calls().api, 1);
    assert!(untouched(listener));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_a_private_address_of_a_listed_host_is_not_dialed() {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let plain = listener.local_addr().unwrap().to_string();
    let disguised = plain.replace("127.0.0.2", "[::ffff:127.0.0.2]");
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let hosts = format!("{}, {plain}, {disguised}", emulator.cdn());
    let program = Program::before(&emulator, "");
    let mut command = program.command(&["serve"]);
    command
        .env("FACEPLATE_INSTANCES__WAHA__PICTURE_HOSTS", hosts)
        .env("FACEPLATE_INSTANCES__WAHA__ALLOW_PRIVATE", "127.0.0.1/32");
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    for (jid, host) in [("628100000001", &plain), ("628100000002", &disguised)] {
        let location = Some(format!("http://{host}/secret.jpg"));
        let redirect = Rule::cdn(Fault::Redirect { location }).jid(jid);
        emulator.control().inject(redirect).unwrap();
        let path = format!("/avatar/waha/{jid}");
        Answer::to(&running.address("listen"), "GET", &path, &[])
            .await
            .assert_fallback("vendor_error");
    }
    let calls = emulator.control().calls();
    assert_eq!((calls.api, calls.cdn), (2, 2));
    assert!(untouched(listener));
    running.signal("TERM");
    let (_, output) = running.end();
    let told = output.matches("private or reserved address").count();
    assert_eq!(told, 2, "{output}");
}

#[tokio::test]
async fn a_private_network_that_is_not_allowed_is_not_dialed() {
    let rig = Settings::default()
        .instance("allow_private = [\"10.0.0.0/8\"]")
        .start()
        .await;
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    assert_eq!(order(&rig), Vec::<&str>::new());
}

#[tokio::test]
async fn the_answer_to_a_later_question_wins_over_a_slow_earlier_one() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"10ms\"")
        .start()
        .await;
    // The picture changes and is requested again during the slow first download.
    rig.inject(Rule::cdn(Fault::Latency { ms: 300 }).times(1));
    rig.face("waha", FACE).await.assert_fallback("deferred");
    until(async || rig.calls().cdn > 0, LIMIT).await;
    rig.seconds(1);
    rig.vendors().set_picture(FACE, Picture::Face(2)).unwrap();
    let look = format!("/avatar/waha/{FACE}?refresh=true");
    let is_picture = async || rig.get(&look).await.source() == "picture";
    until(is_picture, LIMIT).await;
    let mut rig = rig;
    rig.restart().await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
}
