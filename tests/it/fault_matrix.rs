//! Every vendor, every fault, in every state of the cache: the answer, the stored entry and the number of calls.
//! The matrix is `docs/fault-matrix.md`, and this test compares each of its cells. After an intended change,
//! `FACEPLATE_WRITE_DOCS=1 cargo test --test it fault_matrix::` writes it again.

mod player;

use std::{fmt::Write, path::Path, sync::Arc};

use crate::support::{
    Answer, Rig,
    rig::{Settings, VENDORS},
};
use faceplate::{
    emulator::{Call, Fault, Hop, OWN_JID, Picture, Rule},
    upstream::SHIPPED,
};
use player::Player;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

/// The picture of each face at first, and the one after a change.
const FIRST: Picture = Picture::Face(8);
const LATER: Picture = Picture::Face(24);

/// The state of the cache at the time of the fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Cold,
    Fresh,
    Stale,
    Refresh,
}

/// The gateways that the emulator has by hand. Evolution 1 has the picture call of Evolution 2.
const EMULATED: [&str; 9] = [
    "wachat",
    "wawp",
    "hypersender",
    "wappfy",
    "waha",
    "evolution",
    "evolution-v1",
    "wuzapi",
    "wppconnect",
];

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

/// The gateways, those first that the emulator has; the others are played from their samples.
fn gateways() -> impl Iterator<Item = &'static str> {
    let shipped = SHIPPED.into_iter().map(|(name, _)| name);
    let played = shipped.filter(|name| !EMULATED.contains(name));
    EMULATED.into_iter().chain(played)
}

/// Whether there is such a fault: Wachat has no link, not all that are played have published what they say while their
/// session is down, and faults of the CDN do not depend on the gateway, so they are tested with four gateways.
fn has(gateway: &str, fault: &str) -> bool {
    if fault.starts_with("CDN") {
        return gateway != "wachat" && VENDORS.contains(&gateway);
    }
    let is_emulated = EMULATED.contains(&gateway);
    is_emulated || fault != "session down" || player::says(gateway, "session_down")
}

impl State {
    /// The name of its instance and account.
    fn name(self) -> &'static str {
        match self {
            State::Cold => "cold",
            State::Fresh => "fresh",
            State::Stale => "stale",
            State::Refresh => "refresh",
        }
    }

    /// The number of its face.
    fn number(self) -> &'static str {
        match self {
            State::Cold => "628100000005",
            State::Fresh => "628100000006",
            State::Stale => "628100000007",
            State::Refresh => "628100000008",
        }
    }

    /// The face, in the path and at WhatsApp.
    fn face(self, gateway: &str) -> (&'static str, &'static str) {
        match gateway {
            "wachat" => ("me", OWN_JID),
            _ => (self.number(), self.number()),
        }
    }

    fn path(self, gateway: &str) -> String {
        format!("/avatar/{}/{}", self.name(), self.face(gateway).0)
    }
}

/// Faceplate in front of a gateway, emulated or played, with an instance for each state. `limit` is the time limit of a call
/// and of a download.
async fn rig(gateway: &'static str, limit: &str) -> Rig {
    let upstream = format!(
        "call_timeout = \"{limit}\"\ndownload_timeout = \"{limit}\"\nmax_picture = \"1MiB\""
    );
    // A cold face waits for its call, also on a machine that is busy.
    let mut settings = Settings::default()
        .section("cache", "first_paint = \"20s\"")
        .section("upstream", &upstream);
    let mut listeners = Vec::new();
    for state in STATES {
        let name = state.name();
        settings = settings
            .named(name, gateway)
            .only(name, &format!("account = \"{name}\""));
        if !EMULATED.contains(&gateway) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            settings = settings.only(name, &format!("base_url = \"http://{address}\""));
            listeners.push((state, listener));
        }
    }
    let rig = settings.start().await;
    for (state, listener) in listeners {
        Player::start(
            listener,
            gateway,
            state.name(),
            state.number(),
            &rig.emulator,
        );
    }
    rig
}

/// The cells of a row, each `new picture`, `old picture` or `placeholder`, the reason, and the calls.
async fn row(gateway: &'static str, rule: Rule) -> Vec<String> {
    // Only a gateway that hangs lets the time run out, also on a machine that is busy.
    let limit = match rule.fault {
        Fault::Hang => "2s",
        _ => "10s",
    };
    let mut rig = rig(gateway, limit).await;
    let set = |picture| {
        for state in STATES {
            let (_, jid) = state.face(gateway);
            rig.vendors().set_picture(jid, picture).unwrap();
        }
    };
    set(FIRST);
    let old = rig.bytes(STATES[0].face(gateway).1);
    rig.get(&State::Stale.path(gateway))
        .await
        .assert_picture(&old);
    rig.hours(25);
    for state in [State::Fresh, State::Refresh] {
        rig.get(&state.path(gateway)).await.assert_picture(&old);
    }
    set(LATER);
    rig.vendors().forget_vendor_cache();
    // The picture is made before the time of a time-out runs.
    let new = rig.bytes(STATES[0].face(gateway).1);
    rig.inject(rule);
    rig.traffic();
    let ask = async |state: State| {
        let query = if state == State::Refresh {
            "?refresh=true"
        } else {
            ""
        };
        rig.get(&(state.path(gateway) + query)).await
    };
    let [cold, fresh, stale, refresh] = STATES;
    let answers = tokio::join!(ask(cold), ask(fresh), ask(stale), ask(refresh));
    let answers = <[Answer; 4]>::from(answers);
    // A restart waits for the background refresh and then shows the stored entries.
    rig.restart().await;
    let calls = rig.calls();
    let mut cells = Vec::new();
    for (state, answer) in STATES.into_iter().zip(answers) {
        let settled = rig.get(&state.path(gateway)).await;
        let old = (state != State::Cold).then_some(&old[..]);
        assert_rules(gateway, state, &answer, &settled, old);
        let mut text = describe_image(&answer, old, &new);
        let is_mine = |call: &&Call| match gateway {
            // Its calls name no account.
            "wuzapi" => call
                .jid
                .as_deref()
                .is_some_and(|jid| jid.starts_with(state.number())),
            _ => call.account == state.name(),
        };
        let (api, cdn): (Vec<_>, Vec<_>) = calls
            .list
            .iter()
            .filter(is_mine)
            .partition(|call| call.hop == Hop::Api);
        if state == State::Stale && !api.is_empty() {
            let kept = describe_image(&settled, old, &new);
            let _ = write!(text, ", then {kept}");
        }
        let _ = write!(text, " · {}+{}", api.len(), cdn.len());
        cells.push(text);
    }
    // A background refresh must not reach a later emulator with the same ports.
    rig.stop().await;
    cells
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
        _ => "placeholder".into(),
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
        && answer.reason() != "not_set"
        && answer.reason() != "not_found"
    {
        assert_eq!(
            answer.header("cache-control"),
            "no-store",
            "{vendor} {state:?}"
        );
    }
}

/// A fault, a gateway, and the cells.
type Row = (&'static str, &'static str, Vec<String>);

async fn rows() -> Vec<Row> {
    // A row mostly waits, so this many at once keep two cores busy.
    let turns = Arc::new(Semaphore::new(8));
    let mut done = JoinSet::new();
    let mut rows = Vec::new();
    for (fault, rule) in faults() {
        for gateway in gateways().filter(|gateway| has(gateway, fault)) {
            let (index, rule, turns) = (rows.len(), rule.clone(), turns.clone());
            rows.push((fault, gateway, Vec::new()));
            done.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                (index, row(gateway, rule).await)
            });
        }
    }
    while let Some(row) = done.join_next().await {
        let (index, cells) = row.unwrap();
        rows[index].2 = cells;
    }
    rows
}

/// The gateways of a fault to whom the same happens, one row for each such group.
fn grouped(rows: &[Row]) -> Vec<(&'static str, Vec<&'static str>, &[String])> {
    let mut groups: Vec<(&str, Vec<&str>, &[String])> = Vec::new();
    for (fault, gateway, cells) in rows {
        let mut same = groups.iter_mut();
        match same.find(|group| group.0 == *fault && group.2 == cells) {
            Some(group) => group.1.push(gateway),
            None => groups.push((fault, vec![gateway], cells)),
        }
    }
    groups
}

fn page(rows: &[Row]) -> String {
    let mut page = format!(
        "# What happens when a vendor misbehaves\n\n\
         For operators, and for developers with a question about a response.\n\n\
         Written by `tests/it/fault_matrix.rs`, which holds every cell against the program. A cell says what\n\
         the browser gets (with `X-Faceplate-Reason`), and how many calls to the vendor plus downloads it\n\
         took. *Cold*: the face was never seen. *Fresh*: it was seen within 24 hours. *Stale*: it was seen 25\n\
         hours ago, is shown at once, and then asked for again. *Refresh*: it is fresh, and `refresh=true`\n\
         asks anew. In all but *Cold*, the contact has changed the picture meanwhile: \"old\" is the one in\n\
         the cache, \"new\" the one at the vendor.\n\n\
         The emulator has code of its own for these gateways:\n{}.\nThe emulator answers for the other {} from the\n\
         samples of their descriptions, and without a body for a status that no sample has. Faults of the CDN do\n\
         not depend on the gateway, so they are tested with four gateways.\n\n\
         | fault | gateways | cold | fresh | stale | refresh |\n| --- | --- | --- | --- | --- | --- |\n",
        EMULATED.join(", "),
        gateways().count() - EMULATED.len(),
    );
    for (fault, gateways, cells) in grouped(rows) {
        let gateways = gateways.join(", ");
        let _ = writeln!(page, "| {fault} | {gateways} | {} |", cells.join(" | "));
    }
    page
}

#[test]
fn the_fault_matrix_has_every_gateway_of_the_program() {
    let mut names: Vec<_> = gateways().collect();
    names.sort_unstable();
    let mut shipped: Vec<_> = SHIPPED.into_iter().map(|(name, _)| name).collect();
    shipped.sort_unstable();
    assert_eq!(names, shipped);
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
