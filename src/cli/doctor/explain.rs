//! `faceplate doctor --explain`: how a gateway is asked, and how its reply is read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use http::{HeaderMap, StatusCode};

use super::picture;
use crate::{
    avatar::Subject,
    cli::{
        config_arg::{self, ConfigArg},
        output::say,
        providers,
    },
    upstream::{Client, Explanation, Question, Resolver, VendorReply},
};

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Ask an instance about one face, which costs one look-up, and show how the reply is read. With --reply: a
    /// provider's name, or the file of its description, and nobody is asked.
    #[arg(long, num_args = 1..=2, value_names = ["INSTANCE", "JID"])]
    pub(super) explain: Vec<String>,
    /// The file with a gateway's reply.
    #[arg(long, value_name = "FILE", requires = "explain")]
    reply: Option<PathBuf>,
    /// The status of that reply.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "reply")]
    status: u16,
}

pub(super) async fn run(config: &ConfigArg, explain: &Explain) -> Result<(), String> {
    let [name, rest @ ..] = explain.explain.as_slice() else {
        return Err("--explain needs a name".to_owned());
    };
    let subject = match rest.first() {
        Some(jid) => Some(
            jid.parse()
                .map_err(|error| format!("{jid} is not a JID: {error}"))?,
        ),
        None => None,
    };
    match &explain.reply {
        Some(file) => explain_file(config, name, subject, file, explain.status).await,
        None => {
            let subject = subject
                .ok_or("--explain INSTANCE needs a JID; for a reply in a file, add --reply FILE")?;
            explain_call(config, name, subject).await
        }
    }
}

/// Reads a reply in a file. Nobody is asked.
async fn explain_file(
    config: &ConfigArg,
    name: &str,
    subject: Option<Subject>,
    file: &Path,
    status: u16,
) -> Result<(), String> {
    let catalog = config.catalog()?;
    let provider = providers::find_or_load(&catalog, name)?;
    let body =
        fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let reply = VendorReply {
        status: StatusCode::from_u16(status).map_err(|_| format!("{status} is no HTTP status"))?,
        headers: HeaderMap::new(),
        body: body.into(),
    };
    if let Some(call) = provider.redacted_call(None, subject) {
        say!("asks {call}");
    }
    show(provider.explain(None, subject, &reply)).await;
    Ok(())
}

/// Prints how a reply is read, and whether the picture in it is one.
async fn show(explanation: Explanation) {
    say!("{explanation}");
    let Some(bytes) = explanation.bytes else {
        return;
    };
    match picture::describe(bytes).await {
        Ok(picture) => say!("the server accepts the bytes: {picture}"),
        Err(error) => say!("the server refuses the bytes, and shows vendor_error: {error}"),
    }
}

/// Asks the gateway about one face.
async fn explain_call(config: &ConfigArg, name: &str, subject: Subject) -> Result<(), String> {
    let config = config.load()?;
    let instance = config_arg::instance(&config, name)?;
    let (provider, account) = (&instance.provider, &instance.account);
    let question = Question {
        subject,
        refresh: false,
    };
    let call = provider.picture_call(account, &question);
    let call = call.map_err(|unsupported| unsupported.to_string())?;
    say!("this is one lookup of {name}'s account");
    if let Some(call) = provider.redacted_call(account.own, Some(subject)) {
        say!("asks {call}");
    }
    let client = Client::new(instance.client.clone(), Resolver::default());
    let reply = client.call(&call).await.map_err(|error| {
        format!("the call failed: {error}; check base_url, and whether this machine may reach it")
    })?;
    let explanation = provider.explain(account.own, Some(subject), &reply);
    let link = explanation.link.clone();
    show(explanation).await;
    if let Some(link) = link {
        match client.check(&link) {
            Ok(()) => say!("the server may download from the link's host"),
            Err(refusal) => {
                say!("the server refuses the link's host, and shows vendor_error: {refusal}")
            }
        }
    }
    Ok(())
}
