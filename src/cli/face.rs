//! `faceplate face`: the record of one face in the running server, the headers that a request for it gets, and the
//! reason. The vendor is not asked.

use hyper::{Method, StatusCode, body::Bytes};
use serde_json::Value;

use super::{
    admin_client::{self, Response},
    config_arg::{self, ConfigArg},
    output::say,
};
use crate::{avatar::Subject, config::Config};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance's name.
    instance: String,
    /// The JID, or `me`.
    jid: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    let config = args.config.load()?;
    let name = &args.instance;
    config_arg::instance(&config, name)?;
    let subject: Subject = args
        .jid
        .parse()
        .map_err(|error| format!("this is not a JID: {error}"))?;
    if let Subject::Faceless(_) = subject {
        return Err(
            "no picture belongs to this address: it is a list, a bot or a hosted account; a request gets a placeholder, and the vendor is not asked".to_owned(),
        );
    }
    let path = format!("/v1/avatars/{name}/{}", subject.as_str());
    let response = get(&config, &path).await?;
    let entry = match response.status {
        // An instance of a pattern is made when a client first asks for a face of it.
        StatusCode::NOT_FOUND if is_absent(&response) => None,
        _ => Some(response.json()?),
    };
    let response = get(&config, "/v1/instances").await?;
    let mut records = response.json::<Vec<Value>>()?.into_iter();
    let instance = records.find(|record| record["instance"] == **name);
    if args.json {
        say!(
            "{}",
            serde_json::json!({ "face": entry, "instance": instance })
        );
        return Ok(());
    }
    say!("{name}, {}", subject.as_str());
    match &entry {
        Some(entry) => report(entry),
        None => say!(
            "  No answer of the vendor is cached. A request asks it, and waits up to cache.first_paint."
        ),
    }
    for line in instance.iter().flat_map(hindrances) {
        say!("  {line}");
    }
    Ok(())
}

async fn get(config: &Config, path: &str) -> Result<Response, String> {
    let (body, timeout) = (Bytes::new(), admin_client::TIMEOUT);
    admin_client::send(config, Method::GET, path, body, timeout).await
}

fn is_absent(response: &Response) -> bool {
    let problem: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let kind = problem["type"].as_str().unwrap_or_default();
    kind.ends_with(":no-record") || kind.ends_with(":unknown-instance")
}

fn report(entry: &Value) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    match &entry["picture"] {
        Value::Null => say!("  picture    none"),
        picture => {
            say!(
                "  picture    {}, {} bytes, {}x{}, {}",
                text(&picture["media_type"]),
                picture["bytes"],
                picture["width"],
                picture["height"],
                if picture["fresh"] == true {
                    "fresh"
                } else {
                    "older than cache.ttl"
                }
            );
            say!("  changed    {}", text(&picture["changed"]));
            say!("  confirmed  {}", text(&picture["confirmed"]));
            if let Value::String(from) = &picture["from"] {
                say!("  from       {from}");
            }
        }
    }
    if let Value::String(key) = &entry["key"] {
        say!("  key        {key}");
    }
    let last = &entry["last"];
    say!(
        "  last call  {}, {}",
        text(&last["outcome"]),
        text(&last["asked"])
    );
    say!("  next call  not before {}", text(&last["retry_at"]));
    say!("  A request without parameters gets:");
    let response = &entry["response"];
    say!("    {}", response["status"]);
    for (name, value) in response["headers"].as_object().into_iter().flatten() {
        say!("    {name}: {}", text(value));
    }
    say!("  {}", reason(entry));
}

/// Why a request gets that.
fn reason(entry: &Value) -> String {
    let last = &entry["last"];
    let outcome = last["outcome"].as_str().unwrap_or_default();
    let retry_at = last["retry_at"].as_str().unwrap_or_default();
    let (has_picture, is_fresh) = (
        !entry["picture"].is_null(),
        entry["picture"]["fresh"] == true,
    );
    match entry["plan"].as_str() {
        _ if entry["forgotten"] == true => {
            "The face was forgotten on demand. It is not fetched again for cache.forget_for."
                .to_owned()
        }
        Some("serve") if is_fresh => {
            "The picture is younger than cache.ttl, so the vendor is not asked.".to_owned()
        }
        Some("serve") if has_picture => format!(
            "The picture is older than cache.ttl, but the vendor is not asked before {retry_at}, because the last call ended with {outcome}."
        ),
        Some("serve") => format!(
            "There is no picture: the last call ended with {outcome}, and the vendor is not asked before {retry_at}."
        ),
        Some("serve_and_refresh") => {
            "The picture is older than cache.ttl. It is shown at once, and refreshed in the background."
                .to_owned()
        }
        _ => "The answer is too old to be shown. A request asks the vendor and waits up to cache.first_paint; the headers are those after that."
            .to_owned(),
    }
}

/// The reason why the instance does not ask its vendor.
fn hindrances(instance: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(why), Some(until)) = (
        instance["paused"].as_str(),
        instance["paused_until"].as_str(),
    ) {
        lines.push(format!(
            "The instance is paused until {until} ({why}): its vendor is not asked before."
        ));
    }
    if let Some(state @ ("down" | "refused")) = instance["session"].as_str() {
        lines.push(format!("The session at the vendor: {state}."));
    }
    if instance["budget"] == 0 {
        lines.push(format!(
            "The budget is used up: {} faces wait for it.",
            instance["wanted"]
        ));
    }
    lines
}
