//! The latest warnings and errors of the log, for the dashboard.

use std::{
    collections::VecDeque,
    fmt::{Debug, Write},
    sync::Mutex,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::{
    clock::{Clock, Timestamp},
    sync::lock,
};

/// A warning or an error of the log.
#[derive(Clone, Debug)]
pub struct Warning {
    /// When it was logged.
    pub at: Timestamp,
    /// Whether it is an error.
    pub is_error: bool,
    /// The message, and its fields.
    pub text: String,
}

/// The layer that keeps them.
pub(super) struct WarningTail;

/// A message, and its fields as text.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

/// The number of warnings that are kept.
const MOST: usize = 20;

static LATEST: Mutex<VecDeque<Warning>> = Mutex::new(VecDeque::new());

/// The latest warnings and errors, newest first.
pub fn latest() -> Vec<Warning> {
    lock(&LATEST).iter().cloned().collect()
}

impl<S: Subscriber> Layer<S> for WarningTail {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let warning = Warning {
            at: Clock::system().now(),
            is_error: level == Level::ERROR,
            text: line.message + &line.fields,
        };
        let mut latest = lock(&LATEST);
        latest.truncate(MOST - 1);
        latest.push_front(warning);
    }
}

impl Line {
    fn add(&mut self, field: &Field, value: impl Debug) {
        // Writing to a `String` cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, value);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;

    #[test]
    fn the_latest_warnings_are_kept_with_their_fields_and_no_other_lines() {
        tracing::subscriber::with_default(registry().with(WarningTail), || {
            for number in 0..2 * MOST {
                tracing::warn!(number, host = %"example", "a warning");
                tracing::info!("all is well");
            }
            tracing::error!("the end");
        });
        let latest = latest();
        assert_eq!(latest.len(), MOST);
        assert!(latest[0].is_error && latest[0].text == "the end");
        let last = 2 * MOST - 1;
        assert_eq!(
            latest[1].text,
            format!("a warning number={last} host=example")
        );
    }
}
