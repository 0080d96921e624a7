//! WAHA's calls whose replies contain pictures beside other things: the account's profile and the list of chats. Each
//! request makes the call, once the budget has paid for it. In the reply, links to pictures are replaced by links to
//! this server; everything else passes through unchanged.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    Compat, Failure,
    authorized_call::Answers,
    call::Request,
    endpoint::{self, Relay},
    refuse,
};
use crate::{
    avatar::{Subject, Trouble},
    http::{access_log::RequestLog, problem::Problem, query, respond},
    pipeline::{Instance, RelayError},
    server::Reply,
    upstream::{Description, Page, Question, VendorCall, VendorFailure, VendorReply},
};

/// A call to be made.
struct RelayCall {
    call: VendorCall,
    /// The calls of the budget that it costs.
    cost: usize,
}

/// Why a call is not made.
enum Refusal {
    Failure(Failure),
    /// The vendor has no such call, and says so.
    NotImplemented,
}

/// The rows of a page of chats, if the client asks for no number: WAHA's own default.
const DEFAULT_ROWS: usize = 20;
/// The query parameters of the list of chats that the client chooses.
const CHAT_PARAMETERS: [&str; 5] = ["offset", "ids", "ids[]", "sortBy", "sortOrder"];

impl Compat {
    pub(super) async fn relay(
        &self,
        relay: Relay,
        instance: &Arc<Instance>,
        request: &Request,
        log: &mut RequestLog,
    ) -> Reply {
        log.set_instance(instance.name());
        let answers = &request.call;
        let made = match relay {
            Relay::Profile => profile_call(instance),
            Relay::Chats => chats_call(instance, request),
        };
        let RelayCall { call, cost } = match made {
            Ok(made) => made,
            Err(Refusal::Failure(failure)) => return answers.failure(failure),
            Err(Refusal::NotImplemented) => return not_implemented(),
        };
        let provider = instance.provider().clone();
        let account = instance.account();
        let trouble = |reply: &VendorReply| trouble(relay, &provider, account, reply);
        match self.faces.relay(instance, &call, cost, trouble).await {
            Ok(reply) => {
                let link = |subject| self.link(instance, subject, &request.uri, &request.headers);
                pass(relay, instance, reply, link)
            }
            Err(RelayError::NotAdmitted { why, retry_at }) => {
                let failure = match why {
                    Trouble::Auth => Failure::Unauthorized,
                    Trouble::SessionDown => Failure::SessionDown,
                    Trouble::VendorError => Failure::VendorError,
                    Trouble::RateLimited | Trouble::OverBudget => Failure::RateLimited,
                };
                let mut reply = answers.failure(failure);
                let wait = retry_at.since(self.faces.now()).as_millis().div_ceil(1000);
                let headers = &mut reply.headers;
                headers.add_number(header::RETRY_AFTER, (wait as u64).max(1));
                reply
            }
            Err(RelayError::TooMuch { burst }) => refuse(too_many_rows(burst), log),
            Err(RelayError::TimedOut) => answers.failure(Failure::TimedOut),
            Err(RelayError::Unreachable) => answers.failure(Failure::VendorError),
        }
    }
}

fn profile_call(instance: &Instance) -> Result<RelayCall, Refusal> {
    if !instance.provider().has_own_profile() {
        return Err(Refusal::NotImplemented);
    }
    let question = Question {
        subject: Subject::Me,
        refresh: false,
    };
    let call = instance
        .provider()
        .picture_call(instance.account(), &question);
    let call = call.map_err(|_| Refusal::NotImplemented)?;
    Ok(RelayCall { call, cost: 1 })
}

/// The call for a page of chats. For each row, the account asks WhatsApp for the picture.
fn chats_call(instance: &Instance, request: &Request) -> Result<RelayCall, Refusal> {
    let pairs = query::pairs(request.uri.query().unwrap_or_default());
    let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = pairs.collect();
    let limit = pairs.iter().find(|(name, _)| name == "limit");
    let limit = match limit {
        Some((_, text)) => {
            let limit = text.parse().ok().filter(|limit| *limit > 0);
            limit.ok_or(Refusal::Failure(Failure::Malformed))?
        }
        // A page may be shorter than it could be.
        None => DEFAULT_ROWS.min(instance.admission().burst().max(1) as usize),
    };
    let page = Page {
        offset: 0,
        limit,
        cursor: None,
    };
    let list = instance
        .provider()
        .chat_list_call(instance.account(), &page);
    let mut list = list.ok_or(Refusal::NotImplemented)?;
    let path = list.call.target.split('?').next().unwrap_or_default();
    let chosen = pairs
        .iter()
        .filter(|(name, _)| CHAT_PARAMETERS.contains(&name.as_ref()));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("limit", &limit.to_string())
        .extend_pairs(chosen)
        .finish();
    list.call.target = format!("{path}?{query}");
    Ok(RelayCall {
        cost: list.cost,
        call: list.call,
    })
}

/// The trouble that a reply reports, which concerns the whole account.
fn trouble(
    relay: Relay,
    provider: &Description,
    account: &crate::upstream::Account,
    reply: &VendorReply,
) -> Option<VendorFailure> {
    let failure = match relay {
        Relay::Chats => provider.read_chat_list(reply).err(),
        Relay::Profile => {
            let question = Question {
                subject: Subject::Me,
                refresh: false,
            };
            provider.read_picture(account, &question, reply).err()
        }
    };
    // A missing call or a wrong request says nothing about the account.
    failure.filter(|failure| failure.why != Trouble::VendorError || reply.status.is_server_error())
}

/// The reply for the client, which is told to wait no longer than this server does.
fn pass(
    relay: Relay,
    instance: &Instance,
    reply: VendorReply,
    link: impl Fn(Subject) -> String,
) -> Reply {
    let json = reply
        .status
        .is_success()
        .then(|| serde_json::from_slice(&reply.body).ok());
    let body = match json.flatten() {
        Some(json) => relinked(relay, instance.provider(), json, link),
        None => reply.body,
    };
    let text = |name| reply.headers.get(name)?.to_str().ok();
    let media = text(header::CONTENT_TYPE).unwrap_or("application/json");
    let mut answer = respond::uncached(reply.status, media, body);
    let wait = text(header::RETRY_AFTER).and_then(|wait| wait.parse::<u64>().ok());
    if let Some(wait) = wait {
        let longest = instance.admission().longest_pause().as_secs();
        answer
            .headers
            .add_number(header::RETRY_AFTER, wait.min(longest));
    }
    answer
}

fn relinked(
    relay: Relay,
    provider: &Description,
    mut json: Value,
    link: impl Fn(Subject) -> String,
) -> Bytes {
    match relay {
        Relay::Chats => provider.relink_chats(&mut json, |jid| link(Subject::Chat(jid))),
        Relay::Profile => {
            let picture = json.get_mut("picture");
            if let Some(picture) = picture.filter(|picture| picture.is_string()) {
                *picture = Value::String(link(Subject::Me));
            }
        }
    }
    json.to_string().into()
}

fn not_implemented() -> Reply {
    let body = serde_json::json!({
        "message": "The method is not implemented by the engine.",
        "error": endpoint::reason_phrase(501),
        "statusCode": 501,
    });
    endpoint::json(501, &body)
}

fn too_many_rows(burst: u64) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "too-many-rows",
        "The page has more chats than the budget allows at once",
        format!(
            "each row costs a lookup; ask for at most {burst} with limit, or let the operator raise lookups.burst"
        ),
    )
}
