//! The time that a memory hit and its parts take: `cargo bench --bench hit`.

#![allow(clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc, time::Duration};

use divan::Bencher;
use faceplate::{
    app::{App, Dependencies},
    avatar::{
        Ask, Entry, Jid, Key, LastAttempt, Outcome, Picture, Policy, StoredPicture, Subject, decide,
    },
    clock::{Clock, Timestamp},
    config,
    http::{Scope, SigningKey, Ticket},
    images::{self, Fonts, PlaceholderLook, PlaceholderSpec, PlaceholderStyle},
    server::{HeaderBlock, Peer, Reply},
    telemetry::{access_log::Record, log::Format},
};
use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use image::{DynamicImage, ImageFormat};

fn main() {
    divan::main();
}

fn picture() -> Picture {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    DynamicImage::new_rgb8(640, 640)
        .write_to(&mut jpeg, ImageFormat::Jpeg)
        .unwrap();
    Picture::validate(jpeg.into_inner().into()).unwrap()
}

fn entry(now: Timestamp) -> Entry {
    Entry {
        picture: Some(StoredPicture {
            picture: picture(),
            link_id: None,
            changed_at: now,
            confirmed_at: now,
            from: None,
        }),
        last: LastAttempt {
            outcome: Outcome::Picture,
            asked_at: now,
            answer_asked_at: now,
            retry_at: now,
            errors: 0,
            strikes: 0,
            last_strike_at: now,
            is_forgotten: false,
            is_outdated: false,
            spellings: Default::default(),
        },
    }
}

#[divan::bench]
fn parse_a_jid() -> Jid {
    black_box("628123456789:7@s.whatsapp.net").parse().unwrap()
}

#[divan::bench]
fn key_of_a_face(bencher: Bencher) {
    let subject: Subject = "628123456789".parse().unwrap();
    bencher.bench(|| Key::new(black_box("sales"), &subject));
}

#[divan::bench]
fn decision(bencher: Bencher) {
    let now = Timestamp::from_secs(1_795_200_000);
    let (entry, policy) = (entry(now), Policy::default());
    let later = now + Duration::from_secs(60);
    bencher.bench(|| decide(Some(black_box(&entry)), Ask::View, later, &policy));
}

#[divan::bench]
fn signature(bencher: Bencher) {
    let key = SigningKey::new(&"a signing key of some length".into());
    let ticket = Ticket {
        scope: Scope::Face("628123456789".parse().unwrap()),
        expires: 1_800_000_000,
        refresh: false,
    };
    bencher.bench(|| key.query(black_box("sales"), &ticket));
}

#[divan::bench]
fn validate_a_picture(bencher: Bencher) {
    let bytes = picture().bytes().clone();
    bencher.bench(|| Picture::validate(black_box(bytes.clone())));
}

#[divan::bench]
fn draw_initials(bencher: Bencher) {
    let subject: Subject = "628123456789".parse().unwrap();
    let key = Key::new("sales", &subject);
    bencher.bench(|| {
        let spec = PlaceholderSpec {
            key: &key,
            subject: &subject,
            name: Some(black_box("John Doe")),
            initials: None,
            look: PlaceholderLook::default(),
        };
        images::draw_placeholder(PlaceholderStyle::Initials, spec, 96, Fonts::Client)
    });
}

/// Headers of a picture that depend on no other header.
const COMMON: [HeaderName; 4] = [
    header::X_CONTENT_TYPE_OPTIONS,
    header::CONTENT_SECURITY_POLICY,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::REFERRER_POLICY,
];
const COMMON_VALUE: &str = "default-src 'none'; sandbox";

/// The headers of a picture as a block of text, which is sent as it is.
#[divan::bench]
fn headers_as_text(bencher: Bencher) {
    let mut common = HeaderBlock::default();
    for name in COMMON {
        common.add(name, COMMON_VALUE);
    }
    let picture = picture();
    bencher.bench(|| {
        let bytes = picture.bytes().clone();
        let mut reply = Reply::with_body(StatusCode::OK, picture.media().as_str(), bytes);
        let headers = &mut reply.headers;
        headers.add(header::ETAG, &picture.digest().short());
        headers.add_all(black_box(&common));
        headers.add(header::LAST_MODIFIED, "Fri, 20 Nov 2026 18:40:00 GMT");
        headers.add_number(header::AGE, black_box(60));
        headers.add(header::CACHE_CONTROL, "private, max-age=86400");
        reply
    });
}

/// The same headers as a `HeaderMap`, which is then written as text.
#[divan::bench]
fn headers_as_map(bencher: Bencher) {
    let common = HeaderValue::from_static(COMMON_VALUE);
    let picture = picture();
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    bencher.bench(|| {
        let bytes = picture.bytes().clone();
        let mut headers = HeaderMap::with_capacity(16);
        let media = HeaderValue::from_static(picture.media().as_str());
        headers.insert(header::CONTENT_TYPE, media);
        headers.insert(header::CONTENT_LENGTH, bytes.len().into());
        headers.insert(header::ETAG, value(&picture.digest().short()));
        for name in COMMON {
            headers.insert(name, black_box(&common).clone());
        }
        headers.insert(
            header::LAST_MODIFIED,
            value("Fri, 20 Nov 2026 18:40:00 GMT"),
        );
        headers.insert(header::AGE, black_box(60).into());
        headers.insert(header::CACHE_CONTROL, value("private, max-age=86400"));
        let mut text = Vec::with_capacity(1024);
        for (name, value) in &headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        (headers, text, bytes)
    });
}

fn access_log_record() -> Record<'static> {
    Record {
        request: "f1a2b3c4-1234567",
        method: "GET",
        route: "avatar",
        instance: "sales",
        status: 200,
        cache: "faceplate; hit; ttl=86399",
        source: "picture",
        reason: "-",
        took: Duration::from_micros(12),
        bytes: 4096,
        client: None,
    }
}

/// A line of the access log.
#[divan::bench(args = [Format::Text, Format::Json])]
fn access_log_line(bencher: Bencher, format: Format) {
    let record = access_log_record();
    bencher.bench(|| {
        let mut line = String::new();
        black_box(&record).format(format, &mut line);
        line
    });
}

/// The same line through `tracing`, which writes it to a sink.
#[divan::bench]
fn access_log_line_by_tracing(bencher: Bencher) {
    let record = access_log_record();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter("info")
        .with_writer(std::io::sink)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        bencher.bench_local(|| {
            let Record {
                request,
                method,
                route,
                instance,
                status,
                cache,
                source,
                reason,
                took,
                bytes,
                ..
            } = *black_box(&record);
            let ms = took.as_secs_f64() * 1000.0;
            tracing::info!(
                target: "faceplate::access",
                request, method, route, instance, status, cache, source, reason, ms, bytes
            );
        });
    });
}

/// A whole memory hit, except for the socket.
#[divan::bench]
fn hit_in_memory(bencher: Bencher) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (app, _cache) = runtime.block_on(warm());
    let app = Arc::new(app);
    bencher.bench(|| {
        runtime.block_on(async {
            let request = hyper::Request::get("/avatar/waha/628100000001@c.us?s=96")
                .header("host", "faces.test")
                .body(())
                .unwrap();
            app.front().handle(request, Peer::Local).await.unwrap()
        })
    });
}

/// A server with one face in memory.
async fn warm() -> (App, tempfile::TempDir) {
    use faceplate::emulator::{Emulator, Options};
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let text = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [admin]
        listen = "127.0.0.1:0"
        [access]
        mode = "open"
        [cache]
        dir = "{}"
        [instances.waha]
        provider = "waha"
        account = "bench"
        token = "env:TOKEN"
        base_url = "http://{}"
        picture_hosts = ["{}"]
        allow_private = ["127.0.0.0/8"]
        "#,
        cache.path().display(),
        emulator.api(),
        emulator.cdn()
    );
    let env = [("TOKEN", emulator.control().token().to_owned())];
    let config = config::from_text("the bench", &text, env.into_iter()).unwrap();
    let dependencies = Dependencies {
        clock: Clock::system(),
        ..Dependencies::default()
    };
    let app = App::start(config, dependencies).await.unwrap();
    let request = hyper::Request::get("/avatar/waha/628100000001@c.us")
        .header("host", "faces.test")
        .body(())
        .unwrap();
    let answer = app.front().handle(request, Peer::Local).await.unwrap();
    let source = answer.headers.get(&"x-faceplate-source".parse().unwrap());
    assert_eq!(source, Some("picture"));
    (app, cache)
}
