//! Query strings (`application/x-www-form-urlencoded`) and percent-encoded path segments, decoded without
//! a copy where nothing is encoded.

use std::{borrow::Cow, iter};

use memchr::{memchr, memchr2};
use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// The name-value pairs of a query.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    // Nearly all have nothing to decode.
    let is_encoded = memchr2(b'%', b'+', query.as_bytes()).is_some();
    let decode = move |text| match is_encoded {
        true => form_decoded(text),
        false => Cow::Borrowed(text),
    };
    let mut rest = Some(query);
    let pairs = iter::from_fn(move || {
        let (pair, behind) = split_once(rest?, b'&');
        rest = behind;
        Some(pair)
    });
    pairs.filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = split_once(pair, b'=');
        (decode(name), decode(value.unwrap_or_default()))
    })
}

/// The text before an ASCII character, and the text behind it, if it is there.
pub(crate) fn split_once(text: &str, at: u8) -> (&str, Option<&str>) {
    match memchr(at, text.as_bytes()) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// A path segment. Fails if it is not UTF-8.
pub(crate) fn segment(text: &str) -> Result<Cow<'_, str>, Problem> {
    if memchr(b'%', text.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Problem::encoding())
}

fn form_decoded(text: &str) -> Cow<'_, str> {
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
