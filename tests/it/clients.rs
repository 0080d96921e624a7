//! The rate limit for each client, and the client's address behind a proxy.

use crate::support::{Answer, Rig, rig::Settings};

const FACE: &str = "/avatar/waha/628100000001";

/// A server behind a proxy on this machine, with a burst of three requests for each client.
async fn rig(more: &str) -> Rig {
    let server = format!(
        "listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n{more}\n\
         client_rate = {{ per_minute = 60, burst = 3 }}"
    );
    Settings::default().section("server", &server).start().await
}

async fn statuses(rig: &Rig, count: usize, headers: &[(&str, &str)]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        let answer = rig.ask("GET", FACE, headers).await;
        statuses.push(answer.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_client_beyond_its_rate_gets_429_with_retry_after() {
    let rig = rig("").await;
    let one = [("x-forwarded-for", "192.0.2.1")];
    assert_eq!(statuses(&rig, 4, &one).await, [200, 200, 200, 429]);
    let refused = rig.ask("GET", FACE, &one).await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!(refused.text().contains("server.client_rate"));
    // Other clients are served.
    let other = [("x-forwarded-for", "192.0.2.2")];
    assert_eq!(statuses(&rig, 3, &other).await, [200; 3]);
    rig.seconds(1);
    assert_eq!(statuses(&rig, 2, &one).await, [200, 429]);
}

#[tokio::test]
async fn requests_refused_for_any_reason_count_against_the_client_s_rate() {
    let rig = rig("").await;
    let one = [("x-forwarded-for", "192.0.2.1")];
    for path in ["/nowhere", "/avatar/waha/not-a-jid", "/avatar/nobody/1"] {
        assert!(rig.ask("GET", path, &one).await.status.is_client_error());
    }
    assert_eq!(statuses(&rig, 1, &one).await, [429]);
}

#[tokio::test]
async fn loopback_clients_and_trusted_proxies_are_not_rate_limited() {
    let rig = rig("").await;
    assert_eq!(statuses(&rig, 10, &[]).await, [200; 10]);
    for hops in ["127.0.0.1", "10.1.2.3", "10.1.2.3, 10.4.5.6"] {
        let header = [("x-forwarded-for", hops)];
        assert_eq!(statuses(&rig, 5, &header).await, [200; 5], "{hops}");
    }
}

#[tokio::test]
async fn a_client_cannot_evade_its_rate_with_a_forged_x_forwarded_for() {
    let rig = rig("").await;
    let mut statuses = Vec::new();
    for lie in 0..5 {
        // The first address is the client's own claim; the proxy added the second.
        let header = format!("198.51.100.{lie}, 192.0.2.1");
        let answer = rig.ask("GET", FACE, &[("x-forwarded-for", &header)]).await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

#[tokio::test]
async fn only_the_configured_forwarding_header_is_read() {
    let rig = rig("forwarded = \"forwarded\"").await;
    let lie = ("x-forwarded-for", "198.51.100.1");
    let truth = ("forwarded", "for=\"192.0.2.1:4711\";proto=https");
    assert_eq!(statuses(&rig, 4, &[lie, truth]).await, [200, 200, 200, 429]);
    assert_eq!(statuses(&rig, 5, &[lie]).await, [200; 5]);
}

#[tokio::test]
async fn without_trusted_proxies_forwarding_headers_are_ignored() {
    let server = "listen = \"127.0.0.1:0\"\nclient_rate = { per_minute = 60, burst = 1 }";
    let rig = Settings::default().section("server", server).start().await;
    let one = [("x-forwarded-for", "192.0.2.1")];
    assert_eq!(statuses(&rig, 5, &one).await, [200; 5]);
}

#[tokio::test]
async fn the_admin_listener_has_no_client_rate() {
    let rig = rig("").await;
    for _ in 0..10 {
        let headers = [("x-forwarded-for", "192.0.2.1")];
        let answer = Answer::to(&rig.admin(), "GET", "/readyz", &headers).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_reload_with_another_rate_gives_no_client_a_new_burst() {
    let mut rig = rig("").await;
    let one = [("x-forwarded-for", "192.0.2.1")];
    assert_eq!(statuses(&rig, 4, &one).await, [200, 200, 200, 429]);
    for per_minute in [120, 30] {
        rig.reload_as(|settings| {
            let server = format!(
                "listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
                 client_rate = {{ per_minute = {per_minute}, burst = 3 }}"
            );
            settings.section("server", &server)
        });
        assert_eq!(statuses(&rig, 1, &one).await, [429], "{per_minute}");
    }
    // The other rate is in force.
    rig.seconds(1);
    assert_eq!(statuses(&rig, 1, &one).await, [429]);
    rig.seconds(1);
    assert_eq!(statuses(&rig, 2, &one).await, [200, 429]);
    let other = [("x-forwarded-for", "192.0.2.2")];
    assert_eq!(statuses(&rig, 4, &other).await, [200, 200, 200, 429]);
}
