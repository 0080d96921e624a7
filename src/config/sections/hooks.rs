//! Reads `[hooks]`: the listener for the events of the gateways' webhooks; and `[instances.NAME.hook]`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::{SecretReference, Size},
    },
    hooks::{Credentials, Settings},
    server::Address,
    upstream::Description,
};

pub(super) const SECTION: Section = Section {
    name: "hooks",
    about: "The listener for the events of the gateways' [webhooks](operations.md#webhooks).",
    keys: &[
        Key::optional::<Address>(
            "listen",
            "none",
            "The address to listen on: `address:port`, or `unix:/path`. The listener takes gateways' events and nothing else.",
        )
        .at_restart(),
        Key::new::<Size>(
            "max_body",
            "256KiB",
            "The longest event; a longer one is answered with 413.",
        )
        .within("1KiB", "16MiB"),
        Key::new::<Duration>(
            "timeout",
            "10s",
            "How long a gateway may take to send an event, and a program to send a body to the admin listener.",
        ),
        Key::new::<Duration>(
            "hint_after",
            "1h",
            "A message of a contact makes the next request refresh the face if the last answer about it is at least this old.",
        ),
    ],
    sections: &[],
};

/// `[instances.NAME.hook]`.
pub(super) const OF_INSTANCE: Section = Section {
    name: "hook",
    about: "The credentials of the gateway's webhook. Its URL is that of `hooks.listen` with `/v1/hooks/NAME/SECRET`.",
    keys: &[
        Key::optional::<SecretReference>(
            "secret",
            "no events",
            "The last part of the URL, at least 16 characters.",
        ),
        Key::optional::<SecretReference>(
            "hmac_key",
            "no signature",
            "The key with which the gateway signs each event, at least 16 characters: wuzapi's and WAHA's HMAC.",
        ),
    ],
    sections: &[],
};

/// The values of `[hooks]`.
pub(super) struct Hooks {
    pub(super) listen: Option<Address>,
    pub(super) settings: Settings,
    pub(super) hint_after: Duration,
}

pub(super) fn read(reader: &Reader<'_>) -> Hooks {
    let hooks = Hooks {
        listen: reader.optional("listen"),
        settings: Settings {
            max_body: reader.get::<Size>("max_body").0 as usize,
            timeout: reader.get("timeout"),
        },
        hint_after: reader.get("hint_after"),
    };
    reader.finish();
    hooks
}

/// The credentials of an instance's events, if it gets any.
pub(super) fn of_instance(
    reader: &Reader<'_>,
    provider: Option<&Description>,
    is_listening: bool,
) -> Option<Credentials> {
    let secret = own_secret(reader, "secret");
    let hmac_key = own_secret(reader, "hmac_key");
    reader.finish();
    if secret.is_none() && hmac_key.is_some() {
        reader.problem(
            "secret",
            "is missing; write env:NAME or file:PATH of a secret for the URL".into(),
        );
    }
    let secret = secret?;
    if !secret.expose_secret().bytes().all(is_plain_in_path) {
        reader.warning(
            "secret",
            "has characters that its URL cannot have as they are: percent-encode them there, / as %2F; or make a secret with: openssl rand -hex 24",
        );
    }
    if provider.is_some_and(|provider| !provider.has_hook()) {
        reader.problem(
            "secret",
            "the description of this gateway has no [hook], so its events cannot be read; leave it out, or describe them".into(),
        );
    }
    if !is_listening {
        reader.warning(
            "secret",
            "no event can come in without hooks.listen; write listen = \"127.0.0.1:9091\" in [hooks]",
        );
    }
    Some(Credentials { secret, hmac_key })
}

/// Whether a part of a path may have this byte without an encoding (RFC 3986, `pchar`).
fn is_plain_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn own_secret(reader: &Reader<'_>, key: &str) -> Option<SecretString> {
    let reference: SecretReference = reader.optional(key)?;
    reader.own_secret(key, &reference)
}
