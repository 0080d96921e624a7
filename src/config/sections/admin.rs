//! Reads `[admin]`: the listener for probes and operators.

use secrecy::SecretString;

use crate::config::{read::Parsed, section::Section, units::address};
use crate::server::Address;

pub(super) fn admin(section: &Section<'_>) -> (Address, Option<SecretString>) {
    let listen = section.or("listen", Parsed(address([127, 0, 0, 1], 9090)));
    let token: Option<String> = section.optional("token");
    let token = token.and_then(|text| section.secret("token", &text));
    if !listen.0.is_local() && token.is_none() {
        section.problem(
            "token",
            format!("{} can be reached from elsewhere; write token = \"file:/run/secrets/admin\", or listen on 127.0.0.1:9090", listen.0),
        );
    }
    section.finish();
    (listen.0, token)
}
