//! The gallery page of the demo: one face for each vendor endpoint, and one for each outcome.

use std::fmt::Write;

use bytes::Bytes;

use crate::app::Addresses;

/// The instance of the list that fills itself.
pub(super) const INBOX: &str = "inbox";
/// The number of contacts in it.
const CONTACTS: usize = 40;

/// The page; the cards replace `<!--cards-->`, and the list `<!--inbox-->`.
const PAGE: &str = include_str!("gallery.html");

/// A heading, a sentence and the cards.
type Section = (&'static str, &'static str, &'static [Card]);

/// A title and the path of a face.
type Card = (&'static str, &'static str);

const SECTIONS: [Section; 2] = [
    (
        "One face per vendor endpoint",
        "Eight gateways with eight different APIs, one form of URL.",
        &[
            ("Wachat · own picture", "/avatar/wachat/me"),
            ("Wawp · contact", "/avatar/wawp/628100000001@c.us"),
            ("Wawp · group", "/avatar/wawp/120363000000000001@g.us"),
            ("Hypersender · contact", "/avatar/hypersender/628100000002"),
            (
                "Hypersender · LID",
                "/avatar/hypersender/100875997589545@lid",
            ),
            (
                "Wappfy · contact",
                "/avatar/wappfy/628100000003@s.whatsapp.net",
            ),
            (
                "Wappfy · legacy group",
                "/avatar/wappfy/628100000001-1581234048@g.us",
            ),
            ("WAHA · contact", "/avatar/waha/628100000004@c.us"),
            ("WAHA · own picture", "/avatar/waha/me"),
            (
                "WAHA · channel",
                "/avatar/waha/120363000000000201@newsletter",
            ),
            ("Evolution · contact", "/avatar/evolution/628100000008"),
            (
                "Evolution · group",
                "/avatar/evolution/120363000000000003@g.us",
            ),
            ("wuzapi · contact", "/avatar/wuzapi/628100000009"),
            ("wuzapi · own picture", "/avatar/wuzapi/me"),
            ("WPPConnect · contact", "/avatar/wppconnect/628100000010"),
        ],
    ),
    (
        "One face per outcome",
        "Every response is an image. Its headers say what happened at the vendor.",
        &[
            (
                "Picture",
                "/avatar/waha/628100000005@c.us?name=Grace%20Wanjiru",
            ),
            ("Group", "/avatar/waha/120363000000000002@g.us?name=Family"),
            (
                "Hidden by privacy",
                "/avatar/wuzapi/628100000101@c.us?name=Hidden%20Harum",
            ),
            (
                "No picture set",
                "/avatar/wuzapi/628100000102@c.us?name=Nova%20No-Picture",
            ),
            (
                "No such contact",
                "/avatar/hypersender/628100000103?name=Gone%20Gilang",
            ),
            (
                "Rate-limited",
                "/avatar/waha-limited/628100000006@c.us?name=Clara%20Nugroho",
            ),
            (
                "Broken link",
                "/avatar/waha-broken/628100000007@c.us?name=Dimas%20Saputra",
            ),
            (
                "Outage",
                "/avatar/waha-outage/628100000008@c.us?name=Ibu%20Ratna",
            ),
            (
                "No name given",
                "/avatar/waha/628100000101@c.us?d=initials&f=y",
            ),
            ("Identicon", "/avatar/waha/628100000101@c.us?d=identicon"),
            ("Mystery person", "/avatar/waha/628100000101@c.us?d=mp"),
            (
                "Mystery group",
                "/avatar/waha/120363000000000002@g.us?d=mp&f=y",
            ),
        ],
    ),
];

/// The page as HTML.
pub(super) fn page(addresses: &Addresses) -> Bytes {
    let mut cards = String::new();
    for (heading, about, faces) in SECTIONS {
        // Writing to a `String` cannot fail.
        let _ = write!(
            cards,
            "<section><h2>{heading}</h2><p>{about}</p><div class=\"cards\">"
        );
        for (title, path) in faces {
            let src = path.replace('&', "&amp;");
            // Numbers and names stay whole where the line breaks.
            let shown = src.replace('@', "<wbr>@").replace('?', "<wbr>?");
            let shown = shown.replace('=', "=<wbr>").replace("%20", "<wbr>%20");
            let (start, face) = shown.rsplit_once('/').unwrap_or_default();
            let _ = write!(
                cards,
                r#"<figure><img src="{src}" alt="{title}" width="96" height="96"><figcaption><b>{title}</b><code>{start}/<wbr>{face}</code><output>…</output><button type="button" aria-label="Refresh: {title}">Refresh</button></figcaption></figure>"#
            );
        }
        cards.push_str("</div></section>");
    }
    let dashboard = addresses.dashboard_url();
    let dashboard = dashboard.map(|url| format!(r#"<a href="{url}">Dashboard</a>"#));
    PAGE.replace("<!--dashboard-->", &dashboard.unwrap_or_default())
        .replace("<!--cards-->", &cards)
        .replace("<!--inbox-->", &inbox())
        .into()
}

/// The images of contacts that were never seen. Nothing but the script makes their pictures come.
fn inbox() -> String {
    let image = |number: usize| {
        format!(
            r#"<img alt="Contact {number}" src="/avatar/{INBOX}/62812{number:06}@c.us?s=48&amp;d=mp" width="48" height="48">"#
        )
    };
    (1..=CONTACTS).map(image).collect()
}
