//! Emulates the vendors and WhatsApp's CDN over real HTTP, so that tests, the demo and the development of
//! a frontend need no account.
//!
//! The API listener is all vendors at once:
//!
//! * `GET /api/v1/instance/profile-picture` — Wachat
//! * `GET /v2/chats/picture`, `/v2/contacts/profile-picture`, `/v2/chats/overview` — Wawp
//! * `GET /api/whatsapp/v2/{instance}/contacts/profile-picture` — Hypersender
//! * `GET /api/{session}/chats/{chatId}/picture`, `/api/{session}/chats/overview`,
//!   `/api/{session}/profile` — Wappfy with the header `apikey`, WAHA with `X-Api-Key`
//! * `POST /chat/fetchProfilePictureUrl/{instance}`, `POST /chat/findChats/{instance}`, `GET /instance/fetchInstances`,
//!   `GET /instance/connectionState/{instance}` — Evolution API
//! * `POST /user/avatar`, `GET /session/status` — wuzapi
//! * `GET /api/{session}/profile-pic/{digits}`, `POST /api/{session}/list-chats`,
//!   `GET /api/{session}/check-connection-session` — WPPConnect Server
//! * `/_emulator/` — the control routes, which document themselves
//!
//! The CDN listener serves the signed links that the vendors give out.
//!
//! Nothing here is shared with the proxy's providers: a mock with the same parser would hide its bugs.
//!
//! # Files
//!
//! A call:
//!
//! * `request`: parses a request of a vendor's API
//! * `vendor_request`: the parsed call
//! * `api`: answers a call
//! * `answer`: WhatsApp's answer, before a vendor words it
//! * `vendors/`: the reply in each vendor's JSON
//! * `reply`: the HTTP response, and faults on the wire
//! * `vendor_cache`: the answers that WAHA and its relatives keep
//!
//! WhatsApp:
//!
//! * `whatsapp`: the picture of each JID
//! * `population`: the fixed profiles
//! * `jid`: JIDs as vendors parse them
//! * `cdn`: answers downloads
//! * `links`: signs and verifies links
//! * `art/`: draws the pictures
//!
//! Faults:
//!
//! * `rule`: a rule of fault injection
//! * `faults`: the rules in force, and their effect on a call
//! * `bad_bodies`: replies with a wrong body
//!
//! Around:
//!
//! * `control`: changes pictures and rules, in process
//! * `control_routes`: the same over HTTP
//! * `call_log`: the calls that came in
//! * `webhooks`: sends events
//! * `options`: the settings
//! * `state`: the state that both listeners share
//! * `vocabulary`: vendors, listeners, endpoints

mod answer;
mod api;
mod art;
mod bad_bodies;
mod call_log;
mod cdn;
mod control;
mod control_routes;
mod faults;
mod jid;
mod links;
mod options;
mod population;
mod reply;
mod request;
mod rule;
mod state;
mod vendor_cache;
mod vendor_request;
mod vendors;
mod vocabulary;
mod webhooks;
mod whatsapp;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Collected, Limited};
use hyper::{Method, Request, Response, header::ALLOW};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    reply::{Reply, ReplyBody},
    state::State,
    webhooks::Webhooks,
};
use crate::server::{self, Address, HyperOnly, Limits, Listener, RequestBody};

pub use self::{
    call_log::{Call, Calls},
    control::Control,
    faults::ActiveRule,
    options::Options,
    population::{Kind, OWN_JID, Picture, Profile},
    rule::{BadInput, Fault, Match, Rule},
    vocabulary::{Endpoint, Hop, Vendor},
    webhooks::Webhook,
};

/// The longest body of a call.
const MAX_BODY: usize = 64 * 1024;

/// The running vendors and their CDN. Dropping it stops both.
pub struct Emulator {
    api: SocketAddr,
    cdn: SocketAddr,
    control: Control,
    _shutdown: DropGuard,
}

impl Emulator {
    /// Binds both listeners and serves until the emulator is dropped.
    pub async fn start(options: Options) -> io::Result<Emulator> {
        let (api_listener, api) = bind(&options.api).await?;
        let (cdn_listener, cdn) = bind(&options.cdn).await?;
        let shutdown = CancellationToken::new();
        let (webhooks, events) = Webhooks::new();
        let state = Arc::new(State::new(options, cdn, webhooks, shutdown.clone()));
        tokio::spawn(webhooks::send(state.clone(), events));
        let control = Control(state);

        let api_control = control.clone();
        let service = move |_| {
            let control = api_control.clone();
            HyperOnly(move |request| answer_api(control.clone(), request))
        };
        tokio::spawn(server::run(
            api_listener,
            service,
            settings(),
            None,
            shutdown.clone(),
        ));
        let cdn_control = control.clone();
        let service = move |_| {
            let control = cdn_control.clone();
            HyperOnly(move |request| answer_cdn(control.clone(), request))
        };
        tokio::spawn(server::run(
            cdn_listener,
            service,
            settings(),
            None,
            shutdown.clone(),
        ));

        Ok(Emulator {
            api,
            cdn,
            control,
            _shutdown: shutdown.drop_guard(),
        })
    }

    /// The address of the vendors' API.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// The address of the CDN.
    pub fn cdn(&self) -> SocketAddr {
        self.cdn
    }

    /// Controls the emulator.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

async fn answer_api(
    control: Control,
    request: Request<RequestBody>,
) -> Result<Response<ReplyBody>, Infallible> {
    let reply = if request.uri().path().starts_with(control_routes::PREFIX) {
        control_routes::answer(&control, request).await
    } else {
        let (head, body) = request.into_parts();
        // A body that is too long is no call's.
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        api::answer(&control.0, &head, &body).await
    };
    Ok(reply.into_response())
}

async fn answer_cdn(
    control: Control,
    request: Request<RequestBody>,
) -> Result<Response<ReplyBody>, Infallible> {
    let reply = if matches!(*request.method(), Method::GET | Method::HEAD) {
        cdn::answer(&control.0, &request.into_parts().0).await
    } else {
        Reply::text(405, "").with_header(ALLOW, "GET, HEAD")
    };
    Ok(reply.into_response())
}

async fn bind(address: &Address) -> io::Result<(Listener, SocketAddr)> {
    let listener = Listener::bind(address, None).await?;
    match listener.address()? {
        Address::Tcp(bound) => Ok((listener, bound)),
        Address::Unix(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the emulator hands out http:// links and needs TCP; write 127.0.0.1:0",
        )),
    }
}

/// The servers' settings. The drain is short, as the callers stop together with the emulator.
fn settings() -> server::Settings {
    let limits = Limits {
        drain: Duration::from_secs(1),
        ..Limits::default()
    };
    server::Settings {
        limits,
        ..server::Settings::default()
    }
}
