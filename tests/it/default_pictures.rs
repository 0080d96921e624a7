//! A gateway's default picture: an answer that there is none, in the form of a picture.

use std::{
    io::Cursor,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    support::{Answer, LIMIT, Rig, image_files, private::lines_with, rig::Settings, until},
    wire::{Server, response},
};
use faceplate::emulator::{Fault, Picture, Rule};
use image::ImageFormat;

fn jid(number: usize) -> String {
    format!("6281000000{number:02}")
}

/// Makes the vendor send the same file for every contact.
fn send_one_picture(rig: &Rig) {
    let bytes = image_files::plain(ImageFormat::Jpeg);
    rig.inject(Rule::cdn(Fault::File { bytes }));
}

#[tokio::test]
async fn a_picture_that_five_contacts_share_is_no_one_s_picture() {
    let mut rig = Rig::start().await;
    send_one_picture(&rig);
    for number in 1..=4 {
        let face = rig.face("waha", &jid(number)).await;
        assert_eq!(face.source(), "picture", "{number}");
    }
    for number in 5..=8 {
        rig.face("waha", &jid(number))
            .await
            .assert_fallback("unknown");
    }
    // The first four lose it, too.
    for number in 1..=4 {
        let is_gone = async || rig.face("waha", &jid(number)).await.source() == "fallback";
        until(is_gone, LIMIT).await;
        rig.face("waha", &jid(number))
            .await
            .assert_fallback("unknown");
    }
    // Another instance has its own view, and the next process knows it still.
    let other = rig.face("wawp", &jid(9)).await;
    assert_eq!(other.source(), "picture");
    rig.restart().await;
    rig.face("waha", &jid(10)).await.assert_fallback("unknown");
}

#[tokio::test]
async fn a_link_that_contacts_share_is_no_one_s_picture_although_its_bytes_differ_each_time() {
    let downloads = Arc::new(AtomicUsize::new(0));
    let count = downloads.clone();
    let server = Server::start(move |server, received| {
        let body = if received.head.starts_with("GET /api/") {
            format!("{{\"url\":\"http://{server}/picture.jpg\"}}").into_bytes()
        } else {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let mut file = Cursor::new(Vec::new());
            let image = image_files::two_colors(64 + number as u32, 64);
            image.write_to(&mut file, ImageFormat::Jpeg).unwrap();
            file.into_inner()
        };
        Some(response("200 OK", "", &body))
    })
    .await;
    let settings = server.settings();
    let settings = settings.instance("default_pictures = { shared_by = 3 }");
    let rig = settings.start().await;
    for number in 1..=2 {
        let face = rig.face("waha", &jid(number)).await;
        assert_eq!(face.source(), "picture", "{number}");
    }
    for number in 3..=5 {
        rig.face("waha", &jid(number))
            .await
            .assert_fallback("unknown");
    }
    // Once the link is known, nothing is downloaded from it.
    assert_eq!(downloads.load(Ordering::Relaxed), 3);
    for number in 1..=2 {
        let is_gone = async || rig.face("waha", &jid(number)).await.source() == "fallback";
        until(is_gone, LIMIT).await;
    }
}

#[tokio::test]
async fn a_default_picture_is_logged_once_and_not_for_each_contact() {
    const LINE: &str = "it counts as no picture instance=wappfy";
    lines_with(LINE);
    let rig = Rig::start().await;
    send_one_picture(&rig);
    for number in 1..=9 {
        rig.face("wappfy", &jid(number)).await;
    }
    assert_eq!(lines_with(LINE), 1);
}

#[tokio::test]
async fn a_default_picture_replaces_no_photo_and_a_replaced_photo_comes_back() {
    let rig = Settings::default()
        .section("cache", "stale_while_revalidate = \"0\"")
        .start()
        .await;
    let mut photos = Vec::new();
    for number in 1..=8 {
        photos.push(rig.face("waha", &jid(number)).await.body);
    }
    rig.hours(25);
    for number in 1..=8 {
        let picture = Picture::Face(100 + number as u32);
        rig.vendors().set_picture(&jid(number), picture).unwrap();
    }
    send_one_picture(&rig);
    for number in 1..=8 {
        rig.face("waha", &jid(number)).await;
    }
    for (number, photo) in (1..=8).zip(&photos) {
        let is_back = async || rig.face("waha", &jid(number)).await.body == photo;
        until(is_back, LIMIT).await;
        rig.face("waha", &jid(number)).await.assert_picture(photo);
    }
}

#[tokio::test]
async fn a_replaced_photo_of_a_face_that_was_removed_since_does_not_come_back() {
    let face = jid(1);
    for (method, path) in [
        (
            "POST",
            format!("/v1/purge?instance=waha&jid={face}&hard=true"),
        ),
        ("POST", "/v1/purge?instance=waha&hard=true".to_owned()),
        ("POST", "/v1/purge?all=true&hard=true".to_owned()),
        ("DELETE", format!("/v1/avatars/waha/{face}")),
    ] {
        let cache = "stale_while_revalidate = \"0\"\nforget_for = \"2d\"";
        let rig = Settings::default().section("cache", cache).start().await;
        rig.face("waha", &face).await;
        rig.hours(25);
        let picture = Picture::Face(100);
        rig.vendors().set_picture(&face, picture).unwrap();
        send_one_picture(&rig);
        rig.face("waha", &face).await;
        let removed = Answer::to(&rig.admin(), method, &path, &[]).await;
        assert!(removed.status.is_success(), "{path}: {}", removed.text());
        rig.hours(48);
        let again = rig.face("waha", &face).await;
        assert_eq!(again.source(), "picture", "{path}");
        for number in 2..=5 {
            rig.face("waha", &jid(number)).await;
        }
        let is_gone = async || rig.face("waha", &face).await.source() == "fallback";
        until(is_gone, LIMIT).await;
        rig.face("waha", &face).await.assert_fallback("unknown");
    }
}

#[tokio::test]
async fn one_contact_s_picture_may_come_as_often_as_it_likes() {
    let rig = Rig::start().await;
    send_one_picture(&rig);
    for _ in 0..10 {
        let face = rig
            .get(&format!("/avatar/waha/{}?refresh=true", jid(1)))
            .await;
        assert_eq!(face.source(), "picture");
    }
}

#[tokio::test]
async fn the_operator_sets_how_a_default_picture_is_recognized() {
    let count = async |policy: &str| {
        let rig = Settings::default()
            .instance(&format!("default_pictures = {{ {policy} }}"))
            .start()
            .await;
        send_one_picture(&rig);
        let mut pictures = 0;
        for number in 1..=8 {
            let face: Answer = rig.face("waha", &jid(number)).await;
            pictures += usize::from(face.source() == "picture");
        }
        pictures
    };
    assert_eq!(count("shared_by = 2").await, 1);
    assert_eq!(count("shared_by = 1000").await, 8);
    let bytes = image_files::plain(ImageFormat::Jpeg);
    let etag = &blake3::hash(&bytes).to_hex()[..32];
    assert_eq!(
        count(&format!("shared_by = 1000, etags = [\"{etag}\"]")).await,
        0
    );
    assert_eq!(count("shared_by = 1000, names = [\"_N.JPG\"]").await, 0);
}
