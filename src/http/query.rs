//! Query strings (`application/x-www-form-urlencoded`) and percent-encoded path segments, decoded without
//! a copy where nothing is encoded.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// The name-value pairs of a query.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decoded(name), form_decoded(value))
        })
}

/// A path segment. Fails if it is not UTF-8.
pub(crate) fn segment(text: &str) -> Result<Cow<'_, str>, Problem> {
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Problem::encoding())
}

fn form_decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
    decoded.into_owned().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    proptest! {
        #[test]
        fn a_query_is_read_as_forms_write_it(query in "([a-c=&+ %é]|%[0-9a-fA-F]{2}){0,24}") {
            let reference: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            prop_assert_eq!(pairs(&query).collect::<Vec<_>>(), reference);
        }
    }
}
