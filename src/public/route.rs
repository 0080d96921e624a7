//! Parses the public service's paths and queries.

use std::{borrow::Cow, time::Duration};

use http::Uri;
use memchr::memchr;

use super::Error;
use crate::{
    avatar::Subject,
    http::query,
    images::PlaceholderLook,
    representation::view::{self, InvalidParameter, RequestedFormat, View},
};

/// The beginning of the paths of changes.
pub(crate) const LIVE: &str = "/live/";
/// The parameter that names the last event that a client has.
pub(super) const LAST_EVENT_ID: &str = "last_event_id";

/// The resource that a path names.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// `/`
    Home,
    /// `/faceplate.js`
    Script,
    /// `/openapi.json`
    OpenApi,
    /// `/avatar/{instance}/{jid}`
    Avatar(AvatarUrl<'a>),
    /// `/live/{instance}`
    Live(LiveUrl<'a>),
}

/// The URL of the changes of an instance's faces.
#[derive(Debug)]
pub(crate) struct LiveUrl<'a> {
    pub(crate) instance: Cow<'a, str>,
    pub(crate) signature: Signature<'a>,
    /// The last event that the client has, if no header names it.
    pub(crate) last_event_id: Option<Cow<'a, str>>,
}

/// The URL of a face.
#[derive(Debug)]
pub(crate) struct AvatarUrl<'a> {
    pub(crate) instance: Cow<'a, str>,
    pub(crate) subject: Subject,
    pub(crate) view: View,
    pub(crate) refresh: bool,
    /// How long the request says that it waits.
    pub(crate) wait: Option<Duration>,
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
    initials: Option<Cow<'a, str>>,
    background: Option<Cow<'a, str>>,
    color: Option<Cow<'a, str>>,
    rounded: Option<Cow<'a, str>>,
    length: Option<Cow<'a, str>>,
    bold: Option<Cow<'a, str>>,
    refresh: Option<Cow<'a, str>>,
    wait: Option<Cow<'a, str>>,
    format: Option<Cow<'a, str>>,
    signature: Signature<'a>,
}

impl<'a> Route<'a> {
    /// The route of a path; `None` if another service may have it.
    pub(crate) fn parse(uri: &'a Uri) -> Result<Option<Self>, Error> {
        let face = uri.path().strip_prefix("/avatar/");
        if let Some((instance, Some(jid))) = face.map(|face| query::split_once(face, b'/'))
            && let jid = jid.strip_suffix('/').unwrap_or(jid)
            && memchr(b'/', jid.as_bytes()).is_none()
        {
            let url = AvatarUrl::parse(instance, jid, uri.query().unwrap_or_default())?;
            return Ok(Some(Route::Avatar(url)));
        }
        if let Some(instance) = uri.path().strip_prefix(LIVE)
            && !instance.is_empty()
            && !instance.contains('/')
        {
            let url = LiveUrl::parse(instance, uri.query().unwrap_or_default())?;
            return Ok(Some(Route::Live(url)));
        }
        Ok(match uri.path() {
            "/" => Some(Route::Home),
            "/faceplate.js" => Some(Route::Script),
            "/openapi.json" => Some(Route::OpenApi),
            _ => None,
        })
    }
}

impl<'a> LiveUrl<'a> {
    fn parse(instance: &'a str, query: &'a str) -> Result<Self, Error> {
        let mut last_event_id = None;
        for (name, value) in query::pairs(query) {
            if name == LAST_EVENT_ID {
                last_event_id.get_or_insert(value);
            }
        }
        Ok(Self {
            instance: query::segment(instance).map_err(|_| Error::Encoding)?,
            signature: Parameters::parse(query).signature,
            last_event_id,
        })
    }
}

impl<'a> AvatarUrl<'a> {
    fn parse(instance: &'a str, jid: &'a str, query: &'a str) -> Result<Self, Error> {
        let segment = |text| query::segment(text).map_err(|_| Error::Encoding);
        let name = segment(jid)?;
        let (jid, extension) = view::split_extension(&name);
        let subject = jid.parse().map_err(Error::Jid)?;
        let instance = segment(instance)?;
        let parameters = Parameters::parse(query);
        let mut view = parameters.view(extension.unwrap_or_default());
        let wait = read("wait", &parameters.wait, view::seconds, &mut view.ignored);
        Ok(Self {
            instance,
            subject,
            view,
            wait,
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
                "initials" => &mut parameters.initials,
                "background" => &mut parameters.background,
                "color" => &mut parameters.color,
                "rounded" => &mut parameters.rounded,
                "length" => &mut parameters.length,
                "bold" => &mut parameters.bold,
                "refresh" => &mut parameters.refresh,
                "wait" => &mut parameters.wait,
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

    /// How the face is to look. An image is worth more than an error about its look, so an unknown value
    /// means the default. `format` is the one that the path names.
    fn view(&self, format: RequestedFormat) -> View {
        let mut ignored = Vec::new();
        let mut is_flagged = |name, value| read(name, value, view::flag, &mut ignored);
        let force_default = is_flagged("f", &self.force_default).unwrap_or_default();
        let rounded = is_flagged("rounded", &self.rounded).unwrap_or_default();
        let bold = is_flagged("bold", &self.bold).unwrap_or_default();
        let without_picture = read("d", &self.default, view::without_picture, &mut ignored);
        let background = read(
            "background",
            &self.background,
            view::background,
            &mut ignored,
        );
        let single = read("length", &self.length, view::is_single, &mut ignored);
        View {
            size: read("s", &self.size, view::size, &mut ignored),
            without_picture: without_picture.unwrap_or_default(),
            force_default,
            name: self.name.as_deref().map(Box::from),
            initials: self.initials.as_deref().map(Box::from),
            look: PlaceholderLook {
                background: background.and_then(view::Background::color),
                foreground: read("color", &self.color, view::color, &mut ignored),
                rounded,
                single: single.unwrap_or_default(),
                bold,
            },
            format: read("format", &self.format, view::format, &mut ignored).unwrap_or(format),
            ignored,
        }
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

/// The value of the parameter `name`; `None` if it is missing, empty or unknown. The last adds it to
/// `ignored`.
fn read<T>(
    name: &'static str,
    value: &Option<Cow<'_, str>>,
    parse: fn(&str) -> Option<T>,
    ignored: &mut Vec<&'static str>,
) -> Option<T> {
    let value = value.as_deref().filter(|value| !value.is_empty())?;
    let parsed = parse(value);
    if parsed.is_none() {
        ignored.push(name);
    }
    parsed
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
            ("55.5", 64),
            ("800", 640),
            ("99999", 640),
            ("0", 32),
            ("-1", 32),
        ] {
            with_url(&format!("/avatar/a/1?s={asked}"), |url| {
                assert_eq!(url.view.size, Some(served));
            });
        }
        for unknown in ["x", "", "undefined", "NaN", "inf"] {
            with_url(&format!("/avatar/a/1?s={unknown}"), |url| {
                assert_eq!(url.view.size, None, "{unknown}");
            });
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
    fn unknown_values_of_a_face_s_look_are_ignored_and_named() {
        for (query, name) in [
            ("d=https://example.com/x.png", "d"),
            ("f=maybe", "f"),
            ("format=bmp", "format"),
            ("background=blue", "background"),
            ("color=12345", "color"),
            ("rounded=round", "rounded"),
            ("length=3", "length"),
            ("bold=very", "bold"),
            ("size=undefined", "s"),
        ] {
            with_url(&format!("/avatar/a/1?{query}"), |url| {
                let expected = View {
                    ignored: vec![name],
                    ..View::default()
                };
                assert_eq!(url.view, expected, "{query}");
            });
        }
        assert!(is_refused("/avatar/a/1?refresh=now"));
    }

    #[test]
    fn other_spellings_of_a_face_s_look_are_understood() {
        for (query, plain) in [
            ("d=mm", "d=mp"),
            ("d=retro", "d=identicon"),
            ("d=monsterid", "d=identicon"),
            ("d=robohash", "d=identicon"),
            ("d=wavatar", "d=identicon"),
            ("default=IDENTICON", "d=identicon"),
            ("format=jpg", "format=jpeg"),
            ("format=JPEG", "format=jpeg"),
            ("f=Y", "f=y"),
            ("d=&s=&f=&format=&color=", ""),
        ] {
            with_url(&format!("/avatar/a/1?{query}"), |url| {
                with_url(&format!("/avatar/a/1?{plain}"), |expected| {
                    assert_eq!(url.view, expected.view, "{query}");
                });
            });
        }
    }

    #[test]
    fn an_extension_is_a_format_and_a_final_slash_means_nothing() {
        for (path, query) in [
            ("628123@c.us.jpg", "format=jpeg"),
            ("628123@c.us.JPEG", "format=jpeg"),
            ("+628123.png", "format=png"),
            ("628123%40c.us.webp", "format=webp"),
            ("628123@c.us/", ""),
        ] {
            with_url(&format!("/avatar/a/{path}"), |url| {
                assert_eq!(url.subject.as_str(), "628123@c.us", "{path}");
                with_url(&format!("/avatar/a/628123?{query}"), |expected| {
                    assert_eq!(url.view, expected.view, "{path}");
                });
            });
        }
        with_url("/avatar/a/me.jpg?format=png", |url| {
            assert_eq!(url.subject, Subject::Me);
            assert_eq!(
                url.view.format,
                RequestedFormat::Format(crate::images::Format::Png)
            );
        });
        assert!(is_refused("/avatar/a/628123@c.us.bmp"));
    }

    /// Every parameter that is read, in the order of the document.
    fn all_read<'a>(parameters: &'a Parameters<'_>) -> [Option<&'a str>; 17] {
        // All fields are named here, so that a new one does not compile until it is documented.
        let Parameters {
            size,
            default,
            force_default,
            name,
            initials,
            background,
            color,
            rounded,
            length,
            bold,
            refresh,
            wait,
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
            initials,
            background,
            color,
            rounded,
            length,
            bold,
            refresh,
            wait,
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
            "/avatar/a/1//",
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
