//! WhatsApp's content network: signed links in, bytes out.

use hyper::{
    header::{CACHE_CONTROL, LAST_MODIFIED, LOCATION, RETRY_AFTER},
    http::request::Parts,
};

use super::{
    calls::{Call, Endpoint},
    links::{Issue, Refusal},
    network::File,
    portrait::Portrait,
    reply::Reply,
    rule::{Fault, Hop, Target},
    spoiled,
    world::World,
};

/// A link that was followed.
struct Visit<'a> {
    path: &'a str,
    file: Option<File>,
    issue: Option<Issue>,
    verdict: Result<(), Refusal>,
}

/// Answers one download.
pub(super) async fn answer(world: &World, request: &Parts) -> Reply {
    let path = request.uri.path();
    let query = request.uri.query().unwrap_or_default();
    let (issue, verdict) = world.signer.verify(path, query, world.clock.now());
    let visit = Visit {
        path,
        file: world.network.file(path),
        issue,
        verdict,
    };
    let ticket = world.counter.record(visit.call());
    let reply = serve(world, &visit).await;
    world.counter.answered(ticket, reply.status.as_u16());
    reply
}

async fn serve(world: &World, visit: &Visit<'_>) -> Reply {
    let strike = world.faults.strike(visit.target());
    world.delay(&strike).await;
    match strike.fault {
        None => honest(world, visit).await,
        Some(fault) => faulty(world, visit, fault).await,
    }
}

async fn faulty(world: &World, visit: &Visit<'_>, fault: Fault) -> Reply {
    let jpeg = "image/jpeg";
    match fault {
        Fault::Status {
            status,
            retry_after,
        } => {
            let reply = Reply::text(status, refusal_text(status));
            match retry_after {
                Some(seconds) => reply.with(RETRY_AFTER, seconds.to_string()),
                None => reply,
            }
        }
        Fault::RateOverlimit => Reply::text(200, "rate-overlimit"),
        Fault::Empty { .. } => Reply::new(200, jpeg, ""),
        Fault::NotJson => spoiled::not_json(jpeg),
        Fault::Html => spoiled::html(jpeg),
        Fault::Svg => spoiled::svg(),
        Fault::Oversized { bytes, declared } => {
            let photo = world.photo(Portrait::Person(0)).await;
            spoiled::jpeg_start(&photo.bytes).padded(bytes, declared)
        }
        Fault::Truncated => honest(world, visit).await.truncated(),
        Fault::WrongLength => honest(world, visit).await.too_short(),
        Fault::Reset => honest(world, visit).await.reset(),
        Fault::Hang => {
            world.hang().await;
            Reply::text(503, "")
        }
        Fault::ExpiredLink { .. } => Reply::text(403, Refusal::Expired.text()),
        Fault::Redirect { location } => {
            let location = location.unwrap_or_else(|| visit.another_link(world));
            Reply::text(302, "").with(LOCATION, location)
        }
        Fault::DefaultImage => picture(world, Portrait::Silhouette).await,
        Fault::BadImage => spoiled::noise(jpeg),
        // These are about the vendors' answers, and no rule for the CDN may hold them.
        Fault::Latency { .. }
        | Fault::EmptyUrl
        | Fault::Restricted
        | Fault::SessionDown { .. }
        | Fault::AmpEntity
        | Fault::AmpUnicode
        | Fault::WrappedLink => honest(world, visit).await,
    }
}

async fn honest(world: &World, visit: &Visit<'_>) -> Reply {
    let Some(file) = &visit.file else {
        return Reply::text(404, "Not Found");
    };
    match visit.verdict {
        Ok(()) => picture(world, file.portrait).await,
        Err(refusal) => Reply::text(403, refusal.text()),
    }
}

async fn picture(world: &World, portrait: Portrait) -> Reply {
    let photo = world.photo(portrait).await;
    let uploaded = portrait.uploaded().as_system_time();
    Reply::new(200, photo.format.media_type(), photo.bytes)
        .with(LAST_MODIFIED, httpdate::fmt_http_date(uploaded))
        .with(CACHE_CONTROL, "max-age=1209600")
}

fn refusal_text(status: u16) -> &'static str {
    match status {
        403 => Refusal::Expired.text(),
        404 => "Not Found",
        410 => "Gone",
        429 => "Too Many Requests",
        _ => "Error",
    }
}

// === impl Visit ===

impl Visit<'_> {
    fn jid(&self) -> Option<&str> {
        self.file.as_ref()?.jid.as_deref()
    }

    fn account(&self) -> &str {
        self.issue.as_ref().map_or("", |issue| &issue.account)
    }

    fn target(&self) -> Target<'_> {
        Target {
            hop: Hop::Cdn,
            vendor: self.issue.as_ref().map(|issue| issue.vendor),
            account: self.account(),
            jid: self.jid(),
        }
    }

    fn call(&self) -> Call {
        Call {
            hop: Hop::Cdn,
            vendor: self.issue.as_ref().map(|issue| issue.vendor),
            endpoint: Endpoint::Download,
            account: self.account().to_owned(),
            jid: self.jid().map(str::to_owned),
            refresh: false,
            status: None,
        }
    }

    /// The same file under a new signature; the old path alone when nobody was issued the link.
    fn another_link(&self, world: &World) -> String {
        match &self.issue {
            Some(issue) => world.fresh_link(self.path, issue),
            None => self.path.to_owned(),
        }
    }
}
