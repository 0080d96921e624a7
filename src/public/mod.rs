//! The public service: faces by URL.

mod access;
mod avatar;
pub(crate) mod route;

pub use access::{Access, Mode};
pub(crate) use access::{has_bearer, has_token, is_of_another_site, names_us};
pub(crate) use avatar::respond;

/// The faces' routes in OpenAPI 3.1.
pub(crate) const API: &str = include_str!("openapi.json");
