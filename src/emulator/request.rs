//! Parses a request to a vendor's API. A path that no vendor documents is `None`.

use hyper::{HeaderMap, Method, http::request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    population::OWN_JID,
    vendor_request::VendorRequest,
    vendors::{evolution, wppconnect},
    vocabulary::{Endpoint, Vendor},
};

impl VendorRequest {
    /// The methods of the path, as `Allow` lists them; `None` for a path that no vendor documents.
    pub(super) fn allowed(request: &Parts) -> Option<&'static str> {
        let has = |method| {
            let mut other = request.clone();
            other.method = method;
            Self::parse(&other, b"").is_some()
        };
        match (has(Method::GET), has(Method::POST)) {
            (true, true) => Some("GET, POST"),
            (true, false) => Some("GET"),
            (false, true) => Some("POST"),
            (false, false) => None,
        }
    }

    /// Parses the call that `request` makes.
    pub(super) fn parse(request: &Parts, body: &[u8]) -> Option<Self> {
        let path: Vec<String> = request
            .uri
            .path()
            .split('/')
            .skip(1)
            .map(decode)
            .collect::<Option<_>>()?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let query = Query(request.uri.query().unwrap_or_default());
        let headers = &request.headers;
        if request.method == Method::POST {
            let body = serde_json::from_slice(body).unwrap_or_default();
            return post(&path, headers, &query, &Body(body));
        }
        if request.method != Method::GET {
            return None;
        }
        match path[..] {
            ["api", "v1", "instance", "profile-picture"] => Some(wachat(headers, &query)),
            ["v2", "chats", "picture"] => Some(wawp(Endpoint::Picture, "chatId", &query)),
            ["v2", "contacts", "profile-picture"] => {
                Some(wawp(Endpoint::ContactPicture, "contactId", &query))
            }
            ["v2", "chats", "overview"] => Some(wawp(Endpoint::Overview, "", &query)),
            [
                "api",
                "whatsapp",
                "v2",
                instance,
                "contacts",
                "profile-picture",
            ] => Some(hypersender(instance, headers, &query)),
            ["api", session, "chats", "overview"] => {
                Some(waha(Endpoint::Overview, session, None, headers, &query))
            }
            ["api", session, "chats", id, "picture"] => {
                Some(waha(Endpoint::Picture, session, Some(id), headers, &query))
            }
            ["api", "sessions", session] => {
                Some(waha(Endpoint::Session, session, None, headers, &query))
            }
            ["api", session, "profile"] => {
                Some(waha(Endpoint::Profile, session, None, headers, &query))
            }
            ["api", session, "lids", "pn", id] | ["api", session, "lids", id] => {
                Some(waha(Endpoint::Identity, session, Some(id), headers, &query))
            }
            ["api", session, "contact", "pn-lid", id] => Some(VendorRequest {
                id: Some((*id).to_owned()),
                ..of_wppconnect(Endpoint::Identity, session, headers)
            }),
            ["instance", "fetchInstances"] => {
                let account = query.value("instanceName").unwrap_or_default();
                Some(of_evolution(Endpoint::Session, &account, headers))
            }
            ["instance", "connectionState", instance] => {
                Some(of_evolution(Endpoint::ConnectionState, instance, headers))
            }
            ["session", "status"] => Some(wuzapi(Endpoint::Session, None, headers, &query)),
            ["api", session, "profile-pic", phone] => {
                // Any text is a yes: the query is no JSON.
                let is_group = query.value("isGroup").is_some();
                let id = Some(wppconnect::jid_of(phone, is_group));
                Some(VendorRequest {
                    id,
                    ..of_wppconnect(Endpoint::Picture, session, headers)
                })
            }
            ["api", session, "check-connection-session"] => {
                Some(of_wppconnect(Endpoint::Session, session, headers))
            }
            _ => None,
        }
    }
}

/// A call with a body in JSON.
fn post(
    path: &[&str],
    headers: &HeaderMap,
    query: &Query<'_>,
    body: &Body,
) -> Option<VendorRequest> {
    match path {
        ["chat", "fetchProfilePictureUrl", instance] => Some(VendorRequest {
            id: body.text("number").map(|number| evolution::jid_of(&number)),
            ..of_evolution(Endpoint::Picture, instance, headers)
        }),
        ["chat", "findChats", instance] => Some(VendorRequest {
            page: (
                body.number("take").unwrap_or(usize::MAX),
                body.number("skip").unwrap_or(0),
            ),
            ..of_evolution(Endpoint::Overview, instance, headers)
        }),
        ["user", "avatar"] => {
            let id = body.text("Phone");
            Some(wuzapi(Endpoint::Picture, id, headers, query))
        }
        ["api", session, "list-chats"] => Some(VendorRequest {
            page: (body.number("count").unwrap_or(usize::MAX), 0),
            after: body.text("id"),
            ..of_wppconnect(Endpoint::Overview, session, headers)
        }),
        _ => None,
    }
}

fn of_evolution(endpoint: Endpoint, instance: &str, headers: &HeaderMap) -> VendorRequest {
    VendorRequest {
        account: instance.to_owned(),
        token: header(headers, "apikey"),
        ..VendorRequest::new(Vendor::Evolution, endpoint)
    }
}

/// The token alone says which account it is.
fn wuzapi(
    endpoint: Endpoint,
    phone: Option<String>,
    headers: &HeaderMap,
    query: &Query<'_>,
) -> VendorRequest {
    let with_server = |phone: String| {
        let phone = phone.strip_prefix('+').unwrap_or(&phone);
        match phone.contains('@') {
            true => phone.to_owned(),
            false => format!("{phone}@s.whatsapp.net"),
        }
    };
    VendorRequest {
        id: phone.map(with_server),
        token: header(headers, "token").or_else(|| query.value("token")),
        ..VendorRequest::new(Vendor::Wuzapi, endpoint)
    }
}

fn of_wppconnect(endpoint: Endpoint, session: &str, headers: &HeaderMap) -> VendorRequest {
    VendorRequest {
        account: session.to_owned(),
        token: bearer(headers),
        ..VendorRequest::new(Vendor::Wppconnect, endpoint)
    }
}

fn wachat(headers: &HeaderMap, query: &Query<'_>) -> VendorRequest {
    VendorRequest {
        id: Some(OWN_JID.to_owned()),
        token: bearer(headers).or_else(|| query.value("apiKey")),
        account: query.value("instanceName").unwrap_or_default(),
        ..VendorRequest::new(Vendor::Wachat, Endpoint::Picture)
    }
}

fn wawp(endpoint: Endpoint, id: &str, query: &Query<'_>) -> VendorRequest {
    VendorRequest {
        account: query.value("instance_id").unwrap_or_default(),
        token: query.value("access_token"),
        id: query.value(id),
        refresh: query.refresh(),
        ..VendorRequest::new(Vendor::Wawp, endpoint)
    }
}

fn hypersender(instance: &str, headers: &HeaderMap, query: &Query<'_>) -> VendorRequest {
    VendorRequest {
        account: instance.to_owned(),
        token: bearer(headers),
        id: query.value("chat_id"),
        ..VendorRequest::new(Vendor::Hypersender, Endpoint::Picture)
    }
}

/// Wappfy is WAHA with another name for the header of the credential.
fn waha(
    endpoint: Endpoint,
    session: &str,
    id: Option<&str>,
    headers: &HeaderMap,
    query: &Query<'_>,
) -> VendorRequest {
    let wappfy = header(headers, "apikey");
    let vendor = if wappfy.is_some() {
        Vendor::Wappfy
    } else {
        Vendor::Waha
    };
    let number = |name| query.value(name).and_then(|text| text.parse().ok());
    VendorRequest {
        account: session.to_owned(),
        token: wappfy
            .or_else(|| header(headers, "x-api-key"))
            .or_else(|| query.value("x-api-key")),
        id: id.map(str::to_owned),
        refresh: query.refresh(),
        page: (number("limit").unwrap_or(20), number("offset").unwrap_or(0)),
        ..VendorRequest::new(vendor, endpoint)
    }
}

/// The text after the question mark.
struct Query<'a>(&'a str);

impl Query<'_> {
    fn value(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.0.as_bytes())
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    }

    fn refresh(&self) -> bool {
        matches!(self.value("refresh").as_deref(), Some("true" | "1"))
    }
}

/// The JSON of a call; null if there is none.
struct Body(Value);

impl Body {
    fn text(&self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn number(&self, name: &str) -> Option<usize> {
        usize::try_from(self.0.get(name)?.as_u64()?).ok()
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = header(headers, "authorization")?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn decode(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parse(target: &str, header: (&str, &str)) -> Option<VendorRequest> {
        let request = Request::get(target).header(header.0, header.1);
        VendorRequest::parse(&request.body(()).unwrap().into_parts().0, b"")
    }

    #[test]
    fn the_credential_s_header_distinguishes_wappfy_from_waha() {
        let target = "/api/s/chats/628100000001%40c.us/picture?refresh=true";
        for (header, vendor) in [
            (("apikey", "t"), Vendor::Wappfy),
            (("X-Api-Key", "t"), Vendor::Waha),
        ] {
            let request = parse(target, header).unwrap();
            assert_eq!(request.vendor, vendor);
            assert_eq!(request.token.as_deref(), Some("t"));
            assert_eq!(request.id.as_deref(), Some("628100000001@c.us"));
            assert!(request.refresh);
        }
    }

    #[test]
    fn a_path_that_no_vendor_has_is_no_call() {
        assert_eq!(parse("/v2/chats", ("apikey", "t")), None);
        assert_eq!(parse("/avatar/sales/me", ("apikey", "t")), None);
    }
}
