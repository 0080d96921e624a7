//! A relay between a server and Redis or an S3 store, which a test can cut or make hang.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time,
};

/// A relay, which ends on drop.
pub struct Relay {
    address: String,
    state: Arc<watch::Sender<State>>,
}

/// The way in which a relay treats bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pass,
    /// Connections end, and new ones are closed at once.
    Cut,
    /// Connections end, and new ones are refused.
    Refuse,
    /// Nothing passes.
    Hang,
    /// Commands pass, and their answers do not.
    Deaf,
    /// Everything passes late.
    Slow,
    /// Connections end after half of an answer.
    Half,
    /// Connections end, and requests on new ones are answered with a server error of HTTP.
    Error,
}

/// The way of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    Back,
}

const DELAY: Duration = Duration::from_millis(300);

impl State {
    fn ends_connections(&self) -> bool {
        matches!(self, Self::Cut | Self::Refuse | Self::Error)
    }
}

impl Relay {
    pub async fn to(target: String) -> Self {
        let listener = bind(([127, 0, 0, 1], 0).into()).listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(State::Pass));
        let mut states = state.subscribe();
        tokio::spawn(async move {
            let mut listener = Some(listener);
            while let Some(open) = listener.take() {
                if accept(&open, &target, &mut states).await.is_ok() {
                    listener = refuse(open, address, &mut states).await;
                }
            }
        });
        let address = address.to_string();
        Self { address, state }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// Accepts connections until they are to be refused. An error if the relay has ended.
async fn accept(
    listener: &TcpListener,
    target: &str,
    states: &mut watch::Receiver<State>,
) -> Result<(), watch::error::RecvError> {
    loop {
        let accepted = tokio::select! {
            refuses = states.wait_for(|state| *state == State::Refuse) => return refuses.map(|_| ()),
            accepted = listener.accept() => accepted,
        };
        let state = *states.borrow();
        match accepted {
            Ok((client, _)) if state == State::Error => {
                tokio::spawn(answer_with_error(client));
            }
            Ok((client, _)) if state != State::Cut => {
                tokio::spawn(relay(client, target.to_owned(), states.clone()));
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Refuses connections until they may come again. Returns the listener for them, `None` if the relay has ended.
async fn refuse(
    listener: TcpListener,
    address: SocketAddr,
    states: &mut watch::Receiver<State>,
) -> Option<TcpListener> {
    // Bound and not listening: it keeps the port, and the kernel refuses.
    let socket = bind(address);
    drop(listener);
    let ends = states.wait_for(|state| *state != State::Refuse).await;
    ends.ok().map(|_| socket.listen(1024).unwrap())
}

/// A socket of a port that sockets of the relay alone share, so that no other program takes it meanwhile.
fn bind(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn answer_with_error(mut client: TcpStream) {
    let mut request = vec![0; 64 * 1024];
    let _ = client.read(&mut request).await;
    let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: 0\r\n\r\n");
    let _ = client.write_all(answer.as_bytes()).await;
    // Until the client has read it: a reset would take it away.
    while let Ok(1..) = client.read(&mut request).await {}
}

async fn relay(client: TcpStream, target: String, states: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(&target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut ends = states.clone();
    tokio::select! {
        () = copy(&mut from_client, &mut to_server, states.clone(), Way::Out) => {}
        () = copy(&mut from_server, &mut to_client, states, Way::Back) => {}
        _ = ends.wait_for(State::ends_connections) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut states: watch::Receiver<State>,
    way: Way,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let passes = |state: &State| match state {
            State::Pass | State::Slow | State::Half => true,
            State::Deaf => way == Way::Out,
            State::Cut | State::Refuse | State::Error | State::Hang => false,
        };
        let Ok(state) = states.wait_for(passes).await.map(|state| *state) else {
            return;
        };
        if state == State::Slow {
            time::sleep(DELAY).await;
        }
        let is_half = state == State::Half && way == Way::Back;
        let passed = if is_half { read / 2 } else { read };
        if to.write_all(&buffer[..passed]).await.is_err() || is_half {
            return;
        }
    }
}
