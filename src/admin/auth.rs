//! Checks that a request may use the admin listener. Probes need no check.

use http::request::Parts;
use secrecy::SecretString;

use super::Error;
use crate::http::{credentials, is_read};

/// Checks the token, or without one the `Host` header. A request from another site's page is refused: the browser
/// would send the operator's password along, and an image that loads would tell that page which faces are in the
/// cache.
pub(super) fn check(
    token: Option<&SecretString>,
    head: &Parts,
    is_page: bool,
) -> Result<(), Error> {
    let headers = &head.headers;
    match token {
        Some(token) if credentials::has_token(headers, token) => {}
        Some(_) if is_page => return Err(Error::PageToken),
        Some(_) => return Err(Error::Token),
        None if credentials::host_is_local(headers) => {}
        None => return Err(Error::Host),
    }
    let is_cross_site = match is_read(&head.method) {
        true => credentials::is_cross_site_read(headers),
        false => credentials::is_cross_site(headers),
    };
    match is_cross_site {
        true => Err(Error::CrossSite),
        false => Ok(()),
    }
}
