//! The vendors' own calls, served by Faceplate. The same request to the emulator and to Faceplate gets the same
//! status and JSON, except for the link.

mod account_names;
mod bodies;
mod calls;
mod document;
mod gateways;
mod own_gateway;
mod relays;

use crate::support::{
    Answer,
    rig::{Rig, Settings},
};
use faceplate::emulator::{Fault, Picture, Rule};
use serde_json::Value;

const FACE: &str = "628100000001@c.us";

type Headers = Vec<(&'static str, String)>;

/// Every documented call for `chat`, with the vendor's form of credential.
fn calls(token: &str, chat: &str) -> Vec<(&'static str, String, Headers)> {
    let encoded = chat.replace('@', "%40");
    let wawp = format!("instance_id=shop&access_token={token}");
    let bearer = || vec![("authorization", format!("Bearer {token}"))];
    vec![
        (
            "wawp",
            format!("/v2/chats/picture?{wawp}&chatId={encoded}"),
            vec![],
        ),
        (
            "wawp",
            format!("/v2/contacts/profile-picture?{wawp}&contactId={encoded}"),
            vec![],
        ),
        (
            "hypersender",
            format!("/api/whatsapp/v2/shop/contacts/profile-picture?chat_id={encoded}"),
            bearer(),
        ),
        (
            "wappfy",
            format!("/api/shop/chats/{encoded}/picture?refresh=false"),
            vec![("apikey", token.to_owned())],
        ),
        (
            "waha",
            format!("/api/shop/chats/{encoded}/picture"),
            vec![("x-api-key", token.to_owned())],
        ),
    ]
}

async fn both(rig: &Rig, path: &str, headers: &[(&'static str, String)]) -> (Answer, Answer) {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let theirs = Answer::to(&rig.emulator.api().to_string(), "GET", path, &headers).await;
    (rig.ask("GET", path, &headers).await, theirs)
}

/// The link in an answer, and the answer with the link replaced.
fn without_link(answer: &Answer) -> (Option<String>, Value) {
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
    let place = ["/url", "/data/url", "/data/profilePictureURL"]
        .into_iter()
        .find(|place| body.pointer(place).is_some());
    let link = place
        .and_then(|place| body.pointer_mut(place))
        .map(Value::take);
    let link = link.and_then(|link| link.as_str().map(str::to_owned));
    (link.filter(|link| !link.is_empty()), body)
}

#[tokio::test]
async fn each_vendor_s_call_answers_with_a_link_that_shows_the_face() {
    let rig = Rig::start_signed().await;
    let token = rig.vendors().token().to_owned();
    for (vendor, path, headers) in calls(&token, FACE) {
        let (ours, theirs) = both(&rig, &path, &headers).await;
        assert_eq!((ours.status.as_u16(), theirs.status.as_u16()), (200, 200));
        let ((link, body), (_, expected)) = (without_link(&ours), without_link(&theirs));
        assert_eq!(body, expected, "{vendor}");
        assert_eq!(ours.header("content-type"), "application/json");
        let link = link.unwrap();
        let begin = format!("http://{}/avatar/{vendor}/", rig.address());
        let path = link
            .strip_prefix(&format!("http://{}", rig.address()))
            .unwrap();
        assert!(link.starts_with(&begin), "{link}");
        rig.get(path).await.assert_picture(&rig.bytes(FACE));
        // The answer holds nothing that must not reach a browser.
        assert!(!link.contains(&token) && !link.contains("whatsapp"));
    }
}

#[tokio::test]
async fn each_vendor_s_call_answers_for_a_face_without_a_picture_as_the_vendor_does() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    for (picture, chat) in [
        (Picture::NotSet, "628100000011@c.us"),
        (Picture::Unknown, "628100000012@c.us"),
        (Picture::Hidden, "628100000013@c.us"),
    ] {
        rig.vendors().set_picture(chat, picture).unwrap();
        for (vendor, path, headers) in calls(&token, chat) {
            let (ours, theirs) = both(&rig, &path, &headers).await;
            assert_eq!(ours.status, theirs.status, "{vendor} {picture:?}");
            let ((link, body), (_, mut expected)) = (without_link(&ours), without_link(&theirs));
            assert_eq!(link, None);
            if let Some(message) = expected.get_mut("message")
                && message == "restricted"
            {
                // Wawp's reason is in our header; its body has no place for it.
                *message = "Operation completed successfully".into();
            }
            assert_eq!(body, expected, "{vendor} {picture:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_contact_gets_the_vendor_s_404() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    let nobody = "628100000013@c.us";
    rig.vendors()
        .set_picture(nobody, Picture::NotFound)
        .unwrap();
    let (_, path, headers) = calls(&token, nobody).swap_remove(2);
    let (ours, theirs) = both(&rig, &path, &headers).await;
    assert_eq!((ours.status.as_u16(), theirs.status.as_u16()), (404, 404));
    assert_eq!(ours.text(), theirs.text());
}

#[tokio::test]
async fn a_vendor_s_call_needs_the_account_s_own_credential() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    for (vendor, path, headers) in calls("wrong", FACE) {
        let (ours, theirs) = both(&rig, &path, &headers).await;
        assert_eq!(
            (ours.status.as_u16(), theirs.status.as_u16()),
            (401, 401),
            "{vendor}"
        );
    }
    for (vendor, path, _) in calls("", FACE) {
        assert_eq!(rig.get(&path).await.status, 401, "{vendor}");
    }
    // An unknown account gets 404 with the right credential, and 401 with a wrong one.
    for (wanted, secret) in [(404, token.as_str()), (401, "wrong")] {
        for (vendor, path, headers) in calls(secret, FACE) {
            let path = path.replace("shop", "else");
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let answer = rig.ask("GET", &path, &headers).await;
            assert_eq!(answer.status, wanted, "{vendor}");
        }
    }
    assert_eq!(rig.traffic(), (5, 0));
}

#[tokio::test]
async fn the_scheme_of_a_vendor_s_credential_may_be_written_in_any_case() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    for path in [
        "/api/v1/instance/profile-picture?instanceName=shop".to_owned(),
        format!("/v2/chats/picture?instance_id=shop&chatId={FACE}"),
        format!("/api/whatsapp/v2/shop/contacts/profile-picture?chat_id={FACE}"),
    ] {
        for (scheme, status) in [
            ("Bearer", 200),
            ("bearer", 200),
            ("BEARER", 200),
            ("Basic", 401),
        ] {
            let credential = format!("{scheme} {token}");
            let answer = rig
                .ask("GET", &path, &[("authorization", &credential)])
                .await;
            assert_eq!(answer.status, status, "{scheme} {path}");
        }
    }
}

#[tokio::test]
async fn an_img_with_a_vendor_s_call_gets_the_picture_or_a_placeholder() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    let none = "628100000011@c.us";
    rig.vendors().set_picture(none, Picture::NotSet).unwrap();
    for (chat, source) in [(FACE, "picture"), (none, "fallback")] {
        for (vendor, path, headers) in calls(&token, chat) {
            let mut headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            headers.push(("accept", "image/avif,image/webp,image/*,*/*;q=0.8"));
            let answer = rig.ask("GET", &path, &headers).await;
            assert_eq!(answer.status, 200, "{vendor}");
            assert_eq!(answer.source(), source, "{vendor}");
        }
    }
}

#[tokio::test]
async fn wachat_s_own_picture_is_bytes_and_its_failures_have_its_statuses() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    let path = "/api/v1/instance/profile-picture";
    let in_query = format!("{path}?instanceName=shop&apiKey={token}");
    let bearer = vec![("authorization", format!("Bearer {token}"))];
    for (path, headers) in [
        (in_query, vec![]),
        (format!("{path}?instanceName=shop"), bearer.clone()),
    ] {
        let (ours, theirs) = both(&rig, &path, &headers).await;
        ours.assert_picture(&theirs.body);
    }
    for (path, headers, status) in [
        (path.to_owned(), bearer.clone(), 400),
        (format!("{path}?instanceName=shop"), vec![], 401),
        (format!("{path}?instanceName=else"), bearer, 404),
    ] {
        let (ours, theirs) = both(&rig, &path, &headers).await;
        assert_eq!(ours.status, status);
        if status != 404 {
            assert_eq!(theirs.status, status);
        }
    }
}

#[tokio::test]
async fn an_invalid_vendor_s_call_is_refused_with_the_vendor_s_status() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    let statuses = calls(&token, "nobody@nowhere")
        .into_iter()
        .zip([400, 400, 422, 400, 400]);
    for ((vendor, path, headers), status) in statuses {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = rig.ask("GET", &path, &headers).await;
        assert_eq!(answer.status, status, "{vendor}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let posted = rig.ask("POST", "/v2/chats/picture", &[]).await;
    assert_eq!(
        (posted.status.as_u16(), posted.header("allow")),
        (405, "GET, HEAD")
    );
}

#[tokio::test]
async fn a_failure_shows_in_the_status_of_a_vendor_s_call_until_there_is_a_picture() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    rig.inject(Rule::api(Fault::Status {
        status: 503,
        retry_after: None,
    }));
    for (vendor, path, headers) in calls(&token, FACE) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = rig.ask("GET", &path, &headers).await;
        assert_eq!(answer.status, 500, "{vendor}");
    }
    rig.vendors().clear_faults();
    rig.hours(1);
    for (vendor, path, headers) in calls(&token, FACE) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(
            rig.ask("GET", &path, &headers).await.status,
            200,
            "{vendor}"
        );
    }
    // A stored picture hides the next failure.
    rig.inject(Rule::api(Fault::Status {
        status: 503,
        retry_after: None,
    }));
    rig.hours(25);
    for (vendor, path, headers) in calls(&token, FACE) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(
            rig.ask("GET", &path, &headers).await.status,
            200,
            "{vendor}"
        );
    }
}

/// The statuses of all documented calls, Wachat's last, and their `Retry-After`.
async fn call_all(rig: &Rig) -> (Vec<u16>, Vec<String>) {
    let token = rig.vendors().token().to_owned();
    let wachat = format!("/api/v1/instance/profile-picture?instanceName=shop&apiKey={token}");
    let mut all = calls(&token, FACE);
    all.push(("wachat", wachat, vec![]));
    let (mut statuses, mut retries) = (Vec::new(), Vec::new());
    for (vendor, path, headers) in all {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = rig.ask("GET", &path, &headers).await;
        assert_eq!(
            answer.header("content-type"),
            "application/json",
            "{vendor}"
        );
        statuses.push(answer.status.as_u16());
        retries.push(answer.header("retry-after").to_owned());
    }
    (statuses, retries)
}

#[tokio::test]
async fn each_failure_has_the_vendor_s_own_status() {
    let status = |status, retry_after| Fault::Status {
        status,
        retry_after,
    };
    let stopped = Fault::SessionDown {
        status: "SCAN_QR_CODE".to_owned(),
    };
    for (fault, expected, retry) in [
        (
            status(429, Some(120)),
            [429, 429, 429, 429, 429, 429],
            "120",
        ),
        (status(401, None), [401, 401, 401, 401, 401, 401], "60"),
        (stopped, [422, 422, 422, 422, 422, 502], "60"),
        (Fault::BadImage, [500, 500, 500, 500, 500, 502], "30"),
    ] {
        let rig = Rig::start().await;
        rig.inject(Rule::api(fault.clone()));
        let (statuses, retries) = call_all(&rig).await;
        assert_eq!(statuses, expected, "{fault:?}");
        // Wachat has one status for all failures.
        for said in &retries[..5] {
            let (said, expected): (u64, u64) = (said.parse().unwrap(), retry.parse().unwrap());
            // The time until the next try is random within a tenth.
            assert!(
                (expected * 9 / 10..=expected).contains(&said),
                "{fault:?}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn a_spent_budget_answers_with_the_vendor_s_own_rate_limit_status() {
    let settings = Settings::default().instance("daily = 1");
    let rig = settings.start().await;
    for vendor in ["wawp", "hypersender", "wappfy", "waha"] {
        rig.face(vendor, "628100000009").await;
    }
    let token = rig.vendors().token().to_owned();
    for (vendor, path, headers) in calls(&token, FACE) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = rig.ask("GET", &path, &headers).await;
        assert_eq!(answer.status, 429, "{vendor}");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 3600);
    }
}

#[tokio::test]
async fn a_vendor_time_out_answers_with_the_vendor_s_own_time_out_status() {
    let settings = Settings::default().section("cache", "first_paint = \"50ms\"");
    let rig = settings.start().await;
    rig.inject(Rule::api(Fault::Hang));
    let (statuses, _) = call_all(&rig).await;
    assert_eq!(statuses, [500, 500, 500, 500, 500, 504]);
}

#[tokio::test]
async fn refresh_in_a_vendor_s_call_bypasses_the_cache() {
    let rig = Rig::start().await;
    let token = rig.vendors().token().to_owned();
    let path = format!("/v2/chats/picture?instance_id=shop&access_token={token}&chatId={FACE}");
    rig.get(&path).await;
    rig.get(&path).await;
    assert_eq!(rig.traffic().0, 1);
    rig.get(&format!("{path}&refresh=true")).await;
    assert_eq!(rig.traffic().0, 1);
}

#[tokio::test]
async fn links_in_answers_begin_with_the_public_url() {
    let url = "https://faces.example/pictures";
    let rig = Settings::default()
        .section(
            "server",
            &format!("listen = \"127.0.0.1:0\"\npublic_url = \"{url}/\""),
        )
        .start()
        .await;
    let token = rig.vendors().token().to_owned();
    let (_, path, headers) = calls(&token, FACE).swap_remove(4);
    let (ours, _) = both(&rig, &path, &headers).await;
    let link = without_link(&ours).0.unwrap();
    assert_eq!(link, format!("{url}/avatar/waha/{FACE}"));
}

#[tokio::test]
async fn an_address_that_no_picture_belongs_to_has_no_link() {
    let rig = Rig::start_signed().await;
    for jid in ["status@broadcast", "0@c.us", "123@hosted"] {
        for (vendor, path, headers) in calls(rig.vendors().token(), jid) {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let answer = rig.ask("GET", &path, &headers).await;
            assert_eq!(answer.status, 200, "{vendor} {jid}");
            assert_eq!(without_link(&answer).0, None, "{vendor} {jid}");
        }
    }
    assert_eq!(rig.traffic().0, 0);
}

#[tokio::test]
async fn waha_s_calls_for_groups_and_contacts_answer_with_links_that_show_the_face() {
    const GROUP: &str = "120363000000000101@g.us";
    let rig = Rig::start_signed().await;
    let token = rig.vendors().token().to_owned();
    rig.vendors()
        .set_picture("628100000011@c.us", Picture::NotSet)
        .unwrap();
    let contact = |jid: &str| {
        let jid = jid.replace('@', "%40");
        format!("/api/contacts/profile-picture?session=shop&contactId={jid}")
    };
    for (vendor, header) in [("waha", "x-api-key"), ("wappfy", "apikey")] {
        for (path, member, jid) in [
            (format!("/api/shop/groups/{GROUP}/picture"), "url", GROUP),
            (contact(FACE), "profilePictureURL", FACE),
            (contact("628100000011@c.us"), "profilePictureURL", ""),
        ] {
            let answer = rig.ask("GET", &path, &[(header, &token)]).await;
            assert_eq!(answer.status, 200, "{vendor} {path}");
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body.as_object().unwrap().len(), 1, "{vendor} {path}");
            if jid.is_empty() {
                assert_eq!(body[member], Value::Null, "{vendor} {path}");
                continue;
            }
            let origin = format!("http://{}", rig.address());
            let link = body[member].as_str().unwrap().strip_prefix(&origin);
            let link = link.unwrap();
            assert!(link.starts_with(&format!("/avatar/{vendor}/{jid}?")));
            rig.get(link).await.assert_picture(&rig.bytes(jid));
        }
        for (path, key, status) in [
            (contact(FACE), "wrong", 401),
            (contact(FACE).replace("shop", "else"), token.as_str(), 404),
            (
                "/api/contacts/profile-picture?session=shop".to_owned(),
                token.as_str(),
                400,
            ),
            (
                format!("/api/contacts/profile-picture?contactId={FACE}"),
                token.as_str(),
                400,
            ),
        ] {
            let answer = rig.ask("GET", &path, &[(header, key)]).await;
            assert_eq!(answer.status, status, "{vendor} {path}");
        }
    }
}
