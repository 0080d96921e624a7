//! `/_emulator/`: controls the emulator over HTTP. These requests are not logged, and no rule applies to them.

use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request,
    body::{Body, Bytes},
    header::ALLOW,
};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    control::Control,
    population::Picture,
    reply::Reply,
    rule::{BadInput, Rule},
    webhooks::Webhook,
};

/// The path of the control routes.
pub(super) const PREFIX: &str = "/_emulator";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPicture {
    picture: Picture,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNumber {
    number: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    from: String,
}

#[derive(Serialize)]
struct FaultId {
    id: u64,
}

#[derive(Serialize)]
struct Problem {
    error: String,
    remedy: String,
}

const INDEX: &str = include_str!("index.txt");
const MAX_BODY: usize = 64 * 1024;

/// Answers one request under [`PREFIX`].
pub(super) async fn answer<B>(control: &Control, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (request, body) = request.into_parts();
    let path = request.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (&request.method, &segments[..]) {
        (&Method::GET, []) => Reply::text(200, INDEX.replace("TOKEN", control.token())),
        (&Method::GET, ["population"]) => Reply::json(200, &control.profiles()),
        (&Method::GET, ["calls"]) => Reply::json(200, &control.calls()),
        (&Method::DELETE, ["calls"]) => {
            control.reset_calls();
            no_content()
        }
        (&Method::GET, ["faults"]) => Reply::json(200, &control.faults()),
        (&Method::POST, ["faults"]) => {
            reply_or_problem(read_json(body).await.and_then(|rule: Rule| {
                let id = control.inject(rule)?;
                Ok(Reply::json(201, &FaultId { id }))
            }))
        }
        (&Method::DELETE, ["faults"]) => {
            control.clear_faults();
            no_content()
        }
        (&Method::DELETE, ["faults", id]) => remove(control, id),
        (&Method::PUT, ["pictures", jid]) => {
            let jid = percent_decode_str(jid).decode_utf8_lossy();
            reply_or_problem(read_json(body).await.and_then(|new: NewPicture| {
                control.set_picture(&jid, new.picture)?;
                Ok(no_content())
            }))
        }
        (&Method::PUT, ["numbers", lid]) => {
            let lid = percent_decode_str(lid).decode_utf8_lossy();
            reply_or_problem(read_json(body).await.and_then(|new: NewNumber| {
                control.set_number(&lid, &new.number)?;
                Ok(no_content())
            }))
        }
        (&Method::POST, ["messages"]) => {
            reply_or_problem(read_json(body).await.and_then(|new: NewMessage| {
                control.receive_message(&new.from)?;
                Ok(no_content())
            }))
        }
        (&Method::GET, ["webhooks"]) => Reply::json(200, &control.webhooks()),
        (&Method::POST, ["webhooks"]) => {
            reply_or_problem(read_json(body).await.and_then(|webhook: Webhook| {
                control.add_webhook(webhook)?;
                Ok(no_content())
            }))
        }
        (&Method::DELETE, ["webhooks"]) => {
            control.clear_webhooks();
            no_content()
        }
        (&Method::DELETE, ["vendor-cache"]) => {
            control.forget_vendor_cache();
            no_content()
        }
        (_, path) => refuse(path),
    }
}

/// Reads the JSON in `body`.
async fn read_json<T, B>(body: B) -> Result<T, BadInput>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|error| BadInput {
            problem: format!("the body cannot be read: {error}"),
            remedy: format!("send JSON of up to {MAX_BODY} bytes"),
        })?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| BadInput {
        problem: format!("the JSON does not match: {error}"),
        remedy: format!("GET {PREFIX}/ shows examples"),
    })
}

fn reply_or_problem(result: Result<Reply, BadInput>) -> Reply {
    result.unwrap_or_else(|bad| problem(400, bad.problem, bad.remedy))
}

fn remove(control: &Control, id: &str) -> Reply {
    if id.parse().is_ok_and(|id| control.remove_fault(id)) {
        return no_content();
    }
    let remedy = format!("GET {PREFIX}/faults lists those in force");
    problem(404, format!("there is no rule {id:?}"), remedy)
}

/// The reply to an unknown path (404) or method (405).
fn refuse(path: &[&str]) -> Reply {
    let allowed = match path {
        [] | ["population"] => "GET",
        ["calls"] => "GET, DELETE",
        ["faults"] | ["webhooks"] => "GET, POST, DELETE",
        ["messages"] => "POST",
        ["faults", _] | ["vendor-cache"] => "DELETE",
        ["pictures", _] => "PUT",
        _ => {
            let remedy = format!("GET {PREFIX}/ lists the routes");
            return problem(404, "there is no such control route".to_owned(), remedy);
        }
    };
    let remedy = format!("use {allowed}");
    problem(
        405,
        "this route does not have this method".to_owned(),
        remedy,
    )
    .with_header(ALLOW, allowed)
}

fn problem(status: u16, error: String, remedy: String) -> Reply {
    Reply::json(status, &Problem { error, remedy })
}

fn no_content() -> Reply {
    Reply::text(204, "")
}
