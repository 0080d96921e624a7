//! `faceplate doctor`: tries everything that `serve` needs, and reports each check with its result and its remedy. It
//! makes one call to every vendor.

mod disk;
mod explain;
mod finding;
mod fleet;
mod picture;
mod vendor;

use clap::ValueEnum as _;
use explain::Explain;
use finding::{Finding, Verdict};

use super::{admin_client, config_arg::ConfigArg, output::say};
use crate::{clock::Clock, config::Config, upstream::Resolver};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    explain: Explain,
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    if !args.explain.explain.is_empty() {
        return explain::run(&args.config, &args.explain).await;
    }
    let config = args.config.load()?;
    let mut findings = Vec::new();
    for warning in &config.warnings {
        findings.push(Finding::warn(
            &warning.key,
            "allowed, but not recommended",
            &warning.remedy,
        ));
    }
    findings.push(running_server(&config).await);
    findings.extend(disk::examine(&config).await);
    let resolver = Resolver::default();
    findings.extend(fleet::examine(&config, &resolver, &Clock::system()).await);
    for instance in &config.reloadable.instances {
        findings.extend(vendor::examine(instance, &resolver, &Clock::system()).await);
    }
    for pattern in &config.reloadable.patterns {
        findings.extend(vendor::examine_pattern(pattern, &resolver).await);
    }
    report(&findings, args.json);
    let failed = findings.iter().filter(|f| f.verdict == Verdict::Fail);
    match failed.count() {
        0 => Ok(()),
        count => Err(format!("{count} of {} checks failed", findings.len())),
    }
}

/// Whether a server runs with this configuration, and is ready. It is fine if none runs.
async fn running_server(config: &Config) -> Finding {
    let response = admin_client::send(
        config,
        hyper::Method::GET,
        "/readyz",
        bytes::Bytes::new(),
        admin_client::TIMEOUT,
    )
    .await;
    let about = "admin.listen";
    match response {
        Err(_) => Finding::ok(
            about,
            format!("no server answers at {}", config.startup.admin),
        ),
        Ok(response) => {
            let text = String::from_utf8_lossy(&response.body).trim().to_owned();
            if text == "ok" {
                Finding::ok(about, "the running server is ready")
            } else {
                Finding::warn(
                    about,
                    text,
                    "repair the parts that it names; faces are served meanwhile",
                )
            }
        }
    }
}

fn report(findings: &[Finding], as_json: bool) {
    if as_json {
        say!("{}", serde_json::json!({ "findings": findings }));
        return;
    }
    for finding in findings {
        let verdict = finding.verdict.to_possible_value();
        let verdict = verdict.as_ref().map_or("", |value| value.get_name());
        say!("{verdict:4}  {}: {}", finding.about, finding.found);
        if let Some(remedy) = &finding.remedy {
            say!("      → {remedy}");
        }
    }
}
