//! Warm-up runs, which fetch many faces ahead.

use std::{fs, process::Stdio, time::Duration};

use crate::support::{
    Answer, LIMIT,
    private::lines_with,
    program::{Program, Running, errors, on_a_terminal},
    rig::{Rig, Settings},
    until,
};
use faceplate::emulator::{Emulator, Endpoint, Fault, Options, Rule};
use serde_json::{Value, json};

const FACES: [&str; 5] = [
    "628100000001",
    "628100000002",
    "628100000003",
    "628100000004",
    "628100000005",
];

async fn post(rig: &Rig, query: &str, list: &str) -> Answer {
    let path = format!("/v1/warm?{query}");
    Answer::send(&rig.admin(), "POST", &path, &[], list.as_bytes()).await
}

async fn begin(rig: &Rig, query: &str, list: &str) {
    let answer = post(rig, query, list).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// The run of an instance.
async fn run(rig: &Rig, instance: &str) -> Value {
    let answer = Answer::to(&rig.admin(), "GET", "/v1/warm", &[]).await;
    let runs: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut runs = runs.as_array().unwrap().iter();
    let run = runs.find(|run| run["instance"] == instance);
    run.cloned().unwrap_or(Value::Null)
}

/// The run of an instance once it is in one of these states.
async fn run_in(rig: &Rig, instance: &str, states: &[&str]) -> Value {
    run_when(rig, instance, |run| {
        states.iter().any(|state| run["state"] == *state)
    })
    .await
}

async fn run_when(rig: &Rig, instance: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..4000 {
        let run = run(rig, instance).await;
        if is_it(&run) {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to that: {}", run(rig, instance).await);
}

/// The run of an instance once it waits and `done` faces are finished.
async fn waiting_with(rig: &Rig, instance: &str, done: u64) -> Value {
    run_when(rig, instance, |run| {
        run["state"] == "waiting" && run["done"] == done
    })
    .await
}

async fn wait_for_end(rig: &Rig, instance: &str) -> Value {
    run_in(rig, instance, &["done", "stopped"]).await
}

fn calls_of(rig: &Rig, endpoint: Endpoint) -> usize {
    let calls = rig.calls();
    let of = |call: &&faceplate::emulator::Call| call.endpoint == endpoint;
    calls.list.iter().filter(of).count()
}

#[tokio::test]
async fn after_a_warm_up_run_over_a_list_every_face_is_a_hit() {
    let rig = Rig::start().await;
    begin(&rig, "instance=waha", &FACES.join("\n")).await;
    let run = wait_for_end(&rig, "waha").await;
    assert_eq!(run["state"], "done");
    assert_eq!((&run["total"], &run["done"]), (&json!(5), &json!(5)));
    assert_eq!(run["outcomes"], json!({ "picture": 5 }));
    assert_eq!(rig.traffic(), (5, 5));
    for face in FACES {
        let answer = rig.face("waha", face).await;
        answer.assert_picture(&rig.bytes(face));
        assert!(answer.cache_status().contains("; hit"));
    }
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_warm_up_run_skips_fresh_entries() {
    let rig = Rig::start().await;
    rig.face("waha", FACES[0]).await;
    // "No picture" is stored for six hours.
    rig.face("waha", "628100000102").await;
    rig.traffic();
    let list = format!("{}\n628100000102\n", FACES.join("\n"));
    begin(&rig, "instance=waha", &list).await;
    let run = wait_for_end(&rig, "waha").await;
    assert_eq!(run["outcomes"], json!({ "known": 2, "picture": 4 }));
    assert_eq!(rig.traffic(), (4, 4));
}

#[tokio::test]
async fn a_warm_up_run_takes_the_faces_from_the_list_of_chats() {
    for vendor in ["waha", "wappfy"] {
        let rig = Rig::start().await;
        begin(&rig, &format!("instance={vendor}&chats=true&top=24"), "").await;
        let run = wait_for_end(&rig, vendor).await;
        assert_eq!(run["outcomes"], json!({ "picture": 24 }), "{vendor}");
        // The calls are for pages of ten at most, none for a single face.
        assert_eq!(calls_of(&rig, Endpoint::Overview), 3);
        assert_eq!(rig.traffic(), (3, 24));
        let answer = rig.face(vendor, FACES[0]).await;
        assert!(answer.cache_status().contains("; hit"));
        // On the next day, the same links confirm the same pictures.
        rig.hours(25);
        begin(&rig, &format!("instance={vendor}&chats=true&top=24"), "").await;
        wait_for_end(&rig, vendor).await;
        assert_eq!(rig.traffic(), (3, 0));
    }
}

#[tokio::test]
async fn a_page_of_the_list_of_chats_spends_a_lookup_for_each_row() {
    let settings = Settings::default().instance("daily = 15");
    let rig = settings.start().await;
    begin(&rig, "instance=waha&chats=true&top=24", "").await;
    // The budget covers five of the second page's ten rows; the rest is for tomorrow.
    let run = waiting_with(&rig, "waha", 10).await;
    assert_eq!(run["why"], "over_budget");
    assert_eq!(calls_of(&rig, Endpoint::Overview), 1);
}

#[tokio::test]
async fn a_warm_up_run_over_a_list_of_chats_without_pictures_makes_a_call_for_each() {
    let rig = Rig::start().await;
    begin(&rig, "instance=wawp&chats=true&top=5", "").await;
    let run = wait_for_end(&rig, "wawp").await;
    assert_eq!(run["outcomes"], json!({ "picture": 5 }));
    assert_eq!(calls_of(&rig, Endpoint::Overview), 1);
    assert_eq!(rig.traffic(), (6, 5));
}

#[tokio::test]
async fn a_warm_up_run_ends_with_the_list_of_chats() {
    let rig = Rig::start().await;
    begin(&rig, "instance=waha&chats=true&top=500", "").await;
    let run = wait_for_end(&rig, "waha").await;
    assert_eq!(run["state"], "done");
    assert_eq!((&run["total"], &run["done"]), (&json!(34), &json!(34)));
}

#[tokio::test]
async fn a_warm_up_run_spends_only_the_background_share_of_the_budget() {
    let settings = Settings::default().instance("lookups = { per_minute = 6, burst = 4 }");
    let rig = settings.start().await;
    begin(&rig, "instance=waha", &FACES.join("\n")).await;
    let waiting = waiting_with(&rig, "waha", 2).await;
    assert_eq!(waiting["why"], "over_budget");
    assert_eq!(rig.traffic().0, 2);
    // A request meanwhile does not wait.
    rig.face("waha", "628100000010")
        .await
        .assert_picture(&rig.bytes("628100000010"));
    rig.traffic();
    // The background priority gets three calls a minute.
    let mut calls = Vec::new();
    let has_ended = async || {
        rig.seconds(20);
        tokio::time::sleep(Duration::from_millis(50)).await;
        calls.push(rig.traffic().0);
        !run(&rig, "waha").await["ended"].is_null()
    };
    until(has_ended, LIMIT).await;
    assert_eq!(calls.iter().sum::<usize>(), 3, "{calls:?}");
    assert!(calls.iter().all(|calls| *calls <= 1), "{calls:?}");
    let run = run(&rig, "waha").await;
    assert_eq!(run["outcomes"], json!({ "picture": 5 }));
}

#[tokio::test]
async fn a_rate_limit_pauses_a_warm_up_run() {
    let rig = Rig::start().await;
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(120),
    };
    rig.inject(Rule::api(limited).times(1));
    begin(&rig, "instance=waha", FACES[0]).await;
    let waiting = run_in(&rig, "waha", &["waiting"]).await;
    assert_eq!(waiting["why"], "rate_limited");
    assert_eq!(rig.traffic(), (1, 0));
    rig.seconds(121);
    let run = wait_for_end(&rig, "waha").await;
    assert_eq!(run["outcomes"], json!({ "picture": 1 }));
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn a_pause_of_days_that_a_list_of_chats_asks_for_is_capped_and_the_log_says_so() {
    // All tests write to one log, and no other one asks for this number.
    let capped = || lines_with("retry_after_seconds=880123 capped_seconds=21600");
    let rig = Rig::start().await;
    assert_eq!(capped(), 0);
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(880_123),
    };
    rig.inject(Rule::api(limited).times(1));
    begin(&rig, "instance=waha&chats=true", "").await;
    let waiting = run_in(&rig, "waha", &["waiting"]).await;
    assert_eq!((capped(), &waiting["why"]), (1, &json!("rate_limited")));
    assert_eq!(rig.traffic(), (1, 0));
}

#[tokio::test]
async fn a_refused_credential_ends_a_warm_up_run() {
    for query in ["instance=waha", "instance=waha&chats=true"] {
        let rig = Rig::start().await;
        rig.inject(Rule::api(Fault::Status {
            status: 401,
            retry_after: None,
        }));
        let list = if query.contains("chats") {
            ""
        } else {
            FACES[0]
        };
        begin(&rig, query, list).await;
        let run = wait_for_end(&rig, "waha").await;
        assert_eq!(run["state"], "stopped");
        assert!(
            run["why"]
                .as_str()
                .unwrap()
                .contains("check this instance's token")
        );
    }
}

#[tokio::test]
async fn a_list_of_chats_that_the_vendor_does_not_return_is_tried_three_times() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::NotJson));
    begin(&rig, "instance=waha&chats=true", "").await;
    for _ in 0..3 {
        run_in(&rig, "waha", &["waiting", "stopped"]).await;
        rig.seconds(30);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let run = wait_for_end(&rig, "waha").await;
    assert!(
        run["why"]
            .as_str()
            .unwrap()
            .contains("did not return its list"),
        "{run}"
    );
    assert_eq!(rig.traffic().0, 3);
}

#[tokio::test]
async fn a_warm_up_run_continues_after_a_restart_and_repeats_no_call() {
    let settings = Settings::default().instance("lookups = { per_minute = 6, burst = 4 }");
    let mut rig = settings.start().await;
    begin(&rig, "instance=waha", &FACES.join("\n")).await;
    waiting_with(&rig, "waha", 2).await;
    rig.restart().await;
    let has_ended = async || {
        rig.seconds(20);
        tokio::time::sleep(Duration::from_millis(20)).await;
        !run(&rig, "waha").await["ended"].is_null()
    };
    until(has_ended, LIMIT).await;
    let run = run(&rig, "waha").await;
    assert_eq!(run["outcomes"], json!({ "known": 2, "picture": 3 }));
    assert_eq!(rig.traffic().0, 5);
    // Finished work is not repeated.
    rig.restart().await;
    assert_eq!(self::run(&rig, "waha").await, Value::Null);
}

#[tokio::test]
async fn a_canceled_warm_up_run_does_not_resume_after_a_restart() {
    let settings = Settings::default().instance("lookups = { per_minute = 6, burst = 2 }");
    let mut rig = settings.start().await;
    begin(&rig, "instance=waha", &FACES.join("\n")).await;
    run_in(&rig, "waha", &["waiting"]).await;
    let path = "/v1/warm?instance=waha";
    let admin = rig.admin();
    assert_eq!(Answer::to(&admin, "DELETE", path, &[]).await.status, 204);
    assert_eq!(Answer::to(&admin, "DELETE", path, &[]).await.status, 404);
    rig.restart().await;
    assert_eq!(run(&rig, "waha").await, Value::Null);
}

#[tokio::test]
async fn an_instance_has_one_warm_up_run_at_a_time() {
    let settings = Settings::default().instance("lookups = { per_minute = 6, burst = 2 }");
    let rig = settings.start().await;
    begin(&rig, "instance=waha", &FACES.join("\n")).await;
    let second = post(&rig, "instance=waha", FACES[0]).await;
    assert_eq!(second.status, 409);
    assert!(second.text().contains("GET /v1/warm"));
    begin(&rig, "instance=wappfy", FACES[0]).await;
}

#[tokio::test]
async fn an_invalid_warm_up_request_is_refused_without_quoting_phone_numbers() {
    let rig = Rig::start().await;
    for (query, list, status, says) in [
        ("instance=nobody", FACES[0], 404, "no instance"),
        ("", FACES[0], 400, "instance=NAME"),
        ("instance=waha", "", 400, "a JID a line"),
        ("instance=waha&top=3", FACES[0], 400, "chats=true"),
        ("instance=waha&chats=true&top=0", "", 400, "top=50"),
        (
            "instance=waha",
            "628100000001\n0628100000002\n",
            400,
            "line 2",
        ),
    ] {
        let answer = post(&rig, query, list).await;
        assert_eq!(answer.status, status, "{query}");
        assert!(answer.text().contains(says), "{}", answer.text());
        assert!(!answer.text().contains("6281"));
    }
    let put = Answer::to(&rig.admin(), "PUT", "/v1/warm", &[]).await;
    assert_eq!(put.status, 405);
    // A vendor without a list of chats.
    begin(&rig, "instance=hypersender&chats=true", "").await;
    let run = wait_for_end(&rig, "hypersender").await;
    assert!(run["why"].as_str().unwrap().contains("no list of chats"));
    assert_eq!(rig.traffic(), (0, 0));
    // A vendor with only the account's own picture.
    begin(&rig, "instance=wachat", "628100000001\nme\n").await;
    let run = wait_for_end(&rig, "wachat").await;
    assert_eq!(run["outcomes"], json!({ "picture": 1, "unsupported": 1 }));
}

#[tokio::test]
async fn a_scheduled_warm_up_runs_once_a_day_at_its_time() {
    // It is 18:40 UTC when the rig starts.
    let settings = Settings::default().only("waha", "warm = { at = \"03:00\", top = 7 }");
    let rig = settings.start().await;
    rig.hours(8);
    assert_eq!(run(&rig, "waha").await, Value::Null);
    rig.seconds(20 * 60);
    let first = wait_for_end(&rig, "waha").await;
    assert_eq!(first["outcomes"], json!({ "picture": 7 }));
    rig.hours(23);
    assert_eq!(run(&rig, "waha").await["started"], first["started"]);
    rig.hours(1);
    let is_another = async || run(&rig, "waha").await["started"] != first["started"];
    until(is_another, LIMIT).await;
    let second = wait_for_end(&rig, "waha").await;
    assert_ne!(second["started"], first["started"]);
}

struct Scene {
    emulator: Emulator,
    program: Program,
}

impl Scene {
    async fn set() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let program = Program::before(&emulator, "");
        // Commands make no cache directory.
        fs::create_dir(program.folder.path().join("cache")).unwrap();
        fs::write(program.folder.path().join("faces"), FACES.join("\n")).unwrap();
        Self { emulator, program }
    }

    /// The output of `faceplate warm`.
    fn warm(&self, server: Option<&Running>, args: &[&str]) -> Value {
        let list = self.program.folder.path().join("faces");
        let args = args.iter().map(|arg| match *arg {
            "FILE" => list.to_str().unwrap(),
            arg => arg,
        });
        let args: Vec<_> = ["warm", "waha", "--json"].into_iter().chain(args).collect();
        let mut command = self.program.command(&args);
        if let Some(server) = server {
            command.env("FACEPLATE_ADMIN__LISTEN", server.address("admin"));
        }
        let standard_input = fs::File::open(&list).unwrap();
        let output = command.stdin(Stdio::from(standard_input)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", errors(&output)))
    }

    fn calls(&self) -> usize {
        self.emulator.control().calls().api
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warm_command_works_without_a_server_and_skips_fresh_faces_the_second_time() {
    let scene = Scene::set().await;
    for (args, expected) in [
        (["FILE"].as_slice(), json!({ "picture": 5 })),
        (&["-"], json!({ "known": 5 })),
        (
            &["--chats", "--top", "7"],
            json!({ "known": 5, "picture": 2 }),
        ),
    ] {
        let run = scene.warm(None, args);
        assert_eq!(
            (&run["state"], &run["outcomes"]),
            (&json!("done"), &expected)
        );
    }
    assert_eq!(scene.calls(), 5 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warm_command_uses_a_running_server() {
    let scene = Scene::set().await;
    let server = scene.program.serve();
    let run = scene.warm(Some(&server), &["FILE"]);
    assert_eq!(run["outcomes"], json!({ "picture": 5 }));
    let path = format!("/avatar/waha/{}", FACES[0]);
    let answer = Answer::to(&server.address("listen"), "GET", &path, &[]).await;
    assert!(answer.cache_status().contains("; hit"));
    assert_eq!(scene.calls(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_warm_command_says_how_to_stop_the_run_that_goes_on_in_the_server() {
    let scene = Scene::set().await;
    let hang = Rule::api(Fault::Hang);
    scene.emulator.control().inject(hang).unwrap();
    let server = scene.program.serve();
    let command = |args: &[&str]| {
        let mut command = scene.program.command(args);
        command.env("FACEPLATE_ADMIN__LISTEN", server.address("admin"));
        command
    };
    let list = scene.program.folder.path().join("faces");
    let warm = Running::start(command(&["warm", "waha", list.to_str().unwrap()]));
    until(async || scene.calls() > 0, LIMIT).await;
    warm.signal("INT");
    let (code, said) = warm.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("faceplate warm waha --stop"), "{said}");

    let output = command(&["warm", "waha", "--stop"]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let runs = Answer::to(&server.address("admin"), "GET", "/v1/warm", &[]).await;
    assert_eq!(runs.text(), "[]");
    let output = command(&["warm", "waha", "--stop"]).output().unwrap();
    assert!(!output.status.success());
    let said = errors(&output);
    assert!(said.contains("no warm-up of waha is running"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warm_command_shows_a_progress_bar_on_a_terminal() {
    let scene = Scene::set().await;
    let inject = |fault, jid| {
        let rule = Rule::api(fault).jid(jid);
        scene.emulator.control().inject(rule).unwrap();
    };
    // Slow enough for a bar to appear.
    inject(Fault::Latency { ms: 300 }, "628100000006");
    inject(Fault::Hang, FACES[4]);
    let folder = scene.program.folder.path();
    let (one, list, screen) = (
        folder.join("one"),
        folder.join("faces"),
        folder.join("screen"),
    );
    fs::write(&one, "628100000006").unwrap();
    // Without a terminal there is no bar.
    let output = scene.program.run(&["warm", "waha", one.to_str().unwrap()]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(!errors(&output).contains("eta"), "{}", errors(&output));

    let command = scene
        .program
        .command(&["warm", "waha", list.to_str().unwrap()]);
    let mut child = on_a_terminal(&command, &screen);
    let shown = || fs::read_to_string(&screen).unwrap_or_default();
    let shows = async |part: &str| shown().contains(part);
    for part in ["/s eta ", "################---- 4/5", "4 picture"] {
        until(async || shows(part).await, LIMIT).await;
    }
    // The last call ends with the vendor.
    drop(scene.emulator);
    assert!(child.wait().unwrap().success(), "{}", shown());
    assert!(shown().contains("5 of 5 faces"), "{}", shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_up_schedule_that_can_never_run_is_reported() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    for (provider, schedule, says) in [
        ("waha", "{ top = 7 }", "at: is missing"),
        ("waha", "{ at = \"3am\" }", "a time of day in UTC"),
        ("hypersender", "{ at = \"03:00\" }", "no list of chats"),
    ] {
        let program = Program::before(&emulator, "");
        let config = fs::read_to_string(program.config()).unwrap();
        let config = config.replace("provider = \"waha\"", &format!("provider = \"{provider}\""));
        fs::write(program.config(), format!("{config}\nwarm = {schedule}\n")).unwrap();
        let output = program.run(&["check"]);
        assert!(errors(&output).contains(says), "{}", errors(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warm_command_explains_unsupported_requests() {
    let scene = Scene::set().await;
    let list = scene.program.folder.path().join("wrong");
    fs::write(&list, "628100000001\nBob\n").unwrap();
    for (args, says) in [
        (vec!["warm", "waha"], "<FILE|--chats|--stop>"),
        (vec!["warm", "waha", "--stop"], "does not answer"),
        (vec!["warm", "nobody", "--chats"], "no instance"),
        (
            vec!["warm", "waha", "missing.txt"],
            "cannot read missing.txt",
        ),
        (vec!["warm", "waha", list.to_str().unwrap()], "line 2"),
    ] {
        let output = scene.program.run(&args);
        assert!(!output.status.success());
        assert!(errors(&output).contains(says), "{}", errors(&output));
    }
}

#[tokio::test]
async fn a_list_of_more_than_four_mebibytes_is_refused() {
    let rig = Settings::default().start().await;
    let path = "/v1/warm?instance=waha";
    for (length, status) in [(4 << 20, 400), ((4 << 20) + 1, 413)] {
        let body = vec![b'a'; length];
        let answer = Answer::send(&rig.admin(), "POST", path, &[], &body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}
