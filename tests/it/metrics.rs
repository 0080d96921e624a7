//! The metrics for Prometheus, and the state of instances on the admin listener.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::{Answer, Rig, rig::Settings};
use faceplate::emulator::{Fault, Rule};

async fn admin(rig: &Rig, path: &str) -> String {
    let answer = Answer::to(&rig.admin(), "GET", path, &[]).await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

/// The value of a metric with these labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn every_documented_metric_counts_its_events() {
    let rig = Settings::default()
        .section(
            "access",
            "signing_keys = [\"env:SIGNING_KEY\"]\nbearer_tokens = [\"env:BEARER\"]",
        )
        .start()
        .await;
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    rig.inject(
        Rule::api(Fault::Status {
            status: 502,
            retry_after: None,
        })
        .jid("628100000003"),
    );
    let elsewhere = Some("http://169.254.169.254/latest".to_owned());
    rig.inject(
        Rule::cdn(Fault::Redirect {
            location: elsewhere,
        })
        .jid("628100000004"),
    );
    for jid in [
        "628100000001",
        "628100000001",
        "628100000102",
        "628100000003",
        "628100000004",
    ] {
        rig.ask("GET", &format!("/avatar/waha/{jid}"), &bearer)
            .await;
    }
    rig.get("/avatar/waha/628100000001").await;
    rig.run_maintenance().await;
    let metrics = admin(&rig, "/metrics").await;
    for (name, expected) in [
        (
            "http_server_request_duration_seconds_count{route=\"avatar\",status=\"200\"}",
            5.0,
        ),
        (
            "http_server_request_duration_seconds_count{route=\"avatar\",status=\"403\"}",
            1.0,
        ),
        (
            "http_client_request_duration_seconds_count{instance=\"waha\",provider=\"waha\",hop=\"api\"}",
            4.0,
        ),
        (
            "http_client_request_duration_seconds_count{instance=\"waha\",provider=\"waha\",hop=\"cdn\"}",
            2.0,
        ),
        ("faceplate_cache_requests_total{status=\"hit\"}", 1.0),
        ("faceplate_cache_requests_total{status=\"miss\"}", 4.0),
        (
            "faceplate_served_total{source=\"picture\",reason=\"none\"}",
            2.0,
        ),
        (
            "faceplate_served_total{source=\"fallback\",reason=\"unknown\"}",
            1.0,
        ),
        (
            "faceplate_served_total{source=\"fallback\",reason=\"vendor_error\"}",
            2.0,
        ),
        (
            "faceplate_upstream_requests_total{instance=\"waha\",provider=\"waha\",outcome=\"picture\"}",
            1.0,
        ),
        (
            "faceplate_upstream_requests_total{instance=\"waha\",provider=\"waha\",outcome=\"vendor_error\"}",
            2.0,
        ),
        ("faceplate_upstream_budget{instance=\"waha\"}", 1996.0),
        ("faceplate_store_entries", 4.0),
        ("faceplate_evictions_total{cause=\"max_bytes\"}", 0.0),
        ("faceplate_damaged_total", 0.0),
        ("faceplate_collapsed_requests_total", 0.0),
        ("faceplate_signature_rejects_total", 1.0),
        ("faceplate_ssrf_blocked_total", 1.0),
    ] {
        assert_eq!(
            value(&metrics, name),
            Some(expected),
            "{name} in\n{metrics}"
        );
    }
    assert!(value(&metrics, "faceplate_store_bytes").unwrap() >= 8192.0);
    assert!(metrics.contains("faceplate_build_info{version="));
    assert!(
        !metrics.contains("62810000") && !metrics.contains("169.254"),
        "{metrics}"
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names in the table of docs/metrics.md.
fn documented_names() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let (_, table) = page.split_once("| metric | meaning |\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let names = spans.filter_map(|span| span.split('{').next());
    names.map(str::to_owned).collect()
}

/// The names of the families in a scrape, with the endings of their samples.
fn shown_names(metrics: &str) -> BTreeSet<String> {
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect()
}

/// The names that src/telemetry registers. The library adds the endings of counters and of `info`.
fn registered_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(root().join("src/telemetry")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let calls = text.split("registry.register(").skip(1);
        names.extend(calls.filter_map(|call| Some(call.split('"').nth(1)?.to_owned())));
    }
    names
}

#[tokio::test]
async fn the_table_of_metrics_has_all_that_a_server_shows_and_none_that_the_code_lacks() {
    let rig = Rig::start().await;
    rig.face("waha", "628100000001").await;
    let documented = documented_names();
    let shown = shown_names(&admin(&rig, "/metrics").await);
    assert!(shown.contains("faceplate_build_info"), "{shown:?}");
    let missing: Vec<_> = shown.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
    // A server without a fleet or without pauses does not show all of them.
    let without_ending = |name: &String| {
        let endings = ["_total", "_info"].into_iter();
        let mut names = endings.filter_map(|ending| name.strip_suffix(ending));
        names.next().unwrap_or(name).to_owned()
    };
    let documented: BTreeSet<_> = documented.iter().map(without_ending).collect();
    assert_eq!(documented, registered_names());
}

#[tokio::test]
async fn the_admin_api_shows_an_instance_s_budget_and_pause() {
    let rig = Settings::default()
        .instance("lookups = { per_minute = 30, burst = 10 }")
        .start()
        .await;
    rig.face("waha", "628100000001").await;
    let waha = rig.instance_record("waha").await;
    assert_eq!(
        (waha["budget"].as_u64(), waha["paused"].is_null()),
        (Some(9), true)
    );
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: Some(60),
    }));
    rig.face("waha", "628100000002").await;
    let waha = rig.instance_record("waha").await;
    assert_eq!(
        (waha["budget"].as_u64(), waha["paused"].as_str()),
        (Some(0), Some("rate_limited"))
    );
}

#[tokio::test]
async fn the_admin_api_shows_an_instance_s_session_state() {
    let mut rig = Rig::start().await;
    let session = async |rig: &Rig| {
        let waha = rig.instance_record("waha").await;
        waha["session"].as_str().unwrap().to_owned()
    };
    assert_eq!(session(&rig).await, "unknown");
    rig.face("waha", "628100000001").await;
    assert_eq!(session(&rig).await, "working");
    for (status, state) in [(422, "down"), (401, "refused")] {
        rig.inject(Rule::api(Fault::Status {
            status,
            retry_after: None,
        }));
        rig.hours(48);
        rig.get("/avatar/waha/628100000001?refresh=true").await;
        assert_eq!(session(&rig).await, state);
        // The state of the session survives a restart.
        rig.restart().await;
        assert_eq!(session(&rig).await, state);
        rig.vendors().clear_faults();
    }
    rig.hours(48);
    rig.get("/avatar/waha/628100000001?refresh=true").await;
    assert_eq!(session(&rig).await, "working");
    rig.restart().await;
    assert_eq!(session(&rig).await, "working");
}
