//! The picture calls in the OpenAPI document: those that are served, and no others.

use serde_json::Value;

use super::calls::calls;
use crate::support::{Answer, Rig, rig::Settings};

async fn document(rig: &Rig) -> Value {
    let answer = rig.get("/openapi.json").await;
    serde_json::from_slice(&answer.body).unwrap()
}

/// The routes of a document, as `(method, path)`.
fn routes(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    routes.collect()
}

/// Whether a path is one of a route, whose parameters have braces.
fn is_of(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len()
        && route.iter().zip(path).all(|(route, part)| {
            let begin = route.split('{').next().unwrap();
            let end = route.rsplit('}').next().unwrap();
            match begin == *route {
                true => part == *route,
                false => part.starts_with(begin) && part.ends_with(end),
            }
        })
}

#[tokio::test]
async fn the_openapi_document_has_the_picture_calls_of_all_configured_gateways_and_of_no_others() {
    let rig = Settings::default().every_gateway().start().await;
    let with_all = document(&rig).await;
    let routes_of_all = routes(&with_all);
    for call in calls() {
        let path = call.path.split('?').next().unwrap();
        let mut routes = routes_of_all.iter();
        let found = routes.find(|(method, route)| method == call.method && is_of(route, path));
        assert!(found.is_some(), "{} {path}", call.gateway);
    }
    let rig = Settings::default().more(&["evolution"]).start().await;
    let with_one = routes(&document(&rig).await);
    let path = "/chat/fetchProfilePictureUrl/{account}".to_owned();
    assert!(with_one.contains(&("POST".to_owned(), path)));
    assert!(!with_one.iter().any(|(_, path)| path == "/user/avatar"));
    let rig = Rig::start().await;
    let with_none = routes(&document(&rig).await);
    assert_eq!(with_none.len() + 1, with_one.len());
}

#[tokio::test]
async fn each_picture_call_of_the_openapi_document_is_served() {
    let rig = Settings::default().every_gateway().start().await;
    let document = document(&rig).await;
    let mut count = 0;
    for (method, path) in routes(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let responses = &operation["responses"];
        if operation["operationId"]
            .as_str()
            .is_none_or(|id| !id.contains("-picture-"))
        {
            continue;
        }
        count += 1;
        let target = path.replace(['{', '}'], "");
        let answer = Answer::to(&rig.address(), &method, &target, &[]).await;
        let status = answer.status.as_str();
        // Without a credential, that is refused as the gateway does, with a status and a type that are listed.
        let media = answer.header("content-type").split(';').next().unwrap();
        let listed = &responses[status]["content"][media];
        assert!(listed.is_object(), "{method} {path} {status} {media}");
        assert_ne!(media, "application/problem+json", "{method} {path}");
        assert!(responses["200"].is_object(), "{method} {path}");
        let other = ["DELETE", "PUT"];
        for other in other {
            let answer = Answer::to(&rig.address(), other, &target, &[]).await;
            assert_eq!(answer.status, 405, "{other} {path}");
            assert!(answer.header("allow").contains(&method), "{other} {path}");
        }
    }
    assert!(count >= 14, "{count}");
}

#[tokio::test]
async fn a_call_of_several_gateways_is_one_operation_with_the_credentials_of_each() {
    let rig = Settings::default().every_gateway().start().await;
    let document = document(&rig).await;
    let call = &document["paths"]["/user/avatar"]["post"];
    assert_eq!(
        call["summary"],
        "Shows the picture of a chat as Evolution Go and wuzapi do"
    );
    assert_eq!(
        call["security"],
        serde_json::json!([{ "header.apikey": [] }, { "header.token": [] }])
    );
    let members = &call["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert!(members["Phone"].is_object() && members["number"].is_object());
    // The one of the path is no credential for OpenAPI, but a part of the path.
    let call = &document["paths"]["/waInstance{account}/getAvatar/{token}"]["post"];
    assert_eq!(call["security"], serde_json::json!([{}]));
    let names = call["parameters"].as_array().unwrap();
    let names: Vec<_> = names
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["account", "token"]);
}
