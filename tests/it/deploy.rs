//! The files of `deploy/`, checked by the tools that read them and by the program itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{
    Answer,
    program::{Running, errors},
    redis::RedisServer,
    rig::Settings,
};
use serde::Deserialize;
use serde_json::Value;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(deploy(path)).unwrap()
}

/// The output of a tool, which has to succeed.
#[track_caller]
fn content(command: &mut Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}: run make setup"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {said}{}", errors(&output));
    said
}

// --- systemd ---

/// The units, with the path of the built binary.
fn units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for item in fs::read_dir(deploy("systemd")).unwrap() {
        let path = item.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let program = concat!("=", env!("CARGO_BIN_EXE_faceplate"), " ");
        let text = text.replace("=faceplate ", program);
        fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
    }
    folder
}

#[test]
fn systemd_accepts_the_units() {
    let folder = units();
    let names = [
        "faceplate.service",
        "faceplate.socket",
        "faceplate-admin.socket",
    ];
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    content(verify.args(names.map(|name| folder.path().join(name))));
}

#[test]
fn systemd_rates_the_service_as_safe() {
    let folder = units();
    let mut security = Command::new("systemd-analyze");
    // The exposure in tenths. systemd calls up to 2.0 safe.
    security.args(["security", "--offline=true", "--threshold=15"]);
    let said = content(security.arg(folder.path().join("faceplate.service")));
    assert!(said.contains("Overall exposure level"), "{said}");
}

#[test]
fn the_unit_waits_for_readiness_and_stops_later_than_the_drain_timeout() {
    let unit = read("systemd/faceplate.service");
    for line in [
        "Type=notify",
        "DynamicUser=yes",
        "StateDirectory=faceplate",
        "ProtectSystem=strict",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
    let (_, after) = unit.split_once("TimeoutStopSec=").unwrap();
    let stop: u64 = after.split('s').next().unwrap().parse().unwrap();
    assert!(stop > 10, "the server drains for ten seconds by default");
}

#[test]
fn the_image_and_the_unit_set_the_malloc_trim_threshold() {
    let setting = "MALLOC_TRIM_THRESHOLD_=131072";
    let dockerfile = fs::read_to_string(deploy("../Dockerfile")).unwrap();
    assert!(dockerfile.lines().any(|line| line.trim() == setting));
    let unit = read("systemd/faceplate.service");
    let line = format!("Environment={setting}");
    assert!(unit.lines().any(|known| known == line));
}

// --- monitoring ---

#[test]
fn promtool_accepts_the_alert_rules_and_their_tests() {
    let config = deploy("monitoring/prometheus.yml");
    content(
        Command::new("promtool")
            .args(["check", "config"])
            .arg(config),
    );
    let mut check = Command::new("promtool");
    let said = content(
        check
            .args(["check", "rules"])
            .arg(deploy("monitoring/alerts.yml")),
    );
    let alerts = read("monitoring/alerts.yml").matches("- alert:").count();
    assert!(
        said.contains(&format!("SUCCESS: {alerts} rules found")),
        "{said}"
    );
    let tests = deploy("monitoring/alerts_test.yml");
    content(Command::new("promtool").args(["test", "rules"]).arg(tests));
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_of_a_name(c))
        .filter(|word| {
            ["faceplate_", "http_server_", "http_client_"]
                .iter()
                .any(|start| word.starts_with(start))
        })
        .map(|word| {
            let word = ["_bucket", "_count", "_sum", "_total", "_info"]
                .iter()
                .fold(word, |word, end| word.strip_suffix(end).unwrap_or(word));
            word.to_owned()
        })
        .collect()
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_exists() {
    let redis = RedisServer::start();
    let rig = Settings::default()
        .only("waha", "daily = 5000")
        .fleet(&redis.url(), "timeout = \"5s\"")
        .start()
        .await;
    redis.fill_budgets();
    // A counter appears after its first increment.
    rig.face("waha", "628100000001?s=32").await;
    Answer::send(&rig.admin(), "POST", "/v1/hooks/waha", &[], b"{}").await;
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let there: BTreeSet<_> = metrics
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    for file in ["alerts.yml", "dashboard.json"] {
        let named = named(&read(&format!("monitoring/{file}")));
        assert!(named.len() >= 5, "{file}: {named:?}");
        let count_refusals: Vec<_> = named.difference(&there).collect();
        assert!(count_refusals.is_empty(), "{file} names {count_refusals:?}");
    }
}

/// An alert that can never fire would pass a test that expects silence.
#[test]
fn every_alert_fires_in_a_test() {
    let (alerts, tests) = (
        read("monitoring/alerts.yml"),
        read("monitoring/alerts_test.yml"),
    );
    let fired: BTreeSet<_> = tests
        .split("- alertname: ")
        .skip(1)
        .filter(|test| test.contains("exp_labels:"))
        .filter_map(|test| test.lines().next())
        .collect();
    for alert in alerts
        .lines()
        .filter_map(|line| line.split_once("- alert: "))
    {
        assert!(fired.contains(alert.1), "{} is not seen to fire", alert.1);
    }
}

#[test]
fn every_alert_names_a_remedy() {
    let alerts = read("monitoring/alerts.yml");
    let count = |what: &str| alerts.matches(what).count();
    assert!(count("- alert:") >= 8);
    for part in ["severity:", "summary:", "action:"] {
        assert_eq!(count("- alert:"), count(part), "{part}");
    }
}

#[test]
fn grafana_can_import_the_dashboard() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 8);
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "two panels with one id"
        );
        assert!(
            panel["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        assert!(panel["gridPos"]["w"].as_u64().unwrap() <= 24);
        for target in panel["targets"].as_array().unwrap() {
            assert!(target["expr"].as_str().is_some_and(|expr| !expr.is_empty()));
        }
    }
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    assert!(dashboard["uid"].is_string() && dashboard["id"].is_null());
}

#[test]
fn each_panel_of_the_dashboard_explains_itself_and_asks_for_the_chosen_job_in_valid_promql() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.len() > 20),
            "{title}"
        );
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("job=~\"$job\""), "{title}: {expr}");
            let expr = expr.replace("$__rate_interval", "1m").replace("$job", ".*");
            let expr = expr.replace("$instance", ".*").replace('\'', "''");
            rules.push_str(&format!(
                "      - {{ record: \"a:b:c\", labels: {{ id: \"{}{}\" }}, expr: '{expr}' }}\n",
                panel["id"],
                target["refId"].as_str().unwrap()
            ));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules).unwrap();
    content(Command::new("promtool").args(["check", "rules"]).arg(file));
}

/// The thresholds of a panel: each colour, and the value from which on it is shown.
fn thresholds(panel: &Value) -> Vec<(f64, &str)> {
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
    let steps = steps.into_iter().flatten().map(|step| {
        // JSON has no infinity; the first step is for all values below the second.
        let from = step["value"].as_f64().unwrap_or(f64::NEG_INFINITY);
        (from, step["color"].as_str().unwrap())
    });
    steps.collect()
}

/// The color in which a panel shows this value.
fn color(panel: &Value, value: f64) -> Option<&str> {
    let steps = thresholds(panel).into_iter();
    let mut reached = steps.filter(|(from, _)| *from <= value);
    reached.next_back().map(|(_, color)| color)
}

const DAY: f64 = 86_400.0;

#[test]
fn each_panel_of_the_dashboard_about_a_state_a_share_or_a_limit_shows_trouble_in_red() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    // A value that is fine, and one that is trouble.
    let judged = BTreeMap::from([
        ("Paused accounts", (0.0, 1.0)),
        ("Sessions in trouble", (0.0, 1.0)),
        ("Configuration", (1.0, 0.0)),
        ("Certificate ends in", (30.0 * DAY, 3.0 * DAY)),
        ("Disk trouble", (0.0, 1.0)),
        ("Hit ratio", (0.99, 0.5)),
        ("Response time", (0.1, 3.0)),
        ("Calls allowed now, by instance", (5.0, 0.0)),
    ]);
    // More of these is neither better nor worse.
    let counts = ["Requests/s", "Entries on disk", "Bytes on disk"];
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        let steps = thresholds(panel);
        let is_judged = judged.contains_key(title);
        let is_figure = ["stat", "gauge"].iter().any(|kind| panel["type"] == *kind);
        let is_share = panel["fieldConfig"]["defaults"]["unit"] == "percentunit";
        let is_count = counts.contains(&title);
        assert!(
            is_judged || is_count || (!is_figure && !is_share && steps.is_empty()),
            "{title}: say here which of its values are trouble"
        );
        assert!(!is_judged || steps.len() >= 2, "{title}: {steps:?}");
        let is_sorted = steps.is_sorted_by(|(one, _), (other, _)| one < other);
        assert!(is_sorted, "{title}: {steps:?}");
        let begin = steps.first().map(|(from, _)| *from);
        assert!(
            begin.is_none_or(|from| from == f64::NEG_INFINITY),
            "{title}"
        );
        // Grafana draws no thresholds in a graph that does not ask for it.
        let style = &panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"];
        let is_graph = panel["type"] == "timeseries";
        assert!(!is_graph || !is_judged || *style == "line", "{title}");
    }
    let find = |title: &str| {
        let found = panels.iter().find(|panel| panel["title"] == title);
        found.unwrap_or_else(|| panic!("there is no panel {title}"))
    };
    for title in counts {
        // Without thresholds, Grafana shows each value from 80 on in red.
        assert_eq!(thresholds(find(title)).len(), 1, "{title}");
    }
    for (title, (fine, trouble)) in judged {
        let colors = [fine, trouble].map(|value| color(find(title), value));
        assert_eq!(colors, [Some("green"), Some("red")], "{title}");
    }
}

#[test]
fn a_certificate_on_the_dashboard_is_red_as_long_as_its_alert_fires() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let mut panels = dashboard["panels"].as_array().unwrap().iter();
    let panel = panels.find(|panel| panel["title"] == "Certificate ends in");
    let alerts = read("monitoring/alerts.yml");
    let condition = "faceplate_certificate_expiry_timestamp_seconds - time() < ";
    let (_, rest) = alerts.split_once(condition).unwrap();
    let days = rest.lines().next().unwrap().strip_suffix(" * 86400");
    let limit = days.unwrap().parse::<f64>().unwrap() * DAY;
    assert_eq!(color(panel.unwrap(), limit - 1.0), Some("red"));
    assert_ne!(color(panel.unwrap(), limit), Some("red"));
}

#[test]
fn prometheus_and_grafana_of_the_compose_file_find_their_files() {
    let compose = fs::read_to_string(deploy("../docker-compose.yml")).unwrap();
    let mounted: Vec<_> = compose.split("\"./deploy/monitoring").skip(1).collect();
    assert_eq!(mounted.len(), 5);
    for rest in mounted {
        let path = rest.split(':').next().unwrap();
        assert!(
            deploy("monitoring")
                .join(path.trim_start_matches('/'))
                .exists(),
            "{path}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a token").unwrap();
    let config = read("monitoring/compose/prometheus.yml")
        .replace("/run/secrets/admin-token", token.to_str().unwrap())
        .replace(
            "/etc/faceplate/",
            &format!("{}/", deploy("monitoring").display()),
        );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, config).unwrap();
    content(Command::new("promtool").args(["check", "config"]).arg(file));
    assert!(compose.contains("/etc/prometheus/prometheus.yml"));
    assert!(read("monitoring/compose/dashboards.yml").contains("path: /etc/faceplate"));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_a_running_server_with_the_configuration_as_it_is() {
    let settings =
        Settings::default().section("admin", "listen = \"127.0.0.1:0\"\ntoken = \"env:BEARER\"");
    let rig = settings.start().await;
    for number in 1..=3 {
        rig.face("waha", &format!("62810000000{number}")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a bearer token for tests").unwrap();
    let config = read("monitoring/prometheus.yml")
        .replace("127.0.0.1:9090", &rig.admin())
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("    # authorization:", "    authorization:")
        .replace("    #   credentials_file:", "      credentials_file:")
        .replace(
            "/etc/prometheus/faceplate-admin-token",
            token.to_str().unwrap(),
        );
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    fs::copy(
        deploy("monitoring/alerts.yml"),
        folder.path().join("alerts.yml"),
    )
    .unwrap();

    let address = format!("127.0.0.1:{}", free_port());
    let mut prometheus = Command::new("prometheus")
        .arg(format!(
            "--config.file={}",
            folder.path().join("prometheus.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is no prometheus: run make setup");
    let query = |expr: &str| format!("/api/v1/query?query={expr}");
    let mut found = Value::Null;
    for _ in 0..300 {
        let path = query("faceplate_store_entries");
        if let Ok(answer) = Answer::attempt(&address, "GET", &path, &[]).await {
            found = serde_json::from_slice(&answer.body).unwrap_or_default();
            if found["data"]["result"][0]["value"][1] == "3" {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let asked = query("sum(faceplate_upstream_requests_total)");
    let asked = Answer::attempt(&address, "GET", &asked, &[]).await;
    let budget = query("count(faceplate_upstream_budget)");
    let budget = Answer::attempt(&address, "GET", &budget, &[]).await;
    let _ = prometheus.kill();
    let _ = prometheus.wait();
    assert_eq!(found["data"]["result"][0]["value"][1], "3", "{found}");
    let value = |answer: &Answer| -> Value {
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        said["data"]["result"][0]["value"][1].clone()
    };
    assert_eq!(value(&asked.unwrap()), "3");
    assert_eq!(value(&budget.unwrap()), "5");
}

// --- Kubernetes ---

/// The configuration and environment that an overlay gives to Faceplate.
#[derive(Deserialize)]
struct Deployment {
    config: String,
    env: BTreeMap<String, String>,
    /// The content of each file of the Secret.
    secrets: String,
}

#[test]
fn kubernetes_accepts_the_manifests_and_faceplate_their_configuration() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy.py");
    let binary = env!("CARGO_BIN_EXE_faceplate");
    let said = content(Command::new(python).arg(script).arg(binary));
    let deployments: BTreeMap<String, Deployment> = serde_json::from_str(&said).unwrap();
    assert_eq!(deployments.len(), 6);
    let folder = tempfile::tempdir().unwrap();
    let mounted = folder.path().display().to_string();
    for (overlay, deployment) in deployments {
        for name in ["vendor-token", "signing-key", "admin-token"] {
            fs::write(folder.path().join(name), &deployment.secrets).unwrap();
        }
        for name in ["secret", "fleet-secret", "s3-access-key", "s3-secret-key"] {
            fs::write(folder.path().join(name), &deployment.secrets).unwrap();
        }
        fs::write(folder.path().join("redis-url"), "redis://redis:6379").unwrap();
        let here = |text: &str| {
            let text = text.replace("/run/secrets/faceplate", &mounted);
            text.replace("/run/secrets/fleet", &mounted)
        };
        let file = folder.path().join(&overlay);
        fs::write(&file, here(&deployment.config)).unwrap();
        let env = deployment
            .env
            .iter()
            .map(|(name, value)| (name, here(value)));
        let mut check = Command::new(env!("CARGO_BIN_EXE_faceplate"));
        check.args(["check", "--config"]).arg(file);
        let output = check.envs(env).output().unwrap();
        // Warnings go to standard error, too.
        let said = errors(&output);
        // The engines of a fleet are not here.
        let is_said = |line: &str| {
            !(overlay.ends_with("fleet") && line.contains("cannot be reached from here"))
        };
        let said: Vec<_> = said.lines().filter(|line| is_said(line)).collect();
        assert!(said.is_empty(), "{overlay}: {said:?}");
        assert!(output.status.success());
    }
}

// --- secrets ---

#[test]
fn a_renewed_secret_reaches_the_server_in_each_deployment_by_the_command_of_the_runbook() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    // Compose: the folder is mounted, not its files. The overlays of Kubernetes are checked above.
    let compose = text("docker-compose.yml");
    assert!(compose.contains("\"./secrets:/run/secrets:ro\""));
    assert!(!compose.contains("secrets: ["));
    assert!(!compose.lines().any(|line| line == "secrets:"));
    // systemd: credentials are copied at the start, so the service is restarted.
    let unit = read("systemd/faceplate.service");
    assert!(unit.contains("LoadCredential=vendor-token:"));
    let operations = text("docs/operations.md");
    let (_, table) = operations.split_once("**Renewing a secret**").unwrap();
    let (table, _) = table.split_once("**Stopping**").unwrap();
    for (deployment, command) in [
        ("| binary |", "install -m 0600"),
        (
            "| Docker, Docker Compose |",
            "sudo install -o 65532 -m 0400",
        ),
        ("| Kubernetes |", "kubectl create secret generic faceplate"),
        ("| systemd |", "systemctl restart faceplate"),
    ] {
        let row = table.lines().find(|line| line.starts_with(deployment));
        assert!(row.is_some_and(|row| row.contains(command)), "{deployment}");
    }
}

#[test]
fn a_reload_of_the_unit_checks_the_configuration_and_a_failed_start_is_retried() {
    let unit = read("systemd/faceplate.service");
    let (check, signal) = (
        unit.find("ExecReload=faceplate check"),
        unit.find("ExecReload=/bin/kill -HUP"),
    );
    assert!(check.is_some() && check < signal);
    assert!(unit.contains("StartLimitIntervalSec=0"));
}

// --- Docker Compose ---

/// In a container, the demo listens on every address, and its other listeners are reached from within alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_in_a_container_prints_only_urls_that_can_be_opened_outside() {
    let compose = fs::read_to_string(deploy("../docker-compose.yml")).unwrap();
    let arguments = "[\"demo\", \"--listen\", \"0.0.0.0:8080\", \"--admin\", \"127.0.0.1:9090\"]";
    assert!(compose.contains(arguments));
    let mut command = Command::new(env!("CARGO_BIN_EXE_faceplate"));
    command.args(["demo", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"]);
    let mut running = Running::start(command);
    let said = running.wait_for("/avatar/waha/");
    let (_, rest) = said.split_once("gallery:   http://").unwrap();
    let (address, _) = rest.split_once('/').unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{said}");
    assert_eq!(Answer::to(address, "GET", "/", &[]).await.status, 200);
    // Nothing else is printed before it waits for the signal.
    running.signal("TERM");
    let (_, said) = running.end();
    for unreachable in ["http://0.0.0.0", "dashboard:", "vendors:"] {
        assert!(!said.contains(unreachable), "{said}");
    }
}

#[test]
fn the_logs_of_the_compose_file_have_a_limit() {
    let compose = fs::read_to_string(deploy("../docker-compose.yml")).unwrap();
    assert!(compose.contains("max-size: 10m"));
}
