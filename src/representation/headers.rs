//! Writes the reply for a face: the only place that makes its validators and `Cache-Control`.
//!
//! A browser may keep a picture as long as this server does (`max-age` is the TTL, and `Age` counts against it,
//! RFC 9111 §4.2), or shorter if the operator says so. It may keep a placeholder for a confirmed "no picture" for
//! minutes, and may not store a placeholder caused by an error. It has to revalidate the reply to a refresh, and an
//! image in place of a variant, each time.

use std::{fmt::Write, time::Duration};

use arrayvec::ArrayString;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use httpdate::HttpDate;

use super::{Content, FaceRequest, Representation, Sharing, cache_status, problems};
use crate::{
    avatar::{Digest, Empty, Outcome, StoredPicture, Subject, Trouble},
    clock::Timestamp,
    http::{
        CACHE_STATUS,
        access_log::{Image, RequestLog},
        conditional::{self, Verdict},
        range::{self, Part},
    },
    images::VariantError,
    pipeline::ServedFace,
    server::{HeaderBlock, Reply},
};

const SOURCE: HeaderName = HeaderName::from_static("x-faceplate-source");
const REASON: HeaderName = HeaderName::from_static("x-faceplate-reason");
/// Why the image is not the variant that was asked for.
const VARIANT: HeaderName = HeaderName::from_static("x-faceplate-variant");
/// The instance whose picture it is, where that is another one.
const INSTANCE: HeaderName = HeaderName::from_static("x-faceplate-instance");
/// nginx does not subtract `Age` from `max-age`. It uses this header instead, and removes it.
const ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const TIMING: HeaderName = HeaderName::from_static("timing-allow-origin");

/// An image may not run scripts or load anything. A placeholder may style itself.
const IMAGE_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";
/// The headers that scripts of other origins may read, beside those that they always may.
const EXPOSED: &str = "Accept-Ranges, Age, Cache-Status, Content-Range, Date, ETag, Retry-After, Vary, X-Faceplate-Ignored, X-Faceplate-Instance, X-Faceplate-Reason, X-Faceplate-Source, X-Faceplate-Variant, X-Request-Id";
/// The longest time for which a placeholder for a confirmed "no picture" may be kept.
const PLACEHOLDER_MAX_AGE: Duration = Duration::from_secs(300);

/// How long a fetch usually goes on after its request was answered.
const FETCH_TIME: Duration = Duration::from_secs(2);

/// How long a reply may be kept.
#[derive(Clone, Copy, Debug)]
enum Lifetime {
    /// Not at all.
    Unstored,
    /// Only to ask with its `ETag` whether it is current.
    Revalidated,
    /// `max_age` from the `Age` on, of which `left` are left.
    Fresh { max_age: Duration, left: Duration },
}

/// The settings that headers depend on.
#[derive(Clone, Debug)]
pub(crate) struct HeaderPolicy {
    /// How long a picture is fresh.
    ttl: Duration,
    /// The longest time for which a browser keeps a face.
    browser_ttl: Duration,
    /// The headers that all images have.
    common: HeaderBlock,
}

/// Writes the reply to one request.
pub(super) struct Writer<'a> {
    pub(super) request: &'a FaceRequest,
    pub(super) representation: &'a Representation,
    pub(super) policy: &'a HeaderPolicy,
    pub(super) now: Timestamp,
}

impl HeaderPolicy {
    pub(crate) fn new(
        ttl: Duration,
        browser_ttl: Option<Duration>,
        allow_origin: &HeaderValue,
    ) -> Self {
        let mut common = HeaderBlock::default();
        common.add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        common.add(header::CONTENT_SECURITY_POLICY, IMAGE_CSP);
        common.add(CORP, "cross-origin");
        common.add_all(&cross_origin(allow_origin));
        common.add(TIMING, "*");
        common.add(header::REFERRER_POLICY, "no-referrer");
        Self {
            ttl,
            browser_ttl: browser_ttl.unwrap_or(Duration::MAX),
            common,
        }
    }
}

impl Writer<'_> {
    /// The reply for a face that was looked up, with a picture or without.
    pub(super) fn face(&self, face: &ServedFace, log: &mut RequestLog) -> Reply {
        let (ttl, now) = (self.policy.ttl, self.now);
        let shown = face.picture();
        let shown = shown.filter(|_| self.representation.is_picture());
        let (source, mut reply) = match shown {
            Some(stored) => ("picture", self.picture(stored, face)),
            None => ("fallback", self.placeholder(self.without_picture(face))),
        };
        let unmet = self.unmet_refresh(face);
        let reason = if shown.is_none() && face.picture().is_some() {
            self.representation.stands_in.map(VariantError::as_str)
        } else {
            unmet.or_else(|| cache_status::reason(face, ttl, now))
        };
        log.set_image(Image {
            cache: face.cache_status(),
            source,
            reason: reason.unwrap_or("none"),
        });
        let headers = &mut reply.headers;
        headers.add(CACHE_STATUS, &cache_status::cache_status(face, ttl, now));
        if let Some(from) = shown.and_then(|stored| stored.from.as_deref()) {
            headers.add(INSTANCE, from);
        }
        if let Some(reason) = reason {
            headers.add(REASON, reason);
        }
        if unmet.is_some() || face.picture().is_none() {
            add_retry_after(face, now, headers);
        }
        reply
    }

    /// The reply for a placeholder that needs no look-up: the URL asks for it although there may be a picture
    /// (`f=y`), or the address cannot have a picture.
    pub(super) fn forced_placeholder(&self, log: &mut RequestLog) -> Reply {
        let (reason, cache_status) = match self.request.subject {
            Subject::Faceless(_) => (
                Empty::NotSet.as_str(),
                "faceplate; fwd=bypass; detail=faceless",
            ),
            _ => ("forced", "faceplate; fwd=bypass; detail=forced-default"),
        };
        log.set_image(Image {
            cache: "bypass",
            source: "fallback",
            reason,
        });
        let mut reply = self.placeholder(Lifetime::of_placeholder(PLACEHOLDER_MAX_AGE));
        let headers = &mut reply.headers;
        headers.add(CACHE_STATUS, cache_status);
        headers.add(REASON, reason);
        reply
    }

    fn picture(&self, stored: &StoredPicture, face: &ServedFace) -> Reply {
        let picture = &stored.picture;
        let (media, bytes, digest) = match &self.representation.content {
            Content::Variant(variant) => (variant.format.as_str(), &variant.bytes, variant.digest),
            _ => (picture.media().as_str(), picture.bytes(), picture.digest()),
        };
        let etag = || etag(&digest);
        let modified = stored.changed_at.as_system_time();
        let verdict = conditional::check(&self.request.headers, etag, Some(modified));
        if verdict == Verdict::Failed {
            return problems::precondition_failed().into_reply();
        }
        let mut reply = self.image(media, bytes.clone(), verdict);
        // Range is defined for GET alone (RFC 9110 §14.2).
        if reply.status == StatusCode::OK && self.request.method == Method::GET {
            let length = bytes.len() as u64;
            let part = range::part(&self.request.headers, length, etag, modified);
            cut(&mut reply, bytes, part);
        }
        let age = stored.age(self.now);
        let is_an_error = reply.status.is_client_error();
        let headers = &mut reply.headers;
        add_validators(headers, &digest, stored.changed_at);
        self.add_vary(headers);
        headers.add_number(header::AGE, age.as_secs());
        let ttl = self.policy.ttl;
        let lifetime = if !is_an_error && age < ttl && !face.is_deferred() {
            Lifetime::Fresh {
                max_age: ttl,
                left: ttl - age,
            }
        } else {
            Lifetime::Revalidated
        };
        self.add_lifetime(lifetime, headers);
        reply
    }

    fn placeholder(&self, lifetime: Lifetime) -> Reply {
        let (media, bytes, digest) = match &self.representation.content {
            Content::RasterPlaceholder(variant) => (
                variant.format.as_str(),
                variant.bytes.clone(),
                variant.digest,
            ),
            Content::Placeholder(svg) => ("image/svg+xml", svg.clone(), Digest::of(svg)),
            Content::Nothing | Content::Original | Content::Variant(_) => {
                let problem = match lifetime {
                    Lifetime::Unstored => problems::not_known(),
                    Lifetime::Revalidated | Lifetime::Fresh { .. } => problems::no_picture(),
                };
                let mut reply = problem.into_reply();
                let headers = &mut reply.headers;
                headers.remove(&header::CACHE_CONTROL);
                self.add_lifetime(lifetime, headers);
                headers.add(SOURCE, "fallback");
                return reply;
            }
        };
        let etag = etag(&digest);
        let verdict = conditional::check(&self.request.headers, || etag, None);
        if verdict == Verdict::Failed {
            return problems::precondition_failed().into_reply();
        }
        let mut reply = self.image(media, bytes, verdict);
        let headers = &mut reply.headers;
        headers.add(header::ETAG, &etag);
        self.add_vary(headers);
        headers.add(SOURCE, "fallback");
        self.add_lifetime(lifetime, headers);
        reply
    }

    fn image(&self, media: &str, bytes: Bytes, verdict: Verdict) -> Reply {
        let mut reply = match verdict {
            Verdict::Send => Reply::with_body(StatusCode::OK, media, bytes),
            Verdict::NotModified | Verdict::Failed => Reply::empty(StatusCode::NOT_MODIFIED),
        };
        reply.headers.add_all(&self.policy.common);
        reply
    }

    fn add_vary(&self, headers: &mut HeaderBlock) {
        if self.representation.varies {
            headers.add(header::VARY, "Accept");
        }
    }

    /// Says how long the reply may be kept, and by whom.
    fn add_lifetime(&self, lifetime: Lifetime, headers: &mut HeaderBlock) {
        let (stands_in, browser_ttl) = (self.representation.stands_in, self.policy.browser_ttl);
        if let Some(why) = stands_in {
            headers.add(VARIANT, why.as_str());
        }
        let (max_age, left) = match lifetime {
            Lifetime::Unstored => return headers.add(header::CACHE_CONTROL, "no-store"),
            Lifetime::Fresh { max_age, left }
                if stands_in.is_none() && !self.request.is_refresh && !browser_ttl.is_zero() =>
            {
                // `Age` counts against it.
                let age = max_age - left;
                (max_age.min(age.saturating_add(browser_ttl)), left)
            }
            Lifetime::Fresh { .. } | Lifetime::Revalidated => {
                let directives = match self.request.sharing {
                    Sharing::Public => "no-cache",
                    Sharing::Private => "private, no-cache",
                };
                return headers.add(header::CACHE_CONTROL, directives);
            }
        };
        // The longest has twenty digits.
        let mut directives = ArrayString::<48>::new();
        directives.push_str(match self.request.sharing {
            Sharing::Public => "public, max-age=",
            Sharing::Private => "private, max-age=",
        });
        directives.push_str(itoa::Buffer::new().format(max_age.as_secs()));
        headers.add(header::CACHE_CONTROL, &directives);
        if self.request.sharing == Sharing::Public {
            headers.add_number(ACCEL_EXPIRES, left.as_secs());
        }
    }

    /// Why a request that demands a refresh did not get one. A picture that is only fresh does not fulfil it.
    fn unmet_refresh(&self, face: &ServedFace) -> Option<&'static str> {
        if !self.request.is_refresh {
            None
        } else if face.is_deferred() {
            Some(cache_status::DEFERRED)
        } else {
            face.trouble().map(Trouble::as_str)
        }
    }

    /// The lifetime of a placeholder for a face that has no picture to show.
    fn without_picture(&self, face: &ServedFace) -> Lifetime {
        if face.picture().is_some() {
            return Lifetime::Revalidated;
        }
        let is_confirmed = !face.is_deferred() && matches!(face.outcome(), Some(Outcome::Empty(_)));
        if !is_confirmed {
            return Lifetime::Unstored;
        }
        let left = face
            .retry_at()
            .map_or(Duration::ZERO, |at| at.since(self.now));
        Lifetime::of_placeholder(left.min(PLACEHOLDER_MAX_AGE))
    }
}

impl Lifetime {
    fn of_placeholder(left: Duration) -> Self {
        Lifetime::Fresh {
            max_age: left,
            left,
        }
    }
}

/// The headers that let scripts of other origins read a reply.
pub(crate) fn cross_origin(allow_origin: &HeaderValue) -> HeaderBlock {
    let mut headers = HeaderBlock::default();
    let allow_origin = allow_origin.to_str().unwrap_or_default();
    headers.add(header::ACCESS_CONTROL_ALLOW_ORIGIN, allow_origin);
    headers.add(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers
}

/// Adds `Retry-After` where the vendor's answer is missing: the time until the vendor is asked again, or until
/// the fetch that goes on has probably ended.
pub(crate) fn add_retry_after(face: &ServedFace, now: Timestamp, headers: &mut HeaderBlock) {
    let retry_at = face.retry_at().filter(|at| *at > now);
    let wait = match retry_at {
        _ if face.is_deferred() => FETCH_TIME,
        Some(at) if face.trouble().is_some() => at.since(now),
        // The vendor may be asked at once.
        None if face.trouble().is_some() => Duration::from_secs(1),
        _ => return,
    };
    let seconds = wait.as_millis().div_ceil(1000);
    headers.add_number(header::RETRY_AFTER, seconds as u64);
}

/// The entity tag of content.
pub(crate) fn etag(digest: &Digest) -> ArrayString<34> {
    let mut etag = ArrayString::new();
    for part in ["\"", &digest.short(), "\""] {
        etag.push_str(part);
    }
    etag
}

/// Adds the headers of every reply about a picture.
fn add_validators(headers: &mut HeaderBlock, digest: &Digest, changed: Timestamp) {
    headers.add(header::ETAG, &etag(digest));
    headers.add(header::ACCEPT_RANGES, "bytes");
    headers.add(header::LAST_MODIFIED, &date(changed));
    headers.add(SOURCE, "picture");
}

/// Reduces a reply with all of `bytes` to the requested part.
fn cut(reply: &mut Reply, bytes: &Bytes, part: Part) {
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
    reply.status = status;
    let headers = &mut reply.headers;
    if bytes.is_empty() {
        headers.remove(&header::CONTENT_TYPE);
    }
    headers.remove(&header::CONTENT_LENGTH);
    headers.add_number(header::CONTENT_LENGTH, bytes.len() as u64);
    headers.add(header::CONTENT_RANGE, &range);
    reply.body = bytes;
}

/// An HTTP date, which has 29 bytes.
fn date(time: Timestamp) -> ArrayString<32> {
    let mut text = ArrayString::new();
    // The date fits.
    let _ = write!(text, "{}", HttpDate::from(time.as_system_time()));
    text
}
