//! The parts of OpenAPI 3.1 documents that do not depend on a service. Each service describes its routes with
//! them: response schemas come from the types that are serialized, and error responses from the same
//! [`Problem`]s that are sent.

use http::{HeaderName, StatusCode, header};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        Components, Content, Header, HttpMethod, Info, License, Object, OpenApi, Paths, Ref, RefOr,
        Required, Response, Schema, SecurityRequirement,
        content::ContentBuilder,
        header::HeaderBuilder,
        path::{self, Parameter, ParameterBuilder, ParameterIn, PathItem},
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
        security::SecurityScheme,
    },
};

use super::problem::{Members, Problem};

/// A document while its routes are added.
#[derive(Default)]
pub(crate) struct Document {
    paths: Paths,
    components: Components,
}

/// The description of one method of one route.
#[derive(Clone, Default)]
pub(crate) struct Operation {
    operation: path::Operation,
    /// The schemas that the responses refer to, by name.
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Document {
    /// Adds an operation.
    pub(crate) fn add(&mut self, path: &str, method: HttpMethod, operation: Operation) {
        for (name, mut schema) in operation.schemas {
            require_all(&mut schema);
            self.components.schemas.insert(name, schema);
        }
        let item = PathItem::new(method, operation.operation);
        self.paths
            .paths
            .entry(path.to_owned())
            .or_default()
            .merge_operations(item);
    }

    /// Adds a way for clients to show who they are, for [`Operation::security`].
    pub(crate) fn add_security_scheme(&mut self, name: &str, scheme: impl Into<SecurityScheme>) {
        self.components.add_security_scheme(name, scheme);
    }

    /// Whether a route has this method already, its parameters by any name.
    pub(crate) fn has(&self, path: &str, method: &HttpMethod) -> bool {
        let shape = shape(path);
        let mut items = self.paths.paths.iter();
        items.any(|(known, item)| {
            let operation = match method {
                HttpMethod::Post => &item.post,
                _ => &item.get,
            };
            operation.is_some() && self::shape(known) == shape
        })
    }

    /// The document as JSON.
    pub(crate) fn finish(self, title: &str, description: &str) -> String {
        let mut info = Info::new(title, env!("CARGO_PKG_VERSION"));
        info.description = Some(description.to_owned());
        let mut license = License::new(env!("CARGO_PKG_LICENSE"));
        license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
        info.license = Some(license);
        let mut document = OpenApi::new(info, self.paths);
        document.components = Some(self.components);
        // A document of strings and numbers cannot fail to serialize.
        document.to_pretty_json().unwrap_or_default()
    }
}

impl Operation {
    /// An operation with a unique name.
    pub(crate) fn new(id: &str, summary: &str) -> Self {
        let mut new = Self::default();
        new.operation.operation_id = Some(id.to_owned());
        new.operation.summary = Some(summary.to_owned());
        new
    }

    /// Adds a parameter.
    pub(crate) fn parameter(mut self, parameter: Parameter) -> Self {
        let parameters = &mut self.operation.parameters;
        parameters.get_or_insert_default().push(parameter);
        self
    }

    /// Adds the request's body.
    pub(crate) fn body(
        mut self,
        about: &str,
        media: &str,
        schema: Object,
        is_required: bool,
    ) -> Self {
        let required = if is_required {
            Required::True
        } else {
            Required::False
        };
        let body = RequestBodyBuilder::new()
            .description(Some(about))
            .content(media, content(schema))
            .required(Some(required));
        self.operation.request_body = Some(body.build());
        self
    }

    /// Adds the ways to get access, each enough by itself. An empty name is access without credentials.
    pub(crate) fn security(mut self, names: &[&str]) -> Self {
        let requirements = names.iter().map(|name| match *name {
            "" => SecurityRequirement::default(),
            name => SecurityRequirement::new(name, [""; 0]),
        });
        self.operation.security = Some(requirements.collect());
        self
    }

    /// Adds the ways to get access: each is a set of credentials that are needed together.
    pub(crate) fn any_of(mut self, sets: impl IntoIterator<Item = Vec<String>>) -> Self {
        let requirements = sets.into_iter().map(|names| {
            let none = SecurityRequirement::default();
            let names = names.into_iter();
            names.fold(none, |all, name| all.add(name, [""; 0]))
        });
        self.operation.security = Some(requirements.collect());
        self
    }

    /// Adds a response without a body.
    pub(crate) fn empty(mut self, status: StatusCode, about: &str) -> Self {
        self.response(status, about);
        self
    }

    /// Adds a response with a body of each of the media types. A description that it has already is not repeated.
    pub(crate) fn media_once(mut self, status: StatusCode, about: &str, media: &[&str]) -> Self {
        let is_known = self.response(status, "").description.contains(about);
        self.media(status, if is_known { "" } else { about }, media)
    }

    /// Adds a response with a body of each of the media types.
    pub(crate) fn media(mut self, status: StatusCode, about: &str, media: &[&str]) -> Self {
        let response = self.response(status, about);
        for media in media {
            let schema = match media.strip_prefix("image/") {
                Some(_) => text().content_media_type(*media).build(),
                None if media.ends_with("json") => Object::with_type(Type::Object),
                // Programs that know it read its events, and others its text.
                None if *media == "text/event-stream" => Object::with_type(SchemaType::AnyValue),
                None => text().build(),
            };
            response
                .content
                .insert((*media).to_owned(), content(schema));
        }
        self
    }

    /// Adds a response with a `T` as JSON.
    pub(crate) fn json<T: ToSchema>(mut self, status: StatusCode, about: &str) -> Self {
        let schema = self.reference::<T>();
        self.json_of(status, about, schema)
    }

    /// Adds a response with a list of `T` as JSON.
    pub(crate) fn json_list<T: ToSchema>(mut self, status: StatusCode, about: &str) -> Self {
        let schema = ArrayBuilder::new().items(self.reference::<T>());
        self.json_of(status, about, schema)
    }

    fn json_of(
        mut self,
        status: StatusCode,
        about: &str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = self.response(status, about);
        response
            .content
            .insert("application/json".to_owned(), content);
        self
    }

    /// Adds a header to a response.
    pub(crate) fn header(
        mut self,
        status: StatusCode,
        name: &str,
        about: &str,
        schema: Object,
    ) -> Self {
        let header = HeaderBuilder::new().schema(schema).description(Some(about));
        let response = self.response(status, "");
        response.headers.insert(name.to_owned(), header.build());
        self
    }

    /// Adds the responses of errors: their statuses, types and headers are the problems' own.
    pub(crate) fn problems<P: Into<Problem>>(
        mut self,
        problems: impl IntoIterator<Item = P>,
    ) -> Self {
        for problem in problems {
            self.problem(&problem.into());
        }
        self
    }

    /// The same operation without bodies, for HEAD.
    pub(crate) fn without_bodies(mut self) -> Self {
        for response in self.operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                response.content.clear();
            }
        }
        self
    }

    fn problem(&mut self, problem: &Problem) {
        let schema = self.reference::<Members>();
        let about = format!("`{}`: {}", problem.kind(), problem.title());
        let response = self.response(problem.status(), &about);
        let content = ContentBuilder::new().schema(Some(schema)).build();
        response
            .content
            .insert("application/problem+json".to_owned(), content);
        if let Some(name) = problem.header_name() {
            let (name, header) = describe_header(name);
            response.headers.insert(name, header);
        }
    }

    /// The response with this status. Several descriptions of one status are joined.
    fn response(&mut self, status: StatusCode, about: &str) -> &mut Response {
        let responses = &mut self.operation.responses.responses;
        let response = responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| RefOr::T(Response::default()));
        if let RefOr::Ref(_) = response {
            *response = RefOr::T(Response::default());
        }
        let RefOr::T(response) = response else {
            unreachable!("a reference was replaced above")
        };
        if !response.description.is_empty() && !about.is_empty() {
            response.description.push_str("; ");
        }
        response.description.push_str(about);
        response
    }

    fn reference<T: ToSchema>(&mut self) -> Ref {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name())
    }
}

/// A path without the names of its parameters.
pub(crate) fn shape(path: &str) -> String {
    let parts = path.split('{').map(|part| match part.split_once('}') {
        Some((_, after)) => after,
        None => part,
    });
    parts.collect::<Vec<_>>().join("{}")
}

/// A parameter. All parameters of paths are required, and those of queries are optional.
pub(crate) fn parameter(
    place: ParameterIn,
    name: &str,
    about: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    let required = match place {
        ParameterIn::Path => Required::True,
        _ => Required::False,
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

/// The same parameter, required.
pub(crate) fn required(mut parameter: Parameter) -> Parameter {
    parameter.required = Required::True;
    parameter
}

/// The schema of a string.
pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The schema of a string that matches a regular expression.
pub(crate) fn pattern(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

/// The schema of a string that is one of `values`.
pub(crate) fn choice<'a>(values: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    let values = values.into_iter().map(Value::from);
    text().enum_values(Some(values.collect::<Vec<_>>()))
}

/// The schema of a whole number.
pub(crate) fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn content(schema: Object) -> Content {
    let schema = Schema::Object(schema);
    ContentBuilder::new().schema(Some(schema)).build()
}

/// The headers that statuses of problems require.
fn describe_header(name: &HeaderName) -> (String, Header) {
    let (name, about, schema) = match *name {
        header::ALLOW => ("Allow", "The methods of this route.", text()),
        header::RETRY_AFTER => ("Retry-After", "The seconds to wait.", integer()),
        header::WWW_AUTHENTICATE => ("WWW-Authenticate", "The credentials to send.", text()),
        _ => (name.as_str(), "", text()),
    };
    let header = HeaderBuilder::new()
        .schema(schema.build())
        .description(Some(about));
    (name.to_owned(), header.build())
}

/// Marks all members of an object as required: the records write a missing value as `null`, and the
/// derived schema would let it be left out.
fn require_all(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && object.schema_type == SchemaType::from(Type::Object)
    {
        object.required = object.properties.keys().cloned().collect();
    }
}
