//! Plays a gateway from the samples of its description, over real HTTP. It asks the emulated WAHA about the same face: a
//! link or a null goes out in the gateway's own sample of such a reply, an error with the gateway's own body of that
//! status, and whatever is wrong with the bytes goes out as it is.

use std::net::SocketAddr;

use faceplate::emulator::{Control, Emulator, Fault};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::samples::{Published, published};

/// A gateway on a port of its own.
#[derive(Clone)]
pub struct Player {
    provider: &'static str,
    /// The account at the emulator.
    account: &'static str,
    /// The number of the face that is asked for, which each call names.
    number: &'static str,
    emulator: SocketAddr,
    control: Control,
}

impl Player {
    /// Plays `provider` for the face of `number`, to every client.
    pub fn start(
        listener: TcpListener,
        provider: &'static str,
        account: &'static str,
        number: &'static str,
        emulator: &Emulator,
    ) {
        let player = Player {
            provider,
            account,
            number,
            emulator: emulator.api(),
            control: emulator.control().clone(),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let player = player.clone();
                tokio::spawn(async move { player.serve(stream).await });
            }
        });
    }

    /// Answers one call, and closes the connection.
    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let request = read_request(&mut stream).await?;
        assert!(
            request.contains(self.number),
            "{} is not asked for in {}",
            self.number,
            self.provider
        );
        let bytes = self.translate(self.ask_waha().await?);
        stream.write_all(&bytes).await.ok()?;
        stream.shutdown().await.ok()
    }

    /// The emulated WAHA's reply, byte for byte; `None` if it never answers.
    async fn ask_waha(&self) -> Option<Vec<u8>> {
        // The gateways that are played keep no answers.
        self.control.forget_vendor_cache();
        let mut waha = TcpStream::connect(self.emulator).await.ok()?;
        let head = format!(
            "GET /api/{}/chats/{}/picture HTTP/1.1\r\nhost: waha\r\nx-api-key: {}\r\nconnection: close\r\n\r\n",
            self.account,
            self.number,
            self.control.token()
        );
        waha.write_all(head.as_bytes()).await.ok()?;
        let mut reply = Vec::new();
        // The reply ends where the connection is reset.
        let _ = waha.read_to_end(&mut reply).await;
        Some(reply)
    }

    /// The gateway's own form of the reply.
    fn translate(&self, reply: Vec<u8>) -> Vec<u8> {
        let Some((status, head, body)) = parts(&reply) else {
            return reply;
        };
        let fault = self.control.faults().pop().map(|active| active.rule.fault);
        let json: Option<Value> = serde_json::from_slice(body).ok();
        match (fault, json) {
            (Some(Fault::SessionDown { .. }), _) => whole(self.find("session_down")),
            (Some(Fault::Restricted), _) if self.says("hidden") => whole(self.find("hidden")),
            (_, Some(json)) if status == 200 && json.get("url").is_some() => match &json["url"] {
                Value::String(link) => self.with_link(link),
                _ => whole(self.none()),
            },
            _ if status >= 400 => self.error(status, head),
            _ => reply,
        }
    }

    /// The gateway's reply with a link, with this link.
    fn with_link(&self, link: &str) -> Vec<u8> {
        let sample = self.find("link ");
        let mut body: Value = serde_json::from_str(&sample.reply).unwrap();
        replace_links(&mut body, link);
        response(sample.status, "", &body.to_string())
    }

    /// The gateway's reply about a face without a picture.
    fn none(&self) -> &'static Published {
        let mut samples = published().iter();
        let plain = samples.find(|sample| {
            sample.provider == self.provider && sample.status == 200 && sample.gives == "unknown"
        });
        plain.unwrap_or_else(|| self.find("not_set"))
    }

    /// The gateway's error of a status. Where it has published none, it is without a body.
    fn error(&self, status: u16, head: &str) -> Vec<u8> {
        let is_error = |sample: &&Published| {
            sample.status == status
                && !["hidden", "not_set", "session_down"].contains(&sample.gives.as_str())
        };
        let sample = self.samples().find(is_error);
        let mut lines = head.lines();
        let pause = lines.find(|line| line.to_ascii_lowercase().starts_with("retry-after:"));
        let pause = pause.map(|line| format!("{line}\r\n")).unwrap_or_default();
        response(status, &pause, sample.map_or("", |sample| &sample.reply))
    }

    fn find(&self, gives: &str) -> &'static Published {
        let mut samples = self.samples();
        let found = samples.find(|sample| sample.gives.starts_with(gives));
        found.unwrap_or_else(|| panic!("{} has no sample that gives {gives}", self.provider))
    }

    fn says(&self, gives: &str) -> bool {
        says(self.provider, gives)
    }

    fn samples(&self) -> impl Iterator<Item = &'static Published> + use<> {
        about_contacts(self.provider)
    }
}

/// Whether a gateway has published a reply with this meaning.
pub fn says(provider: &str, gives: &str) -> bool {
    about_contacts(provider).any(|sample| sample.gives.starts_with(gives))
}

fn about_contacts(provider: &str) -> impl Iterator<Item = &'static Published> + use<'_> {
    let samples = published().iter();
    samples.filter(move |sample| sample.provider == provider && sample.subject.ends_with("@c.us"))
}

/// Writes another link in place of each picture of WhatsApp's, such as a picture and its preview.
fn replace_links(json: &mut Value, link: &str) {
    match json {
        Value::String(text) if text.starts_with("https://pps.whatsapp.net/") => {
            *text = link.to_owned();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_links(item, link)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|value| replace_links(value, link)),
        _ => {}
    }
}

fn whole(sample: &Published) -> Vec<u8> {
    response(sample.status, "", &sample.reply)
}

fn response(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n"
    );
    (head + body).into_bytes()
}

/// Status, head and body of a reply that is whole.
fn parts(reply: &[u8]) -> Option<(u16, &str, &[u8])> {
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&reply[..end]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &reply[end + 4..];
    (length(head)? == body.len()).then_some((status, head, body))
}

/// The length that a head declares.
fn length(head: &str) -> Option<usize> {
    let mut lines = head.lines().map(str::to_ascii_lowercase);
    lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
}

/// The head and the body of a request.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut body = vec![0; length(&head).unwrap_or_default()];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}
