//! An operator's own description whose answers make it a drop-in route, as `docs/providers.md` says.

use serde_json::{Value, json};

use crate::wire::{Server, picture, response};

/// The first and the second block of TOML of the page, which are one description.
fn description() -> String {
    let page = include_str!("../../../docs/providers.md");
    let mut blocks = page.split("```toml").skip(1);
    let mut block = || {
        let block = blocks.next().unwrap();
        let lines = block.split("```").next().unwrap().lines();
        lines
            .map(|line| line.strip_prefix("   ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (first, second) = (block(), block());
    format!("{first}\n{second}")
}

#[tokio::test]
async fn a_gateway_of_one_s_own_is_a_drop_in_route_as_the_page_says() {
    let server = Server::start(|server, received| {
        let head = received.head;
        if head.starts_with("GET /picture.jpg") {
            return Some(response("200 OK", "", &picture()));
        }
        assert!(
            head.starts_with("GET /v1/accounts/shop/photo?of=62"),
            "{head}"
        );
        let link = match head.contains("of=628100000001") {
            true => json!(format!("http://{server}/picture.jpg")),
            false => Value::Null,
        };
        let body = json!({ "ok": true, "photo": { "href": link } });
        Some(response("200 OK", "", body.to_string().as_bytes()))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("acme.toml"), description()).unwrap();
    let rig = server
        .settings()
        .section(
            "providers",
            &format!("dir = \"{}\"", directory.path().display()),
        )
        .named("mine", "acme")
        .only("mine", &format!("base_url = \"http://{}\"", server.address))
        .only("mine", &format!("picture_hosts = [\"{}\"]", server.address))
        .start()
        .await;
    let token = rig.vendors().token().to_owned();
    let ask = async |number: &str, account: &str, token: &str| {
        let path = format!("/v1/accounts/{account}/photo?of={number}");
        let answer = rig.ask("GET", &path, &[("x-key", token)]).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status.as_u16(), body)
    };
    let link = format!("http://{}/avatar/mine/628100000001@c.us", rig.address());
    for (number, account, key, status, expected) in [
        (
            "628100000001",
            "shop",
            token.as_str(),
            200,
            json!({ "ok": true, "photo": { "href": link } }),
        ),
        (
            "628100000002",
            "shop",
            &token,
            200,
            json!({ "ok": true, "photo": { "href": null } }),
        ),
        (
            "nobody",
            "shop",
            &token,
            400,
            json!({ "ok": false, "error": "Bad Request" }),
        ),
        (
            "628100000001",
            "shop",
            "wrong",
            401,
            json!({ "ok": false, "error": "Unauthorized" }),
        ),
        (
            "628100000001",
            "else",
            &token,
            404,
            json!({ "ok": false, "error": "Not Found" }),
        ),
    ] {
        assert_eq!(
            ask(number, account, key).await,
            (status, expected),
            "{number} {account}"
        );
    }
}
