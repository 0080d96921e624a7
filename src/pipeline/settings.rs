//! The settings of the pipeline.

use std::time::Duration;

use crate::avatar::Policy;

/// The settings of the pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long answers are valid.
    pub policy: Policy,
    /// The first-paint deadline: how long a request waits for the vendor before it gets a placeholder.
    /// Zero means no deadline.
    pub first_paint: Duration,
    /// The longest time that a request may say that it waits.
    pub longest_wait: Duration,
    /// The most requests that wait for longer than `first_paint` at once.
    pub max_waiting: usize,
    /// The most faces of an instance that are wanted and wait for the budget.
    pub max_wanted: usize,
    /// How long a face stays wanted after it was last requested.
    pub wanted_for: Duration,
    /// The most changes of an instance's faces that are kept for listeners.
    pub kept_changes: usize,
    /// How old the last answer about a face has to be for a hint to expire it.
    pub hint_after: Duration,
}
