//! `/_emulator/`: the hand on the emulator over HTTP. Never counted, never struck by a rule.

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
};

/// Under which path the control routes live.
pub(super) const PREFIX: &str = "/_emulator";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPicture {
    picture: Picture,
}

#[derive(Serialize)]
struct Injected {
    id: u64,
}

#[derive(Serialize)]
struct Problem {
    error: String,
    remedy: String,
}

const INDEX: &str = include_str!("index.txt");
const LARGEST_BODY: usize = 64 * 1024;

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
        (&Method::GET, ["population"]) => Reply::json(200, &control.known()),
        (&Method::GET, ["calls"]) => Reply::json(200, &control.calls()),
        (&Method::DELETE, ["calls"]) => {
            control.reset_calls();
            done()
        }
        (&Method::GET, ["faults"]) => Reply::json(200, &control.faults()),
        (&Method::POST, ["faults"]) => answered(read(body).await.and_then(|rule: Rule| {
            let id = control.inject(rule)?;
            Ok(Reply::json(201, &Injected { id }))
        })),
        (&Method::DELETE, ["faults"]) => {
            control.clear_faults();
            done()
        }
        (&Method::DELETE, ["faults", id]) => remove(control, id),
        (&Method::PUT, ["pictures", jid]) => {
            let jid = percent_decode_str(jid).decode_utf8_lossy();
            answered(read(body).await.and_then(|new: NewPicture| {
                control.set_picture(&jid, new.picture)?;
                Ok(done())
            }))
        }
        (&Method::DELETE, ["vendor-cache"]) => {
            control.forget_vendor_cache();
            done()
        }
        (_, known) => lost(known),
    }
}

/// The JSON in `body`.
async fn read<T, B>(body: B) -> Result<T, BadInput>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = Limited::new(body, LARGEST_BODY)
        .collect()
        .await
        .map_err(|error| BadInput {
            problem: format!("the body cannot be read: {error}"),
            remedy: format!("send JSON of up to {LARGEST_BODY} bytes"),
        })?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| BadInput {
        problem: format!("the body does not fit: {error}"),
        remedy: format!("GET {PREFIX}/ shows examples"),
    })
}

fn answered(result: Result<Reply, BadInput>) -> Reply {
    result.unwrap_or_else(|bad| problem(400, bad.problem, bad.remedy))
}

fn remove(control: &Control, id: &str) -> Reply {
    if id.parse().is_ok_and(|id| control.remove_fault(id)) {
        return done();
    }
    let remedy = format!("GET {PREFIX}/faults lists those in force");
    problem(404, format!("there is no rule {id:?}"), remedy)
}

fn lost(path: &[&str]) -> Reply {
    let allowed = match path {
        [] | ["population"] => "GET",
        ["calls"] => "GET, DELETE",
        ["faults"] => "GET, POST, DELETE",
        ["faults", _] | ["vendor-cache"] => "DELETE",
        ["pictures", _] => "PUT",
        _ => {
            let remedy = format!("GET {PREFIX}/ lists the routes");
            return problem(404, "there is no such control route".to_owned(), remedy);
        }
    };
    let remedy = format!("use {allowed}");
    problem(405, "the route has no such method".to_owned(), remedy).with(ALLOW, allowed)
}

fn problem(status: u16, error: String, remedy: String) -> Reply {
    Reply::json(status, &Problem { error, remedy })
}

/// The answer to what has no answer.
fn done() -> Reply {
    Reply::text(204, "")
}
