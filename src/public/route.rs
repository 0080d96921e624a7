//! Paths and queries. Behind this, no string is a path any more.

use std::{borrow::Cow, iter};

use http::Uri;
use memchr::{memchr, memchr2};
use percent_encoding::percent_decode_str;

use crate::{
    avatar::Subject,
    compat::Call,
    http::problem::Problem,
    images::{Color, Format, PlaceholderLook, PlaceholderStyle},
    representation::variant::Asked,
};

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// `/`
    Home,
    /// `/openapi.json`
    OpenApi,
    /// `/avatar/{instance}/{jid}`
    Avatar(Wanted<'a>),
    /// A call as a vendor has it.
    Vendor(Call<'a>),
}

/// One face, as asked for in a URL.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) instance: Cow<'a, str>,
    pub(crate) subject: Subject,
    pub(crate) view: View<'a>,
    pub(crate) refresh: bool,
    pub(crate) ticket: RawTicket<'a>,
}

/// How the face is to look.
#[derive(Debug, Default)]
pub(crate) struct View<'a> {
    /// The edge in pixels, snapped to the ladder.
    pub(crate) size: Option<u16>,
    pub(crate) default: Fallback,
    pub(crate) force_default: bool,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) look: PlaceholderLook,
    pub(crate) format: Asked,
}

/// What to answer without a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    Draw(PlaceholderStyle),
    /// No image, but 404.
    NotFound,
}

/// The signature's parts as they stand in the query.
#[derive(Debug, Default)]
pub(crate) struct RawTicket<'a> {
    pub(crate) exp: Option<Cow<'a, str>>,
    pub(crate) sig: Option<Cow<'a, str>>,
    pub(crate) grant: Option<Cow<'a, str>>,
    pub(crate) scope: Option<Cow<'a, str>>,
}

/// The parameters of a face's URL.
#[derive(Clone, Copy)]
enum Parameter {
    Size,
    Default,
    ForceDefault,
    Name,
    Background,
    Color,
    Rounded,
    Length,
    Bold,
    Refresh,
    Format,
    Exp,
    Sig,
    Grant,
    Scope,
}

/// The sizes that exist: any other is snapped up, so that nobody can ask for a thousand variants.
const LADDER: [u16; 10] = [32, 48, 64, 96, 128, 192, 256, 320, 480, 640];

// === impl Route ===

impl<'a> Route<'a> {
    /// The longest path and query in bytes; nginx draws its line there too.
    const LONGEST: usize = 8192;

    pub(crate) fn parse(uri: &'a Uri) -> Result<Self, Problem> {
        if uri.path().len() + uri.query().map_or(0, str::len) > Self::LONGEST {
            return Err(Problem::TooLong);
        }
        let avatar = uri.path().strip_prefix("/avatar/");
        if let Some((instance, jid)) = avatar.and_then(|face| split_once(face, b'/'))
            && memchr(b'/', jid.as_bytes()).is_none()
        {
            let subject = decoded(jid)?.parse().map_err(Problem::Jid)?;
            let mut wanted = Wanted {
                instance: decoded(instance)?,
                subject,
                view: View::default(),
                refresh: false,
                ticket: RawTicket::default(),
            };
            wanted.read_query(uri.query().unwrap_or_default())?;
            return Ok(Route::Avatar(wanted));
        }
        match uri.path() {
            "/" => Ok(Route::Home),
            "/openapi.json" => Ok(Route::OpenApi),
            _ => Call::read(uri).map(Route::Vendor).ok_or(Problem::NoRoute),
        }
    }
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// Reads the parameters; the first of a name counts. Unknown ones are the caller's business.
    fn read_query(&mut self, query: &'a str) -> Result<(), Problem> {
        let mut seen = 0;
        for (name, value) in pairs(query) {
            let Some(parameter) = Parameter::of(&name) else {
                continue;
            };
            let bit = 1_u16 << parameter as u16;
            if seen & bit != 0 {
                continue;
            }
            seen |= bit;
            match parameter {
                Parameter::Size => self.view.size = Some(size(&value)?),
                Parameter::Default => self.view.default = fallback(&value)?,
                Parameter::ForceDefault => {
                    self.view.force_default = flag(&value, &["y", "yes", "true", "1"])
                        .ok_or(Problem::Parameter("f", "write f=y or leave it out"))?;
                }
                Parameter::Name => self.view.name = Some(value),
                Parameter::Background => {
                    self.view.look.background = match value.as_ref() {
                        // The face's own, as it is without.
                        "random" => None,
                        value => Some(color("background", value)?),
                    };
                }
                Parameter::Color => self.view.look.foreground = Some(color("color", &value)?),
                Parameter::Rounded => self.view.look.rounded = yes("rounded", &value)?,
                Parameter::Bold => self.view.look.bold = yes("bold", &value)?,
                Parameter::Length => {
                    self.view.look.single = match value.as_ref() {
                        "1" => true,
                        "2" => false,
                        _ => return Err(Problem::Parameter("length", "write 1 or 2 initials")),
                    };
                }
                Parameter::Refresh => {
                    self.refresh = flag(&value, &["true", "1"]).ok_or(Problem::Parameter(
                        "refresh",
                        "write refresh=true or leave it out",
                    ))?;
                }
                Parameter::Format => self.view.format = format(&value)?,
                Parameter::Exp => self.ticket.exp = Some(value),
                Parameter::Sig => self.ticket.sig = Some(value),
                Parameter::Grant => self.ticket.grant = Some(value),
                Parameter::Scope => self.ticket.scope = Some(value),
            }
        }
        Ok(())
    }
}

impl Parameter {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "s" | "size" => Parameter::Size,
            "d" | "default" => Parameter::Default,
            "f" | "forcedefault" => Parameter::ForceDefault,
            "name" => Parameter::Name,
            "background" => Parameter::Background,
            "color" => Parameter::Color,
            "rounded" => Parameter::Rounded,
            "length" => Parameter::Length,
            "bold" => Parameter::Bold,
            "refresh" => Parameter::Refresh,
            "format" => Parameter::Format,
            "exp" => Parameter::Exp,
            "sig" => Parameter::Sig,
            "grant" => Parameter::Grant,
            "scope" => Parameter::Scope,
            _ => return None,
        })
    }
}

impl Default for Fallback {
    fn default() -> Self {
        Fallback::Draw(PlaceholderStyle::Initials)
    }
}

fn decoded(segment: &str) -> Result<Cow<'_, str>, Problem> {
    if memchr(b'%', segment.as_bytes()).is_none() {
        return Ok(segment.into());
    }
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Problem::Encoding)
}

/// The pairs of a query, as forms encode them. Nearly none of ours is encoded, and that is seen at once.
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let is_encoded = memchr2(b'%', b'+', query.as_bytes()).is_some();
    let decoded = move |text| match is_encoded {
        true => form_decoded(text),
        false => Cow::Borrowed(text),
    };
    let mut rest = query;
    let pairs = iter::from_fn(move || {
        let (pair, after) = split_once(rest, b'&').unwrap_or((rest, ""));
        let is_over = rest.is_empty();
        rest = after;
        (!is_over).then_some(pair)
    });
    let pairs = pairs.filter(|pair| !pair.is_empty());
    pairs.map(move |pair| {
        let (name, value) = split_once(pair, b'=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// What stands before and behind the first `delimiter`, which is in ASCII.
fn split_once(text: &str, delimiter: u8) -> Option<(&str, &str)> {
    let at = memchr(delimiter, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

fn form_decoded(text: &str) -> Cow<'_, str> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
    decoded.into_owned().into()
}

fn size(value: &str) -> Result<u16, Problem> {
    let wrong = Problem::Parameter("s", "write a whole number of pixels from 1 to 640");
    let pixels: u16 = value.parse().map_err(|_| wrong)?;
    LADDER
        .into_iter()
        .find(|rung| pixels >= 1 && *rung >= pixels)
        .ok_or(wrong)
}

fn fallback(value: &str) -> Result<Fallback, Problem> {
    Ok(match value {
        "initials" => Fallback::Draw(PlaceholderStyle::Initials),
        "mp" => Fallback::Draw(PlaceholderStyle::Mp),
        "identicon" => Fallback::Draw(PlaceholderStyle::Identicon),
        "blank" => Fallback::Draw(PlaceholderStyle::Blank),
        "404" => Fallback::NotFound,
        _ => {
            return Err(Problem::Parameter(
                "d",
                "write one of initials, mp, identicon, blank, 404",
            ));
        }
    })
}

fn format(value: &str) -> Result<Asked, Problem> {
    Ok(match value {
        "auto" => Asked::Auto,
        "jpeg" => Asked::Format(Format::Jpeg),
        "png" => Asked::Format(Format::Png),
        "webp" => Asked::Format(Format::Webp),
        "avif" => Asked::Format(Format::Avif),
        "svg" => Asked::Svg,
        _ => {
            return Err(Problem::Parameter(
                "format",
                "write one of auto, jpeg, png, webp, avif, svg",
            ));
        }
    })
}

fn color(name: &'static str, value: &str) -> Result<Color, Problem> {
    let remedy = "write a color as RRGGBB or RGB in hexadecimal";
    value.parse().map_err(|()| Problem::Parameter(name, remedy))
}

fn yes(name: &'static str, value: &str) -> Result<bool, Problem> {
    let remedy = "write true or leave it out";
    flag(value, &["y", "yes", "true", "1"]).ok_or(Problem::Parameter(name, remedy))
}

fn flag(value: &str, yes: &[&str]) -> Option<bool> {
    if yes.contains(&value) {
        Some(true)
    } else {
        matches!(value, "" | "n" | "no" | "false" | "0").then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    fn wanted(text: &str, check: impl FnOnce(Wanted<'_>)) {
        let uri: Uri = text.parse().unwrap();
        match Route::parse(&uri) {
            Ok(Route::Avatar(wanted)) => check(wanted),
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
            wanted(path, |wanted| {
                assert_eq!(wanted.subject.as_str(), "628123@c.us")
            });
        }
        wanted("/avatar/sales/me", |wanted| {
            assert_eq!(wanted.subject, Subject::Me)
        });
    }

    #[test]
    fn sizes_snap_up_the_ladder() {
        for (asked, served) in [
            ("1", 32),
            ("32", 32),
            ("33", 48),
            ("100", 128),
            ("640", 640),
        ] {
            wanted(&format!("/avatar/a/1?s={asked}"), |wanted| {
                assert_eq!(wanted.view.size, Some(served));
            });
        }
        for bad in ["0", "641", "-1", "x", "", "99999"] {
            assert!(is_refused(&format!("/avatar/a/1?s={bad}")), "{bad}");
        }
    }

    #[test]
    fn a_thousand_sizes_are_ten_variants() {
        let served: std::collections::BTreeSet<_> = (1..=640)
            .filter_map(|n| size(&n.to_string()).ok())
            .collect();
        assert_eq!(served.len(), 10);
    }

    #[test]
    fn the_first_of_a_repeated_parameter_counts_and_unknown_ones_do_not() {
        wanted("/avatar/a/1?d=mp&d=blank&_cb=17", |wanted| {
            assert_eq!(wanted.view.default, Fallback::Draw(PlaceholderStyle::Mp));
        });
    }

    #[test]
    fn parameters_with_values_that_do_not_exist_are_refused() {
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

    #[test]
    fn other_paths_are_no_route() {
        for path in [
            "/avatar",
            "/avatar/a",
            "/avatar/a/1/x",
            "/avatar/a/1/",
            "/x",
            "//",
        ] {
            assert!(is_refused(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_query_is_read_as_forms_write_it(query in "([a-c=&+ %é]|%[0-9a-fA-F]{2}){0,24}") {
            let theirs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            prop_assert_eq!(pairs(&query).collect::<Vec<_>>(), theirs);
        }

        #[test]
        fn no_url_makes_it_panic(text in "/[!-~]{0,80}") {
            if let Ok(uri) = text.parse::<Uri>() {
                let _ = Route::parse(&uri);
            }
        }
    }
}
