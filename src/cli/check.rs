//! `faceplate check`: reports every problem of a configuration, or that there is none.

use super::ConfigArg;

pub(super) fn run(args: &ConfigArg) -> Result<(), String> {
    let config = args.load()?;
    for warning in &config.warnings {
        eprintln!("faceplate: warning: {warning}");
    }
    println!(
        "{}: {} instance(s), no problem",
        args.config.display(),
        config.reloadable.instances.len()
    );
    for instance in &config.reloadable.instances {
        println!(
            "  {}: {} at {}, {} lookups a minute, {} of them bypass the vendor's cache",
            instance.name,
            instance.vendor.as_str(),
            instance.client.base,
            instance.limits.budget.lookups.per_minute,
            instance.limits.budget.refreshes.per_minute,
        );
    }
    Ok(())
}
