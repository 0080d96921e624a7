//! The settings of the S3 store.

use std::{fmt, time::Duration};

use http::Uri;
use secrecy::SecretString;

use super::super::settings::fingerprint;

/// The settings of the S3 store.
#[derive(Clone)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// The URL of the store, without the bucket.
    pub endpoint: String,
    /// The certificates of the authorities that are trusted, in PEM, instead of the public ones.
    pub authorities: Option<Vec<u8>>,
    /// The region, which requests are signed for.
    pub region: String,
    /// The name of the key.
    pub access_key: SecretString,
    /// The key.
    pub secret_key: SecretString,
    /// The time limit of a request.
    pub timeout: Duration,
    /// Whether every distinct picture is kept in `archive/`, too.
    pub archives: bool,
}

/// Whether `text` is the URL of an S3 store. The error is the remedy.
pub fn check_endpoint(text: &str) -> Result<(), String> {
    let is_http = text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
    });
    match is_http {
        true => Ok(()),
        false => Err(
            "is not the URL of an S3 store; write http://garage:3900 or https://s3.eu-west-1.amazonaws.com, without the bucket"
                .to_owned(),
        ),
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("authorities", &self.authorities.as_ref().map(Vec::len))
            .field("region", &self.region)
            .field("access_key", &fingerprint(&self.access_key))
            .field("secret_key", &fingerprint(&self.secret_key))
            .field("timeout", &self.timeout)
            .field("archives", &self.archives)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_a_web_server_are_accepted() {
        for url in [
            "http://garage:3900",
            "https://s3.example",
            "http://127.0.0.1:1/base",
        ] {
            assert_eq!(check_endpoint(url), Ok(()), "{url}");
        }
        for url in ["", "garage:3900", "s3://faces", "http://a/?b=c", "/faces"] {
            let remedy = check_endpoint(url).unwrap_err();
            assert!(remedy.contains("http://garage:3900"), "{url}: {remedy}");
        }
    }
}
