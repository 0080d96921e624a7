//! A relay between a server and Redis, which a test can cut or make hang.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
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
    /// Nothing passes.
    Hang,
    /// Commands pass, and their answers do not.
    Deaf,
    /// Everything passes late.
    Slow,
}

/// The way of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    Back,
}

const DELAY: Duration = Duration::from_millis(300);

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
        () = copy(&mut from_client, &mut to_server, states.clone(), Way::Out) => {}
        () = copy(&mut from_server, &mut to_client, states, Way::Back) => {}
        _ = ends.wait_for(|state| *state == State::Cut) => {}
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
            State::Pass | State::Slow => true,
            State::Deaf => way == Way::Out,
            State::Cut | State::Hang => false,
        };
        let Ok(state) = states.wait_for(passes).await.map(|state| *state) else {
            return;
        };
        if state == State::Slow {
            time::sleep(DELAY).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
