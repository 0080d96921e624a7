//! The vendors' API: one call from its arrival to its reply.
//!
//! 1. read the call and count it,
//! 2. refuse it as the vendor would: credential, account, form,
//! 3. see what the rules do to it,
//! 4. ask the vendor's cache, and WhatsApp when need be,
//! 5. show the outcome in the vendor's shape, spoiled as the rules want it.

use hyper::{
    header::{LOCATION, RETRY_AFTER},
    http::request::Parts,
};

use super::{
    OWN_JID,
    calls::{Call, Endpoint},
    links::Issue,
    population::{Kind, Picture},
    portrait::Portrait,
    reply::Reply,
    route::Ask,
    rule::{Fault, Hop, Target},
    spoiled,
    vendor_cache::{Seen, Slot},
    vendors::{Row, Shown, Vendor},
    world::World,
};

/// How the link in an answer is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dress {
    Plain,
    Expired,
    Entity,
    Unicode,
    Wrapped,
}

/// Answers one request for a vendor's path.
pub(super) async fn answer(world: &World, request: &Parts) -> Reply {
    let Some(ask) = Ask::read(request) else {
        return Reply::text(
            404,
            "No vendor has this path; see /_emulator/ for those there are.\n",
        );
    };
    let ticket = world.counter.record(ask.call());
    let reply = serve(world, &ask).await;
    world.counter.answered(ticket, reply.status.as_u16());
    reply
}

async fn serve(world: &World, ask: &Ask) -> Reply {
    if let Some(refusal) = refuse(world, ask) {
        return refusal;
    }
    let jid = ask.jid();
    let strike = world.faults.strike(Target {
        hop: Hop::Api,
        vendor: Some(ask.vendor),
        account: &ask.account,
        jid: jid.as_deref(),
    });
    world.delay(&strike).await;
    match strike.fault {
        None => honest(world, ask, Dress::Plain).await,
        Some(fault) => faulty(world, ask, fault).await,
    }
}

/// Accounts exist as they are named, but for those that say that they are missing.
fn refuse(world: &World, ask: &Ask) -> Option<Reply> {
    if ask.token.as_deref() != Some(world.token.as_str()) {
        return Some(ask.vendor.error(ask, 401));
    }
    if ask.account.starts_with("missing") {
        return Some(ask.vendor.error(ask, 404));
    }
    ask.vendor.malformed(ask)
}

async fn faulty(world: &World, ask: &Ask, fault: Fault) -> Reply {
    let vendor = ask.vendor;
    let json = "application/json; charset=utf-8";
    match fault {
        Fault::Latency { .. } => honest(world, ask, Dress::Plain).await,
        Fault::Status {
            status,
            retry_after,
        } => {
            let reply = vendor.error(ask, status);
            match retry_after {
                Some(seconds) => reply.with(RETRY_AFTER, seconds.to_string()),
                None => reply,
            }
        }
        Fault::DefaultImage | Fault::EmptyUrl | Fault::Restricted
            if ask.endpoint == Endpoint::Overview =>
        {
            honest(world, ask, Dress::Plain).await
        }
        Fault::RateOverlimit => vendor.rate_overlimit(),
        Fault::Empty { remembered } => empty(world, ask, remembered),
        Fault::NotJson => spoiled::not_json(json),
        Fault::Html => spoiled::html("text/html; charset=utf-8"),
        Fault::Svg => spoiled::svg(),
        Fault::Oversized { bytes, declared } => oversized(world, ask).await.padded(bytes, declared),
        Fault::Truncated => honest(world, ask, Dress::Plain).await.truncated(),
        Fault::WrongLength => honest(world, ask, Dress::Plain).await.too_short(),
        Fault::Reset => honest(world, ask, Dress::Plain).await.reset(),
        Fault::Hang => {
            world.hang().await;
            vendor.error(ask, 503)
        }
        Fault::ExpiredLink {
            even_when_refreshed,
        } if !ask.refresh || even_when_refreshed => honest(world, ask, Dress::Expired).await,
        Fault::ExpiredLink { .. } => honest(world, ask, Dress::Plain).await,
        Fault::Redirect { location } => redirect(world, ask, location),
        Fault::DefaultImage => default_image(world, ask).await,
        Fault::EmptyUrl => vendor.show(ask, &Shown::Link(String::new())),
        Fault::Restricted => vendor.show(ask, &Shown::Nothing(Picture::Hidden)),
        Fault::SessionDown { status } => vendor.session_down(ask, &status),
        Fault::AmpEntity => honest(world, ask, Dress::Entity).await,
        Fault::AmpUnicode => honest(world, ask, Dress::Unicode).await,
        Fault::WrappedLink => honest(world, ask, Dress::Wrapped).await,
        Fault::BadImage if vendor == Vendor::Wachat => spoiled::noise("image/jpeg"),
        Fault::BadImage => spoiled::noise(json),
    }
}

async fn honest(world: &World, ask: &Ask, dress: Dress) -> Reply {
    match (ask.vendor, ask.endpoint) {
        (Vendor::Wachat, _) => match world.network.portrait(OWN_JID) {
            Some(portrait) => photo(world, portrait).await,
            None => ask.vendor.error(ask, 404),
        },
        (_, Endpoint::Overview) => ask.vendor.list(ask, rows(world, ask, dress)),
        (_, Endpoint::Profile) => {
            let shown = look(world, ask, OWN_JID).dressed(world, ask, OWN_JID, dress);
            ask.vendor.show(ask, &shown)
        }
        _ => {
            let id = ask.id.clone().unwrap_or_default();
            let jid = ask.jid().unwrap_or_default();
            let shown = look(world, ask, &id).dressed(world, ask, &jid, dress);
            ask.vendor.show(ask, &shown)
        }
    }
}

async fn photo(world: &World, portrait: Portrait) -> Reply {
    let photo = world.photo(portrait).await;
    Reply::new(200, photo.format.media_type(), photo.bytes)
}

/// What the vendor knows about `id`: from its cache, if it has one and may use it; else from
/// WhatsApp.
fn look(world: &World, ask: &Ask, id: &str) -> Seen {
    let now = world.clock.now();
    let slot = ask.slot(id);
    let remembers = ask.vendor.remembers();
    if remembers
        && !ask.refresh
        && let Some(seen) = world.vendor_cache.find(&slot, now)
    {
        return seen;
    }
    let seen = query(world, ask, id);
    if remembers {
        world.vendor_cache.put(slot, seen.clone(), now);
    }
    seen
}

/// Asks WhatsApp itself.
fn query(world: &World, ask: &Ask, id: &str) -> Seen {
    let Some(jid) = super::jid::canonical(id) else {
        return Seen::Nothing(Picture::Unknown);
    };
    match world.network.picture(&jid) {
        Picture::Face(number) => {
            let portrait = Kind::of(&jid).portrait(number);
            let path = world.network.publish(portrait, Some(&jid));
            Seen::Link(world.fresh_link(&path, &ask.issue()))
        }
        nothing => Seen::Nothing(nothing),
    }
}

/// WAHA asks for every row's picture on its own; Wawp's rows have none.
fn rows(world: &World, ask: &Ask, dress: Dress) -> Vec<Row> {
    let (limit, offset) = ask.page;
    let now = world.clock.now().as_secs();
    let chats = world.network.known().into_iter();
    chats
        .filter(|known| known.kind != Kind::Own)
        .zip(0..)
        .skip(offset)
        .take(limit)
        .map(|(known, nth): (_, u64)| Row {
            picture: match ask.vendor {
                Vendor::Wawp => None,
                _ => look(world, ask, &known.jid)
                    .dressed(world, ask, &known.jid, dress)
                    .link(),
            },
            jid: known.jid,
            name: known.name,
            second: now.saturating_sub(nth * 60),
        })
        .collect()
}

fn empty(world: &World, ask: &Ask, remembered: bool) -> Reply {
    let nothing = Picture::NotSet;
    if remembered
        && ask.vendor.remembers()
        && let Some(id) = &ask.id
    {
        let seen = Seen::Nothing(nothing);
        let slot = ask.slot(id);
        world.vendor_cache.put(slot, seen, world.clock.now());
    }
    match ask.endpoint {
        Endpoint::Overview => ask.vendor.list(ask, Vec::new()),
        _ => ask.vendor.show(ask, &Shown::Nothing(nothing)),
    }
}

async fn oversized(world: &World, ask: &Ask) -> Reply {
    if ask.vendor == Vendor::Wachat {
        let photo = world.photo(Portrait::Person(0)).await;
        return spoiled::jpeg_start(&photo.bytes);
    }
    Reply::new(200, "application/json", r#"{"url":"http://"#)
}

fn redirect(world: &World, ask: &Ask, location: Option<String>) -> Reply {
    let location = location.unwrap_or_else(|| {
        let id = ask.id.as_deref().unwrap_or(OWN_JID);
        match query(world, ask, id) {
            Seen::Link(link) => link,
            Seen::Nothing(_) => default_link(world, ask),
        }
    });
    Reply::text(302, "").with(LOCATION, location)
}

async fn default_image(world: &World, ask: &Ask) -> Reply {
    if ask.vendor == Vendor::Wachat {
        return photo(world, Portrait::Silhouette).await;
    }
    ask.vendor.show(ask, &Shown::Link(default_link(world, ask)))
}

fn default_link(world: &World, ask: &Ask) -> String {
    let path = world.network.publish(Portrait::Silhouette, None);
    world.fresh_link(&path, &ask.issue())
}

// === impl Ask ===

impl Ask {
    fn issue(&self) -> Issue {
        Issue {
            vendor: self.vendor,
            account: self.account.clone(),
        }
    }

    fn slot(&self, id: &str) -> Slot {
        Slot {
            vendor: self.vendor,
            account: self.account.clone(),
            id: id.to_owned(),
        }
    }

    fn call(&self) -> Call {
        Call {
            hop: Hop::Api,
            vendor: Some(self.vendor),
            endpoint: self.endpoint,
            account: self.account.clone(),
            jid: self.jid().or_else(|| self.id.clone()),
            refresh: self.refresh,
            status: None,
        }
    }
}

// === impl Seen ===

impl Seen {
    /// The same, with the link written as `dress` wants it.
    fn dressed(self, world: &World, ask: &Ask, jid: &str, dress: Dress) -> Shown {
        let link = match self {
            Seen::Link(link) => link,
            Seen::Nothing(why) => return Shown::Nothing(why),
        };
        Shown::Link(match dress {
            Dress::Plain => link,
            Dress::Expired => world.stale_link(path_of(&link), &ask.issue()),
            Dress::Entity => link.replace('&', "&amp;"),
            Dress::Unicode => link.replace('&', r"\u0026"),
            Dress::Wrapped => world.signer.wrapped(&link, jid),
        })
    }
}

// === impl Shown ===

impl Shown {
    fn link(self) -> Option<String> {
        match self {
            Shown::Link(link) => Some(link),
            Shown::Nothing(_) => None,
        }
    }
}

/// The path in a link that the signer made.
fn path_of(link: &str) -> &str {
    let from = link.find("/v/").unwrap_or_default();
    let end = link.find('?').unwrap_or(link.len());
    &link[from..end]
}
