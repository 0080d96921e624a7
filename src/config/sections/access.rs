//! Reads `[access]`: which requests may see faces.

use http::HeaderValue;
use secrecy::SecretString;

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::SecretReference,
    },
    http::SigningKey,
    public::{Access, Mode},
    server::Address,
};

pub(super) const SECTION: Section = Section {
    name: "access",
    about: "Which requests may see faces.",
    keys: &[
        Key::new::<Mode>(
            "mode",
            "signed",
            "`signed`: a URL needs a signature or the request a bearer token. `open`: every request is answered.",
        ),
        Key::new::<Vec<SecretReference>>(
            "signing_keys",
            "",
            "The keys of signed URLs, at least 16 characters each. Each of them is accepted; `faceplate sign` uses the first one.",
        ),
        Key::new::<Vec<SecretReference>>(
            "bearer_tokens",
            "",
            "The tokens that servers may send instead of a signature, at least 16 characters each.",
        ),
        Key::new::<bool>(
            "allow_public",
            "false",
            "Whether `mode = \"open\"` is allowed on an address that other machines can reach, and answers requests that a proxy or a page of another site makes.",
        ),
        Key::new::<String>(
            "allow_origin",
            "*",
            "The `Access-Control-Allow-Origin` header of every response.",
        ),
    ],
    sections: &[],
};

/// The values of `[access]`.
pub(super) struct AccessSettings {
    pub(super) access: Access,
    pub(super) allow_origin: HeaderValue,
    /// Whether the listener may be on an address that other machines can reach.
    pub(super) may_be_public: bool,
}

/// With TLS, the listener is a site of its own, and no other site's name can lead to it.
pub(super) fn read(reader: &Reader<'_>, listen: &Address, is_tls: bool) -> AccessSettings {
    let mode: Mode = reader.get("mode");
    let allow_public: bool = reader.get("allow_public");
    if mode == Mode::Open && !listen.is_local() && !allow_public {
        reader.problem(
            "mode",
            format!("open shows every face to every client that can reach {listen}; write signed, listen on 127.0.0.1, or set access.allow_public = true if that is what you want"),
        );
    }
    let references: Vec<SecretReference> = reader.get("signing_keys");
    let tokens: Vec<SecretReference> = reader.get("bearer_tokens");
    if mode == Mode::Signed && references.is_empty() && tokens.is_empty() {
        reader.problem(
            "signing_keys",
            "no signing key and no bearer token is set, so every request would be refused; write signing_keys = [\"env:FACEPLATE_SIGNING_KEY\"] and set that variable to the output of: openssl rand -base64 32".into(),
        );
    }
    let keys = secrets(reader, "signing_keys", &references);
    let access = Access {
        mode,
        is_for_this_machine: !allow_public && !is_tls && matches!(listen, Address::Tcp(_)),
        keys: keys.iter().map(SigningKey::new).collect(),
        bearer_tokens: secrets(reader, "bearer_tokens", &tokens),
    };
    let origin: String = reader.get("allow_origin");
    let allow_origin = HeaderValue::from_str(&origin).unwrap_or_else(|_| {
        reader.problem(
            "allow_origin",
            "is not a header value; write * or https://crm.example".into(),
        );
        HeaderValue::from_static("*")
    });
    reader.finish();
    AccessSettings {
        may_be_public: access.mode == Mode::Signed || allow_public,
        access,
        allow_origin,
    }
}

fn secrets(reader: &Reader<'_>, name: &str, references: &[SecretReference]) -> Vec<SecretString> {
    let references = references.iter();
    references
        .filter_map(|reference| reader.own_secret(name, reference))
        .collect()
}
