//! Fills a cache directory with pictures, as the server would: `faces DIR INSTANCE COUNT LENGTH`. They are the origin's, each of
//! `LENGTH` bytes, of the phone numbers from 6281 0000 0000 on. The server must not be running.

use std::{error::Error, sync::Arc, time::Duration};

use faceplate::{
    avatar::{Answer, Key, Picture, Policy, Report, absorb},
    clock::Clock,
    in_flight::InFlight,
    store::{self, MaintenanceSettings, Owner, Store},
};
use tokio::task::JoinSet;

mod picture;

type Failure = Box<dyn Error + Send + Sync>;

/// The number of the first phone.
const FIRST: u64 = 628_100_000_000;
/// Pictures that are written at once.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, instance, count, length] = args.as_slice() else {
        return Err("faces DIR INSTANCE COUNT LENGTH".into());
    };
    let (count, length): (u64, usize) = (count.parse()?, length.parse()?);
    let settings = store::Settings {
        dir: dir.into(),
        memory: 0,
        max_picture: length,
        archive: false,
        in_flight: InFlight::new(1 << 30),
    };
    let limits = MaintenanceSettings {
        max_bytes: u64::MAX,
        max_entries: u64::MAX,
        min_free: 0,
        gc_grace: Duration::from_secs(3600),
        files_per_second: 1,
    };
    let store = Arc::new(Store::open(&settings, limits, Clock::system())?);
    store.run_maintenance().await;
    let mut writing = JoinSet::new();
    for number in 0..count {
        if writing.len() == AT_ONCE
            && let Some(written) = writing.join_next().await
        {
            written??;
        }
        writing.spawn(write(store.clone(), instance.clone(), number, length));
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

async fn write(
    store: Arc<Store>,
    instance: String,
    number: u64,
    length: usize,
) -> Result<(), Failure> {
    let owner = Owner {
        instance: instance.as_str().into(),
        subject: format!("{}@c.us", FIRST + number).parse()?,
    };
    let key = Key::new(&owner.instance, &owner.subject);
    let now = Clock::system().now();
    let report = Report {
        asked_at: now,
        answered_at: now,
        answer: Answer::Picture(Picture::validate(picture::jpeg(number, length))?, None),
        jitter: 0.0,
        spellings: Default::default(),
    };
    let entry = absorb(None, report, &Policy::default()).ok_or("no entry")?;
    if !store.put(&key, &owner, Arc::new(entry)).await {
        return Err("a picture was not written".into());
    }
    Ok(())
}
