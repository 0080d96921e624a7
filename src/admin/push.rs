//! `PUT /v1/avatars/{instance}/{jid}`: takes a picture from a program that has a WhatsApp library inside. The body is the
//! picture (`image/*`), or JSON: `{"link": "https://…"}`, or `{"link": null}` for a contact without a picture.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::Deserialize;

use super::{Admin, Error, entries::NamedInstance, routes::Parameters};
use crate::{
    avatar::Subject,
    pipeline::{Push, PushError},
    server::Reply,
};

/// The longest body with a link.
pub(super) const MAX_LINK_BODY: usize = 8 * 1024;

/// A body with a link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkBody {
    /// The link; null for a contact without a picture.
    #[serde(deserialize_with = "Option::deserialize")]
    link: Option<String>,
}

/// The kind of a body.
enum Kind {
    Link,
    Picture,
}

impl Admin {
    /// The longest body of a push to this instance.
    pub(super) async fn longest_push(
        &self,
        parameters: &Parameters<'_>,
        headers: &HeaderMap,
    ) -> Result<usize, Error> {
        let instance = self.instance(parameters.instance).await?;
        Ok(match kind(headers)? {
            Kind::Link => MAX_LINK_BODY,
            Kind::Picture => instance.client().settings().max_picture,
        })
    }

    /// Takes a picture into the entry of a face, and shows the entry then.
    pub(super) async fn push(
        &self,
        named: NamedInstance<'_>,
        subject: Subject,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, Error> {
        let NamedInstance::Configured(instance) = &named else {
            return Err(Error::UnknownInstance);
        };
        let pushed = match kind(headers)? {
            Kind::Picture => Push::Bytes(body),
            Kind::Link => {
                let body: LinkBody = serde_json::from_slice(&body).map_err(|_| Error::PushBody)?;
                body.link.map_or(Push::None, Push::Link)
            }
        };
        match self.faces.push(instance, subject, pushed).await {
            Ok(_) => self.show_entry(named, subject).await,
            Err(PushError::Unsupported(error)) => Err(Error::Unsupported(error)),
            Err(PushError::Forgotten) => Err(Error::Forgotten),
            Err(error) => Err(Error::Push(error)),
        }
    }
}

fn kind(headers: &HeaderMap) -> Result<Kind, Error> {
    let media = headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|media| media.to_str().ok()).unwrap_or("");
    let media = media.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    match media.as_str() {
        "application/json" => Ok(Kind::Link),
        media if media.starts_with("image/") => Ok(Kind::Picture),
        _ => Err(Error::PushMedia),
    }
}
