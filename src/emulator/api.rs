//! The vendors' API: one call from its arrival to its reply.
//!
//! 1. Parse the call and record it.
//! 2. Refuse it as the vendor would: credential, account, form.
//! 3. Apply the rules.
//! 4. Look the answer up: the vendor's cache, then WhatsApp.
//! 5. Reply in the vendor's JSON, with the fault that the rules demand.

use hyper::{
    header::{ALLOW, LOCATION, RETRY_AFTER},
    http::request::Parts,
};

use super::{
    answer::{Answer, Row},
    art::Portrait,
    bad_bodies,
    call_log::Call,
    jid,
    links::Recipient,
    population::{Kind, OWN_JID, Picture},
    reply::Reply,
    rule::{Fault, Target},
    state::State,
    vendor_cache::CacheKey,
    vendor_request::VendorRequest,
    vocabulary::{Endpoint, Hop, Vendor},
};

/// The form of the link in an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkForm {
    Plain,
    Expired,
    AmpEntity,
    AmpUnicode,
    Wrapped,
}

/// Answers one request for a vendor's path.
pub(super) async fn answer(state: &State, head: &Parts, body: &[u8]) -> Reply {
    let Some(request) = VendorRequest::parse(head, body) else {
        if let Some(allowed) = VendorRequest::allowed(head) {
            return Reply::text(405, "").with_header(ALLOW, allowed);
        }
        return Reply::text(
            404,
            "No vendor has this path; GET /_emulator/ lists the paths.\n",
        );
    };
    if request.is_apart() {
        state.call_log.count_session();
        return serve(state, &request).await;
    }
    let id = state.call_log.record(request.to_call());
    let reply = serve(state, &request).await;
    state.call_log.set_status(id, reply.status.as_u16());
    reply
}

async fn serve(state: &State, request: &VendorRequest) -> Reply {
    if let Some(refusal) = refuse(state, request) {
        return refusal;
    }
    let jid = request.jid();
    let target = Target {
        hop: Hop::Api,
        vendor: Some(request.vendor),
        account: &request.account,
        jid: jid.as_deref(),
    };
    let effect = match request.is_apart() {
        true => state.faults.effect_on(target),
        false => state.faults.apply(target),
    };
    state.delay(&effect).await;
    match effect.fault {
        None => reply_normally(state, request, LinkForm::Plain).await,
        Some(fault) => reply_with_fault(state, request, fault).await,
    }
}

/// Refuses a call with a wrong token, for a missing account, or malformed. Every account exists unless
/// its name starts with "missing".
fn refuse(state: &State, request: &VendorRequest) -> Option<Reply> {
    let is_unknown = request.token.as_deref() != Some(state.token.as_str());
    let is_missing = request.account.starts_with("missing");
    // Evolution looks for the account before it looks at the key.
    if is_unknown && !(is_missing && request.vendor == Vendor::Evolution) {
        return Some(request.vendor.error(request, 401));
    }
    if is_missing {
        return Some(request.vendor.error(request, 404));
    }
    request.vendor.refuse_malformed(request)
}

async fn reply_with_fault(state: &State, request: &VendorRequest, fault: Fault) -> Reply {
    let vendor = request.vendor;
    let json = "application/json; charset=utf-8";
    let normal = |form| reply_normally(state, request, form);
    match fault {
        Fault::Latency { .. } => normal(LinkForm::Plain).await,
        Fault::Status {
            status,
            retry_after,
        } => {
            let reply = vendor.error(request, status);
            match retry_after {
                Some(seconds) => reply.with_header(RETRY_AFTER, seconds.to_string()),
                None => reply,
            }
        }
        Fault::DefaultImage | Fault::EmptyUrl | Fault::Restricted
            if request.endpoint == Endpoint::Overview =>
        {
            normal(LinkForm::Plain).await
        }
        Fault::RateOverlimit => vendor.rate_overlimit(request),
        Fault::Empty { remembered } => reply_empty(state, request, remembered),
        Fault::NotJson => bad_bodies::not_json(json),
        Fault::Html => bad_bodies::html("text/html; charset=utf-8"),
        Fault::Svg => bad_bodies::svg(),
        Fault::Oversized { bytes, declared } => {
            let start = oversized_start(state, request).await;
            start.pad(bytes, declared)
        }
        Fault::Truncated => normal(LinkForm::Plain).await.truncate(),
        Fault::WrongLength => normal(LinkForm::Plain).await.overstate_length(),
        Fault::Reset => normal(LinkForm::Plain).await.reset(),
        Fault::Hang => {
            state.hang().await;
            vendor.error(request, 503)
        }
        Fault::ExpiredLink {
            even_when_refreshed,
        } if !request.refresh || even_when_refreshed => normal(LinkForm::Expired).await,
        Fault::ExpiredLink { .. } => normal(LinkForm::Plain).await,
        Fault::Redirect { location } => redirect(state, request, location),
        Fault::DefaultImage => default_image(state, request).await,
        Fault::EmptyUrl => vendor.reply(request, &Answer::Link(String::new())),
        Fault::Restricted => vendor.reply(request, &Answer::Empty(Picture::Hidden)),
        Fault::SessionDown { status } => vendor.session_down(request, &status),
        Fault::AmpEntity => normal(LinkForm::AmpEntity).await,
        Fault::AmpUnicode => normal(LinkForm::AmpUnicode).await,
        Fault::WrappedLink => normal(LinkForm::Wrapped).await,
        Fault::BadImage if vendor == Vendor::Wachat => bad_bodies::noise("image/jpeg"),
        Fault::BadImage => bad_bodies::noise(json),
        Fault::File { bytes } if vendor == Vendor::Wachat => Reply::new(200, "image/jpeg", bytes),
        Fault::File { .. } => normal(LinkForm::Plain).await,
    }
}

async fn reply_normally(state: &State, request: &VendorRequest, form: LinkForm) -> Reply {
    match (request.vendor, request.endpoint) {
        (Vendor::Wachat, _) => match state.whatsapp.portrait(OWN_JID) {
            Some(portrait) => photo(state, portrait).await,
            None => request.vendor.error(request, 404),
        },
        (_, Endpoint::Identity) => {
            let jid = request.jid().unwrap_or_default();
            let (lid, number) = state.whatsapp.identity(&jid);
            request.vendor.identity(request, lid, number)
        }
        (_, Endpoint::Overview) => request.vendor.list(request, rows(state, request, form)),
        // No picture of it is looked up.
        (Vendor::Waha | Vendor::Wappfy, Endpoint::Session) => {
            let answer = Answer::Empty(Picture::Unknown);
            request.vendor.reply(request, &answer)
        }
        (_, Endpoint::Profile | Endpoint::Session | Endpoint::ConnectionState) => {
            let answer = look_up(state, request, OWN_JID);
            let answer = answer.in_form(form, state, request, OWN_JID);
            request.vendor.reply(request, &answer)
        }
        _ => {
            let id = request.id.clone().unwrap_or_default();
            let jid = request.jid().unwrap_or_default();
            let answer = look_up(state, request, &id).in_form(form, state, request, &jid);
            request.vendor.reply(request, &answer)
        }
    }
}

async fn photo(state: &State, portrait: Portrait) -> Reply {
    let photo = state.photo(portrait).await;
    Reply::new(200, photo.format.media_type(), photo.bytes)
}

/// The vendor's answer about `id`: from its cache if it has one and the call does not bypass it, else from
/// WhatsApp.
fn look_up(state: &State, request: &VendorRequest, id: &str) -> Answer {
    let now = state.clock.now();
    let key = request.cache_key(id);
    let has_cache = request.vendor.has_answer_cache();
    if has_cache
        && !request.refresh
        && let Some(answer) = state.vendor_cache.find(&key, now)
    {
        return answer;
    }
    let answer = ask_whatsapp(state, request, id);
    if has_cache {
        state.vendor_cache.put(key, answer.clone(), now);
    }
    answer
}

fn ask_whatsapp(state: &State, request: &VendorRequest, id: &str) -> Answer {
    let Some(jid) = jid::canonicalize(id) else {
        return Answer::Empty(Picture::Unknown);
    };
    match state.link_of(&jid, &request.recipient()) {
        Ok(link) => Answer::Link(link),
        Err(reason) => Answer::Empty(reason),
    }
}

/// The rows of a page of chats. WAHA looks up each row's picture, Evolution has stored ones, others' rows have none.
fn rows(state: &State, request: &VendorRequest, form: LinkForm) -> Vec<Row> {
    let (limit, offset) = request.page;
    let now = state.clock.now().as_secs();
    let profiles = state.whatsapp.profiles();
    // Behind the row that the caller had last.
    let mut others = profiles.iter().filter(|it| it.kind != Kind::Own);
    let last = |id: &String| others.position(|profile| profile.jid == *id);
    let after = request
        .after
        .as_ref()
        .and_then(last)
        .map_or(0, |nth| nth + 1);
    let profiles = profiles.into_iter();
    profiles
        .filter(|profile| profile.kind != Kind::Own)
        .zip(0..)
        .skip(after)
        .skip(offset)
        .take(limit)
        .map(|(profile, nth): (_, u64)| Row {
            picture: match request.vendor {
                Vendor::Wawp | Vendor::Wppconnect => None,
                _ => look_up(state, request, &profile.jid)
                    .in_form(form, state, request, &profile.jid)
                    .link(),
            },
            alt: state.whatsapp.other_name(&profile.jid),
            jid: profile.jid,
            name: profile.name,
            second: now.saturating_sub(nth * 60),
        })
        .collect()
}

fn reply_empty(state: &State, request: &VendorRequest, remembered: bool) -> Reply {
    let answer = Answer::Empty(Picture::NotSet);
    if remembered
        && request.vendor.has_answer_cache()
        && let Some(id) = &request.id
    {
        let key = request.cache_key(id);
        let now = state.clock.now();
        state.vendor_cache.put(key, answer.clone(), now);
    }
    match request.endpoint {
        Endpoint::Overview => request.vendor.list(request, Vec::new()),
        _ => request.vendor.reply(request, &answer),
    }
}

async fn oversized_start(state: &State, request: &VendorRequest) -> Reply {
    if request.vendor == Vendor::Wachat {
        let photo = state.photo(Portrait::Person(0)).await;
        return bad_bodies::jpeg_start(&photo.bytes);
    }
    Reply::new(200, "application/json", r#"{"url":"http://"#)
}

fn redirect(state: &State, request: &VendorRequest, location: Option<String>) -> Reply {
    let location = location.unwrap_or_else(|| {
        let id = request.id.as_deref().unwrap_or(OWN_JID);
        match ask_whatsapp(state, request, id) {
            Answer::Link(link) => link,
            Answer::Empty(_) => default_link(state, request),
        }
    });
    Reply::text(302, "").with_header(LOCATION, location)
}

async fn default_image(state: &State, request: &VendorRequest) -> Reply {
    if request.vendor == Vendor::Wachat {
        return photo(state, Portrait::Silhouette).await;
    }
    let answer = Answer::Link(default_link(state, request));
    request.vendor.reply(request, &answer)
}

fn default_link(state: &State, request: &VendorRequest) -> String {
    let path = state.whatsapp.publish(Portrait::Silhouette, None);
    state.fresh_link(&path, &request.recipient())
}

// === impl VendorRequest ===

impl VendorRequest {
    fn recipient(&self) -> Recipient {
        Recipient {
            vendor: self.vendor,
            account: self.account.clone(),
        }
    }

    fn cache_key(&self, id: &str) -> CacheKey {
        CacheKey {
            vendor: self.vendor,
            account: self.account.clone(),
            id: id.to_owned(),
        }
    }

    fn to_call(&self) -> Call {
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

    /// Whether the call is WAHA's for its session, which a proxy makes of its own while its dashboard is open. It
    /// counts neither as a call nor for the numbers of a rule, so that both stay exact.
    fn is_apart(&self) -> bool {
        let is_waha = matches!(self.vendor, Vendor::Waha | Vendor::Wappfy);
        is_waha && self.endpoint == Endpoint::Session
    }
}

// === impl Answer ===

impl Answer {
    /// The answer, with its link rewritten to `form`.
    fn in_form(self, form: LinkForm, state: &State, request: &VendorRequest, jid: &str) -> Self {
        let Answer::Link(link) = self else {
            return self;
        };
        Answer::Link(match form {
            LinkForm::Plain => link,
            LinkForm::Expired => state.expired_link(path_of(&link), &request.recipient()),
            LinkForm::AmpEntity => link.replace('&', "&amp;"),
            LinkForm::AmpUnicode => link.replace('&', r"\u0026"),
            LinkForm::Wrapped => state.signer.wrap(&link, jid),
        })
    }
}

/// The path of a link that the signer made.
fn path_of(link: &str) -> &str {
    let from = link.find("/v/").unwrap_or_default();
    let end = link.find('?').unwrap_or(link.len());
    &link[from..end]
}
