//! `docs/http.md` is written from the OpenAPI documents of the listeners. After a change of a route,
//! `FACEPLATE_WRITE_DOCS=1 cargo test --test it http_docs::` writes the page again.

use std::fmt::Write;

use serde_json::Value;

use crate::support::{Answer, docs, rig::Settings};

const INTRODUCTION: &str = "\
# HTTP interface

For developers, and for operators who ask the admin listener with programs of their own.

This page is written from the OpenAPI 3.1 documents that all listeners serve at `/openapi.json`. These documents are
made from the program's types and routes.

* **Errors** have a body of type `application/problem+json` (RFC 9457). `type` is `urn:faceplate:problem:` and the name
  in the tables below, `title` states the error, `detail` the remedy.
* **HEAD** is answered like GET, without the body.
* [Sizes, formats and placeholders](images.md) explains the images, [How to sign avatar URLs](signing.md) the signature,
  and [Drop-in vendor routes](dropin.md) the vendors' own picture calls.
";

#[tokio::test]
async fn the_page_about_the_http_interface_is_what_the_openapi_documents_say() {
    let settings = Settings::default().section("hooks", "listen = \"127.0.0.1:0\"");
    let rig = settings.every_gateway().start().await;
    let mut page = INTRODUCTION.to_owned();
    for (title, address) in [
        ("The public listener", rig.address()),
        ("The admin listener", rig.admin()),
        ("The listener for webhooks", rig.hooks()),
    ] {
        let answer = Answer::to(&address, "GET", "/openapi.json", &[]).await;
        let document: Value = serde_json::from_slice(&answer.body).unwrap();
        let about = text(&document["info"]["description"]);
        let _ = write!(page, "\n## {title}\n\n{about}\n");
        if document["components"]["securitySchemes"].is_object() {
            describe_credentials(&document, &mut page);
        }
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                // HEAD has the responses of GET.
                if method != "head" {
                    describe(
                        &format!("{} {path}", method.to_uppercase()),
                        operation,
                        &mut page,
                    );
                }
            }
        }
        describe_records(&document, &mut page);
    }
    docs::assert_current("http.md", &page);
}

fn describe_credentials(document: &Value, page: &mut String) {
    page.push_str("\n| credential | place | meaning |\n| --- | --- | --- |\n");
    for (name, scheme) in members(&document["components"]["securitySchemes"]) {
        let place = match text(&scheme["type"]) {
            "http" if text(&scheme["scheme"]) == "basic" => {
                "header `Authorization: Basic`".to_owned()
            }
            "http" => "header `Authorization: Bearer`".to_owned(),
            _ => format!("{} `{}`", text(&scheme["in"]), text(&scheme["name"])),
        };
        row(
            page,
            &[&format!("`{name}`"), &place, text(&scheme["description"])],
        );
    }
}

fn describe(route: &str, operation: &Value, page: &mut String) {
    let _ = write!(page, "\n### `{route}`\n\n{}.", text(&operation["summary"]));
    let requirements = operation["security"].as_array().unwrap();
    let credentials: Vec<_> = requirements
        .iter()
        .map(|requirement| match members(requirement).next() {
            Some((name, _)) => format!("`{name}`"),
            None => "none".to_owned(),
        })
        .collect();
    let _ = write!(page, " Credentials: {}.\n\n", credentials.join(" or "));
    if let Some(body) = operation.get("requestBody") {
        let media = media(body);
        let _ = write!(page, "Body ({media}): {}\n\n", text(&body["description"]));
    }
    let parameters = operation["parameters"].as_array();
    if let Some(parameters) = parameters {
        page.push_str("| parameter | in | values | meaning |\n| --- | --- | --- | --- |\n");
        for parameter in parameters {
            let place = match parameter["required"].as_bool() {
                Some(true) if parameter["in"] == "query" => "query, required",
                _ => text(&parameter["in"]),
            };
            row(
                page,
                &[
                    &format!("`{}`", text(&parameter["name"])),
                    place,
                    &kind(&parameter["schema"]),
                    text(&parameter["description"]),
                ],
            );
        }
        page.push('\n');
    }
    page.push_str("| status | body | meaning |\n| --- | --- | --- |\n");
    for (status, response) in members(&operation["responses"]) {
        row(
            page,
            &[status, &media(response), text(&response["description"])],
        );
    }
    let with_headers = members(&operation["responses"]).filter_map(|(status, response)| {
        let headers = response.get("headers")?;
        // These two are about the error, and the same on each route.
        (!matches!(status, "401" | "405")).then_some((status, headers))
    });
    let mut lines = String::new();
    for (status, headers) in with_headers {
        for (name, header) in members(headers) {
            row(
                &mut lines,
                &[status, &format!("`{name}`"), text(&header["description"])],
            );
        }
    }
    if !lines.is_empty() {
        let _ = write!(
            page,
            "\n| status | header | meaning |\n| --- | --- | --- |\n{lines}"
        );
    }
}

fn describe_records(document: &Value, page: &mut String) {
    for (name, schema) in members(&document["components"]["schemas"]) {
        let about = text(&schema["description"]);
        let _ = write!(page, "\n### {name}\n\n{about}\n\n");
        if schema.get("properties").is_none() {
            let _ = writeln!(page, "Values: {}", kind(schema));
            continue;
        }
        page.push_str("| member | type | meaning |\n| --- | --- | --- |\n");
        for (member, schema) in members(&schema["properties"]) {
            row(
                page,
                &[
                    &format!("`{member}`"),
                    &kind(schema),
                    text(&schema["description"]),
                ],
            );
        }
    }
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    let list = |values: &Value, write: fn(&Value) -> String| {
        let values = values.as_array().into_iter().flatten();
        values.map(write).collect::<Vec<_>>()
    };
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap().to_owned();
    }
    if schema.get("enum").is_some() {
        return list(&schema["enum"], |value| format!("`{}`", text(value))).join(", ");
    }
    if schema.get("oneOf").is_some() {
        return list(&schema["oneOf"], kind).join(" or ");
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        return format!("{least} to {most}");
    }
    match &schema["type"] {
        Value::Array(_) => list(&schema["type"], |name| text(name).to_owned()).join(" or "),
        name if name == "array" => format!("list of {}", kind(&schema["items"])),
        name => text(name).to_owned(),
    }
}

fn media(response: &Value) -> String {
    let media: Vec<_> = members(&response["content"])
        .map(|(media, content)| match &content["schema"] {
            schema if media == "application/json" && schema["type"] != "object" => {
                format!("JSON: {}", kind(schema))
            }
            _ => format!("`{media}`"),
        })
        .collect();
    media.join(", ")
}

fn row(page: &mut String, cells: &[&str]) {
    let cells = cells
        .iter()
        .map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    let _ = writeln!(page, "| {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
