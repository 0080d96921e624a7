//! Turning a knob changes what happens: the times that answers are believed, and the limits of a
//! fetch.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::support::{
    Answer, LIMIT, Rig,
    program::{Program, Running, errors},
    rig::Settings,
    until,
};
use faceplate::emulator::{Emulator, Fault, Options, Picture, Rule};
use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http2};

const FACE: &str = "628100000001";

fn status(status: u16) -> Rule {
    Rule::api(Fault::Status {
        status,
        retry_after: None,
    })
}

/// After `seconds` the vendor is asked again, and a second before it is not.
async fn assert_asked_again_after(rig: &Rig, vendor: &str, seconds: u64) {
    rig.face(vendor, FACE).await;
    rig.traffic();
    rig.seconds(seconds - 1);
    rig.face(vendor, FACE).await;
    assert_eq!(rig.traffic().0, 0, "asked too early");
    rig.seconds(1);
    rig.face(vendor, FACE).await;
    assert_eq!(rig.traffic().0, 1, "not asked in time");
}

#[tokio::test]
async fn each_kind_of_answer_is_believed_as_long_as_its_knob_says() {
    for (knob, rule) in [
        ("empty", Rule::api(Fault::Empty { remembered: false })),
        ("not_found", status(404)),
        ("session_down", status(422)),
        ("auth", status(401)),
        ("rate_limited", status(429)),
    ] {
        let rig = Settings::default()
            .section("cache.negative", &format!("{knob} = \"100s\""))
            .start()
            .await;
        rig.inject(rule);
        assert_asked_again_after(&rig, "waha", 100).await;
    }
}

#[tokio::test]
async fn errors_wait_from_their_first_to_their_longest() {
    let rig = Settings::default()
        .section(
            "cache.negative",
            "error_first = \"100s\"\nerror_longest = \"150s\"",
        )
        .start()
        .await;
    rig.inject(status(502));
    // Less up to a tenth, so that faces that failed together do not come back together.
    for (early, late) in [(89, 101), (134, 151), (134, 151)] {
        rig.face("waha", FACE).await;
        rig.traffic();
        rig.seconds(early);
        rig.face("waha", FACE).await;
        assert_eq!(rig.traffic().0, 0, "asked within {early} s");
        rig.seconds(late - early);
    }
}

#[tokio::test]
async fn rate_limits_wait_no_longer_than_their_longest() {
    let rig = Settings::default()
        .section(
            "cache.negative",
            "rate_limited = \"100s\"\nrate_limited_longest = \"150s\"",
        )
        .start()
        .await;
    rig.inject(status(429));
    for seconds in ["100", "150", "150"] {
        let limited = rig.face("waha", FACE).await;
        assert_eq!(limited.header("retry-after"), seconds);
        rig.seconds(seconds.parse().unwrap());
    }
}

#[tokio::test]
async fn a_picture_is_fresh_for_its_ttl_and_shown_for_its_grace() {
    let rig = Settings::default()
        .section("cache", "ttl = \"100s\"\nstale_while_revalidate = \"50s\"")
        .start()
        .await;
    let fresh = rig.face("waha", FACE).await;
    assert_eq!(fresh.header("cache-control"), "public, max-age=100");
    rig.seconds(99);
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("; hit; ttl=1")
    );
    rig.inject(Rule::api(Fault::Latency { ms: 50 }));
    rig.seconds(2);
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("revalidating")
    );
    let mut rig = rig;
    rig.restart().await;
    rig.seconds(151);
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("fwd=stale")
    );
}

#[tokio::test]
async fn fewer_confirmations_drop_a_picture_sooner() {
    for confirmations in [1, 2] {
        let rig = Settings::default()
            .section(
                "cache",
                &format!("on_hidden = \"drop\"\nconfirmations = {confirmations}"),
            )
            .start()
            .await;
        rig.face("waha", FACE).await;
        rig.vendors().set_picture(FACE, Picture::Hidden).unwrap();
        for looked in 1..=confirmations {
            rig.hours(24);
            let answer = rig.get(&format!("/avatar/waha/{FACE}?refresh=true")).await;
            let source = if looked < confirmations {
                "picture"
            } else {
                "fallback"
            };
            assert_eq!(answer.source(), source, "{looked} of {confirmations}");
        }
    }
}

#[tokio::test]
async fn a_picture_may_be_as_large_as_its_limit() {
    for (limit, source) in [("1MiB", "picture"), ("1KiB", "fallback")] {
        let rig = Settings::default()
            .section("upstream", &format!("max_picture = \"{limit}\""))
            .start()
            .await;
        assert_eq!(rig.face("waha", FACE).await.source(), source);
    }
}

#[tokio::test]
async fn downloads_wait_for_each_other_beyond_their_limit() {
    for (downloads, reason) in [(1, "deferred"), (2, "")] {
        let rig = Settings::default()
            .section("upstream", &format!("downloads = {downloads}"))
            .section("cache", "first_paint = \"300ms\"")
            .start()
            .await;
        rig.bytes("628100000002");
        rig.inject(Rule::cdn(Fault::Hang).jid(FACE));
        rig.face("waha", FACE).await.assert_fallback("deferred");
        let second = rig.face("waha", "628100000002").await;
        assert_eq!(second.reason(), reason, "{downloads}");
    }
}

#[tokio::test]
async fn memory_is_as_large_as_its_knob() {
    // Without its file, a face is only there if memory has it.
    for (memory, calls) in [("64MiB", 0), ("1b", 1)] {
        let rig = Settings::default()
            .section("cache", &format!("memory = \"{memory}\""))
            .start()
            .await;
        rig.face("waha", FACE).await;
        std::fs::remove_dir_all(rig.cache.path().join("index-v5")).unwrap();
        rig.traffic();
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        assert_eq!(rig.traffic().0, calls, "{memory}");
    }
}

#[tokio::test]
async fn a_download_is_given_up_on_after_its_time() {
    for (timeout, reason) in [("100ms", "vendor_error"), ("10s", "deferred")] {
        let rig = Settings::default()
            .section("upstream", &format!("download_timeout = \"{timeout}\""))
            .section("cache", "first_paint = \"600ms\"")
            .start()
            .await;
        rig.inject(Rule::cdn(Fault::Hang));
        rig.face("waha", FACE).await.assert_fallback(reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_cut_off_when_their_time_to_end_is_over() {
    for (drain, is_answered) in [("100ms", false), ("10s", true)] {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let slow = Rule::api(Fault::Latency { ms: 700 });
        emulator.control().inject(slow).unwrap();
        let program = Program::before(&emulator, "");
        let mut command = program.command(&["serve"]);
        command.env("FACEPLATE_SERVER__DRAIN_TIMEOUT", drain);
        let mut running = Running::start(command);
        running.wait_for("serving faces");
        let address = running.address("listen");
        let asked = tokio::spawn(async move {
            let path = format!("/avatar/waha/{FACE}");
            Answer::attempt(&address, "GET", &path, &[]).await.is_ok()
        });
        until(async || emulator.control().calls().api > 0, LIMIT).await;
        running.signal("TERM");
        assert_eq!(asked.await.unwrap(), is_answered, "{drain}");
        assert_eq!(running.end().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_connection_has_as_many_streams_as_its_knob_says() {
    for streams in [1, 3] {
        let server = format!("listen = \"127.0.0.1:0\"\nmax_streams = {streams}");
        let rig = Settings::default().section("server", &server).start().await;
        rig.inject(Rule::api(Fault::Latency { ms: 500 }));
        let stream = tokio::net::TcpStream::connect(rig.address()).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let mut asked = tokio::task::JoinSet::new();
        // The first answer brings the server's settings along.
        let probe = Request::get("http://faces.test/openapi.json");
        let probe = probe.body(Empty::<Bytes>::new()).unwrap();
        sender.send_request(probe).await.unwrap();
        for number in 1..=3 {
            let mut sender = sender.clone();
            asked.spawn(async move {
                let uri = format!("http://faces.test/avatar/waha/62810000000{number}");
                let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap().status()
            });
        }
        asked.join_next().await;
        // While the first was under way, the vendor was asked by as many streams as there may be.
        assert!(rig.calls().api >= streams, "{streams}");
        assert!(streams > 1 || rig.calls().api <= 2, "{}", rig.calls().api);
        asked.join_all().await;
    }
}

#[tokio::test]
async fn the_cache_is_looked_around_at_the_pace_of_its_knob() {
    for (pace, is_soon) in [(1, false), (100_000, true)] {
        let cache = format!("gc_files_per_second = {pace}");
        let mut rig = Settings::default().section("cache", &cache).start().await;
        for number in 0..30 {
            rig.face("waha", &format!("62855500{number:03}")).await;
        }
        rig.restart().await;
        let is_counted = async |rig: &Rig| {
            let cache = Answer::to(&rig.admin(), "GET", "/v1/cache", &[]).await;
            cache.text().contains("\"counted\":true")
        };
        if is_soon {
            until(async || is_counted(&rig).await, LIMIT).await;
        } else {
            assert!(!is_counted(&rig).await, "30 files within a moment");
        }
    }
}

/// How many of sixty faces in a row come up empty before that is read as a rate limit, for an
/// instance of which so many of forty faces have none in truth.
async fn empties_believed(empty_answers: &str, in_truth: usize) -> usize {
    let rig = Settings::default()
        .instance(&format!("empty_answers = {{ {empty_answers} }}"))
        .start()
        .await;
    let empty = || Rule::api(Fault::Empty { remembered: false });
    rig.inject(empty());
    for n in 0..40 {
        if n == in_truth {
            rig.vendors().clear_faults();
        }
        rig.face("waha", &format!("62855500{n:03}")).await;
    }
    rig.inject(empty());
    rig.traffic();
    for n in 100..160 {
        rig.face("waha", &format!("62855500{n:03}")).await;
    }
    rig.traffic().0
}

#[tokio::test]
async fn the_share_of_empty_answers_is_judged_as_its_knobs_say() {
    let usual = empties_believed("lost = 3", 0).await;
    assert!(empties_believed("window = 10", 0).await < usual);
    assert!(empties_believed("empty_percent = 50", 0).await < usual);
    // Half of them are empty anyway.
    assert!(empties_believed("usual_percent = 60", 20).await < 60);
    assert_eq!(empties_believed("usual_percent = 40", 20).await, 60);
}

#[tokio::test]
async fn the_own_picture_is_that_of_the_own_number_where_the_vendor_has_no_call() {
    for own in ["628100000001", "628100000002"] {
        let rig = Settings::default()
            .instance(&format!("own_jid = \"{own}@c.us\""))
            .start()
            .await;
        rig.face("hypersender", "me")
            .await
            .assert_picture(&rig.bytes(own));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_as_loud_as_its_knob() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    for (level, lines) in [
        ("info", true),
        ("warn", false),
        ("warn,faceplate::access=info", true),
    ] {
        let program = Program::before(&emulator, &format!("[log]\nlevel = \"{level}\""));
        let mut command = program.command(&["serve"]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        command.env("FACEPLATE_SERVER__LISTEN", &address);
        let running = Running::start(command);
        let path = format!("/avatar/waha/{FACE}");
        let attempt = async || Answer::attempt(&address, "GET", &path, &[]).await;
        until(async || attempt().await.is_ok(), LIMIT).await;
        running.signal("TERM");
        let (_, output) = running.end();
        assert_eq!(output.contains("route="), lines, "{level}: {output}");
    }
}

#[test]
fn an_open_listener_that_others_can_reach_has_to_be_wanted() {
    for (wanted, code) in [("false", 1), ("true", 0)] {
        let program = Program::with(&format!(
            "[server]\nlisten = \"0.0.0.0:8080\"\n[access]\nmode = \"open\"\nallow_public = {wanted}\n\
             [instances.sales]\nprovider = \"wawp\"\naccount = \"1\"\ntoken = \"env:TOKEN\""
        ));
        let output = program.run(&["check"]);
        assert_eq!(output.status.code(), Some(code), "{}", errors(&output));
    }
}

/// Every setting, and the test that turns it: `file::test`.
const TURNED: [(&str, &str); 63] = [
    ("server.listen", "cli::a_unix_socket_serves_faces_too"),
    (
        "server.certificate",
        "tls::a_browser_gets_http2_over_tls_and_many_faces_at_once",
    ),
    (
        "server.key",
        "tls::a_certificate_without_its_key_is_refused",
    ),
    (
        "server.max_streams",
        "knobs::an_http2_connection_has_as_many_streams_as_its_knob_says",
    ),
    (
        "server.max_connections",
        "hostile_clients::probes_answer_while_the_faces_listener_is_full",
    ),
    (
        "server.header_timeout",
        "hostile_clients::clients_that_never_finish_their_request_are_let_go",
    ),
    (
        "server.send_timeout",
        "hostile_clients::clients_that_never_read_their_answers_are_let_go",
    ),
    (
        "server.max_header",
        "hostile_clients::heads_that_are_too_large_are_refused",
    ),
    (
        "server.drain_timeout",
        "knobs::requests_under_way_are_cut_off_when_their_time_to_end_is_over",
    ),
    (
        "server.client_rate",
        "clients::a_client_beyond_its_rate_is_told_when_to_come_back",
    ),
    (
        "server.trusted_proxies",
        "clients::without_trusted_proxies_nobody_s_header_is_believed",
    ),
    (
        "server.forwarded",
        "clients::the_header_believed_is_the_one_that_the_proxy_writes",
    ),
    (
        "admin.listen",
        "cli::healthcheck_tells_whether_a_server_is_ready",
    ),
    (
        "admin.token",
        "forget::the_admin_token_guards_everything_but_the_probes",
    ),
    (
        "access.mode",
        "access::an_unsigned_url_is_refused_and_asks_nobody",
    ),
    (
        "access.signing_keys",
        "access::a_good_signature_by_any_of_the_keys_shows_the_face",
    ),
    (
        "access.bearer_tokens",
        "access::a_server_may_send_a_bearer_token_instead",
    ),
    (
        "access.allow_public",
        "knobs::an_open_listener_that_others_can_reach_has_to_be_wanted",
    ),
    (
        "access.allow_origin",
        "conditional::the_operator_says_which_pages_may_read_pictures",
    ),
    (
        "cache.dir",
        "cli::serve_refuses_what_cannot_work_and_says_why",
    ),
    (
        "cache.max_bytes",
        "tending::beyond_max_bytes_as_many_go_as_it_takes",
    ),
    (
        "cache.max_entries",
        "tending::beyond_max_entries_the_least_recently_used_go",
    ),
    (
        "cache.min_free",
        "tending::a_file_system_that_runs_short_is_relieved",
    ),
    (
        "cache.gc_grace",
        "tending::the_grace_is_the_operator_s_choice",
    ),
    (
        "cache.gc_files_per_second",
        "knobs::the_cache_is_looked_around_at_the_pace_of_its_knob",
    ),
    ("cache.memory", "knobs::memory_is_as_large_as_its_knob"),
    (
        "cache.ttl",
        "knobs::a_picture_is_fresh_for_its_ttl_and_shown_for_its_grace",
    ),
    (
        "cache.stale_while_revalidate",
        "knobs::a_picture_is_fresh_for_its_ttl_and_shown_for_its_grace",
    ),
    (
        "cache.first_paint",
        "budget::a_wait_shorter_than_the_deadline_is_waited_for",
    ),
    (
        "cache.on_hidden",
        "knobs::fewer_confirmations_drop_a_picture_sooner",
    ),
    (
        "cache.confirmations",
        "knobs::fewer_confirmations_drop_a_picture_sooner",
    ),
    (
        "cache.retain",
        "archive::every_distinct_picture_is_kept_with_its_dates_and_the_newest_is_served",
    ),
    (
        "cache.forget_for",
        "forget::after_its_days_the_face_may_be_asked_for_again",
    ),
    (
        "cache.negative.empty",
        "knobs::each_kind_of_answer_is_believed_as_long_as_its_knob_says",
    ),
    (
        "cache.negative.not_found",
        "knobs::each_kind_of_answer_is_believed_as_long_as_its_knob_says",
    ),
    (
        "cache.negative.session_down",
        "knobs::each_kind_of_answer_is_believed_as_long_as_its_knob_says",
    ),
    (
        "cache.negative.auth",
        "knobs::each_kind_of_answer_is_believed_as_long_as_its_knob_says",
    ),
    (
        "cache.negative.error_first",
        "knobs::errors_wait_from_their_first_to_their_longest",
    ),
    (
        "cache.negative.error_longest",
        "knobs::errors_wait_from_their_first_to_their_longest",
    ),
    (
        "cache.negative.rate_limited",
        "knobs::rate_limits_wait_no_longer_than_their_longest",
    ),
    (
        "cache.negative.rate_limited_longest",
        "knobs::rate_limits_wait_no_longer_than_their_longest",
    ),
    (
        "upstream.call_timeout",
        "providers::a_vendor_that_hangs_is_given_up_on",
    ),
    (
        "upstream.download_timeout",
        "knobs::a_download_is_given_up_on_after_its_time",
    ),
    (
        "upstream.max_picture",
        "knobs::a_picture_may_be_as_large_as_its_limit",
    ),
    (
        "upstream.downloads",
        "knobs::downloads_wait_for_each_other_beyond_their_limit",
    ),
    (
        "log.format",
        "logs::json_lines_have_every_field_and_nothing_private",
    ),
    (
        "server.public_url",
        "dropin::links_begin_with_the_public_url",
    ),
    (
        "images.memory",
        "sizes::what_was_made_is_kept_in_as_much_memory_as_the_knob_says",
    ),
    ("log.level", "knobs::the_log_is_as_loud_as_its_knob"),
    (
        "traces.endpoint",
        "traces::a_request_and_its_calls_are_spans_of_the_caller_s_trace",
    ),
    (
        "traces.percent",
        "traces::as_many_requests_are_traced_as_the_operator_wants",
    ),
    (
        "instances.sales.provider",
        "providers::each_spelling_of_a_jid_reaches_the_vendor_as_one",
    ),
    (
        "instances.sales.account",
        "providers::an_account_that_the_vendor_does_not_know_is_not_found",
    ),
    (
        "instances.sales.token",
        "doctor::a_wrong_credential_and_a_session_that_is_down_are_told_apart",
    ),
    (
        "instances.sales.base_url",
        "doctor::an_address_that_the_guard_forbids_is_named_with_the_way_to_allow_it",
    ),
    (
        "instances.sales.own_jid",
        "knobs::the_own_picture_is_that_of_the_own_number_where_the_vendor_has_no_call",
    ),
    (
        "instances.sales.lookups",
        "budget::beyond_the_burst_a_face_waits_for_its_turn_behind_a_drawing",
    ),
    (
        "instances.sales.refreshes",
        "budget::refreshes_have_their_own_small_budget_and_keep_the_picture",
    ),
    (
        "instances.sales.daily",
        "budget::a_day_has_no_more_calls_than_its_cap",
    ),
    (
        "instances.sales.empty_answers",
        "knobs::the_share_of_empty_answers_is_judged_as_its_knobs_say",
    ),
    (
        "instances.sales.warm",
        "warm::the_schedule_runs_once_a_day_at_its_hour",
    ),
    (
        "instances.sales.picture_hosts",
        "guard::a_name_that_is_not_listed_is_not_even_looked_up",
    ),
    (
        "instances.sales.allow_private",
        "two_hops::a_private_network_that_is_not_allowed_is_not_dialled",
    ),
];

#[test]
fn every_setting_has_a_test_that_turns_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = fs::read_to_string(root.join("config/faceplate.toml")).unwrap();
    let (mut section, mut settings) = (String::new(), BTreeSet::new());
    for line in sample.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            settings.insert(format!("{section}.{key}"));
        }
    }
    assert!(settings.len() > 50);
    let turned: BTreeMap<_, _> = TURNED.into_iter().collect();
    let mut wrong = Vec::new();
    for setting in &settings {
        let Some((file, test)) = turned
            .get(setting.as_str())
            .and_then(|t| t.split_once("::"))
        else {
            wrong.push(format!("{setting} has no test"));
            continue;
        };
        let text = fs::read_to_string(root.join(format!("tests/it/{file}.rs"))).unwrap_or_default();
        if !text.contains(&format!("fn {test}()")) {
            wrong.push(format!("{setting}: tests/it/{file}.rs has no test {test}"));
        }
    }
    for setting in turned.keys() {
        if !settings.contains(*setting) {
            wrong.push(format!("{setting} is no setting of the sample"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
