//! From a face to a response: the only place that makes validators, `Cache-Control` and
//! `Cache-Status`.
//!
//! Caching follows one idea: a browser may keep a picture exactly as long as Faceplate would
//! (`max-age` is the TTL, `Age` counts against it, RFC 9111 §4.2), a drawing that stands for a
//! truthful "there is none" for minutes, and one that stands for trouble not at all.

use std::{fmt::Write, time::Duration};

use arrayvec::ArrayString;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use httpdate::HttpDate;
use serde::Serialize;

use super::{Shown, What};
use crate::{
    avatar::{Digest, Forward, Outcome, Policy, StoredPicture, Subject},
    clock::Timestamp,
    front::Settings,
    http::{
        conditional::{self, Verdict},
        problem::Problem,
        range::{self, Part},
    },
    pipeline::ServedFace,
    public::{Mode, route::View},
    server::{HeaderBlock, Reply},
};

pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(crate) const SOURCE: HeaderName = HeaderName::from_static("x-faceplate-source");
pub(crate) const REASON: HeaderName = HeaderName::from_static("x-faceplate-reason");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const TIMING: HeaderName = HeaderName::from_static("timing-allow-origin");

/// Nothing in an image may run or be fetched; a drawing may style itself.
const IMAGE_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";
/// A page of our own, which shows faces and styles and scripts itself.
const PAGE_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self'; connect-src 'self'";
/// How long a drawing for a truthful "there is none" may be kept.
const DRAWING_MAX_AGE: Duration = Duration::from_secs(300);

/// `Cache-Control`; the longest is `private, max-age=` and twenty digits.
type Directives = ArrayString<48>;

/// What a response depends on, beside the face.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) instance: &'a str,
    pub(crate) subject: &'a Subject,
    pub(crate) view: &'a View<'a>,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) settings: &'a Settings,
    /// What all images have in common.
    pub(crate) common: &'a HeaderBlock,
    pub(crate) policy: &'a Policy,
    pub(crate) now: Timestamp,
}

/// The response for a face, or for the want of one.
pub(crate) fn face(served: &ServedFace, shown: &Shown, context: &Context<'_>) -> Reply {
    let mut response = match served.picture() {
        Some(kept) => picture(kept, shown, served, context),
        None => drawing(shown, context, drawing_cache_control(served, context)),
    };
    let fields = &mut response.headers;
    fields.add(CACHE_STATUS, &cache_status(served, context));
    if let Some(reason) = reason(served, context) {
        fields.add(REASON, reason);
    }
    retry_after(served, context, fields);
    response
}

/// When trouble that left nothing to show may be over.
pub(crate) fn retry_after(served: &ServedFace, context: &Context<'_>, fields: &mut HeaderBlock) {
    let retry_at = served.retry_at().filter(|at| *at > context.now);
    if served.picture().is_none()
        && served.trouble().is_some()
        && let Some(retry_at) = retry_at
    {
        let seconds = retry_at.since(context.now).as_millis().div_ceil(1000);
        fields.add_number(header::RETRY_AFTER, seconds as u64);
    }
}

/// The drawing that was asked for although there may be a picture (`f=y`).
pub(crate) fn forced(shown: &Shown, context: &Context<'_>) -> Reply {
    let mut response = drawing(shown, context, max_age(context, DRAWING_MAX_AGE));
    let fields = &mut response.headers;
    fields.add(CACHE_STATUS, "faceplate; fwd=bypass; detail=forced-default");
    fields.add(REASON, "forced");
    response
}

/// A page of our own.
pub(crate) fn page(html: Bytes) -> Reply {
    let mut response = plain(StatusCode::OK, "text/html; charset=utf-8", html);
    response
        .headers
        .add(header::CONTENT_SECURITY_POLICY, PAGE_CSP);
    response
}

/// A response that is not to be kept.
pub(crate) fn plain(status: StatusCode, media: &str, body: Bytes) -> Reply {
    let mut response = Reply::with_body(status, media, body);
    let fields = &mut response.headers;
    fields.add(header::CACHE_CONTROL, "no-store");
    fields.add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    fields.add(header::REFERRER_POLICY, "no-referrer");
    response
}

/// A document about us.
pub(crate) fn document(text: &'static str) -> Reply {
    plain(
        StatusCode::OK,
        "application/json",
        Bytes::from_static(text.as_bytes()),
    )
}

/// An answer for programs.
pub(crate) fn json(value: &impl Serialize) -> Reply {
    plain(
        StatusCode::OK,
        "application/json",
        // Texts and numbers cannot fail to be JSON.
        serde_json::to_vec(value).unwrap_or_default().into(),
    )
}

/// Leaves the headers, `Content-Length` included, as GET would have sent them.
pub(crate) fn without_body(response: &mut Reply) {
    response.body = Bytes::new();
}

fn picture(
    kept: &StoredPicture,
    shown: &Shown,
    served: &ServedFace,
    context: &Context<'_>,
) -> Reply {
    let picture = &kept.picture;
    let (media, bytes, digest) = match &shown.what {
        What::Variant(derived) => (derived.format.as_str(), &derived.bytes, derived.digest),
        _ => (picture.media().as_str(), picture.bytes(), picture.digest()),
    };
    let etag = || etag(&digest);
    let modified = kept.changed_at.as_system_time();
    let verdict = conditional::check(context.headers, etag, Some(modified));
    let mut response = image(media, bytes.clone(), verdict, context);
    // Range is for GET alone (§14.2).
    if response.status == StatusCode::OK && context.method == Method::GET {
        let length = bytes.len() as u64;
        let part = range::part(context.headers, length, etag, modified);
        cut(&mut response, bytes, part);
    }
    let age = kept.age(context.now);
    let is_an_error = response.status.is_client_error();
    let fields = &mut response.headers;
    let lines = || lines(&digest, kept.changed_at);
    match &shown.what {
        What::Variant(_) => fields.add_all(&lines()),
        _ => fields.add_lines(kept.memo.get_or_make(|| lines().into_lines())),
    }
    if shown.by_accept {
        fields.add(header::VARY, "Accept");
    }
    fields.add_number(header::AGE, age.as_secs());
    let is_fresh = !is_an_error && age < context.policy.ttl && !served.is_deferred();
    if is_fresh {
        fields.add(header::CACHE_CONTROL, &max_age(context, context.policy.ttl));
    } else {
        fields.add(header::CACHE_CONTROL, "no-cache");
    }
    response
}

/// What is told of a picture in every answer that has to do with it.
fn lines(digest: &Digest, changed: Timestamp) -> HeaderBlock {
    let mut fields = HeaderBlock::default();
    fields.add(header::ETAG, &etag(digest));
    fields.add(header::ACCEPT_RANGES, "bytes");
    fields.add(header::LAST_MODIFIED, &date(changed));
    fields.add(SOURCE, "picture");
    fields
}

/// Leaves of a response with all of `bytes` the part that was asked for.
fn cut(response: &mut Reply, bytes: &Bytes, part: Part) {
    let length = bytes.len();
    let (status, range, bytes) = match part {
        Part::Whole => return,
        Part::Unsatisfiable => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            format!("bytes */{length}"),
            Bytes::new(),
        ),
        Part::Some(part) => (
            StatusCode::PARTIAL_CONTENT,
            format!("bytes {}-{}/{length}", part.start, part.end - 1),
            bytes.slice(part.start as usize..part.end as usize),
        ),
    };
    response.status = status;
    let fields = &mut response.headers;
    if bytes.is_empty() {
        fields.remove(&header::CONTENT_TYPE);
    }
    fields.remove(&header::CONTENT_LENGTH);
    fields.add_number(header::CONTENT_LENGTH, bytes.len() as u64);
    fields.add(header::CONTENT_RANGE, &range);
    response.body = bytes;
}

fn drawing(shown: &Shown, context: &Context<'_>, cache_control: Directives) -> Reply {
    let (media, bytes, digest) = match &shown.what {
        What::Variant(derived) => (
            derived.format.as_str(),
            derived.bytes.clone(),
            derived.digest,
        ),
        What::Drawing(svg) => ("image/svg+xml", svg.clone(), Digest::of(svg)),
        What::Nothing | What::Picture => {
            let mut response = Problem::NoPicture.into_reply();
            let fields = &mut response.headers;
            fields.replace(header::CACHE_CONTROL, &cache_control);
            fields.add(SOURCE, "fallback");
            return response;
        }
    };
    let etag = etag(&digest);
    let verdict = conditional::check(context.headers, || etag, None);
    let mut response = image(media, bytes, verdict, context);
    let fields = &mut response.headers;
    fields.add(header::ETAG, &etag);
    if shown.by_accept {
        fields.add(header::VARY, "Accept");
    }
    fields.add(SOURCE, "fallback");
    fields.add(header::CACHE_CONTROL, &cache_control);
    response
}

fn image(media: &str, bytes: Bytes, verdict: Verdict, context: &Context<'_>) -> Reply {
    let mut response = match verdict {
        Verdict::Send => Reply::with_body(StatusCode::OK, media, bytes),
        Verdict::NotModified => Reply::empty(StatusCode::NOT_MODIFIED),
    };
    response.headers.add_all(context.common);
    response
}

/// What all images have in common.
pub(crate) fn common(allow_origin: &HeaderValue) -> HeaderBlock {
    let mut fields = HeaderBlock::default();
    fields.add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    fields.add(header::CONTENT_SECURITY_POLICY, IMAGE_CSP);
    fields.add(CORP, "cross-origin");
    let allow_origin = allow_origin.to_str().unwrap_or_default();
    fields.add(header::ACCESS_CONTROL_ALLOW_ORIGIN, allow_origin);
    fields.add(TIMING, "*");
    fields.add(header::REFERRER_POLICY, "no-referrer");
    fields
}

pub(crate) fn etag(digest: &Digest) -> ArrayString<34> {
    let mut etag = ArrayString::new();
    for part in ["\"", &digest.short(), "\""] {
        etag.push_str(part);
    }
    etag
}

fn date(time: Timestamp) -> ArrayString<32> {
    let mut text = ArrayString::new();
    // 29 bytes.
    let _ = write!(text, "{}", HttpDate::from(time.as_system_time()));
    text
}

fn max_age(context: &Context<'_>, age: Duration) -> Directives {
    let scope = match context.settings.access.mode {
        Mode::Signed => "private",
        Mode::Open => "public",
    };
    let mut text = Directives::new();
    text.push_str(scope);
    text.push_str(", max-age=");
    text.push_str(itoa::Buffer::new().format(age.as_secs()));
    text
}

fn drawing_cache_control(served: &ServedFace, context: &Context<'_>) -> Directives {
    let is_truth = !served.is_deferred() && matches!(served.outcome(), Some(Outcome::Empty(_)));
    if !is_truth {
        let mut text = Directives::new();
        text.push_str("no-store");
        return text;
    }
    let believed = served
        .retry_at()
        .map_or(Duration::ZERO, |at| at.since(context.now));
    max_age(context, believed.min(DRAWING_MAX_AGE))
}

/// The reason, for a drawing and for a picture that is older than it should be.
pub(crate) fn reason(served: &ServedFace, context: &Context<'_>) -> Option<&'static str> {
    let is_fresh = served
        .picture()
        .is_some_and(|kept| kept.age(context.now) < context.policy.ttl);
    if is_fresh {
        return None;
    }
    Some(match served.outcome() {
        Some(outcome) => outcome.as_str(),
        None => "deferred",
    })
}

/// `Cache-Status` (RFC 9211). Its parameters are all tokens and integers, so no structured-field
/// library is needed to write it.
fn cache_status(served: &ServedFace, context: &Context<'_>) -> ArrayString<160> {
    // All of it together is a hundred bytes.
    let mut text = ArrayString::new();
    text.push_str("faceplate");
    match served.forward {
        None => text.push_str("; hit"),
        Some(Forward::UriMiss) => text.push_str("; fwd=uri-miss"),
        Some(Forward::Stale) => text.push_str("; fwd=stale"),
        Some(Forward::Request) => text.push_str("; fwd=request"),
    }
    if let Some(landed) = &served.fetch {
        if let Some(status) = landed.status {
            text.push_str("; fwd-status=");
            text.push_str(itoa::Buffer::new().format(status));
        }
        if landed.stored {
            text.push_str("; stored");
        }
    }
    if served.collapsed {
        text.push_str("; collapsed");
    }
    if let Some(ttl) = ttl(served, context) {
        text.push_str("; ttl=");
        text.push_str(itoa::Buffer::new().format(ttl));
    }
    if let Some(detail) = detail(served) {
        text.push_str("; detail=");
        text.push_str(detail);
    }
    text
}

/// Seconds of freshness left; negative for a stale picture.
fn ttl(served: &ServedFace, context: &Context<'_>) -> Option<i64> {
    match served.picture() {
        Some(kept) => {
            let age = kept.age(context.now).as_secs() as i64;
            Some(context.policy.ttl.as_secs() as i64 - age)
        }
        None if served.forward.is_none() => {
            let left = served.retry_at()?.since(context.now);
            Some(left.as_secs() as i64)
        }
        None => None,
    }
}

fn detail(served: &ServedFace) -> Option<&'static str> {
    if served.is_deferred() {
        return Some("deferred");
    }
    if served.revalidating {
        return Some("revalidating");
    }
    served
        .outcome()
        .filter(|outcome| *outcome != Outcome::Picture)
        .map(Outcome::as_str)
}
