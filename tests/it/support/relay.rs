//! A relay between a server and Redis, which a test can cut or make hang.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
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
    /// Nothing passes.
    Hang,
}

impl Relay {
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(watch::Sender::new(State::Pass));
        let states = state.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *states.borrow() != State::Cut && states.has_changed().is_ok() {
                    tokio::spawn(relay(client, target.clone(), states.clone()));
                }
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

async fn relay(client: TcpStream, target: String, states: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(&target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut ends = states.clone();
    tokio::select! {
        () = copy(&mut from_client, &mut to_server, states.clone()) => {}
        () = copy(&mut from_server, &mut to_client, states) => {}
        _ = ends.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut states: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let passes = states.wait_for(|state| *state == State::Pass).await.is_ok();
        if !passes || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
