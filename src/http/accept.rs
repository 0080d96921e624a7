//! `Accept` (RFC 9110 §12.5.1): how well a client likes a media type.

use http::{HeaderMap, header};

/// The weight that `Accept` gives to the first of `ranges` that it names, and 0 if it names none. Pass the
/// ranges from specific to general: the most specific one counts.
pub(crate) fn weight(headers: &HeaderMap, ranges: &[&str]) -> f32 {
    let of_range = |range: &&str| {
        let lines = headers.get_all(header::ACCEPT).iter();
        let mut items = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        items.find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let is_it = parts.next()?.eq_ignore_ascii_case(range);
            let weight = parts.find_map(|parameter| {
                let weight = parameter.strip_prefix("q=");
                weight.or(parameter.strip_prefix("Q="))?.parse().ok()
            });
            is_it.then_some(weight.unwrap_or(1.0))
        })
    };
    ranges.iter().find_map(of_range).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight_of(accept: &[&str], ranges: &[&str]) -> f32 {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        weight(&headers, ranges)
    }

    #[test]
    fn a_media_type_weighs_as_accept_says() {
        for (accept, expected) in [
            (&["image/webp"][..], 1.0),
            (&["image/webp;q=0.5"], 0.5),
            (&["IMAGE/WebP ; Q=0.25"], 0.25),
            (&["text/html, image/webp;q=0.8"], 0.8),
            (&["text/html", "image/webp;q=0.8"], 0.8),
            (&["image/webp;q=0"], 0.0),
            (&["image/webp;level=1;q=0.4"], 0.4),
            (&["image/webp;q=much"], 1.0),
            (&["image/*"], 0.0),
            (&["", ",", ";q=1"], 0.0),
            (&[], 0.0),
        ] {
            assert_eq!(weight_of(accept, &["image/webp"]), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_most_specific_range_that_accept_names_counts() {
        let ranges = ["image/png", "image/*", "*/*"];
        for (accept, expected) in [
            ("*/*;q=0.1", 0.1),
            ("*/*;q=0.1, image/*;q=0.2", 0.2),
            ("*/*, image/*, image/png;q=0", 0.0),
        ] {
            assert_eq!(weight_of(&[accept], &ranges), expected, "{accept}");
        }
    }
}
