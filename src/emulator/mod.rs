//! The vendors and WhatsApp's CDN, played over real HTTP, so that tests, the demo and anybody who
//! tries a frontend need no account.
//!
//! The API listener plays all vendors at once:
//!
//! * `GET /api/v1/instance/profile-picture` — Wachat
//! * `GET /v2/chats/picture`, `/v2/contacts/profile-picture`, `/v2/chats/overview` — Wawp
//! * `GET /api/whatsapp/v2/{instance}/contacts/profile-picture` — Hypersender
//! * `GET /api/{session}/chats/{chatId}/picture`, `/api/{session}/chats/overview`,
//!   `/api/{session}/profile` — Wappfy with the header `apikey`, WAHA with `X-Api-Key`
//! * `/_emulator/` — the control routes, which explain themselves
//!
//! The CDN listener serves the signed links that the vendors hand out.
//!
//! Nothing here is shared with the proxy's reading of the vendors: a mock that shares the parser
//! agrees with the bug.

mod api;
mod calls;
mod canvas;
mod cdn;
mod control;
mod control_routes;
mod faults;
mod hair;
mod jid;
mod links;
mod network;
mod photo;
mod population;
mod portrait;
mod reply;
mod route;
mod rule;
mod spoiled;
mod vendor_cache;
mod vendors;
mod world;

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{Method, Request, Response, body::Incoming, header::ALLOW};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    reply::{Reply, Sending},
    world::World,
};
use crate::{
    clock::Clock,
    server::{self, Address, HyperOnly, Limits, Listener},
};

pub use self::{
    calls::{Call, Calls, Endpoint},
    control::Control,
    faults::ActiveRule,
    population::{Kind, Known, OWN_JID, Picture},
    rule::{BadInput, Fault, Hop, Match, Rule},
    vendors::Vendor,
};

/// How to play.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the vendors' API listens; a TCP address.
    pub api: Address,
    /// Where the CDN listens; a TCP address.
    pub cdn: Address,
    /// Host and port in the links, where clients reach the CDN by another name than it listens on;
    /// loopback when it listens on all addresses. Without a port, the one it listens on.
    pub cdn_authority: Option<String>,
    /// The credential that every vendor accepts for every account.
    pub token: String,
    /// How long a link is good for.
    pub link_life: Duration,
    /// Decides about links and the vendors' caches; latencies pass in real time.
    pub clock: Clock,
}

/// The running vendors and their CDN. Dropping it stops both.
pub struct Emulator {
    api: SocketAddr,
    cdn: SocketAddr,
    control: Control,
    _stop: DropGuard,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let any_port = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self {
            api: any_port.clone(),
            cdn: any_port,
            cdn_authority: None,
            token: "emulator-token".to_owned(),
            link_life: 2 * DAY,
            clock: Clock::system(),
        }
    }
}

// === impl Emulator ===

impl Emulator {
    /// Binds both listeners and plays until the emulator is dropped.
    pub async fn start(options: Options) -> io::Result<Emulator> {
        let (api_listener, api) = bind(&options.api).await?;
        let (cdn_listener, cdn) = bind(&options.cdn).await?;
        let shutdown = CancellationToken::new();
        let control = Control(Arc::new(World::new(options, cdn, shutdown.clone())));

        let hand = control.clone();
        let service = move |_| {
            let hand = hand.clone();
            HyperOnly(move |request| api_answer(hand.clone(), request))
        };
        tokio::spawn(server::run(
            api_listener,
            service,
            limits(),
            None,
            shutdown.clone(),
        ));
        let hand = control.clone();
        let service = move |_| {
            let hand = hand.clone();
            HyperOnly(move |request| cdn_answer(hand.clone(), request))
        };
        tokio::spawn(server::run(
            cdn_listener,
            service,
            limits(),
            None,
            shutdown.clone(),
        ));

        Ok(Emulator {
            api,
            cdn,
            control,
            _stop: shutdown.drop_guard(),
        })
    }

    /// Where the vendors' API listens.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where the CDN listens.
    pub fn cdn(&self) -> SocketAddr {
        self.cdn
    }

    /// The hand on the emulator.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

async fn api_answer(
    control: Control,
    request: Request<Incoming>,
) -> Result<Response<Sending>, Infallible> {
    let reply = if request.uri().path().starts_with(control_routes::PREFIX) {
        control_routes::answer(&control, request).await
    } else if request.method() == Method::GET {
        api::answer(&control.0, &request.into_parts().0).await
    } else {
        Reply::text(405, "").with(ALLOW, "GET")
    };
    Ok(reply.into_response())
}

async fn cdn_answer(
    control: Control,
    request: Request<Incoming>,
) -> Result<Response<Sending>, Infallible> {
    let reply = if matches!(*request.method(), Method::GET | Method::HEAD) {
        cdn::answer(&control.0, &request.into_parts().0).await
    } else {
        Reply::text(405, "").with(ALLOW, "GET, HEAD")
    };
    Ok(reply.into_response())
}

async fn bind(address: &Address) -> io::Result<(Listener, SocketAddr)> {
    let listener = Listener::bind(address).await?;
    match listener.address()? {
        Address::Tcp(bound) => Ok((listener, bound)),
        Address::Unix(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the emulator hands out http:// links and needs TCP; write 127.0.0.1:0",
        )),
    }
}

/// Calls that are under way when the emulator stops are cut off soon: nobody is waiting for them.
fn limits() -> Limits {
    Limits {
        drain: Duration::from_secs(1),
        ..Limits::default()
    }
}
