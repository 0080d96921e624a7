//! `faceplate doctor --explain`: how a gateway is asked, and how its reply is read.

use std::{fs, path::Path};

use http::{HeaderMap, StatusCode};

use super::{Args, Explain};
use crate::{
    avatar::Subject,
    cli::{self, providers},
    upstream::{Client, Question, Resolver, VendorReply},
};

pub(super) async fn run(args: &Args, explain: &Explain) -> Result<(), String> {
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
        Some(file) => explain_file(args, name, subject, file, explain.status),
        None => {
            let subject = subject
                .ok_or("--explain INSTANCE needs a JID; for a reply in a file, add --reply FILE")?;
            explain_call(args, name, subject).await
        }
    }
}

/// Reads a reply in a file. Nobody is asked.
fn explain_file(
    args: &Args,
    name: &str,
    subject: Option<Subject>,
    file: &Path,
    status: u16,
) -> Result<(), String> {
    let catalog = args.config.catalog()?;
    let provider = providers::find(&catalog, name)?;
    let body =
        fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let reply = VendorReply {
        status: StatusCode::from_u16(status).map_err(|_| format!("{status} is no HTTP status"))?,
        headers: HeaderMap::new(),
        body: body.into(),
    };
    if let Some(call) = provider.redacted_call(None, subject) {
        println!("asks {call}");
    }
    println!("{}", provider.explain(None, subject, &reply));
    Ok(())
}

/// Asks the gateway about one face.
async fn explain_call(args: &Args, name: &str, subject: Subject) -> Result<(), String> {
    let config = args.config.load()?;
    let instance = cli::instance(&config, name)?;
    let (provider, account) = (&instance.provider, &instance.account);
    let question = Question {
        subject,
        refresh: false,
    };
    let call = provider.picture_call(account, &question);
    let call = call.map_err(|unsupported| unsupported.to_string())?;
    println!("this is one lookup of {name}'s account");
    if let Some(call) = provider.redacted_call(account.own, Some(subject)) {
        println!("asks {call}");
    }
    let client = Client::new(instance.client.clone(), Resolver::default());
    let reply = client.call(&call).await.map_err(|error| {
        format!("the call failed: {error}; check base_url, and whether this machine may reach it")
    })?;
    println!("{}", provider.explain(account.own, Some(subject), &reply));
    Ok(())
}
