//! The reasons why a request may not see a face.

/// Why a request may not see a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessError {
    #[error(
        "the URL is not signed: add exp and sig, or send a bearer token; `faceplate sign` prints a signed URL"
    )]
    Unsigned,
    #[error("the URL has a sig but no exp: add the expiry in Unix seconds that was signed")]
    NoExpiry,
    #[error("scope can only be `instance`, for a signature over `*`")]
    Scope,
    #[error(
        "to listen to an instance takes a signature for all of its faces, with scope=instance: `faceplate sign INSTANCE '*'`"
    )]
    NotWholeInstance,
    #[error("grant can only be `refresh`")]
    Grant,
    #[error(
        "the signature does not match: sign `avatar\\n{{instance}}\\n{{canonical jid}}\\n{{exp}}\\n{{grant}}` with one of the configured keys"
    )]
    WrongSignature,
    #[error("the URL has expired: sign a new one")]
    Expired,
    #[error(
        "a page of another site, or a proxy, asks for a face of access.mode = \"open\" on this machine: sign the URL, or set access.allow_public = true if every site may show the faces"
    )]
    AnotherSite,
    #[error("refresh=true needs a signature with grant=refresh, or a bearer token")]
    NoRefreshGrant,
}
