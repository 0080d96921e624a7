//! `faceplate check`: reports every problem of a configuration, or that there is none. Runs the samples of the
//! descriptions in use.

use std::{collections::BTreeSet, time::Duration};

use super::{
    config_arg::ConfigArg,
    output::{note, say},
    providers,
};
use crate::{
    clock::Clock,
    config::Config,
    fleet::{self, Fleet, FleetError, ProbedAccount, Replica},
    server,
    telemetry::Metrics,
    upstream::{Description, Resolver, SHIPPED},
};

pub(super) async fn run(args: &ConfigArg) -> Result<(), String> {
    let config = args.load()?;
    for warning in &config.warnings {
        note!("faceplate: warning: {warning}");
    }
    let wanted = config.startup.server.limits.connections;
    let descriptors = server::highest_descriptor_limit();
    let allowed = server::connections_within(descriptors, wanted);
    if allowed < wanted {
        note!(
            "faceplate: warning: server.max_connections = {wanted} is more than the limit of {descriptors} open files allows: {allowed} will be used; raise the limit (ulimit -n, LimitNOFILE)"
        );
    }
    say!(
        "{}: {} instance(s), no problem",
        args.config.display(),
        config.reloadable.instances.len() + config.reloadable.patterns.len()
    );
    for pattern in &config.reloadable.patterns {
        say!(
            "  {}: up to {} names in memory, each with an account and a budget of its own",
            pattern.names,
            pattern.max_names
        );
    }
    let templates = config.reloadable.patterns.iter();
    let templates = templates.map(|pattern| &pattern.template);
    for instance in config.reloadable.instances.iter().chain(templates) {
        say!(
            "  {}: {} at {}, {} lookups a minute, {} of them bypass the vendor's cache",
            instance.name,
            instance.provider.name,
            instance.client.base,
            instance.limits.budget.lookups.per_minute,
            instance.limits.budget.refreshes.per_minute,
        );
    }
    let used = config.reloadable.providers();
    let mut names = BTreeSet::new();
    let mut failures = Vec::new();
    for provider in used.filter(|provider| names.insert(provider.name.clone())) {
        if replaces_shipped(provider) {
            say!(
                "  {}: your description replaces the one of this program",
                provider.name
            );
        }
        match providers::samples(provider) {
            Ok(line) => say!("  {line}"),
            Err(lines) => failures.push(lines),
        }
    }
    if let Err(error) = check_fleet(&config).await {
        failures.push(error.to_string());
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

/// Looks whether the fleet takes this replica.
async fn check_fleet(config: &Config) -> Result<(), FleetError> {
    let Some(settings) = &config.startup.fleet else {
        return Ok(());
    };
    let replica = Replica {
        id: Fleet::new_replica(),
        keep_entries: Duration::ZERO,
        resolver: Resolver::default(),
        clock: Clock::system(),
        metrics: Metrics::new(),
    };
    let instances = config.reloadable.instances.iter();
    let accounts: Vec<_> = instances
        .map(|instance| ProbedAccount {
            instance: instance.name.clone(),
            account: (
                instance.provider.name.to_string(),
                instance.client.base.to_string(),
                instance.account.name.clone(),
            ),
            limits: instance.limits.budget,
        })
        .collect();
    let probe = fleet::probe(settings, replica, &accounts).await?;
    for (key, why) in &probe.unreachable {
        note!(
            "faceplate: warning: the engine of {key} cannot be reached from here: {why}; check its address, and that this machine may reach it. A server starts nevertheless, and shares nothing through it until it answers"
        );
    }
    if probe.unreachable.is_empty() {
        let living = probe.living;
        say!(
            "  fleet {}: the engines answer, {living} replica(s) live",
            settings.name
        );
    }
    Ok(())
}

/// Whether the operator has described a gateway again that this program has a description of.
fn replaces_shipped(provider: &Description) -> bool {
    let mut shipped = SHIPPED.iter();
    !provider.is_shipped && shipped.any(|(name, _)| *name == &*provider.name)
}
