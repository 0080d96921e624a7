//! Bytes from the CDN are accepted only if they are a whole picture. Others are not shown or stored, and do not
//! replace a good picture.

use crate::support::{Answer, Rig, program::Program, rig::Settings};
use faceplate::emulator::{Emulator, Fault, Options, Picture, Rule};

const FACE: &str = "628100000001";
const LIMIT: u64 = 512 * 1024;

/// The faults of a download.
fn faults() -> [Fault; 10] {
    let oversized = |declared| Fault::Oversized {
        bytes: LIMIT + 1,
        declared,
    };
    [
        Fault::Html,
        Fault::Svg,
        Fault::Empty { remembered: false },
        Fault::Truncated,
        Fault::WrongLength,
        Fault::Reset,
        oversized(true),
        oversized(false),
        Fault::BadImage,
        Fault::Hang,
    ]
}

/// A server with a short time limit for a hanging download, and none for other faults.
async fn before(fault: &Fault) -> Rig {
    let patience = match fault {
        Fault::Hang => "500ms",
        _ => "10s",
    };
    let limits = format!("max_picture = \"512KiB\"\ndownload_timeout = \"{patience}\"");
    let rig = Settings::default()
        .section("upstream", &limits)
        .start()
        .await;
    // The picture is made before the time of a time-out runs.
    rig.bytes(FACE);
    rig
}

async fn fresh_look(rig: &Rig) -> Answer {
    rig.get(&format!("/avatar/waha/{FACE}?refresh=true")).await
}

#[tokio::test]
async fn bytes_that_are_no_picture_give_a_placeholder_and_are_not_stored() {
    for fault in faults() {
        let rig = before(&fault).await;
        rig.inject(Rule::cdn(fault.clone()));
        let answer = rig.face("waha", FACE).await;
        answer.assert_fallback("vendor_error");
        assert_eq!(answer.header("cache-control"), "no-store", "{fault:?}");
        assert!(!answer.cache_status().contains("stored"), "{fault:?}");
        let body = String::from_utf8_lossy(&answer.body);
        assert!(!body.contains("<script"), "{fault:?}");
        assert_eq!(rig.traffic(), (1, 1), "{fault:?}");
        assert_eq!(
            rig.files("content-v2").len(),
            0,
            "{fault:?} left bytes on disk"
        );
    }
}

#[tokio::test]
async fn after_bad_bytes_the_face_is_retried_after_a_wait() {
    for fault in faults() {
        let rig = before(&fault).await;
        rig.inject(Rule::cdn(fault.clone()).times(1));
        rig.face("waha", FACE).await.assert_fallback("vendor_error");
        rig.traffic();
        // 30 s, or up to a tenth less.
        rig.seconds(26);
        let known = rig.face("waha", FACE).await;
        known.assert_fallback("vendor_error");
        assert_eq!(known.header("cache-control"), "no-store", "{fault:?}");
        assert_eq!(rig.traffic(), (0, 0), "{fault:?}");
        rig.seconds(4);
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        assert_eq!(rig.traffic(), (1, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn bad_bytes_do_not_replace_a_good_picture_even_over_a_restart() {
    for fault in faults() {
        let mut rig = before(&fault).await;
        let good = rig.face("waha", FACE).await;
        good.assert_picture(&rig.bytes(FACE));
        rig.vendors().set_picture(FACE, Picture::Face(24)).unwrap();
        let next = rig.bytes(FACE);
        rig.hours(25);
        rig.inject(Rule::cdn(fault.clone()));
        rig.traffic();

        let after = fresh_look(&rig).await;
        assert_eq!(rig.traffic(), (1, 1), "{fault:?}");
        rig.restart().await;
        let restarted = rig.face("waha", FACE).await;
        assert_eq!(rig.traffic(), (0, 0), "{fault:?}");
        for answer in [after, restarted] {
            answer.assert_picture(&good.body);
            assert_eq!(answer.reason(), "vendor_error", "{fault:?}");
            assert_eq!(answer.header("age"), (25 * 3600).to_string());
            assert_eq!(answer.header("cache-control"), "no-cache", "{fault:?}");
            for validator in ["etag", "last-modified"] {
                assert_eq!(answer.header(validator), good.header(validator));
            }
        }

        rig.vendors().clear_faults();
        fresh_look(&rig).await.assert_picture(&next);
    }
}

#[tokio::test]
async fn a_picture_of_exactly_the_size_limit_is_shown_and_one_byte_more_is_not() {
    let probe = Rig::start().await;
    let bytes = probe.bytes(FACE);
    for (limit, source) in [(bytes.len(), "picture"), (bytes.len() - 1, "fallback")] {
        let rig = Settings::default()
            .section("upstream", &format!("max_picture = \"{limit}B\""))
            .start()
            .await;
        assert_eq!(rig.face("waha", FACE).await.source(), source, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_beyond_the_size_limit_is_not_read_to_its_end() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "[upstream]\nmax_picture = \"512KiB\"");
    let running = program.serve();
    for (jid, declared) in [("628100000001", true), ("628100000002", false)] {
        let oversized = Fault::Oversized {
            bytes: 128 * LIMIT,
            declared,
        };
        let rule = Rule::cdn(oversized).jid(jid);
        emulator.control().inject(rule).unwrap();
        let path = format!("/avatar/waha/{jid}");
        Answer::to(&running.address("listen"), "GET", &path, &[])
            .await
            .assert_fallback("vendor_error");
    }
    running.signal("TERM");
    // The reason is the length. The filler was not inspected.
    let (_, output) = running.end();
    let told = format!("the answer is larger than {LIMIT} bytes");
    assert_eq!(output.matches(&told).count(), 2, "{output}");
}

#[tokio::test]
async fn the_bytes_decide_the_media_type_and_not_the_vendor_s_header() {
    let rig = Rig::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for number in 1..=24 {
        let jid = format!("6281000000{number:02}");
        let answer = rig.face("waha", &jid).await;
        let signature: &[u8] = match answer.header("content-type") {
            "image/jpeg" => b"\xFF\xD8\xFF",
            "image/png" => b"\x89PNG",
            "image/webp" => b"RIFF",
            other => panic!("{jid} is {other}"),
        };
        assert!(answer.body.starts_with(signature), "{jid}");
        seen.insert(answer.header("content-type").to_owned());
    }
    assert!(seen.len() > 1, "the cast shows one format only: {seen:?}");
}
