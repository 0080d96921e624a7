//! Property tests of the rules of an entry: they hold for random vendor answers, in any order and at any time.

use std::{io::Cursor, sync::OnceLock, time::Duration};

use bytes::Bytes;
use faceplate::{
    avatar::{
        Answer, Ask, Empty, Entry, OnHidden, Outcome, Picture, Plan, Policy, Report, Trouble,
        absorb, decide,
    },
    clock::Timestamp,
};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_secs(1_795_200_000);

/// One of four pictures that differ.
fn picture(which: usize) -> Picture {
    static PICTURES: OnceLock<Vec<Picture>> = OnceLock::new();
    PICTURES.get_or_init(|| {
        (0..4)
            .map(|shade| {
                let image = RgbImage::from_pixel(8, 8, Rgb([shade * 60, 0, 0]));
                let mut png = Cursor::new(Vec::new());
                DynamicImage::from(image)
                    .write_to(&mut png, ImageFormat::Png)
                    .unwrap();
                Picture::validate(Bytes::from(png.into_inner())).unwrap()
            })
            .collect()
    })[which]
        .clone()
}

/// One event of an entry: some time passes, then the answer to an earlier question arrives.
#[derive(Clone, Debug)]
struct Event {
    passes: Duration,
    took: Duration,
    answer: Answer,
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => (0usize..4).prop_map(|which| Answer::Picture(picture(which), Some(format!("{which}.jpg")))),
        2 => (0usize..4).prop_map(|which| Answer::Unchanged(format!("{which}.jpg"))),
        4 => prop_oneof![
            Just(Empty::NotSet), Just(Empty::Hidden), Just(Empty::Unknown), Just(Empty::NotFound),
        ].prop_map(Answer::Empty),
        4 => prop_oneof![
            Just(Trouble::RateLimited), Just(Trouble::Auth), Just(Trouble::SessionDown),
            Just(Trouble::VendorError), Just(Trouble::OverBudget),
        ].prop_map(|why| Answer::Trouble { why, retry_at: None }),
    ]
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    let seconds = prop_oneof![
        0u64..120,
        3_000u64..40_000,
        80_000u64..100_000,
        500_000u64..1_000_000
    ];
    let took = prop_oneof![4 => 0u64..15, 1 => 0u64..90_000];
    let event = (seconds, took, answers()).prop_map(|(passes, took, answer)| Event {
        passes: Duration::from_secs(passes),
        took: Duration::from_secs(took),
        answer,
    });
    prop::collection::vec(event, 1..40)
}

/// Runs a history and passes each step to `check`: the entry before, the report, the entry after, the time.
fn replay(
    events: Vec<Event>,
    policy: &Policy,
    mut check: impl FnMut(
        Option<&Entry>,
        &Report,
        Option<&Entry>,
        Timestamp,
    ) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = START;
    let mut entry: Option<Entry> = None;
    for event in events {
        now = now + event.passes;
        let report = Report {
            asked_at: now - event.took,
            answered_at: now,
            answer: event.answer,
            jitter: 0.5,
            spellings: Default::default(),
        };
        let next = absorb(entry.as_ref(), report.clone(), policy).or_else(|| entry.clone());
        check(entry.as_ref(), &report, next.as_ref(), now)?;
        entry = next;
    }
    Ok(())
}

fn digest(entry: Option<&Entry>) -> Option<faceplate::avatar::Digest> {
    Some(entry?.picture.as_ref()?.picture.digest())
}

fn dropping() -> Policy {
    Policy {
        on_hidden: OnHidden::Drop,
        ..Policy::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_but_a_picture_ever_replaces_a_picture(events in history()) {
        replay(events, &Policy::default(), |before, report, after, _| {
            if digest(before) != digest(after) {
                let Answer::Picture(picture, _) = &report.answer else {
                    return Err(TestCaseError::fail(format!("{report:?}")));
                };
                prop_assert_eq!(digest(after), Some(picture.digest()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_picture_is_only_dropped_after_enough_agreeing_answers_a_ttl_apart(events in history()) {
        let policy = dropping();
        let mut counted: Vec<Timestamp> = Vec::new();
        replay(events, &policy, |before, report, after, now| {
            match &report.answer {
                Answer::Picture(..) | Answer::Unchanged(_) if before != after => counted.clear(),
                Answer::Empty(Empty::NotSet | Empty::Hidden | Empty::Unknown)
                    if before != after
                        && counted.last().is_none_or(|last| now.since(*last) >= policy.ttl) =>
                {
                    counted.push(now);
                }
                _ => {}
            }
            if digest(before).is_some() && digest(after).is_none() {
                prop_assert!(matches!(report.answer, Answer::Empty(_)));
                prop_assert!(counted.len() >= policy.confirmations as usize, "{counted:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_fresh_picture_is_served_and_nobody_is_asked(events in history()) {
        let policy = Policy::default();
        replay(events, &policy, |_, _, after, now| {
            let kept = after.and_then(|entry| entry.picture.as_ref());
            if kept.is_some_and(|kept| kept.age(now) < policy.ttl) {
                prop_assert_eq!(decide(after, Ask::View, now, &policy), Plan::Serve);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_stale_picture_within_its_grace_never_makes_anybody_wait(events in history()) {
        let policy = Policy::default();
        let grace = policy.ttl + policy.stale_while_revalidate;
        replay(events, &policy, |_, _, after, now| {
            let kept = after.and_then(|entry| entry.picture.as_ref());
            if kept.is_some_and(|kept| kept.age(now) < grace) {
                let plan = decide(after, Ask::View, now, &policy);
                prop_assert!(!matches!(plan, Plan::Wait(_)));
            }
            Ok(())
        })?;
    }

    #[test]
    fn after_trouble_or_an_empty_answer_the_vendor_is_left_alone_for_its_time(events in history()) {
        let policy = Policy::default();
        replay(events, &policy, |before, report, after, now| {
            let (Some(after), false) = (after, before == after) else {
                return Ok(());
            };
            let least = match &report.answer {
                Answer::Picture(..) | Answer::Unchanged(_) => policy.ttl,
                Answer::Empty(Empty::NotFound) => policy.negative.not_found,
                Answer::Empty(_) => policy.negative.empty,
                Answer::Trouble { why: Trouble::SessionDown, .. } => policy.negative.session_down,
                Answer::Trouble { why: Trouble::Auth, .. } => policy.negative.auth,
                Answer::Trouble { why: Trouble::VendorError, .. } => policy.negative.error_first.mul_f64(0.9),
                Answer::Trouble { .. } => policy.negative.rate_limited,
            };
            let just_before = now + least - Duration::from_millis(1);
            prop_assert_eq!(decide(Some(after), Ask::View, just_before, &policy), Plan::Serve);
            Ok(())
        })?;
    }

    #[test]
    fn errors_in_a_row_wait_longer_each_time_up_to_the_longest(count in 1usize..20, jitter in 0.0f64..=1.0) {
        let policy = Policy::default();
        let mut entry: Option<Entry> = None;
        let mut now = START;
        let mut last = Duration::ZERO;
        for _ in 0..count {
            let report = Report {
                asked_at: now,
                answered_at: now,
                answer: Answer::Trouble { why: Trouble::VendorError, retry_at: None },
                jitter,
                spellings: Default::default(),
            };
            let next = absorb(entry.as_ref(), report, &policy).unwrap();
            let wait = next.last.retry_at.since(now);
            prop_assert!(wait >= last && wait <= policy.negative.error_longest);
            last = wait;
            now = next.last.retry_at;
            entry = Some(next);
        }
    }

    #[test]
    fn an_answer_to_an_older_question_never_undoes_a_newer_one(events in history()) {
        let mut newest = Timestamp::default();
        replay(events, &dropping(), |before, report, after, _| {
            let is_real = !matches!(report.answer, Answer::Trouble { .. });
            if is_real && report.asked_at < newest {
                prop_assert_eq!(before, after);
            }
            if is_real && before != after {
                newest = newest.max(report.asked_at);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_same_bytes_keep_their_date_and_different_bytes_get_a_new_one(events in history()) {
        replay(events, &Policy::default(), |before, report, after, now| {
            let changed = |entry: Option<&Entry>| Some(entry?.picture.as_ref()?.changed_at);
            if digest(before).is_some() && digest(before) == digest(after) {
                prop_assert_eq!(changed(before), changed(after));
            } else if digest(after).is_some() {
                prop_assert_eq!(changed(after), Some(now), "{:?}", report);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_link_s_name_vouches_for_the_picture_of_that_name_and_no_other(events in history()) {
        replay(events, &Policy::default(), |before, report, after, _| {
            if let Answer::Unchanged(name) = &report.answer
                && before != after
            {
                let kept = before.and_then(|entry| entry.picture.as_ref());
                prop_assert_eq!(kept.and_then(|kept| kept.link_id.as_ref()), Some(name));
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_last_outcome_is_what_was_answered_last(events in history()) {
        replay(events, &Policy::default(), |before, report, after, _| {
            if before != after {
                let outcome = after.map(|entry| entry.last.outcome);
                prop_assert_eq!(outcome, Some(report.answer.outcome()));
                prop_assert_ne!(outcome, Some(Outcome::Trouble(Trouble::OverBudget)));
            }
            Ok(())
        })?;
    }
}
