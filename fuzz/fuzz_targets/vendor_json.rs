//! Whatever a gateway answers, every provider makes something of it, and a link is a link or refused.
#![no_main]

use bytes::Bytes;
use faceplate::upstream::{VendorAnswer, Link, Question, VendorReply, Vendor};
use http::{HeaderMap, StatusCode, header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &str, bool, &[u8])| {
    let (status, media, refresh, body) = input;
    let Ok(status) = StatusCode::from_u16(100 + status % 500) else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(media) = media.parse() {
        headers.insert(header::CONTENT_TYPE, media);
    }
    let reply = VendorReply {
        status,
        headers,
        body: Bytes::copy_from_slice(body),
    };
    for subject in ["me", "628100000001@c.us", "123-456@g.us"] {
        let Ok(subject) = subject.parse() else {
            continue;
        };
        for vendor in Vendor::ALL {
            let question = Question { subject, refresh };
            match vendor.provider().read_picture(&question, &reply) {
                Ok(VendorAnswer::Link(text)) => {
                    assert!(status.is_success());
                    // What is checked is what is dialled.
                    if let Ok(link) = Link::parse(&text)
                        && let Ok(uri) = link.uri()
                    {
                        let (host, port) = link.origin();
                        assert!(!host.is_empty());
                        assert_eq!(uri.host(), Some(host));
                        let default = if link.is_secure() { 443 } else { 80 };
                        assert_eq!(uri.port_u16().unwrap_or(default), port);
                    }
                }
                Ok(VendorAnswer::Bytes(_)) => assert!(status.is_success()),
                _ => {}
            }
        }
    }
});
