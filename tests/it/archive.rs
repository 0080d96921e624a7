//! The archive of all pictures of a face, which the operator can turn on.

use std::{fs, path::Path};

use crate::support::{
    Answer, image_files, old_cache,
    program::{Program, errors},
    rig::{Rig, Settings},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use faceplate::emulator::Picture;
use hyper::body::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

const FACE: &str = "628100000001@c.us";
const OTHER: &str = "628100000002@c.us";

async fn keeping() -> Rig {
    let settings = Settings::default().section("cache", "retain = \"forever\"");
    settings.start().await
}

/// Changes the picture of the face, and fetches it.
async fn shows(rig: &Rig, jid: &str, picture: u32) -> Bytes {
    let control = rig.vendors();
    control.set_picture(jid, Picture::Face(picture)).unwrap();
    control.forget_vendor_cache();
    rig.hours(1);
    let answer = rig.get(&format!("/avatar/waha/{jid}?refresh=true")).await;
    answer.assert_picture(&rig.bytes(jid));
    answer.body
}

/// The output of `faceplate cache export`, and the files that it writes.
fn export(cache: &Path, more: &[&str]) -> (tempfile::TempDir, Vec<Value>, Value, bool) {
    let program = Program::with(&format!(
        r#"
        [cache]
        dir = "{}"
        [access]
        signing_keys = ["env:SIGNING_KEY"]
        [instances.waha]
        provider = "waha"
        account = "shop"
        token = "env:TOKEN"
        base_url = "https://waha.example"
        "#,
        cache.display()
    ));
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let args = [&["cache", "export", to, "--json"], more].concat();
    let output = program.run(&args);
    let said = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{}", errors(&output)));
    let manifest = fs::read(folder.path().join("manifest.json")).unwrap();
    let manifest = serde_json::from_slice(&manifest).unwrap();
    (folder, manifest, said, output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_keeps_each_distinct_picture_with_its_dates_and_the_newest_is_served() {
    let rig = keeping().await;
    let (mut had, mut since) = (Vec::new(), Vec::new());
    for picture in [31, 32, 31] {
        had.push(shows(&rig, FACE, picture).await);
        since.push(httpdate::fmt_http_date(rig.clock.now().as_system_time()));
        // A second fetch of the same picture adds nothing.
        rig.hours(25);
        rig.face("waha", FACE).await;
    }
    let (folder, rows, said, is_good) = export(rig.cache.path(), &[]);
    assert!(is_good);
    assert_eq!(
        (&said["pictures"], &said["damaged"]),
        (&3.into(), &0.into())
    );
    assert_eq!(rows.len(), 3);
    for ((row, bytes), since) in rows.iter().zip(&had).zip(&since) {
        assert_eq!(row["since"], **since);
        let file = folder.path().join(row["file"].as_str().unwrap());
        assert_eq!(fs::read(file).unwrap(), *bytes);
        assert_eq!(
            (&row["instance"], &row["jid"]),
            (&"waha".into(), &FACE.into())
        );
        assert_eq!(row["media_type"], "image/jpeg");
    }
    // Each picture's time ends where the next one's begins.
    assert_eq!(rows[0]["until"], rows[1]["since"]);
    assert_eq!(rows[1]["until"], rows[2]["since"]);
    assert_eq!(rows[2]["until"], Value::Null);
    assert_ne!(rows[0]["since"], rows[1]["since"]);
    // Three records share two contents.
    assert_eq!(rig.files("archive/content-v2").len(), 2);
    assert_eq!(rig.face("waha", FACE).await.body, had[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pictures_of_the_same_second_are_exported_as_two_files() {
    let rig = keeping().await;
    let control = rig.vendors();
    let mut had = Vec::new();
    for picture in [31, 32] {
        control.set_picture(FACE, Picture::Face(picture)).unwrap();
        control.forget_vendor_cache();
        rig.clock.advance(std::time::Duration::from_millis(5));
        had.push(
            rig.get(&format!("/avatar/waha/{FACE}?refresh=true"))
                .await
                .body,
        );
    }
    let (folder, rows, ..) = export(rig.cache.path(), &[]);
    let file = |row: &Value| fs::read(folder.path().join(row["file"].as_str().unwrap())).unwrap();
    assert_eq!(rows.iter().map(file).collect::<Vec<_>>(), had);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_off_by_default() {
    let rig = Rig::start().await;
    shows(&rig, FACE, 31).await;
    shows(&rig, FACE, 32).await;
    assert!(!rig.cache.path().join("archive").exists());
    let (_, rows, ..) = export(rig.cache.path(), &[]);
    assert_eq!(rows, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_and_cache_limits_leave_the_archive_alone() {
    let lines = "retain = \"forever\"\nmax_entries = 1";
    let rig = Settings::default().section("cache", lines).start().await;
    for jid in [FACE, OTHER] {
        shows(&rig, jid, 31).await;
        shows(&rig, jid, 32).await;
    }
    rig.run_maintenance().await;
    let purge = "/v1/purge?all=true&hard=true";
    assert_eq!(
        Answer::to(&rig.admin(), "POST", purge, &[]).await.status,
        200
    );
    let (_, rows, ..) = export(rig.cache.path(), &[]);
    assert_eq!(rows.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_a_face_removes_its_pictures_from_the_archive() {
    let rig = keeping().await;
    shows(&rig, FACE, 31).await;
    shows(&rig, FACE, 32).await;
    // Another face has had one of these pictures.
    shows(&rig, OTHER, 32).await;
    let path = format!("/v1/avatars/waha/{FACE}");
    assert_eq!(
        Answer::to(&rig.admin(), "DELETE", &path, &[]).await.status,
        204
    );
    let (_, rows, ..) = export(rig.cache.path(), &[]);
    let jids: Vec<_> = rows
        .iter()
        .map(|row| row["jid"].as_str().unwrap())
        .collect();
    assert_eq!(jids, [OTHER]);
    assert_eq!(rig.files("archive/content-v2").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_a_face_removes_its_archived_pictures_after_the_archive_was_turned_off() {
    let mut rig = keeping().await;
    shows(&rig, FACE, 31).await;
    rig.turn("cache", "").await;
    let path = format!("/v1/avatars/waha/{FACE}");
    assert_eq!(
        Answer::to(&rig.admin(), "DELETE", &path, &[]).await.status,
        204
    );
    assert_eq!(rig.files("archive").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_can_be_limited_to_one_instance_and_reports_damaged_pictures() {
    let rig = keeping().await;
    let bytes = shows(&rig, FACE, 31).await;
    rig.face("wappfy", OTHER).await;
    let (_, rows, ..) = export(rig.cache.path(), &["--instance", "wappfy"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["jid"], OTHER);

    for path in rig.files("archive/content-v2") {
        if fs::read(&path).unwrap() == bytes {
            fs::write(&path, b"spoiled").unwrap();
        }
    }
    let (_, rows, said, is_good) = export(rig.cache.path(), &[]);
    assert!(!is_good);
    assert_eq!((rows.len(), &said["damaged"]), (1, &1.into()));
}

#[test]
fn export_overwrites_no_file() {
    let program = Program::with(
        "[access]\nsigning_keys = [\"env:SIGNING_KEY\"]\n[cache]\ndir = \"DIR/cache\"\n[instances.waha]\nprovider = \"waha\"\naccount = \"shop\"\n\
         token = \"env:TOKEN\"\nbase_url = \"https://waha.example\"\n",
    );
    let to = program.folder.path().to_str().unwrap();
    let output = program.run(&["cache", "export", to]);
    assert!(!output.status.success());
    assert!(
        errors(&output).contains("is not empty"),
        "{}",
        errors(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_picture_lacks_the_metadata_that_an_earlier_version_archived() {
    let mut rig = keeping().await;
    rig.face("waha", FACE).await;
    rig.stop().await;
    let file = image_files::jpeg_with_metadata(6);
    old_cache::archive_as_0_1_0(rig.cache.path(), &file);
    let (folder, rows, _, is_good) = export(rig.cache.path(), &[]);
    assert!(is_good);
    let row = &rows[0];
    let written = fs::read(folder.path().join(row["file"].as_str().unwrap())).unwrap();
    let pixels = |file: &[u8]| image::load_from_memory(file).unwrap().into_rgb8();
    assert!(pixels(&written) == pixels(&file));
    assert!(written.len() < file.len());
    let private = image_files::PRIVATE_TEXT;
    let is_private = |file: &[u8]| file.windows(private.len()).any(|part| part == private);
    assert!(is_private(&file) && !is_private(&written));
    assert_eq!(image_files::orientation(&written), 6);
    assert_eq!(row["bytes"], written.len());
    let digest = BASE64_STANDARD.encode(Sha256::digest(&written));
    assert_eq!(row["integrity"], format!("sha256-{digest}"));
}
