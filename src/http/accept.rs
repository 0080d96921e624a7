//! `Accept` (RFC 9110 §12.5.1): how well a client likes a media type.

use http::{HeaderMap, header};

/// How exactly a media range names a media type, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    /// `*/*`
    Anything,
    /// `image/*`
    Type,
    /// `image/png;level=1`: some kinds of it, of which this server has one.
    WithParameters,
    /// `image/png`
    Exact,
}

/// The weight that `Accept` gives to `media`: that of the most specific range that matches. `None` if no
/// range does. Without the header, a client accepts everything.
pub(crate) fn weight(headers: &HeaderMap, media: &str) -> Option<f32> {
    if !headers.contains_key(header::ACCEPT) {
        return Some(1.0);
    }
    best_match(headers, media).map(|(_, weight)| weight)
}

/// The weight that `Accept` gives to `media` by its name; a range such as `image/*` does not count.
pub(crate) fn weight_by_name(headers: &HeaderMap, media: &str) -> Option<f32> {
    let (how, weight) = best_match(headers, media)?;
    (how >= Match::WithParameters).then_some(weight)
}

fn best_match(headers: &HeaderMap, media: &str) -> Option<(Match, f32)> {
    let lines = headers.get_all(header::ACCEPT).iter();
    let ranges = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut best: Option<(Match, f32)> = None;
    for range in ranges {
        if let Some(found) = match_range(range, media)
            && best.is_none_or(|best| found.0 > best.0)
        {
            best = Some(found);
        }
    }
    best
}

/// How `range` matches `media`, and its weight.
fn match_range(range: &str, media: &str) -> Option<(Match, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    let mut how = if name.eq_ignore_ascii_case(media) {
        Match::Exact
    } else if name == "*/*" {
        Match::Anything
    } else {
        let (kind, _) = media.split_once('/')?;
        let (range, rest) = name.split_once('/')?;
        if rest != "*" || !range.eq_ignore_ascii_case(kind) {
            return None;
        }
        Match::Type
    };
    for parameter in parts {
        let weight = parameter.strip_prefix("q=");
        if let Some(weight) = weight.or(parameter.strip_prefix("Q=")) {
            let weight = weight.parse().ok();
            let weight = weight.filter(|weight| (0.0..=1.0).contains(weight));
            return Some((how, weight.unwrap_or(1.0)));
        }
        if how == Match::Exact && !parameter.is_empty() {
            how = Match::WithParameters;
        }
    }
    Some((how, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_media_type_weighs_as_accept_says() {
        for (accept, expected) in [
            (&["image/webp"][..], Some(1.0)),
            (&["image/webp;q=0.5"], Some(0.5)),
            (&["IMAGE/WebP ; Q=0.25"], Some(0.25)),
            (&["text/html, image/webp;q=0.8"], Some(0.8)),
            (&["text/html", "image/webp;q=0.8"], Some(0.8)),
            (&["image/webp;q=0"], Some(0.0)),
            (&["image/webp;level=1;q=0.4"], Some(0.4)),
            (&["image/webp;q=much"], Some(1.0)),
            (&["image/webp;q=NaN"], Some(1.0)),
            (&["image/webp;q=7"], Some(1.0)),
            (&["image/*"], None),
            (&["", ",", ";q=1"], None),
            (&[], None),
        ] {
            let weight = weight_by_name(&headers(accept), "image/webp");
            assert_eq!(weight, expected, "{accept:?}");
        }
    }

    #[test]
    fn the_most_specific_range_that_accept_names_counts() {
        for (accept, expected) in [
            ("*/*;q=0.1", Some(0.1)),
            ("*/*;q=0.1, image/*;q=0.2", Some(0.2)),
            ("*/*, image/*, image/png;q=0", Some(0.0)),
            ("image/png;level=1;q=0.4, image/png;q=0.8", Some(0.8)),
            ("image/png;level=1;q=0.4, image/*", Some(0.4)),
            ("IMAGE/*;q=0.5, text/*", Some(0.5)),
            ("text/*, image/webp", None),
        ] {
            let weight = weight(&headers(&[accept]), "image/png");
            assert_eq!(weight, expected, "{accept}");
        }
    }

    #[test]
    fn a_client_without_accept_takes_everything() {
        assert_eq!(weight(&headers(&[]), "image/png"), Some(1.0));
    }
}
