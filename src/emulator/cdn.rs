//! WhatsApp's CDN: a signed link is answered with the picture.

use hyper::{
    header::{CACHE_CONTROL, LAST_MODIFIED, LOCATION, RETRY_AFTER},
    http::request::Parts,
};

use super::{
    art::Portrait,
    bad_bodies,
    call_log::Call,
    links::{Recipient, Refusal},
    reply::Reply,
    rule::{Fault, Target},
    state::State,
    vocabulary::{Endpoint, Hop},
    whatsapp::File,
};

/// A request for a link.
struct Download<'a> {
    path: &'a str,
    file: Option<File>,
    recipient: Option<Recipient>,
    verdict: Result<(), Refusal>,
}

/// Answers one download.
pub(super) async fn answer(state: &State, head: &Parts) -> Reply {
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let (recipient, verdict) = state.signer.verify(path, query, state.clock.now());
    let download = Download {
        path,
        file: state.whatsapp.file(path),
        recipient,
        verdict,
    };
    let id = state.call_log.record(download.to_call());
    let reply = serve(state, &download).await;
    state.call_log.set_status(id, reply.status.as_u16());
    reply
}

async fn serve(state: &State, download: &Download<'_>) -> Reply {
    let effect = state.faults.apply(download.target());
    state.delay(&effect).await;
    match effect.fault {
        None => reply_normally(state, download).await,
        Some(fault) => reply_with_fault(state, download, fault).await,
    }
}

async fn reply_with_fault(state: &State, download: &Download<'_>, fault: Fault) -> Reply {
    let jpeg = "image/jpeg";
    match fault {
        Fault::Status {
            status,
            retry_after,
        } => {
            let reply = Reply::text(status, error_text(status));
            match retry_after {
                Some(seconds) => reply.with_header(RETRY_AFTER, seconds.to_string()),
                None => reply,
            }
        }
        Fault::RateOverlimit => Reply::text(200, "rate-overlimit"),
        Fault::Empty { .. } => Reply::new(200, jpeg, ""),
        Fault::NotJson => bad_bodies::not_json(jpeg),
        Fault::Html => bad_bodies::html(jpeg),
        Fault::Svg => bad_bodies::svg(),
        Fault::Oversized { bytes, declared } => {
            let photo = state.photo(Portrait::Person(0)).await;
            bad_bodies::jpeg_start(&photo.bytes).pad(bytes, declared)
        }
        Fault::Truncated => reply_normally(state, download).await.truncate(),
        Fault::WrongLength => reply_normally(state, download).await.overstate_length(),
        Fault::Reset => reply_normally(state, download).await.reset(),
        Fault::Hang => {
            state.hang().await;
            Reply::text(503, "")
        }
        Fault::ExpiredLink { .. } => Reply::text(403, Refusal::Expired.text()),
        Fault::Redirect { location } => {
            let location = location.unwrap_or_else(|| download.another_link(state));
            Reply::text(302, "").with_header(LOCATION, location)
        }
        Fault::DefaultImage => picture(state, Portrait::Silhouette).await,
        Fault::BadImage => bad_bodies::noise(jpeg),
        Fault::File { bytes } => Reply::new(200, jpeg, bytes),
        // A rule for the CDN cannot have these, which are about the vendors' replies.
        Fault::Latency { .. }
        | Fault::EmptyUrl
        | Fault::Restricted
        | Fault::SessionDown { .. }
        | Fault::AmpEntity
        | Fault::AmpUnicode
        | Fault::WrappedLink => reply_normally(state, download).await,
    }
}

async fn reply_normally(state: &State, download: &Download<'_>) -> Reply {
    let Some(file) = &download.file else {
        return Reply::text(404, "Not Found");
    };
    match download.verdict {
        Ok(()) => picture(state, file.portrait).await,
        Err(refusal) => Reply::text(403, refusal.text()),
    }
}

async fn picture(state: &State, portrait: Portrait) -> Reply {
    let photo = state.photo(portrait).await;
    let uploaded_at = portrait.uploaded_at().as_system_time();
    Reply::new(200, photo.format.media_type(), photo.bytes)
        .with_header(LAST_MODIFIED, httpdate::fmt_http_date(uploaded_at))
        .with_header(CACHE_CONTROL, "max-age=1209600")
}

fn error_text(status: u16) -> &'static str {
    match status {
        403 => Refusal::Expired.text(),
        404 => "Not Found",
        410 => "Gone",
        429 => "Too Many Requests",
        _ => "Error",
    }
}

// === impl Download ===

impl Download<'_> {
    fn jid(&self) -> Option<&str> {
        self.file.as_ref()?.jid.as_deref()
    }

    fn account(&self) -> &str {
        self.recipient
            .as_ref()
            .map_or("", |recipient| &recipient.account)
    }

    fn target(&self) -> Target<'_> {
        Target {
            hop: Hop::Cdn,
            vendor: self.recipient.as_ref().map(|recipient| recipient.vendor),
            account: self.account(),
            jid: self.jid(),
        }
    }

    fn to_call(&self) -> Call {
        Call {
            hop: Hop::Cdn,
            vendor: self.recipient.as_ref().map(|recipient| recipient.vendor),
            endpoint: Endpoint::Download,
            account: self.account().to_owned(),
            jid: self.jid().map(str::to_owned),
            refresh: false,
            status: None,
        }
    }

    /// The same file under a new signature; the path alone if the link names no recipient.
    fn another_link(&self, state: &State) -> String {
        match &self.recipient {
            Some(recipient) => state.fresh_link(self.path, recipient),
            None => self.path.to_owned(),
        }
    }
}
