//! Every setting changes the behavior. The tests here are for the lifetimes of answers and the limits of a fetch.

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

/// Asserts that the vendor is called again after `seconds`, and not a second before.
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
async fn each_kind_of_answer_is_fresh_for_its_configured_time() {
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
async fn retries_after_errors_wait_from_the_first_to_the_longest_configured_time() {
    let rig = Settings::default()
        .section(
            "cache.negative",
            "error_first = \"100s\"\nerror_longest = \"150s\"",
        )
        .start()
        .await;
    rig.inject(status(502));
    // Up to a tenth less, so that faces that failed together are not retried together.
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
async fn rate_limit_pauses_are_no_longer_than_the_configured_longest() {
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
async fn a_picture_may_be_as_large_as_the_configured_limit() {
    for (limit, source) in [("1MiB", "picture"), ("1KiB", "fallback")] {
        let rig = Settings::default()
            .section("upstream", &format!("max_picture = \"{limit}\""))
            .start()
            .await;
        assert_eq!(rig.face("waha", FACE).await.source(), source);
    }
}

#[tokio::test]
async fn downloads_beyond_the_configured_number_wait() {
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
async fn the_memory_tier_has_the_configured_size() {
    // Without its files, a face can only come from memory.
    for (memory, calls) in [("64MiB", 0), ("1b", 1)] {
        let rig = Settings::default()
            .section("cache", &format!("memory = \"{memory}\""))
            .start()
            .await;
        rig.face("waha", FACE).await;
        for files in ["index-v5", "content-v2"] {
            std::fs::remove_dir_all(rig.cache.path().join(files)).unwrap();
        }
        rig.traffic();
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        assert_eq!(rig.traffic().0, calls, "{memory}");
    }
}

#[tokio::test]
async fn a_download_is_abandoned_after_the_configured_time() {
    for (timeout, reason) in [("100ms", "vendor_error"), ("10s", "deferred")] {
        let rig = Settings::default()
            .section("upstream", &format!("download_timeout = \"{timeout}\""))
            .section("cache", "first_paint = \"2s\"")
            .start()
            .await;
        rig.inject(Rule::cdn(Fault::Hang));
        rig.face("waha", FACE).await.assert_fallback(reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_cut_off_after_the_drain_timeout() {
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
async fn an_http2_connection_has_the_configured_number_of_streams() {
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
        // The server's HTTP/2 settings arrive with the first answer.
        let probe = Request::get("http://localhost/openapi.json");
        let probe = probe.body(Empty::<Bytes>::new()).unwrap();
        sender.send_request(probe).await.unwrap();
        for number in 1..=3 {
            let mut sender = sender.clone();
            asked.spawn(async move {
                let uri = format!("http://localhost/avatar/waha/62810000000{number}");
                let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap().status()
            });
        }
        asked.join_next().await;
        // While the first call was in flight, as many streams as allowed had called the vendor.
        assert!(rig.calls().api >= streams, "{streams}");
        assert!(streams > 1 || rig.calls().api <= 2, "{}", rig.calls().api);
        asked.join_all().await;
    }
}

#[tokio::test]
async fn the_index_is_scanned_at_the_configured_pace() {
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
            // No hit waits for the scan.
            let face = rig.face("waha", "62855500029").await;
            let status = face.cache_status();
            assert!(status.starts_with("faceplate; hit"), "{status}");
            assert!(!is_counted(&rig).await);
        }
    }
}

/// How many of sixty empty answers in a row are believed before the soft-throttle detector stops the calls, for
/// an instance where `in_truth` of forty faces have no picture.
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
async fn the_share_of_empty_answers_is_judged_by_the_configured_thresholds() {
    let usual = empties_believed("lost = 3", 0).await;
    assert!(empties_believed("window = 10", 0).await < usual);
    assert!(empties_believed("empty_percent = 50", 0).await < usual);
    // Half of the faces have no picture.
    assert!(empties_believed("usual_percent = 60", 20).await < 60);
    assert_eq!(empties_believed("usual_percent = 40", 20).await, 60);
}

#[tokio::test]
async fn me_is_own_jid_for_vendors_without_a_call_for_the_own_picture() {
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
async fn the_log_has_the_configured_level() {
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
fn an_open_listener_on_a_public_address_needs_allow_public() {
    for (wanted, code) in [("false", 1), ("true", 0)] {
        let program = Program::with(&format!(
            "[server]\nlisten = \"0.0.0.0:8080\"\n[access]\nmode = \"open\"\nallow_public = {wanted}\n\
             [instances.sales]\nprovider = \"wawp\"\naccount = \"1\"\ntoken = \"env:TOKEN\""
        ));
        let output = program.run(&["check"]);
        assert_eq!(output.status.code(), Some(code), "{}", errors(&output));
    }
}

/// Every setting, and the test that changes it: `file::test`.
const TURNED: [(&str, &str); 110] = [
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
        "knobs::an_http2_connection_has_the_configured_number_of_streams",
    ),
    (
        "server.max_connections",
        "hostile_clients::probes_answer_while_the_public_listener_is_full",
    ),
    (
        "server.header_timeout",
        "hostile_clients::clients_that_never_finish_their_request_are_disconnected",
    ),
    (
        "server.body_timeout",
        "dropin::bodies::a_body_that_does_not_come_in_time_is_not_waited_for",
    ),
    (
        "server.send_timeout",
        "hostile_clients::clients_that_never_read_their_answers_are_disconnected",
    ),
    (
        "server.in_flight",
        "hostile_clients::windows::pictures_under_way_that_no_cache_holds_have_one_budget",
    ),
    (
        "server.max_header",
        "hostile_clients::request_heads_that_are_too_large_get_431",
    ),
    (
        "server.drain_timeout",
        "knobs::requests_in_flight_are_cut_off_after_the_drain_timeout",
    ),
    (
        "server.fast_path",
        "fast_path::without_the_fast_path_or_sendfile_a_long_picture_is_copied",
    ),
    (
        "server.sendfile",
        "fast_path::without_the_fast_path_or_sendfile_a_long_picture_is_copied",
    ),
    (
        "server.client_rate",
        "clients::a_client_beyond_its_rate_gets_429_with_retry_after",
    ),
    (
        "server.trusted_proxies",
        "clients::without_trusted_proxies_forwarding_headers_are_ignored",
    ),
    (
        "server.forwarded",
        "clients::only_the_configured_forwarding_header_is_read",
    ),
    (
        "admin.listen",
        "cli::healthcheck_exits_with_the_server_s_readiness",
    ),
    (
        "admin.token",
        "forget::the_admin_token_protects_everything_but_the_probes",
    ),
    (
        "access.mode",
        "access::an_unsigned_url_is_refused_without_a_call",
    ),
    (
        "access.signing_keys",
        "access::a_signature_by_any_configured_key_is_accepted",
    ),
    (
        "access.bearer_tokens",
        "access::a_server_may_send_a_bearer_token_instead",
    ),
    (
        "access.allow_public",
        "knobs::an_open_listener_on_a_public_address_needs_allow_public",
    ),
    (
        "access.allow_origin",
        "conditional::allow_origin_sets_the_cors_header",
    ),
    (
        "live.enabled",
        "live::nobody_listens_where_the_operator_turned_it_off",
    ),
    (
        "live.max_clients",
        "live::no_more_clients_listen_than_the_operator_allows",
    ),
    (
        "live.max_per_address",
        "live::no_more_clients_listen_than_the_operator_allows",
    ),
    (
        "live.kept_changes",
        "live::a_client_that_connects_again_goes_on_where_it_was",
    ),
    (
        "live.heartbeat",
        "live::a_silent_stream_is_kept_open_by_comments",
    ),
    (
        "cache.dir",
        "cli::serve_refuses_a_setup_that_cannot_work_and_names_the_reason",
    ),
    (
        "cache.max_bytes",
        "maintenance::beyond_max_bytes_entries_are_evicted_until_it_holds",
    ),
    (
        "cache.max_entries",
        "maintenance::beyond_max_entries_the_least_recently_used_entries_are_evicted",
    ),
    (
        "cache.min_free",
        "disk_trouble::eviction_keeps_the_configured_free_space_if_the_cache_takes_it",
    ),
    (
        "cache.gc_grace",
        "maintenance::the_operator_sets_the_grace_of_garbage_collection",
    ),
    (
        "cache.gc_files_per_second",
        "knobs::the_index_is_scanned_at_the_configured_pace",
    ),
    (
        "cache.memory",
        "knobs::the_memory_tier_has_the_configured_size",
    ),
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
        "budget::a_request_waits_for_the_budget_if_the_wait_is_shorter_than_first_paint",
    ),
    (
        "cache.max_wanted",
        "wanted::a_full_queue_of_wanted_faces_drops_the_oldest",
    ),
    (
        "cache.wanted_for",
        "wanted::a_face_is_no_longer_wanted_after_the_configured_time",
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
        "archive::the_archive_keeps_each_distinct_picture_with_its_dates_and_the_newest_is_served",
    ),
    (
        "cache.forget_for",
        "forget::a_forgotten_face_may_be_fetched_again_after_the_configured_days",
    ),
    (
        "cache.negative.empty",
        "knobs::each_kind_of_answer_is_fresh_for_its_configured_time",
    ),
    (
        "cache.negative.not_found",
        "knobs::each_kind_of_answer_is_fresh_for_its_configured_time",
    ),
    (
        "cache.negative.session_down",
        "knobs::each_kind_of_answer_is_fresh_for_its_configured_time",
    ),
    (
        "cache.negative.auth",
        "knobs::each_kind_of_answer_is_fresh_for_its_configured_time",
    ),
    (
        "cache.negative.error_first",
        "knobs::retries_after_errors_wait_from_the_first_to_the_longest_configured_time",
    ),
    (
        "cache.negative.error_longest",
        "knobs::retries_after_errors_wait_from_the_first_to_the_longest_configured_time",
    ),
    (
        "cache.negative.rate_limited",
        "knobs::rate_limit_pauses_are_no_longer_than_the_configured_longest",
    ),
    (
        "cache.negative.rate_limited_longest",
        "knobs::rate_limit_pauses_are_no_longer_than_the_configured_longest",
    ),
    (
        "upstream.call_timeout",
        "providers::a_call_to_a_hanging_vendor_times_out",
    ),
    (
        "upstream.download_timeout",
        "knobs::a_download_is_abandoned_after_the_configured_time",
    ),
    (
        "upstream.max_picture",
        "knobs::a_picture_may_be_as_large_as_the_configured_limit",
    ),
    (
        "upstream.downloads",
        "knobs::downloads_beyond_the_configured_number_wait",
    ),
    (
        "log.format",
        "logs::the_json_access_log_has_every_field_and_nothing_private",
    ),
    (
        "server.public_url",
        "dropin::links_in_answers_begin_with_the_public_url",
    ),
    (
        "images.memory",
        "sizes::variants_are_cached_in_the_configured_memory",
    ),
    (
        "images.work",
        "image_work::a_picture_that_would_take_more_than_all_image_work_is_sent_as_it_is",
    ),
    (
        "images.queue",
        "image_work::more_work_than_the_queue_holds_is_refused_at_once",
    ),
    ("log.level", "knobs::the_log_has_the_configured_level"),
    (
        "log.limited_clients",
        "logs::a_client_beyond_its_rate_is_named_in_the_access_log_where_that_is_configured",
    ),
    (
        "traces.endpoint",
        "traces::a_request_and_its_calls_are_spans_of_the_caller_s_trace",
    ),
    (
        "traces.percent",
        "traces::the_configured_share_of_requests_is_traced",
    ),
    (
        "instances.sales.provider",
        "providers::each_spelling_of_a_jid_reaches_the_vendor_in_canonical_form",
    ),
    (
        "instances.sales.account",
        "providers::an_account_unknown_to_the_vendor_gives_the_reason_not_found",
    ),
    (
        "instances.sales.token",
        "doctor::doctor_distinguishes_a_wrong_credential_from_a_session_that_is_down",
    ),
    (
        "instances.sales.base_url",
        "doctor::doctor_names_a_forbidden_address_and_how_to_allow_it",
    ),
    (
        "instances.sales.own_jid",
        "knobs::me_is_own_jid_for_vendors_without_a_call_for_the_own_picture",
    ),
    (
        "instances.sales.lookups",
        "budget::beyond_the_burst_of_the_budget_new_faces_get_a_placeholder",
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
        "knobs::the_share_of_empty_answers_is_judged_by_the_configured_thresholds",
    ),
    (
        "instances.sales.default_pictures",
        "default_pictures::the_operator_sets_how_a_default_picture_is_recognized",
    ),
    (
        "instances.sales.warm",
        "warm::a_scheduled_warm_up_runs_once_a_day_at_its_time",
    ),
    (
        "instances.sales.picture_hosts",
        "guard::a_host_that_is_not_listed_is_not_resolved",
    ),
    (
        "instances.sales.allow_private",
        "two_hops::a_private_network_that_is_not_allowed_is_not_dialed",
    ),
    (
        "instances.sales.hook",
        "hooks::an_event_needs_the_gateway_s_signature_where_an_hmac_key_is_configured",
    ),
    (
        "instances.sales.max_names",
        "many_accounts::a_full_table_refuses_further_names_and_keeps_those_in_use",
    ),
    (
        "instances.sales.idle",
        "many_accounts::a_name_that_nobody_asks_for_leaves_memory_and_comes_back_with_its_faces_and_its_pause",
    ),
    (
        "hooks.listen",
        "hooks::the_listener_for_webhooks_serves_neither_faces_nor_the_operator_s_routes",
    ),
    (
        "hooks.max_body",
        "hooks::an_event_is_as_long_as_max_body_at_most",
    ),
    (
        "hooks.timeout",
        "hooks::a_gateway_that_does_not_send_its_event_in_time_is_not_waited_for",
    ),
    (
        "hooks.hint_after",
        "hooks::the_message_of_a_contact_refreshes_an_answer_that_is_older_than_hint_after",
    ),
    (
        "cache.longest_wait",
        "waiting::a_place_that_comes_up_after_longest_wait_is_not_waited_for",
    ),
    (
        "cache.max_waiting",
        "waiting::no_more_requests_wait_for_longer_than_max_waiting_says",
    ),
    (
        "http.browser_ttl",
        "conditional::a_browser_keeps_a_face_no_longer_than_browser_ttl",
    ),
    (
        "pass_through.answer_timeout",
        "pass_through::bodies_requests_and_waits_have_bounds",
    ),
    (
        "pass_through.idle_timeout",
        "pass_through::a_web_socket_ends_when_it_is_idle_or_the_server_stops",
    ),
    (
        "pass_through.max_requests",
        "pass_through::bodies_requests_and_waits_have_bounds",
    ),
    (
        "pass_through.max_body",
        "pass_through::bodies_requests_and_waits_have_bounds",
    ),
    (
        "instances.sales.pass_through",
        "pass_through::only_the_credential_of_an_instance_with_pass_through_passes",
    ),
    (
        "instances.sales.fallback",
        "persons::fallback::a_person_without_a_picture_is_asked_for_at_the_fallback",
    ),
    (
        "providers.dir",
        "descriptions::a_description_in_the_operator_s_directory_is_a_gateway",
    ),
    (
        "fleet.name",
        "fleet::settings::fleets_of_other_names_or_on_other_servers_share_nothing",
    ),
    (
        "fleet.redis",
        "fleet::settings::fleets_of_other_names_or_on_other_servers_share_nothing",
    ),
    (
        "fleet.redis_ca",
        "fleet::engines::a_redis_with_a_certificate_of_a_private_authority_is_trusted_by_redis_ca",
    ),
    (
        "fleet.secret",
        "fleet::sharing::a_replica_with_another_secret_is_refused",
    ),
    (
        "fleet.replicas",
        "fleet::settings::the_reserve_of_a_replica_is_a_share_of_its_percent",
    ),
    (
        "fleet.reserve",
        "fleet::settings::the_reserve_of_a_replica_is_a_share_of_its_percent",
    ),
    (
        "fleet.timeout",
        "fleet::settings::a_command_takes_as_long_as_the_time_limit_at_most",
    ),
    (
        "fleet.pictures",
        "fleet::s3::with_pictures_in_redis_nothing_is_sent_to_the_store",
    ),
    (
        "fleet.s3.bucket",
        "fleet::s3::a_wrong_key_or_bucket_is_refused_at_the_start_with_the_remedy",
    ),
    (
        "fleet.s3.endpoint",
        "fleet::s3::a_picture_of_a_sibling_comes_from_the_store_and_is_not_in_redis",
    ),
    (
        "fleet.s3.ca",
        "fleet::s3::a_store_with_a_certificate_of_a_private_authority_is_trusted_by_its_ca",
    ),
    (
        "fleet.s3.region",
        "fleet::s3::requests_are_signed_for_the_region_and_another_one_is_refused_at_the_start",
    ),
    (
        "fleet.s3.access_key",
        "fleet::s3::a_wrong_key_or_bucket_is_refused_at_the_start_with_the_remedy",
    ),
    (
        "fleet.s3.secret_key",
        "fleet::s3::a_wrong_key_or_bucket_is_refused_at_the_start_with_the_remedy",
    ),
    (
        "fleet.s3.timeout",
        "fleet::s3::a_request_to_the_store_takes_as_long_as_the_time_limit_at_most",
    ),
];

#[test]
fn every_setting_has_a_test_that_changes_it() {
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
            .and_then(|t| t.rsplit_once("::"))
        else {
            wrong.push(format!("{setting} has no test"));
            continue;
        };
        let file = file.replace("::", "/");
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
