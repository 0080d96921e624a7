//! The alert rules of `deploy/monitoring`, in a real Prometheus that scrapes the real program: each alert fires while the
//! program is in its condition, and is resolved when that ends. Windows and waits of the rules are seconds here.

mod fleet;

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    Answer, files_below,
    program::{Program, Running},
    until,
};
use faceplate::emulator::{Emulator, Fault, Options, Rule};

/// The longest wait for an alert, on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

struct Prometheus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these addresses.
    fn start(targets: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring");
        let read = |name: &str| fs::read_to_string(deploy.join(name)).unwrap();
        let config = read("prometheus.yml")
            .replace("127.0.0.1:9090", &targets.join("\", \""))
            .replace("scrape_interval: 15s", "scrape_interval: 1s");
        let config = format!("global: {{ evaluation_interval: 1s }}\n{config}");
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        fs::write(
            folder.path().join("alerts.yml"),
            in_seconds(&read("alerts.yml")),
        )
        .unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is no prometheus: run make setup");
        Self {
            process,
            address,
            _folder: folder,
        }
    }

    /// The names of the alerts that fire.
    async fn firing(&self) -> BTreeSet<String> {
        // It evaluates the rules once a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = Answer::attempt(&self.address, "GET", "/api/v1/alerts", &[]).await;
        let said: Value = match answer {
            Ok(answer) => serde_json::from_slice(&answer.body).unwrap_or_default(),
            Err(_) => Value::Null,
        };
        let alerts = said["data"]["alerts"].as_array().cloned();
        let alerts = alerts.unwrap_or_default().into_iter();
        alerts
            .filter(|alert| alert["state"] == "firing")
            .filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned()))
            .collect()
    }

    async fn wait_for(&self, alert: &str) {
        println!("waiting for {alert}");
        until(async || self.firing().await.contains(alert), LIMIT).await;
    }

    /// Makes the condition of an alert again and again until it fires: a rate needs more than one scrape.
    async fn wait_during(&self, mut condition: impl AsyncFnMut(), alert: &str) {
        println!("waiting for {alert} during its condition");
        let fires = async || {
            condition().await;
            self.firing().await.contains(alert)
        };
        until(fires, LIMIT).await;
    }

    async fn wait_for_end(&self, alert: &str) {
        println!("waiting for the end of {alert}");
        until(async || !self.firing().await.contains(alert), LIMIT).await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The rules with short windows and waits, so that a condition shows within seconds.
fn in_seconds(rules: &str) -> String {
    let mut text = String::new();
    for line in rules.lines() {
        let line = match line.trim_start().strip_prefix("for: ") {
            Some(_) => "        for: 1s",
            None => line,
        };
        text.push_str(line);
        text.push('\n');
    }
    for (window, seconds) in [
        ("[30m]", "[15s]"),
        ("[15m]", "[8s]"),
        ("[10m]", "[8s]"),
        ("[1h]", "[8s]"),
        ("[1d]", "[8s]"),
    ] {
        text = text.replace(window, seconds);
    }
    assert!(!text.contains("m]") && !text.contains("h]"), "{text}");
    text
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A proxy whose admin listener keeps its address when it is started again.
struct Scene {
    emulator: Emulator,
    program: Program,
    admin: String,
    prometheus: Prometheus,
}

impl Scene {
    async fn set() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let program = Program::before(&emulator, "");
        let admin = format!("127.0.0.1:{}", free_port());
        let prometheus = Prometheus::start(&[&admin]);
        Self {
            emulator,
            program,
            admin,
            prometheus,
        }
    }

    fn serve(&self, env: &[(&str, &str)]) -> Running {
        let mut command = self.program.command(&["serve"]);
        command.env("FACEPLATE_ADMIN__LISTEN", &self.admin);
        command.envs(env.iter().copied());
        let mut running = Running::start(command);
        running.wait_for("serving faces");
        running
    }

    /// Replaces a part of the configuration, and waits until the server has read it.
    async fn edit(&self, server: &mut Running, from: &str, to: &str) {
        let text = fs::read_to_string(self.program.config()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        let before = server.output.lock().unwrap().len();
        fs::write(self.program.config(), text.replace(from, to)).unwrap();
        let is_read = async || {
            let output = server.output.lock().unwrap();
            let new = &output[before..];
            new.contains("read again") || new.contains("the old one stays in use")
        };
        until(is_read, LIMIT).await;
    }

    fn inject(&self, fault: Fault) {
        self.emulator.control().inject(Rule::api(fault)).unwrap();
    }
}

async fn face(server: &Running, number: u32) {
    let path = format!("/avatar/waha/6281000{number:05}@c.us");
    let answer = Answer::to(&server.address("listen"), "GET", &path, &[]).await;
    assert_eq!(answer.status, 200);
}

fn status(status: u16) -> Fault {
    Fault::Status {
        status,
        retry_after: None,
    }
}

async fn lift_pause(server: &Running) {
    let path = "/v1/instances/waha/pause";
    Answer::to(&server.address("admin"), "DELETE", path, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_about_an_account_fires_in_its_condition_and_is_resolved_at_its_end() {
    let scene = Scene::set().await;
    let mut server = scene.serve(&[]);
    let prometheus = &scene.prometheus;
    // Each face is new, because the answer about an old one is remembered.
    let mut numbers = 1000..;
    let mut next = || numbers.next().unwrap();
    // The account works, and everything has been scraped once.
    face(&server, next()).await;
    prometheus.wait_for_end("FaceplateDown").await;
    for (fault, alert) in [
        (status(401), "FaceplateCredentialRefused"),
        (
            Fault::SessionDown {
                status: "STOPPED".into(),
            },
            "FaceplateSessionDown",
        ),
        (status(429), "FaceplateRateLimited"),
    ] {
        scene.inject(fault);
        face(&server, next()).await;
        prometheus.wait_for(alert).await;
        // A pause is no small budget, although faces may wait for its end.
        let firing = prometheus.firing().await;
        assert!(!firing.contains("FaceplateBudgetTooSmall"), "{firing:?}");
        scene.emulator.control().clear_faults();
        lift_pause(&server).await;
        face(&server, next()).await;
        prometheus.wait_for_end(alert).await;
    }
    scene.inject(status(502));
    let failures = ["FaceplateVendorFails", "FaceplateManyFallbacks"];
    for alert in failures {
        let ask = async || face(&server, next()).await;
        prometheus.wait_during(ask, alert).await;
    }
    scene.emulator.control().clear_faults();
    for alert in failures {
        prometheus.wait_for_end(alert).await;
    }

    let location = Some("http://169.254.169.254/latest".to_owned());
    let redirect = Rule::cdn(Fault::Redirect { location });
    scene.emulator.control().inject(redirect).unwrap();
    let picture = "/avatar/waha/628100000003@c.us?d=404";
    Answer::to(&server.address("listen"), "GET", picture, &[]).await;
    prometheus.wait_for("FaceplateBlockedOutbound").await;
    scene.emulator.control().clear_faults();
    prometheus.wait_for_end("FaceplateBlockedOutbound").await;

    let (large, small) = (
        "{ per_minute = 60000, burst = 10000 }",
        "{ per_minute = 1, burst = 1 }",
    );
    scene.edit(&mut server, large, small).await;
    for _ in 0..4 {
        face(&server, next()).await;
    }
    prometheus.wait_for("FaceplateBudgetTooSmall").await;
    scene.edit(&mut server, small, large).await;
    prometheus.wait_for_end("FaceplateBudgetTooSmall").await;

    let account = "account = \"shop\"";
    scene
        .edit(&mut server, account, &format!("daily = 1\n{account}"))
        .await;
    for _ in 0..2 {
        face(&server, next()).await;
    }
    prometheus.wait_for("FaceplateDailyCallsUsedUp").await;
    scene.edit(&mut server, "daily = 1\n", "").await;
    prometheus.wait_for_end("FaceplateDailyCallsUsedUp").await;
}

/// Writes a certificate that ends in so many days, and its key.
pub(crate) fn write_certificate(folder: &Path, days: i64) {
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=faces.test -days {days} -keyout key.pem -out certificate.pem"
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_about_the_program_fires_in_its_condition_and_is_resolved_at_its_end() {
    let scene = Scene::set().await;
    let prometheus = &scene.prometheus;
    prometheus.wait_for("FaceplateDown").await;
    let folder = scene.program.folder.path();
    write_certificate(folder, 3);
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let tls = [
        (
            "FACEPLATE_SERVER__CERTIFICATE",
            certificate.to_str().unwrap(),
        ),
        ("FACEPLATE_SERVER__KEY", key.to_str().unwrap()),
    ];
    let mut server = scene.serve(&tls);
    prometheus.wait_for_end("FaceplateDown").await;
    prometheus.wait_for("FaceplateCertificateEnds").await;
    write_certificate(folder, 90);
    prometheus.wait_for_end("FaceplateCertificateEnds").await;

    scene
        .edit(&mut server, "mode = \"open\"", "mode = \"opne\"")
        .await;
    prometheus.wait_for("FaceplateReloadFailed").await;
    scene
        .edit(&mut server, "mode = \"opne\"", "mode = \"open\"")
        .await;
    prometheus.wait_for_end("FaceplateReloadFailed").await;
    drop(server);

    // No disk has so much free space.
    let server = scene.serve(&[("FACEPLATE_CACHE__MIN_FREE", "9999TiB")]);
    prometheus.wait_for("FaceplateDiskFails").await;
    drop(server);
    let mut server = scene.serve(&[]);
    prometheus.wait_for_end("FaceplateDiskFails").await;
    for _ in 0..20 {
        if prometheus.firing().await.contains("FaceplateRestarts") {
            break;
        }
        drop(server);
        server = scene.serve(&[]);
        // The time of the start has whole seconds, and is scraped once a second.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    prometheus.wait_for("FaceplateRestarts").await;
    prometheus.wait_for_end("FaceplateRestarts").await;
    drop(server);
}

/// Sends an event of this kind to the webhook at `address`.
async fn send_event(address: &str, kind: &str) {
    let path = "/v1/hooks/waha/a%20hook%20secret%20for%20tests";
    let headers = [("content-type", "application/json")];
    let payload = json!({ "from": "628100002000@c.us" });
    let event = json!({ "event": kind, "session": "shop", "payload": payload }).to_string();
    let answer = Answer::send(address, "POST", path, &headers, event.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_entries_and_unknown_events_fire_an_alert_until_there_are_no_more_of_them() {
    let scene = Scene::set().await;
    let prometheus = &scene.prometheus;
    let hooks = format!("127.0.0.1:{}", free_port());
    let server = scene.serve(&[
        // No picture fits, so each request reads the disk.
        ("FACEPLATE_CACHE__MEMORY", "1b"),
        ("FACEPLATE_HOOKS__LISTEN", &hooks),
        ("FACEPLATE_INSTANCES__WAHA__HOOK__SECRET", "env:HOOK_SECRET"),
        ("HOOK_SECRET", "a hook secret for tests"),
    ]);
    let content = scene.program.folder.path().join("cache/content-v2");
    let mut numbers = 2000..;
    let damage = async || {
        let number = numbers.next().unwrap();
        face(&server, number).await;
        for file in files_below(&content) {
            fs::write(file, "not a picture").unwrap();
        }
        face(&server, number).await;
    };
    let alert = "FaceplateCacheDamaged";
    prometheus.wait_during(damage, alert).await;
    prometheus.wait_for_end(alert).await;

    let alert = "FaceplateEventsUnknown";
    let send_unknown = async || send_event(&hooks, "session.status").await;
    prometheus.wait_during(send_unknown, alert).await;
    // The gateway goes on with events of other kinds, and sends one of the description's, too.
    let is_resolved = async || {
        send_event(&hooks, "session.status").await;
        send_event(&hooks, "message").await;
        !prometheus.firing().await.contains(alert)
    };
    until(is_resolved, LIMIT).await;
}

#[test]
fn each_alert_is_made_to_fire_by_one_of_these_tests() {
    let tests = [include_str!("alerts.rs"), include_str!("alerts/fleet.rs")].concat();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/alerts.yml");
    let rules = fs::read_to_string(rules).unwrap();
    let lines = rules.lines();
    let alerts = lines.filter_map(|line| line.trim_start().strip_prefix("- alert: "));
    let is_missing = |alert: &&str| !tests.contains(&format!("\"{alert}\""));
    let missing: Vec<_> = alerts.filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
