//! Every vendor, every fault, in every state of the cache: the answer, the stored entry and the number of calls.
//! The matrix is `docs/fault-matrix.md`, and this test compares each of its cells. After an intended change,
//! `FACEPLATE_WRITE_DOCS=1 cargo test --test it fault_matrix::` writes it again.

use std::{fmt::Write, path::Path};

use crate::support::{
    Answer,
    rig::{Settings, VENDORS},
};
use faceplate::emulator::{Fault, OWN_JID, Picture, Rule};
use tokio::task::JoinSet;

/// The picture of the cell's face at first, and the one after a change.
const FACE: &str = "628100000008@c.us";
const LATER: Picture = Picture::Face(24);

/// The state of the cache at the time of the fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Cold,
    Fresh,
    Stale,
    Refresh,
}

const STATES: [State; 4] = [State::Cold, State::Fresh, State::Stale, State::Refresh];

/// The faults, by their names in the table.
fn faults() -> Vec<(&'static str, Rule)> {
    let status = |status, retry_after| Fault::Status {
        status,
        retry_after,
    };
    let mut faults = vec![
        ("slow", Rule::api(Fault::Latency { ms: 20 })),
        ("400", Rule::api(status(400, None))),
        ("401", Rule::api(status(401, None))),
        ("403", Rule::api(status(403, None))),
        ("404", Rule::api(status(404, None))),
        ("422", Rule::api(status(422, None))),
        ("429", Rule::api(status(429, None))),
        ("429 with `Retry-After`", Rule::api(status(429, Some(90)))),
        ("500", Rule::api(status(500, None))),
        ("502", Rule::api(status(502, None))),
        ("504", Rule::api(status(504, None))),
        ("`rate-overlimit` in a 200", Rule::api(Fault::RateOverlimit)),
        (
            "session down",
            Rule::api(Fault::SessionDown {
                status: "STOPPED".into(),
            }),
        ),
        ("empty", Rule::api(Fault::Empty { remembered: true })),
        ("empty link", Rule::api(Fault::EmptyUrl)),
        ("restricted", Rule::api(Fault::Restricted)),
        ("no JSON", Rule::api(Fault::NotJson)),
        ("HTML", Rule::api(Fault::Html)),
        ("cut off", Rule::api(Fault::Truncated)),
        ("wrong length", Rule::api(Fault::WrongLength)),
        ("reset", Rule::api(Fault::Reset)),
        (
            "oversized",
            Rule::api(Fault::Oversized {
                bytes: 2 << 20,
                declared: false,
            }),
        ),
        ("hang", Rule::api(Fault::Hang)),
        ("redirect", Rule::api(Fault::Redirect { location: None })),
        (
            "expired link",
            Rule::api(Fault::ExpiredLink {
                even_when_refreshed: false,
            }),
        ),
        (
            "link stays expired",
            Rule::api(Fault::ExpiredLink {
                even_when_refreshed: true,
            }),
        ),
        ("`&amp;` in the link", Rule::api(Fault::AmpEntity)),
        ("`\\u0026` in the link", Rule::api(Fault::AmpUnicode)),
        ("wrapped link", Rule::api(Fault::WrappedLink)),
    ];
    let cdn = [
        ("CDN: slow", Fault::Latency { ms: 20 }),
        ("CDN: 403", status(403, None)),
        ("CDN: 404", status(404, None)),
        ("CDN: 429", status(429, None)),
        ("CDN: 500", status(500, None)),
        ("CDN: empty", Fault::Empty { remembered: false }),
        ("CDN: HTML as JPEG", Fault::Html),
        ("CDN: SVG", Fault::Svg),
        ("CDN: noise", Fault::BadImage),
        ("CDN: cut off", Fault::Truncated),
        ("CDN: wrong length", Fault::WrongLength),
        ("CDN: reset", Fault::Reset),
        (
            "CDN: oversized",
            Fault::Oversized {
                bytes: 2 << 20,
                declared: false,
            },
        ),
        (
            "CDN: oversized, declared",
            Fault::Oversized {
                bytes: 2 << 20,
                declared: true,
            },
        ),
        ("CDN: hang", Fault::Hang),
        ("CDN: redirect", Fault::Redirect { location: None }),
    ];
    faults.extend(cdn.map(|(name, fault)| (name, Rule::cdn(fault))));
    faults
}

/// One cell: `picture/new` or `fallback`, the reason, and the calls.
async fn cell(vendor: &'static str, rule: Rule, state: State) -> String {
    let mut rig = Settings::default()
        .section(
            "upstream",
            "call_timeout = \"1s\"\ndownload_timeout = \"1s\"\nmax_picture = \"1MiB\"",
        )
        .start()
        .await;
    let (subject, jid) = match vendor {
        "wachat" => ("me", OWN_JID),
        _ => (FACE, FACE),
    };
    let path = format!("/avatar/{vendor}/{subject}");
    // The picture is made before the time of a time-out runs.
    rig.bytes(jid);
    if state != State::Cold {
        rig.get(&path).await.assert_picture(&rig.bytes(jid));
        rig.vendors().set_picture(jid, LATER).unwrap();
        rig.vendors().forget_vendor_cache();
    }
    let old = if state == State::Cold {
        None
    } else {
        Some(rig.get(&path).await.body)
    };
    let new = rig.bytes(jid);
    if state == State::Stale {
        rig.hours(25);
    }
    rig.inject(rule);
    rig.traffic();
    let asked = match state {
        State::Refresh => format!("{path}?refresh=true"),
        _ => path.clone(),
    };
    let answer = rig.get(&asked).await;
    // A restart waits for the background refresh and then shows the stored entry.
    rig.restart().await;
    let calls = rig.calls();
    let settled = rig.get(&path).await;
    // The background refresh must not reach a later emulator with the same ports.
    rig.stop().await;
    let mut text = describe_image(&answer, old.as_deref(), &new);
    let kept = describe_image(&settled, old.as_deref(), &new);
    assert_rules(vendor, state, &answer, &settled, old.as_deref());
    if state == State::Stale && !calls.list.is_empty() {
        let _ = write!(text, ", then {kept}");
    }
    let _ = write!(text, " · {}+{}", calls.api, calls.cdn);
    text
}

fn describe_image(answer: &Answer, old: Option<&[u8]>, new: &[u8]) -> String {
    match answer.reason() {
        "" => shown_only(answer, old, new),
        reason => format!("{} ({reason})", shown_only(answer, old, new)),
    }
}

fn shown_only(answer: &Answer, old: Option<&[u8]>, new: &[u8]) -> String {
    match answer.source() {
        "picture" if old == Some(&answer.body[..]) => "old picture".into(),
        "picture" if new == &answer.body[..] => "new picture".into(),
        "picture" => panic!("a picture that is neither the old nor the new one"),
        _ => "drawing".into(),
    }
}

/// Asserts the rules that hold in every cell.
fn assert_rules(vendor: &str, state: State, answer: &Answer, settled: &Answer, old: Option<&[u8]>) {
    assert_eq!(answer.status, 200, "{vendor} {state:?}");
    if old.is_some() {
        assert_eq!(
            answer.source(),
            "picture",
            "{vendor} {state:?}: a good picture was lost"
        );
        assert_eq!(
            settled.source(),
            "picture",
            "{vendor} {state:?}: a good picture was lost"
        );
    }
    if state == State::Fresh {
        assert_eq!(Some(&answer.body[..]), old);
    }
    if answer.source() == "fallback"
        && answer.reason() != "unknown"
        && answer.reason() != "hidden"
        && answer.reason() != "not_found"
    {
        assert_eq!(
            answer.header("cache-control"),
            "no-store",
            "{vendor} {state:?}"
        );
    }
}

async fn rows() -> Vec<(String, Vec<String>)> {
    // A cell mostly waits, so this many at once keep two cores busy.
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(8));
    let mut cells = JoinSet::new();
    let mut rows = Vec::new();
    for (name, rule) in faults() {
        for vendor in VENDORS {
            if vendor == "wachat" && name.starts_with("CDN") {
                continue;
            }
            let row = rows.len();
            rows.push((
                format!("{name} | {vendor}"),
                vec![String::new(); STATES.len()],
            ));
            for (column, state) in STATES.into_iter().enumerate() {
                let (rule, turns) = (rule.clone(), turns.clone());
                cells.spawn(async move {
                    let _turn = turns.acquire().await.unwrap();
                    (row, column, cell(vendor, rule, state).await)
                });
            }
        }
    }
    while let Some(done) = cells.join_next().await {
        let (row, column, text) = done.unwrap();
        rows[row].1[column] = text;
    }
    rows
}

fn page(rows: &[(String, Vec<String>)]) -> String {
    let mut page = String::from(
        "# What happens when a vendor misbehaves\n\n\
         Written by `tests/it/fault_matrix.rs`, which holds every cell against the program. A cell says what\n\
         the browser gets (with `X-Faceplate-Reason`), and how many calls to the vendor plus downloads it\n\
         took. *Cold*: the face was never seen. *Fresh*: it was seen within 24 hours. *Stale*: it was seen 25\n\
         hours ago, is shown at once, and then asked for again. *Refresh*: it is fresh, and `refresh=true`\n\
         asks anew. In all but *Cold*, the contact has changed the picture meanwhile: \"old\" is the one in\n\
         the cache, \"new\" the one at the vendor.\n\n\
         | fault | vendor | cold | fresh | stale | refresh |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, cells) in rows {
        let _ = writeln!(page, "| {name} | {} |", cells.join(" | "));
    }
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_fault_matrix_is_as_documented() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fault-matrix.md");
    let now = page(&rows().await);
    if std::env::var_os("FACEPLATE_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &now).unwrap();
    }
    let documented = std::fs::read_to_string(&file).unwrap();
    for (is, should) in now.lines().zip(documented.lines()) {
        assert_eq!(is, should);
    }
    assert_eq!(now.lines().count(), documented.lines().count());
}
