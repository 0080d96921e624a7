//! The Rust providers and the descriptions that replace them, side by side over the emulator: the same calls, and the
//! same reading of every reply where the old reading was right.

use std::time::Duration;

use faceplate::{
    emulator::{Emulator, Fault, OWN_JID, Options, Picture, Rule},
    upstream::{
        Account, Client, ClientSettings, Guard, Page, Question, Resolver, Vendor, VendorAnswer,
        VendorFailure, shipped,
    },
};

const FACE: &str = "628100000001@c.us";
const GROUP: &str = "120363000000000001@g.us";

fn faults() -> Vec<Fault> {
    let statuses = [
        400, 401, 402, 403, 404, 408, 422, 429, 500, 501, 502, 503, 504,
    ];
    let statuses = statuses.map(|status| Fault::Status {
        status,
        retry_after: None,
    });
    let mut faults = statuses.to_vec();
    faults.extend([
        Fault::Latency { ms: 0 },
        Fault::Status {
            status: 429,
            retry_after: Some(90),
        },
        Fault::RateOverlimit,
        Fault::SessionDown {
            status: "STOPPED".into(),
        },
        Fault::SessionDown {
            status: "SCAN_QR_CODE".into(),
        },
        Fault::Empty { remembered: false },
        Fault::EmptyUrl,
        Fault::Restricted,
        Fault::NotJson,
        Fault::Html,
        Fault::Truncated,
        Fault::BadImage,
        Fault::DefaultImage,
        Fault::Redirect { location: None },
        Fault::ExpiredLink {
            even_when_refreshed: true,
        },
        Fault::AmpEntity,
        Fault::AmpUnicode,
        Fault::WrappedLink,
    ]);
    faults
}

/// The outcome without the words for the log, and with the link as it is followed.
fn outcome(result: &Result<VendorAnswer, VendorFailure>) -> String {
    match result {
        Ok(VendorAnswer::Bytes(bytes)) => format!("{} bytes", bytes.len()),
        Ok(VendorAnswer::Link(link)) => format!(
            "{:?}",
            faceplate::upstream::Link::parse(link).unwrap().uri()
        ),
        Ok(VendorAnswer::Empty(empty)) => empty.as_str().to_owned(),
        Err(failure) => format!("{} {:?}", failure.why.as_str(), failure.retry_after),
    }
}

/// The corrections: readings of the Rust providers that were wrong.
const CORRECTED: [(&str, &str); 2] = [
    // A stand-in picture was recognized with Hypersender alone.
    ("*", "DefaultImage"),
    // An empty body is no picture of no bytes.
    ("wachat", "EmptyUrl"),
];

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_call_and_read_like_the_providers_that_they_replace() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let mut different = Vec::new();
    let mut compared = 0;
    for vendor in Vendor::ALL {
        let name = vendor.as_str();
        let (old, new) = (vendor.provider(), shipped(name).unwrap());
        let account = Account {
            name: "shop".into(),
            token: emulator.control().token().into(),
            own: OWN_JID.parse().ok(),
            params: Default::default(),
        };
        let client = Client::new(
            ClientSettings {
                base: format!("http://{}", emulator.api()).parse().unwrap(),
                guard: Guard {
                    picture_hosts: Vec::new(),
                    allow_private: vec!["127.0.0.0/8".parse().unwrap()],
                },
                call_timeout: Duration::from_secs(30),
                download_timeout: Duration::from_secs(30),
                max_picture: 5 << 20,
                downloads: 4,
            },
            Resolver::default(),
        );
        assert_eq!(old.has_own_profile(), new.has_own_profile(), "{name}");
        assert_eq!(old.has_answer_cache(), new.keeps_answers, "{name}");
        assert_eq!(old.chat_lister().is_some(), new.has_chats(), "{name}");
        let mut pictures = vec![
            Picture::Face(1),
            Picture::NotSet,
            Picture::Hidden,
            Picture::Unknown,
            Picture::NotFound,
        ];
        for fault in faults()
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat_n(None, 5))
        {
            emulator.control().clear_faults();
            match &fault {
                Some(fault) => {
                    emulator.control().inject(Rule::api(fault.clone())).unwrap();
                }
                None => {
                    let picture = pictures.pop().unwrap();
                    for jid in [FACE, GROUP, OWN_JID] {
                        emulator.control().set_picture(jid, picture).unwrap();
                    }
                }
            }
            emulator.control().forget_vendor_cache();
            for (subject, refresh) in [
                ("me", false),
                (FACE, false),
                (FACE, true),
                (GROUP, true),
                (OWN_JID, false),
                ("100875997589545@lid", false),
                ("120363000000000201@newsletter", false),
            ] {
                let question = Question {
                    subject: subject.parse().unwrap(),
                    refresh,
                };
                let calls = (
                    old.picture_call(&account, &question),
                    new.picture_call(&account, &question),
                );
                let (Ok(before), Ok(call)) = calls else {
                    assert_eq!(calls.0.err(), calls.1.err(), "{name} {subject}");
                    continue;
                };
                // Without a refresh, a description leaves the parameter out.
                assert_eq!(before.target.replace("?refresh=false", ""), call.target);
                assert_eq!(before.headers, call.headers);
                let Ok(reply) = client.call(call).await else {
                    continue;
                };
                let is = outcome(&new.read_picture(&account, &question, &reply));
                let was = outcome(&old.read_picture(&question, &reply));
                compared += 1;
                let fault = format!("{fault:?}");
                let is_corrected = CORRECTED
                    .iter()
                    .any(|(of, word)| (*of == "*" || *of == name) && fault.contains(word));
                if is != was && !is_corrected {
                    different.push(format!(
                        "{name} {subject} {fault}: was {was}, is {is}: {}",
                        String::from_utf8_lossy(&reply.body[..reply.body.len().min(200)])
                    ));
                }
            }
            if let Some(lister) = old.chat_lister() {
                let page = Page {
                    offset: 0,
                    limit: 10,
                    cursor: None,
                };
                let before = lister.chat_list_call(&account, page.clone());
                let list = new.chat_list_call(&account, &page).unwrap();
                assert_eq!(
                    (before.call.target, before.is_paged, before.cost),
                    (list.call.target.clone(), list.is_paged, list.cost)
                );
                let Ok(reply) = client.call(list.call).await else {
                    continue;
                };
                let (was, is) = (lister.read_chat_list(&reply), new.read_chat_list(&reply));
                compared += 1;
                let is_repaired = format!("{fault:?}").contains("Amp");
                if was.as_ref().map_err(|failure| failure.why)
                    != is.as_ref().map_err(|failure| failure.why)
                    && !is_repaired
                {
                    different.push(format!("{name} chats {fault:?}: was {was:?}, is {is:?}"));
                }
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(compared > 500, "{compared}");
}
