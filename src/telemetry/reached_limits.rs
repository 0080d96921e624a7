//! Reports reached limits of this process: a metric counts each time, and the log names each limit at most once a
//! minute, so that an attack does not fill the log.

use std::{
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use super::metrics::PROCESS;
use crate::sync::lock;

/// A limit of the server, by its label in the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// All connections of a listener are open; the next client waits.
    Connections,
    /// A client did not finish its handshake or the head of a request in time.
    HeaderTimeout,
    /// A client read nothing of its response in time.
    SendTimeout,
    /// The head of a request was too large.
    Header,
    /// The pictures that are being sent, and are in no cache, fill their budget.
    InFlight,
    /// A client sent too many requests.
    ClientRate,
    /// Wanted faces of an instance; the oldest is dropped.
    WantedFaces,
    /// Requests that wait for longer than others; this one is answered as if it had no `wait`.
    Waiting,
    /// Clients that listen to changes of faces, in all or of one address.
    LiveClients,
    /// Changes that are kept for a client that listens: it has fallen behind and has to look at all faces again.
    LiveHistory,
    /// Downloads of an instance that webhook events asked for and that wait.
    EventDownloads,
    /// Changes that a fleet's Redis has not taken and that wait to be sent again; this one is lost.
    UnsentChanges,
    /// Instances of a pattern in use; another name is refused.
    InstanceNames,
    /// Requests of an instance that pass through to its gateway at once.
    PassThrough,
    /// Images that wait to be made, or their bytes.
    ImageQueue,
    /// Images that wait to be made for one client.
    ImageClient,
    /// The memory for image work, which one picture alone would exceed.
    ImageWork,
}

/// Admits one line a minute, and counts the others.
#[derive(Debug)]
struct Throttle {
    next: Duration,
    suppressed: u64,
}

const INTERVAL: Duration = Duration::from_secs(60);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

static THROTTLES: Mutex<[Throttle; Limit::ALL.len()]> =
    Mutex::new([const { Throttle::new() }; Limit::ALL.len()]);

impl Limit {
    /// All limits, in the order of their declaration.
    pub const ALL: [Limit; 17] = [
        Limit::Connections,
        Limit::HeaderTimeout,
        Limit::SendTimeout,
        Limit::Header,
        Limit::InFlight,
        Limit::ClientRate,
        Limit::WantedFaces,
        Limit::Waiting,
        Limit::LiveClients,
        Limit::LiveHistory,
        Limit::EventDownloads,
        Limit::UnsentChanges,
        Limit::InstanceNames,
        Limit::PassThrough,
        Limit::ImageQueue,
        Limit::ImageClient,
        Limit::ImageWork,
    ];

    /// The value of the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Limit::Connections => "connections",
            Limit::HeaderTimeout => "header_timeout",
            Limit::SendTimeout => "send_timeout",
            Limit::Header => "header",
            Limit::InFlight => "in_flight",
            Limit::ClientRate => "client_rate",
            Limit::WantedFaces => "max_wanted",
            Limit::Waiting => "max_waiting",
            Limit::LiveClients => "live_clients",
            Limit::LiveHistory => "live_history",
            Limit::EventDownloads => "event_downloads",
            Limit::UnsentChanges => "unsent_changes",
            Limit::InstanceNames => "max_names",
            Limit::PassThrough => "pass_through",
            Limit::ImageQueue => "image_queue",
            Limit::ImageClient => "image_client",
            Limit::ImageWork => "image_work",
        }
    }

    /// Records that the limit was reached.
    #[cold]
    pub fn report(self) {
        PROCESS.limits[self as usize].inc();
        self.log();
    }

    /// How often the limit was reached.
    pub(super) fn count(self) -> u64 {
        PROCESS.limits[self as usize].get()
    }

    /// Logs that the limit was reached, unless that was logged within the last minute.
    pub(super) fn log(self) {
        let now = START.elapsed();
        let admitted = lock(&THROTTLES)[self as usize].admit(now);
        if let Some(suppressed) = admitted {
            tracing::warn!(
                limit = self.as_str(),
                suppressed,
                "a limit was reached; its next line comes in a minute at the earliest"
            );
        }
    }
}

impl Throttle {
    const fn new() -> Self {
        Self {
            next: Duration::ZERO,
            suppressed: 0,
        }
    }

    /// The number of lines that were suppressed since the last one, if a line may be written at `now`.
    fn admit(&mut self, now: Duration) -> Option<u64> {
        if now < self.next {
            self.suppressed += 1;
            return None;
        }
        self.next = now + INTERVAL;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_logged_once_a_minute_with_the_number_of_lines_left_out() {
        let mut throttle = Throttle::new();
        let admitted = [0, 1, 59, 60, 61, 130].map(|at| throttle.admit(Duration::from_secs(at)));
        assert_eq!(admitted, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn each_limit_has_a_counter_of_its_own() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
            let before = limit.count();
            limit.report();
            assert!(limit.count() > before);
        }
    }
}
