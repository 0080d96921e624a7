//! The metrics for Prometheus, and the state of instances on the admin listener.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::TcpStream;

use crate::support::{Answer, LIMIT, Rig, program::GOOD, rig::Settings, scene::Scene, until};
use faceplate::{
    app::{App, Dependencies},
    clock::{Clock, Timestamp},
    config,
    emulator::{Fault, Rule},
};

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

/// The value of a metric on this admin listener now.
async fn scraped(admin: &str, name: &str) -> f64 {
    let answer = Answer::to(admin, "GET", "/metrics", &[]).await;
    let metrics = answer.text();
    value(metrics, name).unwrap_or_else(|| panic!("{name} is not in\n{metrics}"))
}

#[tokio::test]
async fn the_time_of_the_last_reload_is_the_clock_s_at_a_successful_one_and_stays_at_a_failed_one()
{
    let folder = tempfile::tempdir().unwrap();
    let listeners = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let text = GOOD.replace("DIR", &folder.path().display().to_string());
    let text = format!("{listeners}{text}");
    let read = || {
        let env = [("SIGNING_KEY", "a signing key for tests"), ("TOKEN", "t")];
        let config = config::from_text("the test's configuration", &text, env.into_iter());
        config.unwrap_or_else(|problems| panic!("{problems}"))
    };
    let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
    let dependencies = Dependencies {
        clock: clock.clone(),
        ..Dependencies::default()
    };
    let app = App::start(read(), dependencies).await.unwrap();
    let admin = app.admin.to_string();
    let last_reload = async || {
        let name = "faceplate_config_last_reload_success";
        (
            scraped(&admin, &format!("{name}ful")).await,
            scraped(&admin, &format!("{name}_timestamp_seconds")).await,
        )
    };
    // The start reads it for the first time.
    assert_eq!(last_reload().await, (1.0, 1_795_200_000.0));
    clock.advance(Duration::from_secs(60));
    assert_eq!(last_reload().await, (1.0, 1_795_200_000.0));
    app.record_failed_reload();
    assert_eq!(last_reload().await, (0.0, 1_795_200_000.0));
    clock.advance(Duration::from_secs(60));
    app.reload(read());
    assert_eq!(last_reload().await, (1.0, 1_795_200_120.0));
    app.stop().await;
}

/// The words behind a name in a file of `/proc/PID`.
fn told_by_kernel(process: &Path, file: &str, name: &str) -> Vec<u64> {
    let text = fs::read_to_string(process.join(file)).unwrap();
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)).unwrap();
    let words = line.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_and_the_open_files_in_the_metrics_are_those_that_the_kernel_counts() {
    // A process of its own: here, other tests open files.
    let mut scene = Scene::set().await;
    let (admin, address) = (scene.address("admin"), scene.address("listen"));
    let process = scene.server().process.id();
    let process = PathBuf::from(format!("/proc/{process}"));

    let memory = scraped(&admin, "process_resident_memory_bytes").await;
    let resident = told_by_kernel(&process, "status", "VmRSS:")[0] as f64 * 1024.0;
    let share = memory / resident;
    assert!((0.5..2.0).contains(&share), "{memory} of {resident}");
    assert!(memory < f64::from(1 << 30), "{memory}");
    let limit = told_by_kernel(&process, "limits", "Max open files")[0];
    let most = scraped(&admin, "process_max_fds").await;
    assert_eq!(most, limit as f64);

    let open = async || scraped(&admin, "process_open_fds").await;
    let before = open().await;
    assert!(before >= 4.0, "{before}");
    let mut clients = Vec::new();
    for _ in 0..24 {
        clients.push(TcpStream::connect(&address).await.unwrap());
    }
    // A few files may be opened or closed by the work on the cache.
    until(async || open().await >= before + 20.0, LIMIT).await;
    let listed = fs::read_dir(process.join("fd")).unwrap().count();
    assert!((open().await - listed as f64).abs() < 5.0, "{listed}");
    drop(clients);
    until(async || open().await <= before + 4.0, LIMIT).await;
}
