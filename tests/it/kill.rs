//! kill -9 at any instant, under load: all stored faces are there afterward, and no wrong picture is shown.
//! `FACEPLATE_KILLS=300` (`make torture`) repeats it three hundred times.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{
    Answer,
    program::{Program, Running},
    until,
};
use faceplate::emulator::{Emulator, Options};
use tokio::{task::JoinSet, time};

fn kills() -> u64 {
    let wanted = std::env::var("FACEPLATE_KILLS").ok();
    wanted.and_then(|kills| kills.parse().ok()).unwrap_or(12)
}

/// Requests new faces as fast as it can until the server is gone, and records those that were stored.
async fn load(
    address: &str,
    emulator: &Emulator,
    round: u64,
    stored: &Arc<Mutex<BTreeSet<String>>>,
) {
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (address, stored, control) = (
            address.to_owned(),
            stored.clone(),
            emulator.control().clone(),
        );
        writers.spawn(async move {
            for number in 0.. {
                let jid = format!("62855{round:03}{writer}{number:04}");
                let path = format!("/avatar/waha/{jid}");
                let Ok(answer) = Answer::attempt(&address, "GET", &path, &[]).await else {
                    // The server is gone.
                    return;
                };
                assert!(
                    answer.body == control.face_bytes(&jid).unwrap(),
                    "a wrong picture"
                );
                if answer.cache_status().contains("; stored") {
                    stored.lock().unwrap().insert(jid);
                }
            }
        });
    }
    writers.join_all().await;
}

/// Asserts that every stored face is served with the right picture and without a call.
async fn verify(server: &Running, emulator: &Emulator, stored: &BTreeSet<String>) {
    emulator.control().reset_calls();
    let address = server.address("listen");
    for jid in stored {
        let answer = Answer::to(&address, "GET", &format!("/avatar/waha/{jid}"), &[]).await;
        answer.assert_picture(&emulator.control().face_bytes(jid).unwrap());
    }
    let calls = emulator.control().calls();
    assert_eq!((calls.api, calls.cdn), (0, 0), "stored faces were lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn faces_stored_before_a_kill_are_served_after_it() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let stored = Arc::new(Mutex::new(BTreeSet::new()));
    let mut checked = BTreeSet::new();
    for round in 0..kills() {
        let server = program.serve();
        let fresh: BTreeSet<String> = stored
            .lock()
            .unwrap()
            .difference(&checked)
            .cloned()
            .collect();
        verify(&server, &emulator, &fresh).await;
        checked.extend(fresh);
        let address = server.address("listen");
        // Each kill comes after another number of stored faces, and at another instant between two of them.
        let wanted = checked.len() as u64 + round % 8;
        let instant = Duration::from_millis((round * 37) % 50);
        tokio::join!(load(&address, &emulator, round, &stored), async {
            let are_stored = async || stored.lock().unwrap().len() as u64 >= wanted;
            until(are_stored, Duration::from_secs(30)).await;
            time::sleep(instant).await;
            server.signal("KILL");
        });
        let _ = server.end();
    }
    let server = program.serve();
    let all = stored.lock().unwrap().clone();
    verify(&server, &emulator, &all).await;
    assert!(
        all.len() as u64 > kills(),
        "only {} faces were stored under load",
        all.len()
    );
}
