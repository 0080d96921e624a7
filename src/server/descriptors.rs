//! The limit of open files, and how many connections it allows. Without a free descriptor, a process can neither call
//! a vendor nor read its disk nor answer a probe, so some are reserved for that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the public listener leaves to the rest of the process.
const RESERVE: u64 = ADMIN_CONNECTIONS as u64 + HOOK_CONNECTIONS as u64 + SEALED_FILES + OTHERS;
/// Connections that may be open on the admin listener.
pub const ADMIN_CONNECTIONS: usize = 64;
/// Connections that may be open on the listener for webhooks.
pub const HOOK_CONNECTIONS: usize = 64;
/// Files in memory that long pictures are sent from.
pub(super) const SEALED_FILES: u64 = 64;
/// Connections to vendors, files of the cache, the log.
const OTHERS: u64 = 64;

/// The limit of open files before and after it was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaisedLimit {
    /// Before.
    pub from: u64,
    /// After.
    pub to: u64,
}

/// Raises the limit of open files as far as this process may. The soft limit is often 1024 for the sake of programs that
/// use `select`.
pub fn raise_descriptor_limit() -> RaisedLimit {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: before.maximum,
        ..before
    };
    // An unlimited soft limit may be refused; the limit stays then.
    let _ = setrlimit(Resource::Nofile, wanted);
    RaisedLimit {
        from: before.current.unwrap_or(u64::MAX),
        to: descriptor_limit(),
    }
}

/// The limit of open files now.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The limit of open files that [`raise_descriptor_limit`] can reach.
pub fn highest_descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// How many of the `wanted` connections the limit of open files allows.
pub fn connections_within(descriptors: u64, wanted: usize) -> usize {
    let reserve = RESERVE.min(descriptors / 2);
    let allowed = usize::try_from(descriptors - reserve).unwrap_or(usize::MAX);
    wanted.min(allowed).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_rest_of_the_process() {
        for (descriptors, connections) in [
            (u64::MAX, 10_000),
            (20_000, 10_000),
            (1024, 768),
            (400, 200),
            (1, 1),
        ] {
            assert_eq!(
                connections_within(descriptors, 10_000),
                connections,
                "{descriptors}"
            );
        }
        assert_eq!(connections_within(1024, 5), 5);
    }
}
