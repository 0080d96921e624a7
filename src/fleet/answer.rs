//! The answers of the scripts, read from Redis's values.

use std::time::Duration;

use redis::{FromRedisValue, Value};

use super::link::EngineFailure;
use crate::{
    avatar::{Outcome, Trouble},
    clock::Timestamp,
};

/// The answer of a script: its name, the server's time, and the values of that answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) now: Timestamp,
    rest: Vec<Value>,
}

impl Answer {
    /// `None` if it is no answer of a script of ours.
    pub(super) fn read(mut values: Vec<Value>) -> Option<Self> {
        if values.len() < 3 {
            return None;
        }
        let rest = values.split_off(2);
        let now = u64::from_redis_value(values.pop()?).ok()?;
        Some(Self {
            name: String::from_redis_value(values.pop()?).ok()?,
            now: Timestamp::from_millis(now),
            rest,
        })
    }

    pub(super) fn number(&self, index: usize) -> u64 {
        self.rest.get(index).map_or(0, number)
    }

    pub(super) fn millis(&self, index: usize) -> Duration {
        Duration::from_millis(self.number(index))
    }

    pub(super) fn text(&self, index: usize) -> String {
        self.rest.get(index).map(text).unwrap_or_default()
    }

    /// All values.
    pub(super) fn values<T: FromRedisValue>(self) -> Result<Vec<T>, EngineFailure> {
        let values = self.rest.into_iter().map(T::from_redis_value);
        values.collect::<Result<_, _>>().map_err(|_| EngineFailure)
    }
}

/// A number that is not negative; anything else is 0.
pub(super) fn number(value: &Value) -> u64 {
    u64::from_redis_value(value.clone()).unwrap_or_default()
}

pub(super) fn text(value: &Value) -> String {
    String::from_redis_value(value.clone()).unwrap_or_default()
}

/// The reason of a pause, as siblings write it.
pub(super) fn trouble_text(why: Trouble) -> String {
    serde_json::to_string(&Outcome::Trouble(why)).unwrap_or_default()
}

pub(super) fn trouble(text: &str) -> Trouble {
    match serde_json::from_str(text) {
        Ok(Outcome::Trouble(why)) => why,
        // Of a newer version.
        _ => Trouble::VendorError,
    }
}
