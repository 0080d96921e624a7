//! How many allocations a memory hit makes. `cargo bench --bench hit` measures its time.

#![allow(clippy::unwrap_used)]

#[path = "it/support/mod.rs"]
mod support;

use std::alloc::System;

use faceplate::{
    front::Front,
    http::{Scope, SigningKey, Ticket},
    server::Peer,
};
use hyper::Request;
use secrecy::SecretString;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::rig::Settings;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FACE: &str = "628100000001";

/// The fewest allocations of one answer, because other tasks may allocate at the same time.
async fn fewest(front: &Front, path: &str, etag: Option<&str>, status: u16) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..200 {
        let mut request = Request::get(path)
            .header("host", "faces.test")
            .body(())
            .unwrap();
        if let Some(etag) = etag {
            let headers = request.headers_mut();
            headers.insert("if-none-match", etag.parse().unwrap());
        }
        let region = Region::new(ALLOCATOR);
        let answer = front.handle(request, Peer::Local).await.unwrap();
        fewest = fewest.min(region.change().allocations);
        assert_eq!(answer.status, status);
    }
    fewest
}

#[tokio::test]
async fn a_memory_hit_makes_one_allocation() {
    let rig = Settings::default()
        .section("access", "signing_keys = [\"env:SIGNING_KEY\"]")
        .start()
        .await;
    let ticket = Ticket {
        scope: Scope::Face(FACE.parse().unwrap()),
        expires: 4_000_000_000,
        refresh: false,
    };
    let key = SigningKey::new(&SecretString::from("a signing key for tests"));
    let path = format!("/avatar/waha/{FACE}?{}", key.query("waha", &ticket));
    let etag = rig.get(&path).await.header("etag").to_owned();
    let front = rig.front();
    let whole = fewest(&front, &path, None, 200).await;
    let known = fewest(&front, &path, Some(&etag), 304).await;
    println!("a 200 takes {whole} allocations, a 304 {known}");
    assert!(whole <= WHOLE, "{whole} allocations for a 200");
    assert!(known <= KNOWN, "{known} allocations for a 304");
}

/// The number must not depend on the picture's length.
#[tokio::test]
async fn a_memory_hit_in_another_size_makes_at_most_two_more_allocations() {
    let rig = Settings::default().start().await;
    let path = format!("/avatar/waha/{FACE}");
    let derived = format!("{path}?s=96&format=webp");
    rig.get(&derived).await;
    let front = rig.front();
    let whole = fewest(&front, &path, None, 200).await;
    let other = fewest(&front, &derived, None, 200).await;
    println!("a 200 takes {whole} allocations, in another size {other}");
    assert!(
        other <= whole + MORE,
        "{other} allocations instead of {whole}"
    );
}

const MORE: usize = 2;
const WHOLE: usize = 1;
const KNOWN: usize = 1;
