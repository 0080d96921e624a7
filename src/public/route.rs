//! Parses the public service's paths and queries.

use std::borrow::Cow;

use http::Uri;

use super::Error;
use crate::{
    avatar::Subject,
    http::query,
    images::PlaceholderLook,
    representation::view::{self, InvalidParameter, View},
};

/// The resource that a path names.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a route is taken apart at once, and a box would be the only allocation of many hits"
)]
pub(crate) enum Route<'a> {
    /// `/`
    Home,
    /// `/openapi.json`
    OpenApi,
    /// `/avatar/{instance}/{jid}`
    Avatar(AvatarUrl<'a>),
}

/// The URL of a face.
#[derive(Debug)]
pub(crate) struct AvatarUrl<'a> {
    pub(crate) instance: Cow<'a, str>,
    pub(crate) subject: Subject,
    pub(crate) view: View,
    pub(crate) refresh: bool,
    pub(crate) signature: Signature<'a>,
}

/// The parameters of a signed URL, not verified yet.
#[derive(Debug, Default)]
pub(crate) struct Signature<'a> {
    pub(crate) exp: Option<Cow<'a, str>>,
    pub(crate) sig: Option<Cow<'a, str>>,
    pub(crate) grant: Option<Cow<'a, str>>,
    pub(crate) scope: Option<Cow<'a, str>>,
}

/// The parameters of a face's URL. The first of a name counts; unknown ones are ignored.
#[derive(Default)]
struct Parameters<'a> {
    size: Option<Cow<'a, str>>,
    default: Option<Cow<'a, str>>,
    force_default: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    background: Option<Cow<'a, str>>,
    color: Option<Cow<'a, str>>,
    rounded: Option<Cow<'a, str>>,
    length: Option<Cow<'a, str>>,
    bold: Option<Cow<'a, str>>,
    refresh: Option<Cow<'a, str>>,
    format: Option<Cow<'a, str>>,
    signature: Signature<'a>,
}

impl<'a> Route<'a> {
    /// The route of a path; `None` if another service may have it.
    pub(crate) fn parse(uri: &'a Uri) -> Result<Option<Self>, Error> {
        let face = uri.path().strip_prefix("/avatar/");
        if let Some((instance, jid)) = face.and_then(|face| face.split_once('/'))
            && !jid.contains('/')
        {
            let url = AvatarUrl::parse(instance, jid, uri.query().unwrap_or_default())?;
            return Ok(Some(Route::Avatar(url)));
        }
        Ok(match uri.path() {
            "/" => Some(Route::Home),
            "/openapi.json" => Some(Route::OpenApi),
            _ => None,
        })
    }
}

impl<'a> AvatarUrl<'a> {
    fn parse(instance: &'a str, jid: &'a str, query: &'a str) -> Result<Self, Error> {
        let segment = |text| query::segment(text).map_err(|_| Error::Encoding);
        let subject = segment(jid)?.parse().map_err(Error::Jid)?;
        let instance = segment(instance)?;
        let parameters = Parameters::parse(query);
        Ok(Self {
            instance,
            subject,
            view: parameters.view()?,
            refresh: parameters.refresh()?,
            signature: parameters.signature,
        })
    }
}

impl<'a> Parameters<'a> {
    fn parse(query: &'a str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in query::pairs(query) {
            let parameter = match name.as_ref() {
                "s" | "size" => &mut parameters.size,
                "d" | "default" => &mut parameters.default,
                "f" | "forcedefault" => &mut parameters.force_default,
                "name" => &mut parameters.name,
                "background" => &mut parameters.background,
                "color" => &mut parameters.color,
                "rounded" => &mut parameters.rounded,
                "length" => &mut parameters.length,
                "bold" => &mut parameters.bold,
                "refresh" => &mut parameters.refresh,
                "format" => &mut parameters.format,
                "exp" => &mut parameters.signature.exp,
                "sig" => &mut parameters.signature.sig,
                "grant" => &mut parameters.signature.grant,
                "scope" => &mut parameters.signature.scope,
                _ => continue,
            };
            parameter.get_or_insert(value);
        }
        parameters
    }

    fn view(&self) -> Result<View, InvalidParameter> {
        Ok(View {
            size: self.size.as_deref().map(view::size).transpose()?,
            without_picture: match &self.default {
                Some(value) => view::without_picture(value)?,
                None => Default::default(),
            },
            force_default: flag("f", &self.force_default, "write f=y or leave it out")?,
            name: self.name.as_deref().map(Box::from),
            look: PlaceholderLook {
                background: match &self.background {
                    Some(value) => view::background(value)?,
                    None => None,
                },
                foreground: match &self.color {
                    Some(value) => Some(view::color("color", value)?),
                    None => None,
                },
                rounded: flag("rounded", &self.rounded, "write true or leave it out")?,
                single: match &self.length {
                    Some(value) => view::is_single(value)?,
                    None => false,
                },
                bold: flag("bold", &self.bold, "write true or leave it out")?,
            },
            format: match &self.format {
                Some(value) => view::format(value)?,
                None => Default::default(),
            },
        })
    }

    fn refresh(&self) -> Result<bool, InvalidParameter> {
        match self.refresh.as_deref() {
            // A refresh costs a call, so it has fewer words than the other flags.
            Some("true" | "1") => Ok(true),
            None | Some("" | "n" | "no" | "false" | "0") => Ok(false),
            Some(_) => {
                let remedy = "write refresh=true or leave it out";
                Err(InvalidParameter::new("refresh", remedy))
            }
        }
    }
}

fn flag(
    name: &'static str,
    value: &Option<Cow<'_, str>>,
    remedy: &'static str,
) -> Result<bool, InvalidParameter> {
    match value {
        Some(value) => view::flag(name, value, remedy),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{images::PlaceholderStyle, public::openapi, representation::view::WithoutPicture};

    fn with_url(text: &str, check: impl FnOnce(AvatarUrl<'_>)) {
        let uri: Uri = text.parse().unwrap();
        match Route::parse(&uri) {
            Ok(Some(Route::Avatar(url))) => check(url),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn is_refused(text: &str) -> bool {
        let uri: Uri = text.parse().unwrap();
        Route::parse(&uri).is_err()
    }

    #[test]
    fn jids_may_be_raw_or_percent_encoded() {
        for path in [
            "/avatar/sales/628123@c.us",
            "/avatar/sales/628123%40c.us",
            "/avatar/sales/+628123",
        ] {
            with_url(path, |url| {
                assert_eq!(url.subject.as_str(), "628123@c.us");
            });
        }
        with_url("/avatar/sales/me", |url| {
            assert_eq!(url.subject, Subject::Me);
        });
    }

    #[test]
    fn sizes_are_rounded_up_to_the_next_that_exists() {
        for (asked, served) in [
            ("1", 32),
            ("32", 32),
            ("33", 48),
            ("100", 128),
            ("640", 640),
        ] {
            with_url(&format!("/avatar/a/1?s={asked}"), |url| {
                assert_eq!(url.view.size, Some(served));
            });
        }
        for bad in ["0", "641", "-1", "x", "", "99999"] {
            assert!(is_refused(&format!("/avatar/a/1?s={bad}")), "{bad}");
        }
    }

    #[test]
    fn the_first_of_a_repeated_parameter_counts_and_unknown_ones_are_ignored() {
        with_url("/avatar/a/1?d=mp&d=blank&_cb=17", |url| {
            let expected = WithoutPicture::Placeholder(PlaceholderStyle::Mp);
            assert_eq!(url.view.without_picture, expected);
        });
    }

    #[test]
    fn unknown_values_of_parameters_are_refused() {
        for query in [
            "d=robot",
            "f=maybe",
            "refresh=now",
            "format=bmp",
            "background=blue",
            "color=12345",
            "rounded=round",
            "length=3",
            "bold=very",
        ] {
            assert!(is_refused(&format!("/avatar/a/1?{query}")), "{query}");
        }
    }

    /// Every parameter that is read, in the order of the document.
    fn all_read<'a>(parameters: &'a Parameters<'_>) -> [Option<&'a str>; 15] {
        // All fields are named here, so that a new one does not compile until it is documented.
        let Parameters {
            size,
            default,
            force_default,
            name,
            background,
            color,
            rounded,
            length,
            bold,
            refresh,
            format,
            signature:
                Signature {
                    exp,
                    sig,
                    grant,
                    scope,
                },
        } = parameters;
        [
            size,
            default,
            force_default,
            name,
            background,
            color,
            rounded,
            length,
            bold,
            refresh,
            format,
            exp,
            sig,
            grant,
            scope,
        ]
        .map(Option::as_deref)
    }

    #[test]
    fn the_openapi_document_has_exactly_the_parameters_that_are_read() {
        let documented = openapi::queries();
        let pairs = documented.iter().map(|parameter| {
            let name = &parameter.name;
            format!("{name}={name}")
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        let names = documented.iter().map(|parameter| parameter.name.as_str());
        let parameters = Parameters::parse(&query);
        let read = all_read(&parameters).map(Option::unwrap);
        assert!(names.eq(read), "{read:?}");
    }

    #[test]
    fn all_values_that_the_openapi_document_lists_are_accepted() {
        let mut count = 0;
        for parameter in openapi::queries() {
            let schema = serde_json::to_value(&parameter.schema).unwrap();
            let values = schema["enum"].as_array().into_iter().flatten();
            let bounds = ["minimum", "maximum"]
                .iter()
                .filter_map(|name| schema.get(name));
            for value in values.chain(bounds) {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let url = format!("/avatar/a/1?{}={value}", parameter.name);
                assert!(!is_refused(&url), "{url}");
                count += 1;
            }
        }
        assert!(count > 40, "{count}");
    }

    #[test]
    fn other_paths_are_not_the_public_service_s() {
        for path in [
            "/avatar",
            "/avatar/a",
            "/avatar/a/1/x",
            "/avatar/a/1/",
            "/x",
            "//",
        ] {
            let uri: Uri = path.parse().unwrap();
            assert!(matches!(Route::parse(&uri), Ok(None)), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_url_makes_parsing_panic(text in "/[!-~]{0,80}") {
            if let Ok(uri) = text.parse::<Uri>() {
                let _ = Route::parse(&uri);
            }
        }
    }
}
