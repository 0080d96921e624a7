//! The recipes of `docs/recipes/`. Each program is played as its source says, and uses the URL or the code of its page.

use std::{collections::HashMap, convert::Infallible, fs, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use faceplate::{
    clock::Timestamp,
    emulator::{Fault, Picture, Rule},
};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::{net::TcpListener, time};

use crate::support::{Answer, LIMIT, Rig, frontend, rig::Settings, until, webdriver::Browser};

const KEY: &str = "a signing key for tests";
const FACE: &str = "628100000001";
/// A week and two weeks after the start of the rig's clock.
const WEEKS: [u64; 2] = [1_795_804_800, 1_796_409_600];

/// The only block of code in this language on the page of a recipe.
fn code(recipe: &str, language: &str) -> String {
    let path = format!("{}/docs/recipes/{recipe}.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(path).unwrap();
    let mut blocks = page.split("```").skip(1).step_by(2);
    let block = blocks.find_map(|block| block.strip_prefix(&format!("{language}\n")));
    block.unwrap().trim_end().to_owned()
}

/// The path of a recipe's URL, signed for every face of the instance.
fn path(recipe: &str, exp: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("avatar\nwaha\n*\n{exp}\n").as_bytes());
    let sig = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let url = code(recipe, "text");
    let path = url.strip_prefix("https://faces.example").unwrap();
    path.replace("/sales/", "/waha/")
        .replace("{exp}", &exp.to_string())
        .replace("{sig}", &sig)
}

async fn signed_rig() -> Rig {
    let access = "mode = \"signed\"\nsigning_keys = [\"env:SIGNING_KEY\"]";
    Settings::default().section("access", access).start().await
}

/// A contact in Chatwoot, as `Avatar::AvatarFromUrlJob`, `SafeFetch` and `Avatarable` treat it.
#[derive(Default)]
struct ChatwootContact {
    last_sync: Option<Timestamp>,
    url: String,
    avatar: Option<Bytes>,
}

impl ChatwootContact {
    const TYPES: [&str; 3] = ["image/jpeg", "image/png", "image/gif"];
    const READ_TIMEOUT: Duration = Duration::from_secs(20);
    const MAX_BYTES: usize = 15 << 20;

    /// The job for a new `avatar_url`. It remembers time and URL even if it fails or downloads nothing.
    async fn set_avatar_url(&mut self, rig: &Rig, path: &str) {
        let now = rig.clock.now();
        let is_limited = self
            .last_sync
            .is_some_and(|last| last.as_secs() + 60 > now.as_secs());
        let is_known = self.url == path;
        self.last_sync = Some(now);
        self.url = path.to_owned();
        if is_limited || is_known {
            return;
        }
        let address = rig.address();
        let headers = [("accept", "*/*"), ("user-agent", "Ruby")];
        let download = Answer::to(&address, "GET", path, &headers);
        let Ok(answer) = time::timeout(Self::READ_TIMEOUT, download).await else {
            return;
        };
        let file_name = path.split('?').next().unwrap().rsplit('/').next().unwrap();
        if answer.status.is_success()
            && Self::TYPES.contains(&answer.header("content-type"))
            && answer.body.len() <= Self::MAX_BYTES
            && !file_name.is_empty()
        {
            self.avatar = Some(answer.body);
        }
    }
}

#[tokio::test]
async fn chatwoot_keeps_a_jpeg_of_each_contact_after_one_download() {
    let rig = signed_rig().await;
    for number in ["628100000001", "628100000002", "628100000003"] {
        let path = path("chatwoot", WEEKS[0]).replace("{number}", number);
        let mut contact = ChatwootContact::default();
        contact.set_avatar_url(&rig, &path).await;
        let avatar = contact.avatar.as_ref().expect("no avatar");
        let format = image::ImageFormat::Jpeg;
        let picture = image::load_from_memory_with_format(avatar, format).unwrap();
        assert_eq!((picture.width(), picture.height()), (256, 256));
        assert_eq!(rig.traffic(), (1, 1));
        rig.hours(30);
        contact.set_avatar_url(&rig, &path).await;
        assert_eq!(rig.traffic(), (0, 0));
    }
}

#[tokio::test]
async fn chatwoot_asks_again_for_a_missing_picture_with_the_url_of_the_next_week() {
    let rig = signed_rig().await;
    let jid = format!("{FACE}@c.us");
    rig.vendors().set_picture(&jid, Picture::NotSet).unwrap();
    let [this_week, next_week] = WEEKS.map(|exp| path("chatwoot", exp).replace("{number}", FACE));
    let mut contact = ChatwootContact::default();
    contact.set_avatar_url(&rig, &this_week).await;
    assert!(contact.avatar.is_none(), "a placeholder would be kept");

    rig.vendors().set_picture(&jid, Picture::Face(7)).unwrap();
    rig.hours(48);
    contact.set_avatar_url(&rig, &this_week).await;
    assert!(contact.avatar.is_none(), "Chatwoot remembers failures");
    rig.hours(1);
    contact.set_avatar_url(&rig, &next_week).await;
    assert!(contact.avatar.is_some());

    // A change in the same minute would be lost.
    let mut hasty = ChatwootContact::default();
    hasty.set_avatar_url(&rig, "/avatar/waha/nonsense").await;
    hasty.set_avatar_url(&rig, &next_week).await;
    rig.hours(1);
    hasty.set_avatar_url(&rig, &next_week).await;
    assert!(hasty.avatar.is_none());
    hasty
        .set_avatar_url(&rig, &format!("{next_week}&v=2"))
        .await;
    assert!(hasty.avatar.is_none());
    rig.hours(1);
    hasty
        .set_avatar_url(&rig, &format!("{next_week}&v=3"))
        .await;
    assert!(hasty.avatar.is_some());
}

#[tokio::test]
async fn chatwoot_gets_a_warm_face_at_once_while_the_gateway_is_down() {
    let rig = signed_rig().await;
    let jids = format!("{FACE}\n");
    let warm = "/v1/warm?instance=waha";
    let started = Answer::send(&rig.admin(), "POST", warm, &[], jids.as_bytes()).await;
    assert_eq!(started.status, 202, "{}", started.text());
    until(async || rig.calls().api == 1, LIMIT).await;
    rig.pipeline("waha").0.wait_idle(LIMIT).await;
    let down = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.inject(Rule::api(down));
    let mut known = ChatwootContact::default();
    let url = path("chatwoot", WEEKS[0]);
    known
        .set_avatar_url(&rig, &url.replace("{number}", FACE))
        .await;
    assert!(known.avatar.is_some());
    let mut unknown = ChatwootContact::default();
    unknown
        .set_avatar_url(&rig, &url.replace("{number}", "628100000002"))
        .await;
    assert!(unknown.avatar.is_none());
}

#[tokio::test]
async fn chatwoot_waits_for_the_turn_of_a_face_that_the_budget_has_no_call_for() {
    let access = "mode = \"signed\"\nsigning_keys = [\"env:SIGNING_KEY\"]";
    let settings = Settings::default()
        .section("access", access)
        .section("cache", "first_paint = \"500ms\"")
        .instance("lookups = { per_minute = 6, burst = 1 }");
    let rig = settings.start().await;
    let url = path("chatwoot", WEEKS[0]);
    let mut first = ChatwootContact::default();
    first
        .set_avatar_url(&rig, &url.replace("{number}", FACE))
        .await;
    assert!(first.avatar.is_some());
    let (mut second, url) = (
        ChatwootContact::default(),
        url.replace("{number}", "628100000002"),
    );
    let in_turn = async {
        let wanted = async || rig.pipeline("waha").1.wanted().len() == 1;
        until(wanted, LIMIT).await;
        rig.seconds(10);
    };
    tokio::join!(second.set_avatar_url(&rig, &url), in_turn);
    assert!(second.avatar.is_some());
}

/// Rocket.Chat with Faceplate as its external provider of avatars.
#[derive(Clone)]
struct RocketChat {
    faceplate: String,
    /// The URL of the setting, without its origin.
    provider: String,
    page: String,
}

impl RocketChat {
    /// The headers of a provider that are not passed on.
    const UNSAFE: [&str; 6] = [
        "host",
        "content-length",
        "connection",
        "set-cookie",
        "transfer-encoding",
        "content-encoding",
    ];

    /// A page with the avatars of these users, and the route for avatars; returns the origin.
    async fn serve(rig: &Rig, provider: String, users: &[&str]) -> String {
        let images = users
            .iter()
            .map(|user| format!(r#"<img src="/avatar/{user}" alt="">"#));
        let server = Self {
            faceplate: rig.address(),
            provider,
            page: format!("<!doctype html>{}", images.collect::<String>()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request: Request<_>| {
                    let (server, path) = (server.clone(), request.uri().path().to_owned());
                    async move { Ok::<_, Infallible>(server.answer(&path).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        origin
    }

    /// The answer of `handleExternalProvider`.
    async fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let Some(user) = path.strip_prefix("/avatar/") else {
            let html = Response::builder().header("content-type", "text/html");
            return html
                .body(Full::new(Bytes::from(self.page.clone())))
                .unwrap();
        };
        let path = self.provider.replace("{username}", user);
        let headers = [("accept", "*/*"), ("user-agent", "node-fetch")];
        let fetched = Answer::to(&self.faceplate, "GET", &path, &headers).await;
        if !fetched.status.is_success() {
            let failed = Response::builder().status(502);
            return failed.body(Full::default()).unwrap();
        }
        let mut response = Response::new(Full::new(fetched.body));
        for (name, value) in &fetched.headers {
            if !Self::UNSAFE.contains(&name.as_str()) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

/// The width of each image on the page; 0 is a broken one.
async fn widths(browser: &Browser) -> Vec<u64> {
    browser
        .until("[...document.images].every((image) => image.complete)")
        .await;
    let script = "return [...document.images].map((image) => image.naturalWidth)";
    serde_json::from_value(browser.run(script).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rocket_chat_shows_every_user_that_is_a_whatsapp_contact() {
    let rig = signed_rig().await;
    let down = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.inject(Rule::api(down).jid("628100000009@c.us"));
    let provider = path("rocket-chat", WEEKS[0]);
    // With a picture, without one, and at a vendor that fails; then a user that is no contact.
    let users = [FACE, "628100000102", "628100000009", "admin"];
    let origin = RocketChat::serve(&rig, provider, &users).await;
    let browser = Browser::open(400, 400, &[]).await;
    browser.go(&origin).await;
    assert_eq!(widths(&browser).await, [256, 256, 256, 0]);

    let host = origin.strip_prefix("http://").unwrap();
    let types = async |user: &str| {
        let answer = Answer::to(host, "GET", &format!("/avatar/{user}"), &[]).await;
        (
            answer.status.as_u16(),
            answer.header("content-type").to_owned(),
        )
    };
    assert_eq!(types(FACE).await, (200, "image/jpeg".to_owned()));
    assert_eq!(types("628100000102").await, (200, "image/png".to_owned()));
    assert_eq!(types("admin").await, (502, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chats_of_evolution_api_show_their_faces_in_plain_images() {
    let rig = Settings::default().more(&["evolution"]).start().await;
    let chats = serde_json::json!([
        { "remoteJid": "628100000001@s.whatsapp.net", "pushName": "Ana Silva", "profilePicUrl": "https://pps.whatsapp.net/expired" },
        { "remoteJid": "120363000000000001@g.us", "pushName": null, "profilePicUrl": null },
        { "remoteJid": "100875997589545@lid", "pushName": "Rui", "profilePicUrl": null },
        { "remoteJid": "628100000101@s.whatsapp.net", "pushName": "Bela & Co", "profilePicUrl": null },
        { "remoteJid": "628100000102@s.whatsapp.net", "pushName": "628100000102", "profilePicUrl": null },
        { "remoteJid": "status@broadcast", "pushName": "", "profilePicUrl": null },
    ]);
    let recipe = code("evolution", "js")
        .replace(
            "https://faces.example",
            &format!("http://{}", rig.address()),
        )
        .replace("/sales/", "/evolution/");
    let page = format!(
        "<!doctype html><meta charset=utf-8><body><script>{recipe}\nfor (const chat of {chats}) document.body.append(face(chat));</script>"
    );
    let origin = frontend::serve(page).await;
    let browser = Browser::open(600, 400, &[]).await;
    browser.go(&origin).await;
    assert_eq!(widths(&browser).await, [96; 6]);

    let script = "return Promise.all([...document.images].map(async ({ src }) => [src.split('?')[0].split('/').pop(), \
                  (await fetch(src)).headers.get('x-faceplate-source')]))";
    let sources: Vec<(String, String)> = serde_json::from_value(browser.run(script).await).unwrap();
    let sources: HashMap<_, _> = sources
        .iter()
        .map(|(jid, source)| (jid.as_str(), source.as_str()))
        .collect();
    for (jid, source) in [
        ("628100000001%40s.whatsapp.net", "picture"),
        ("120363000000000001%40g.us", "picture"),
        ("100875997589545%40lid", "picture"),
        ("628100000101%40s.whatsapp.net", "fallback"),
        ("628100000102%40s.whatsapp.net", "fallback"),
        ("status%40broadcast", "fallback"),
    ] {
        assert_eq!(sources[jid], source, "{jid}");
    }
    // One call for each face but the status, which costs none.
    assert_eq!(rig.calls().api, 5);
}
