//! The picture calls of gateways as their client libraries send them, and their replies as their sources and
//! documents show them.

use serde_json::{Value, json};

/// A gateway's picture call.
pub(super) struct GatewayCall {
    pub(super) gateway: &'static str,
    pub(super) method: &'static str,
    /// With `TOKEN` and `JID`.
    pub(super) path: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// The body with `JID`; empty for none.
    pub(super) body: &'static str,
    /// How its clients write `628100000001`.
    pub(super) jid: &'static str,
    /// Whether the call names the account.
    pub(super) names_account: bool,
    /// The reply to a picture, with `LINK`.
    pub(super) picture: Value,
    /// Whether a reply of the gateway has members beside those of ours.
    pub(super) has_more: bool,
    /// The reply to no picture.
    pub(super) none: (u16, Value),
    /// The status for a wrong credential.
    pub(super) unauthorized: u16,
}

/// The instance of each has the account `shop`; Evolution 1, whose call is Evolution 2's, has `old`.
pub(super) fn calls() -> Vec<GatewayCall> {
    const DIGITS: &str = "628100000001";
    const C_US: &str = "628100000001@c.us";
    const WHATSAPP: &str = "628100000001@s.whatsapp.net";
    let evolution = |gateway, path, headers| GatewayCall {
        gateway,
        method: "POST",
        path,
        headers,
        body: r#"{"number":"JID"}"#,
        jid: DIGITS,
        names_account: true,
        picture: json!({ "wuid": WHATSAPP, "profilePictureUrl": "LINK" }),
        has_more: false,
        none: (200, json!({ "wuid": WHATSAPP, "profilePictureUrl": null })),
        unauthorized: 401,
    };
    let whatsmeow =
        || json!({ "url": "LINK", "id": "1", "type": "image", "direct_path": "/v/", "hash": null });
    const NOT_SET: &str = "that user or group does not have a profile picture";
    vec![
        evolution(
            "evolution",
            "/chat/fetchProfilePictureUrl/shop",
            &[("apikey", "TOKEN")],
        ),
        evolution(
            "evolution-v1",
            "/chat/fetchProfilePictureUrl/old",
            &[("apikey", "TOKEN")],
        ),
        evolution(
            "codechat",
            "/chat/fetchProfilePictureUrl/shop",
            &[("authorization", "Bearer TOKEN")],
        ),
        GatewayCall {
            gateway: "wuzapi",
            method: "POST",
            path: "/user/avatar",
            headers: &[("token", "TOKEN")],
            body: r#"{"Phone":"JID","Preview":true}"#,
            jid: WHATSAPP,
            names_account: false,
            picture: json!({ "code": 200, "data": whatsmeow(), "success": true }),
            has_more: false,
            none: (
                500,
                json!({ "code": 500, "error": format!("failed to get avatar: {NOT_SET}"), "success": false }),
            ),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "wppconnect",
            method: "GET",
            path: "/api/shop/profile-pic/JID",
            headers: &[("authorization", "bearer TOKEN")],
            body: "",
            jid: DIGITS,
            names_account: true,
            picture: json!({ "status": "success", "response": { "eurl": "LINK", "id": { "_serialized": C_US }, "img": "LINK", "imgFull": "LINK", "raw": null, "tag": "1" } }),
            has_more: false,
            none: (
                200,
                json!({ "status": "success", "response": { "eurl": null, "id": { "_serialized": C_US }, "img": null, "imgFull": null, "raw": null, "tag": "1" } }),
            ),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "gowa",
            method: "GET",
            path: "/user/avatar?phone=JID&is_preview=true",
            // TOKEN is "user:password" there, in base64.
            headers: &[("authorization", "Basic BASE64"), ("x-device-id", "shop")],
            body: "",
            jid: WHATSAPP,
            names_account: true,
            picture: json!({ "code": "SUCCESS", "message": "Success get avatar", "results": { "url": "LINK", "id": "1", "type": "image" } }),
            has_more: false,
            none: (
                500,
                json!({ "status": 500, "code": "INTERNAL_SERVER_ERROR", "message": NOT_SET }),
            ),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "z-api",
            method: "GET",
            path: "/instances/shop/token/TOKEN/profile-picture?phone=JID",
            headers: &[("client-token", "a second secret")],
            body: "",
            jid: DIGITS,
            names_account: true,
            picture: json!({ "link": "LINK" }),
            has_more: false,
            none: (200, json!({ "link": null })),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "green-api",
            method: "POST",
            path: "/waInstanceshop/getAvatar/TOKEN",
            headers: &[],
            body: r#"{"chatId":"JID"}"#,
            jid: C_US,
            names_account: true,
            picture: json!({ "urlAvatar": "LINK", "available": true }),
            has_more: false,
            none: (200, json!({ "urlAvatar": "", "available": false })),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "uazapi",
            method: "POST",
            path: "/chat/details",
            headers: &[("token", "TOKEN")],
            body: r#"{"number":"JID","preview":false}"#,
            jid: DIGITS,
            names_account: false,
            picture: json!({ "wa_chatid": WHATSAPP, "name": "x", "image": "LINK", "imagePreview": "LINK" }),
            has_more: true,
            none: (200, json!({ "image": "", "imagePreview": "" })),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "wwebjs-api",
            method: "POST",
            path: "/client/getProfilePicUrl/shop",
            headers: &[("x-api-key", "TOKEN")],
            body: r#"{"contactId":"JID"}"#,
            jid: C_US,
            names_account: true,
            picture: json!({ "success": true, "result": "LINK" }),
            has_more: false,
            none: (200, json!({ "success": true })),
            unauthorized: 403,
        },
        GatewayCall {
            gateway: "evolution-go",
            method: "POST",
            path: "/user/avatar",
            headers: &[("apikey", "TOKEN")],
            body: r#"{"number":"JID","preview":false}"#,
            jid: WHATSAPP,
            names_account: false,
            picture: json!({ "message": "success", "data": whatsmeow() }),
            has_more: false,
            none: (500, json!({ "error": NOT_SET })),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "whapi",
            method: "GET",
            path: "/contacts/JID/profile",
            headers: &[("authorization", "Bearer TOKEN")],
            body: "",
            jid: DIGITS,
            names_account: false,
            picture: json!({ "name": "x", "about": "y", "icon": "LINK", "icon_full": "LINK" }),
            has_more: true,
            none: (200, json!({})),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "wasenderapi",
            method: "GET",
            path: "/api/contacts/JID/picture",
            headers: &[("authorization", "Bearer TOKEN")],
            body: "",
            jid: WHATSAPP,
            names_account: false,
            picture: json!({ "success": true, "data": { "imgUrl": "LINK" } }),
            has_more: false,
            none: (200, json!({ "success": true, "data": { "imgUrl": null } })),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "quepasa",
            method: "GET",
            path: "/picinfo/JID",
            headers: &[("x-quepasa-token", "TOKEN")],
            body: "",
            jid: WHATSAPP,
            names_account: false,
            picture: json!({ "success": true, "info": { "id": "1", "type": "image", "url": "LINK" } }),
            has_more: false,
            none: (400, json!({ "success": false, "status": NOT_SET })),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "ultramsg",
            method: "GET",
            path: "/shop/contacts/image?token=TOKEN&chatId=JID",
            headers: &[],
            body: "",
            jid: C_US,
            names_account: true,
            picture: json!({ "success": "LINK" }),
            has_more: false,
            none: (200, json!({ "error": "you don't have picture" })),
            // Its errors have this status.
            unauthorized: 200,
        },
        GatewayCall {
            gateway: "baileys-api",
            method: "GET",
            path: "/connections/shop/profile-picture-url?jid=JID&type=image",
            headers: &[("x-api-key", "TOKEN")],
            body: "",
            jid: WHATSAPP,
            names_account: true,
            picture: json!({ "data": { "jid": WHATSAPP, "profilePictureUrl": "LINK" } }),
            has_more: false,
            none: (
                200,
                json!({ "data": { "jid": WHATSAPP, "profilePictureUrl": null } }),
            ),
            unauthorized: 401,
        },
        GatewayCall {
            gateway: "openwa",
            method: "GET",
            path: "/api/sessions/shop/contacts/JID/profile-picture",
            headers: &[("x-api-key", "TOKEN")],
            body: "",
            jid: C_US,
            names_account: true,
            picture: json!({ "url": "LINK" }),
            has_more: false,
            none: (200, json!({ "url": null })),
            unauthorized: 401,
        },
    ]
}
