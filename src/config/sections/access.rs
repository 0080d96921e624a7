//! Reads `[access]`: which requests may see faces.

use std::cell::Cell;

use http::HeaderValue;
use secrecy::ExposeSecret;

use crate::config::section::Section;
use crate::{
    http::SigningKey,
    public::{Access, Mode},
    server::Address,
};

/// `[access]`, read.
pub(super) struct AccessSettings {
    pub(super) access: Access,
    pub(super) allow_origin: HeaderValue,
    /// Whether a listener that others can reach is right.
    pub(super) may_be_public: bool,
}

pub(super) fn access(section: &Section<'_>, listen: &Address) -> AccessSettings {
    let mode = match section.or("mode", "signed".to_owned()).as_str() {
        "signed" => Mode::Signed,
        "open" => Mode::Open,
        other => {
            section.problem(
                "mode",
                format!("{other:?} does not exist; write signed or open"),
            );
            Mode::Signed
        }
    };
    let allow_public = section.or("allow_public", false);
    if mode == Mode::Open && !listen.is_local() && !allow_public {
        section.problem(
            "mode",
            format!("open shows every face to everybody who can reach {listen}; write signed, listen on 127.0.0.1, or set access.allow_public = true if that is what you want"),
        );
    }
    let named = Cell::new(0);
    let secrets = |key: &'static str| -> Vec<_> {
        let references: Vec<String> = section.or(key, Vec::new());
        named.set(named.get() + references.len());
        let found = references
            .iter()
            .filter_map(|text| section.secret(key, text));
        found.collect()
    };
    let keys = secrets("signing_keys");
    if keys.iter().any(|key| key.expose_secret().len() < 16) {
        section.problem(
            "signing_keys",
            "a key is shorter than 16 characters; make one with: openssl rand -base64 32".into(),
        );
    }
    let bearer_tokens = secrets("bearer_tokens");
    if mode == Mode::Signed && named.get() == 0 {
        section.problem(
            "signing_keys",
            "nobody could get in: write signing_keys = [\"env:FACEPLATE_SIGNING_KEY\"] and set that variable to the output of: openssl rand -base64 32".into(),
        );
    }
    let origin = section.or("allow_origin", "*".to_owned());
    let allow_origin = HeaderValue::from_str(&origin).unwrap_or_else(|_| {
        section.problem(
            "allow_origin",
            "is no header value; write * or https://crm.example".into(),
        );
        HeaderValue::from_static("*")
    });
    section.finish();
    let access = Access {
        mode,
        keys: keys.iter().map(SigningKey::new).collect(),
        bearer_tokens,
    };
    AccessSettings {
        may_be_public: access.mode == Mode::Signed || allow_public,
        access,
        allow_origin,
    }
}
