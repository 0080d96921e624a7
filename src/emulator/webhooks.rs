//! Sends the events of the emulated gateways to the webhooks that were added, one after the other.
//!
//! Only gateways that report something about pictures or messages send any: Evolution API, wuzapi and WAHA.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, body::Bytes, client::conn::http1, header::CONTENT_TYPE, header::HOST};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, sync::mpsc, time};
use url::{Host, Position, Url};

use super::{links::Recipient, rule::BadInput, state::State, vocabulary::Vendor};
use crate::sync::lock;

/// A URL that a gateway reports the events of an account to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The gateway.
    pub vendor: Vendor,
    /// The account.
    pub account: String,
    /// The URL: `http` and an address of this machine.
    pub url: String,
    /// The key that the gateway signs its events with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_key: Option<String>,
}

/// An event at WhatsApp.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// The contact or group, in its canonical spelling.
    pub(super) jid: String,
    /// The other name of the same person: a LID or a number.
    pub(super) alt: Option<String>,
    pub(super) kind: EventKind,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The picture was changed or removed.
    Picture,
    /// A message came in.
    Message,
}

/// The request that reports an event.
pub(super) struct Report {
    pub(super) content_type: &'static str,
    pub(super) body: String,
    /// The name and value of the header with the signature.
    pub(super) signature: Option<(&'static str, String)>,
}

/// The webhooks, and the queue of events.
pub(super) struct Webhooks {
    webhooks: Mutex<Vec<Webhook>>,
    events: mpsc::Sender<Event>,
}

/// The most events that wait. More are lost, as they are at a gateway that restarts.
const MAX_EVENTS: usize = 256;
/// The most webhooks.
const MAX_WEBHOOKS: usize = 64;
/// How long a receiver may take.
const LIMIT: Duration = Duration::from_secs(5);

impl Webhooks {
    /// No webhooks, and the events that [`send`] will report.
    pub(super) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(MAX_EVENTS);
        let webhooks = Self {
            webhooks: Mutex::default(),
            events,
        };
        (webhooks, receiver)
    }

    /// Adds a webhook. A gateway that reports no events, and a URL that cannot be called, are refused.
    pub(super) fn add(&self, webhook: Webhook) -> Result<(), BadInput> {
        let refusal = |problem: String, remedy: &str| {
            let remedy = remedy.to_owned();
            Err(BadInput { problem, remedy })
        };
        if !webhook.vendor.sends_events() {
            let problem = format!("{} reports no events", webhook.vendor);
            return refusal(problem, "choose evolution, wuzapi or waha");
        }
        if loopback_address(&webhook.url).is_none() {
            let problem = "a webhook has to be on this machine, without TLS".to_owned();
            return refusal(problem, "give a URL such as http://127.0.0.1:8082/");
        }
        let mut webhooks = lock(&self.webhooks);
        if webhooks.len() >= MAX_WEBHOOKS {
            let problem = format!("there are {MAX_WEBHOOKS} webhooks already");
            return refusal(problem, "remove them with DELETE");
        }
        webhooks.push(webhook);
        Ok(())
    }

    pub(super) fn list(&self) -> Vec<Webhook> {
        lock(&self.webhooks).clone()
    }

    pub(super) fn clear(&self) {
        lock(&self.webhooks).clear();
    }

    /// Reports an event to all webhooks, in the background.
    pub(super) fn report(&self, event: Event) {
        if !lock(&self.webhooks).is_empty() {
            // Sending fails only if too many events wait.
            let _ = self.events.try_send(event);
        }
    }
}

impl Report {
    /// A report in JSON, without a signature.
    pub(super) fn json(body: &impl Serialize) -> Self {
        Self {
            content_type: "application/json",
            // Serializing fails only for maps with keys that are no text, which no event has.
            body: serde_json::to_string(body).unwrap_or_default(),
            signature: None,
        }
    }
}

/// Sends each event to each webhook, until the emulator stops.
pub(super) async fn send(state: Arc<State>, mut events: mpsc::Receiver<Event>) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = state.shutdown.cancelled() => None,
        };
        let Some(event) = event else { return };
        for webhook in state.webhooks.list() {
            let recipient = Recipient {
                vendor: webhook.vendor,
                account: webhook.account.clone(),
            };
            let link = state.link_of(&event.jid, &recipient).ok();
            for report in webhook
                .vendor
                .reports(&state, &webhook, &event, link.as_deref())
            {
                // As at the gateways, a receiver that fails has lost its event.
                let _ = time::timeout(LIMIT, post(&webhook.url, report)).await;
            }
        }
    }
}

async fn post(url: &str, report: Report) -> Option<()> {
    let address = loopback_address(url)?;
    let url = Url::parse(url).ok()?;
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::post(&url[Position::BeforePath..])
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, report.content_type);
    if let Some((name, value)) = report.signature {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(report.body))).ok()?;
    // The connection ends when the response and the sender are dropped.
    let exchange = async move { sender.send_request(request).await.map(drop) };
    let (result, _) = tokio::join!(exchange, connection);
    result.ok()
}

/// The address of a URL without TLS, if it is one of this machine: any page can make the emulator call it.
fn loopback_address(url: &str) -> Option<SocketAddr> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    let address = match url.host()? {
        Host::Ipv4(address) => IpAddr::from(address),
        Host::Ipv6(address) => IpAddr::from(address),
        Host::Domain(_) => return None,
    };
    let port = url.port_or_known_default()?;
    address
        .is_loopback()
        .then_some(SocketAddr::new(address, port))
}
