//! All hostile clients at once, also those of TLS, while honest ones check each answer. Memory and descriptors stay flat.
//! `FACEPLATE_HOSTILE_SECONDS=1800` (`make torture`) goes on for half an hour.

use std::time::{Duration, Instant};

use super::{
    kinds::{KINDS, Kind, attackers},
    target::{Honest, Target},
};
use crate::support::{LIMIT, until};

/// Sealed files of a server stay, and some connections to the vendor.
const KEPT_DESCRIPTORS: usize = 80;

fn duration() -> Duration {
    let wanted = std::env::var("FACEPLATE_HOSTILE_SECONDS").ok();
    Duration::from_secs(wanted.and_then(|text| text.parse().ok()).unwrap_or(4))
}

/// Asserts that the second half of some samples is hardly higher than the first one.
#[track_caller]
fn assert_flat(samples: &[usize], slack: usize) {
    let most = |samples: &[usize]| samples.iter().max().copied().unwrap_or_default();
    let (first, second) = samples.split_at(samples.len() / 2);
    let limit = most(first) + most(first) / 4 + slack;
    assert!(most(second) < limit, "{samples:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_hostile_client_alone_costs_little_memory_and_few_descriptors() {
    let target = Target::start().await;
    let before = target.descriptors();
    let mut usual = Vec::new();
    for server in target.servers() {
        let mut quiet = Honest::default();
        for _ in 0..100 {
            target.ask(server, &mut quiet).await;
        }
        usual.push([0.5, 0.99].map(|share| quiet.percentile(share)));
    }
    println!("kind: memory, most descriptors, latency of others as a ratio (median, 99th)");
    // All kinds together take as long, however many there are.
    let alone = duration() * 5 / (4 * KINDS.len() as u32);
    for kind in KINDS {
        let attacked = usize::from(kind.is_tls());
        let (server, usual) = (target.servers()[attacked], usual[attacked]);
        let (at_first, end) = (target.memory(), Instant::now() + alone);
        let attackers = attackers(&target.addresses(), [kind; 4].into_iter(), end);
        let (mut honest, mut open, mut most) = (Honest::default(), 0, at_first);
        // On a busy machine, one answer may take all the time.
        while Instant::now() < end || honest.took.len() + honest.refused < 5 {
            target.ask(server, &mut honest).await;
            open = open.max(target.descriptors());
            most = most.max(target.memory());
        }
        attackers.join_all().await;
        let grown = most.saturating_sub(at_first);
        assert!(honest.took.len() > honest.refused, "{kind:?}: {honest:?}");
        let [median, high] = [(0.5, usual[0]), (0.99, usual[1])]
            .map(|(share, usual)| honest.percentile(share) / usual);
        println!("{kind:?}: {grown} KiB, {open}, {median:.1}, {high:.1}");
        // The limits above, and what the allocator keeps for each thread.
        assert!(grown < 48 * 1024, "{kind:?}: {grown} KiB");
        assert!(open < before + 250, "{kind:?}: {open} after {before}");
    }
    let kept = before + 2 * KEPT_DESCRIPTORS;
    until(async || target.descriptors() <= kept, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_of_all_kinds_change_neither_memory_nor_descriptors_nor_answers() {
    let target = Target::start().await;
    let (before, end) = (target.descriptors(), Instant::now() + duration());
    let kinds = KINDS.into_iter().chain(KINDS);
    let connections: usize = kinds.clone().map(Kind::connections).sum();
    let mut samples = vec![target.sample().await];
    let attackers = attackers(&target.addresses(), kinds, end);
    let mut honest = [Honest::default(), Honest::default()];
    let (start, tenth) = (Instant::now(), duration() / 10);
    while Instant::now() < end {
        for (server, honest) in target.servers().into_iter().zip(&mut honest) {
            target.ask(server, honest).await;
        }
        if start.elapsed() > tenth * samples.len() as u32 {
            samples.push(target.sample().await);
        }
    }
    attackers.join_all().await;
    samples.push(target.sample().await);
    for (honest, server) in honest.iter().zip(["without TLS", "with TLS"]) {
        let (answers, refused) = (honest.took.len(), honest.refused);
        println!("{server}: {answers} answers, {refused} refused");
        assert!(
            answers > refused,
            "{server}: {answers} answers, {refused} refused"
        );
    }
    println!("KiB and descriptors at the start and after each tenth: {samples:?}");
    let (memory, open): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
    assert_flat(&memory, 16 * 1024);
    assert_flat(&open, KEPT_DESCRIPTORS);
    // The clients' connections, and as many that the server has yet to close.
    let (kept, explained) = (before + 2 * KEPT_DESCRIPTORS, 2 * connections);
    assert!(
        open.iter().all(|open| *open < kept + explained),
        "{open:?} after {before}, with {connections} hostile connections"
    );
    until(async || target.descriptors() <= kept, LIMIT).await;
}
