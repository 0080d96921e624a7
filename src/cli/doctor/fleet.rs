//! Checks the engines of the fleet, if the configuration has one.

use super::finding::Finding;
use crate::{clock::Clock, config::Config, fleet, upstream::Resolver};

pub(super) async fn examine(config: &Config, resolver: &Resolver, clock: &Clock) -> Vec<Finding> {
    let Some(settings) = &config.startup.fleet else {
        return Vec::new();
    };
    let results = fleet::examine(settings, resolver, clock).await;
    let findings = results.into_iter().map(|result| {
        let (key, found) = (result.key, result.found.clone());
        match (result.is_good(), result.is_risk()) {
            (true, _) => Finding::ok(key, found),
            (_, true) => Finding::warn(key, found, result.remedy),
            _ => Finding::fail(key, found, result.remedy),
        }
    });
    findings.collect()
}
