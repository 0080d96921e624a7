//! The parameters that name a face, and the images of one, in OpenAPI.

use serde_json::Value;
use utoipa::openapi::{
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::ObjectBuilder,
};

use crate::http::openapi;

/// The media types of images.
pub(crate) const IMAGES: [&str; 6] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/avif",
    "image/svg+xml",
];

const JID: &str = r"^(me|\+?[1-9][0-9]{0,14}|\+?[1-9][0-9]{0,14}([._][0-9]{1,5})?(:[0-9]{1,5})?@(c\.us|s\.whatsapp\.net)|[1-9][0-9]{0,14}-[1-9][0-9]{0,14}@g\.us|[1-9][0-9]{0,19}@(g\.us|newsletter)|[1-9][0-9]{0,19}([._][0-9]{1,5})?(:[0-9]{1,5})?@(lid|hosted|hosted\.lid|bot)|(status|[1-9][0-9]{0,19})@broadcast|0@c\.us)$";

/// `{instance}` in a path.
pub(crate) fn instance() -> Parameter {
    let about = "The name of an `[instances.NAME]` table of the configuration.";
    let parameter = openapi::parameter(ParameterIn::Path, "instance", about, instance_schema());
    with_example(parameter, "sales")
}

/// `{jid}` in a path.
pub(crate) fn jid() -> Parameter {
    let about = "A WhatsApp JID, or `me` for the connected account. `c.us` and `s.whatsapp.net` are the same, the device of a JID is ignored, and a bare number means `@c.us`.";
    let parameter = openapi::parameter(ParameterIn::Path, "jid", about, jid_schema());
    with_example(parameter, "628123@c.us")
}

/// The schema of an instance's name.
pub(crate) fn instance_schema() -> ObjectBuilder {
    openapi::pattern("^[A-Za-z0-9_-]{1,64}$")
}

/// The schema of a JID.
pub(crate) fn jid_schema() -> ObjectBuilder {
    openapi::pattern(JID)
}

fn with_example(parameter: Parameter, example: &str) -> Parameter {
    let example = Some(Value::from(example));
    ParameterBuilder::from(parameter).example(example).build()
}
