//! Reads `[admin]`: the listener for probes, metrics and operators.

use secrecy::SecretString;

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::SecretReference,
    },
    server::Address,
};

pub(super) const SECTION: Section = Section {
    name: "admin",
    about: "The admin listener: probes, `/metrics`, the dashboard, `/v1/`.",
    keys: &[
        Key::new::<Address>(
            "listen",
            "127.0.0.1:9090",
            "The address to listen on: `address:port`, or `unix:/path`.",
        )
        .at_restart(),
        Key::optional::<SecretReference>(
            "token",
            "no token",
            "The bearer token that everything but the probes asks for, at least 16 characters. Required where other machines can reach the address.",
        ),
    ],
    sections: &[],
};

/// The values of `[admin]`.
pub(super) struct Admin {
    pub(super) listen: Address,
    pub(super) token: Option<SecretString>,
}

pub(super) fn read(reader: &Reader<'_>) -> Admin {
    let listen: Address = reader.get("listen");
    let reference: Option<SecretReference> = reader.optional("token");
    let token = reference.and_then(|reference| reader.own_secret("token", &reference));
    if !listen.is_local() && token.is_none() {
        reader.problem(
            "token",
            format!("{listen} can be reached from other machines; write token = \"file:/run/secrets/admin\", or listen on 127.0.0.1:9090"),
        );
    }
    reader.finish();
    Admin { listen, token }
}
