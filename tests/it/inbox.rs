//! The picture at the top of the README: an inbox that shows the links of its gateway, and the same inbox with Faceplate.

use std::fmt::Write;

use faceplate::emulator::Picture;
use serde_json::Value;

use crate::support::{
    Answer, Rig, frontend,
    webdriver::{Browser, picture},
};

/// JID, name, the last message and its time.
const CHATS: [(&str, &str, &str, &str); 7] = [
    (
        "628100000005@c.us",
        "Grace Wanjiru",
        "See you at the workshop!",
        "10:42",
    ),
    (
        "120363000000000002@g.us",
        "Team Jakarta",
        "Rui: the truck is on its way",
        "10:31",
    ),
    (
        "628100000101@c.us",
        "Harum Lestari",
        "Do you have it in blue?",
        "10:15",
    ),
    (
        "628100000004@c.us",
        "Amina Yusuf",
        "Paid just now, thank you",
        "9:58",
    ),
    (
        "628100000102@c.us",
        "Иван Петров",
        "Can I change the address?",
        "9:40",
    ),
    (
        "628100000008@c.us",
        "Ibu Ratna",
        "Two boxes, please",
        "9:12",
    ),
    (
        "628100000012@c.us",
        "João Alves",
        "Is the shop open on Sunday?",
        "8:47",
    ),
];
/// The contacts without a picture: one hides it, and one has none.
const WITHOUT: [&str; 2] = ["628100000101@c.us", "628100000102@c.us"];

const STYLE: &str = "
  body { margin: 0; padding: 20px; background: #eef0f3; color: #14181f; font: 15px/1.35 system-ui, sans-serif }
  main { display: grid; grid-template-columns: 1fr 1fr; gap: 20px }
  h2 { margin: 0 0 10px; font-size: 16px } h2 small { color: #5a6472; font-weight: normal }
  ul { margin: 0; padding: 4px 0; list-style: none; background: #fff; border-radius: 14px; box-shadow: 0 1px 3px #0002 }
  li { display: flex; gap: 14px; align-items: center; padding: 9px 16px }
  li + li { border-top: 1px solid #eef0f3 }
  img, i { flex: none; width: 60px; height: 60px; border-radius: 50%; background: #d4d9df; font-size: 11px; overflow: hidden }
  div { flex: 1; min-width: 0 } p { margin: 0; color: #5a6472; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
  time { align-self: start; margin-top: 8px; color: #7d8794; font-size: 13px }";

/// The link that the gateway itself gives for a chat.
async fn link(rig: &Rig, jid: &str) -> Option<String> {
    let token = rig.vendors().token().to_owned();
    let path = format!("/api/shop/chats/{jid}/picture");
    let address = rig.emulator.api().to_string();
    let answer = Answer::to(&address, "GET", &path, &[("x-api-key", &token)]).await;
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    said["url"].as_str().map(str::to_owned)
}

fn list(title: &str, note: &str, images: &[String]) -> String {
    let mut html = format!("<section><h2>{title} <small>{note}</small></h2><ul>");
    for ((_, name, message, time), image) in CHATS.iter().zip(images) {
        // Writing to a `String` cannot fail.
        let _ = write!(
            html,
            "<li>{image}<div><b>{name}</b><p>{message}</p></div><time>{time}</time></li>"
        );
    }
    html + "</ul></section>"
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_whose_links_have_expired_shows_every_face_through_faceplate() {
    let rig = Rig::start().await;
    let [hidden, not_set] = WITHOUT;
    rig.vendors().set_picture(hidden, Picture::Hidden).unwrap();
    rig.vendors().set_picture(not_set, Picture::NotSet).unwrap();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (jid, name, ..) in CHATS {
        before.push(match link(&rig, jid).await {
            Some(link) => format!(r#"<img src="{}" alt="{name}">"#, link.replace('&', "&amp;")),
            None => "<i></i>".to_owned(),
        });
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        after.push(format!(
            r#"<img src="http://{}/avatar/waha/{jid}?s=128&amp;name={name}" alt="">"#,
            rig.address()
        ));
    }
    rig.hours(30 * 24);
    let page = format!(
        "<!doctype html><meta charset=utf-8><style>{STYLE}</style><main>{}{}</main>",
        list("Before", "the gateway's links, which expire", &before),
        list("After", "the same chats through Faceplate", &after)
    );
    let origin = frontend::serve(page).await;
    let browser = Browser::open(920, 770, &[]).await;
    browser.go(&origin).await;
    browser
        .until("[...document.images].every((image) => image.complete)")
        .await;
    let widths = async |section: u8| {
        let script = format!(
            "return [...document.querySelectorAll('section:nth-child({section}) img')].map((image) => image.naturalWidth)"
        );
        let widths: Vec<u64> = serde_json::from_value(browser.run(&script).await).unwrap();
        widths
    };
    assert_eq!(widths(1).await, [0; CHATS.len() - WITHOUT.len()]);
    let shown = widths(2).await;
    assert_eq!(shown.len(), CHATS.len());
    // One picture is small, and none is enlarged.
    assert!(shown.iter().all(|width| *width >= 96), "{shown:?}");
    let folder = tempfile::tempdir().unwrap();
    browser
        .screenshot(&picture(folder.path(), "inbox.png"))
        .await;
}
