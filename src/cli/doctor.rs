//! `faceplate doctor`: tries everything that `serve` needs, and reports each check with its result and its remedy. It
//! makes one call to every vendor.

mod disk;
mod explain;
mod vendor;

use clap::ValueEnum as _;
use serde::Serialize;

use super::{ConfigArg, admin_client};
use crate::{
    clock::Clock,
    config::{Config, Instance},
    upstream::Resolver,
};

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

#[derive(Debug, clap::Args)]
struct Explain {
    /// Ask an instance about one face, which costs one look-up, and show how the reply is read. With --reply: a
    /// provider's name, and nobody is asked.
    #[arg(long, num_args = 1..=2, value_names = ["INSTANCE", "JID"])]
    explain: Vec<String>,
    /// The file with a gateway's reply.
    #[arg(long, value_name = "FILE", requires = "explain")]
    reply: Option<std::path::PathBuf>,
    /// The status of that reply.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "reply")]
    status: u16,
}

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    /// The subject of the check: a key of the configuration, where one fits.
    about: String,
    found: String,
    /// The remedy; `None` if the check passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// How the check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Faces are served, but there is a risk.
    Warn,
    Fail,
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    if !args.explain.explain.is_empty() {
        return explain::run(&args, &args.explain).await;
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
    for instance in &config.reloadable.instances {
        findings.extend(vendor::examine(instance, &resolver, &Clock::system()).await);
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
        println!("{}", serde_json::json!({ "findings": findings }));
        return;
    }
    for finding in findings {
        let verdict = finding.verdict.to_possible_value();
        let verdict = verdict.as_ref().map_or("", |value| value.get_name());
        println!("{verdict:4}  {}: {}", finding.about, finding.found);
        if let Some(remedy) = &finding.remedy {
            println!("      → {remedy}");
        }
    }
}

impl Finding {
    fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            about: about.into(),
            found: found.into(),
            remedy: None,
        }
    }

    fn warn(about: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            remedy: Some(remedy.into()),
            ..Self::ok(about, found)
        }
    }

    fn fail(about: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(about, found, remedy)
        }
    }
}

/// The path of a key of an instance.
fn key(instance: &Instance, key: &str) -> String {
    format!("instances.{}.{key}", instance.name)
}
