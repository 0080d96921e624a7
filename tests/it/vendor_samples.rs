//! The vendors' own sample requests, with another base URL.

use std::{fs, process::Command};

use crate::support::{frontend, rig::Rig, webdriver::Browser};

const FACE: &str = "628100000001@c.us";

/// A sample with its variables filled in.
fn sample(file: &str, filled: &[(&str, &str)]) -> String {
    let path = format!("{}/tests/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = fs::read_to_string(path).unwrap();
    for (placeholder, value) in filled {
        assert!(text.contains(placeholder), "{file} has no {placeholder}");
        text = text.replace(placeholder, value);
    }
    text
}

/// The output of a program.
pub async fn printed(command: &str, file: &str, text: String) -> String {
    let (command, file) = (command.to_owned(), file.to_owned());
    let printed = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        fs::write(&path, text).unwrap();
        let output = Command::new(&command).arg(path).output();
        let output = output.unwrap_or_else(|error| panic!("{command}: {error}: run make setup"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    });
    printed.await.unwrap()
}

/// Asserts that the link shows the face with no credential but its signature.
async fn assert_leads_to_the_face(rig: &Rig, link: &str) {
    let path = link
        .strip_prefix(&format!("http://{}", rig.address()))
        .unwrap();
    rig.get(path).await.assert_picture(&rig.bytes(FACE));
}

#[tokio::test(flavor = "multi_thread")]
async fn hypersender_s_curl_sample_runs_with_another_base_url() {
    let rig = Rig::start_signed().await;
    let base = format!("http://{}", rig.address());
    let filled = [
        ("https://app.hypersender.com", base.as_str()),
        ("{instance}", "shop"),
        ("<token>", rig.vendors().token()),
    ];
    let curl = sample("hypersender.sh", &filled).replace("curl ", "curl --silent ");
    // The printed sample names no contact, which the vendor refuses, too.
    let said = printed("sh", "sample.sh", curl.clone()).await;
    assert!(said.contains("chat_id"), "{said}");
    let curl = curl.replace(
        "profile-picture ",
        &format!("profile-picture?chat_id={FACE} "),
    );
    let said = printed("sh", "sample.sh", curl).await;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let link = said["data"]["profilePictureURL"].as_str().unwrap();
    assert_leads_to_the_face(&rig, link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hypersender_s_javascript_sample_runs_with_another_base_url() {
    let rig = Rig::start_signed().await;
    let base = format!("http://{}", rig.address());
    let filled = [("https://app.hypersender.com", base.as_str())];
    // The rest of a page.
    let program = format!(
        "const [instance, chatId, apiKey] = ['shop', '{FACE}', '{}'];\n\
         const avatar = {{}}; const document = {{ getElementById: () => avatar }};\n{}\nconsole.log(avatar.src);",
        rig.vendors().token(),
        sample("hypersender.js", &filled)
    );
    let link = printed("node", "sample.mjs", program).await;
    assert_leads_to_the_face(&rig, link.trim()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wawp_s_javascript_sample_runs_with_another_base_url() {
    let rig = Rig::start_signed().await;
    let base = format!("http://{}", rig.address());
    let filled = [
        ("https://api.wawp.net", base.as_str()),
        (
            "\"instance_id\": \"123456789\"",
            "\"instance_id\": \"shop\"",
        ),
        ("\"123456789@c.us\"", &format!("\"{FACE}\"")),
        ("\"123456789\"", &format!("\"{}\"", rig.vendors().token())),
    ];
    let said = printed("node", "sample.cjs", sample("wawp.js", &filled)).await;
    assert!(said.starts_with("Success:"), "{said}");
    let (_, link) = said.split_once("url: '").unwrap();
    assert_leads_to_the_face(&rig, link.split('\'').next().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wachat_s_img_sample_shows_with_another_base_url() {
    let rig = Rig::start_signed().await;
    let base = format!("http://{}", rig.address());
    let filled = [
        ("https://app.wachat.net", base.as_str()),
        ("t1_mqc3zame_wa", "shop"),
        ("YOUR_API_KEY", rig.vendors().token()),
    ];
    let image = sample("wachat.html", &filled);
    let browser = Browser::open(800, 600, &[]).await;
    browser.go(&frontend::serve(image).await).await;
    browser
        .until("document.images[0].naturalWidth === 640")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wappfy_s_and_waha_s_documented_requests_are_answered() {
    let rig = Rig::start_signed().await;
    let path = format!("http://{}/api/shop/chats/{FACE}/picture", rig.address());
    let token = rig.vendors().token();
    for curl in [
        format!("curl -s -H 'apikey: {token}' '{path}?refresh=false'"),
        // WAHA's two forms; the second is for `<img>`, which sends no headers.
        format!("curl -s -H 'X-Api-Key: {token}' {path}"),
        format!("curl -s '{path}?x-api-key={token}'"),
    ] {
        let said = printed("sh", "sample.sh", curl).await;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_leads_to_the_face(&rig, said["url"].as_str().unwrap()).await;
    }
    let image = format!(r#"<img src="{path}?x-api-key={token}" alt="">"#);
    let browser = Browser::open(800, 600, &[]).await;
    browser.go(&frontend::serve(image).await).await;
    browser
        .until("document.images[0].naturalWidth === 640")
        .await;
}
