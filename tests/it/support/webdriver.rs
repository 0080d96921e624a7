//! A browser that a test controls over the WebDriver protocol.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use image::imageops::FilterType;
use serde_json::{Value, json};

use super::Answer;

/// An open browser, which is closed on drop.
pub struct Browser {
    driver: Child,
    address: String,
    session: String,
    _profile: tempfile::TempDir,
}

/// The path of a screenshot: in the documents with FACEPLATE_WRITE_DOCS, else in `folder`.
pub fn picture(folder: &Path, name: &str) -> PathBuf {
    match std::env::var_os("FACEPLATE_WRITE_DOCS") {
        Some(_) => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name),
        None => folder.join(name),
    }
}

impl Browser {
    /// Opens a window of this size.
    pub async fn open(width: u32, height: u32, more: &[&str]) -> Self {
        Self::with(width, height, more, json!({})).await
    }

    /// An emulated phone in dark mode, because a desktop window cannot be as narrow.
    pub async fn dark_phone(width: u32, height: u32) -> Self {
        let metrics = json!({ "width": width, "height": height, "pixelRatio": 2.0, "touch": true });
        let dark = [
            "--force-dark-mode",
            "--blink-settings=preferredColorScheme=0",
        ];
        let phone = json!({ "mobileEmulation": { "deviceMetrics": metrics } });
        Self::with(width, height, &dark, phone).await
    }

    async fn with(width: u32, height: u32, more: &[&str], mut options: Value) -> Self {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is no chromedriver: run make setup");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.by_ref().map(Result::unwrap).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        arguments.extend(more.iter().map(|argument| argument.to_string()));
        let mut browser = Self {
            driver,
            address: format!("127.0.0.1:{}", port.expect("chromedriver tells no port")),
            session: String::new(),
            _profile: profile,
        };
        options["args"] = json!(arguments);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "timeouts": { "script": 60000, "pageLoad": 60000 },
        }}});
        let opened = browser.ask("POST", "/session", &wanted).await;
        browser.session = format!("/session/{}", opened["sessionId"].as_str().unwrap());
        browser
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("{}{path}", self.session);
        let headers = [("content-type", "application/json")];
        let body = body.to_string();
        let answer = Answer::send(&self.address, method, &path, &headers, body.as_bytes()).await;
        let mut said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {said:#}");
        said["value"].take()
    }

    /// Goes to a page, and returns when it has loaded.
    pub async fn go(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url })).await;
    }

    /// Runs a script in the page, and returns its result or the result of its promise.
    pub async fn run(&self, script: &str) -> Value {
        let script = json!({ "script": script, "args": [] });
        self.ask("POST", "/execute/sync", &script).await
    }

    /// Returns once a condition holds in the page.
    pub async fn until(&self, condition: &str) {
        for _ in 0..300 {
            if self.run(&format!("return Boolean({condition})")).await == true {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let page = self.run("return document.body.innerText").await;
        panic!("never in the page: {condition}\n{page}");
    }

    /// Takes a screenshot of the window, as PNG, or as WebP if the path says so: small, and as wide as a document shows it.
    pub async fn screenshot(&self, path: &Path) {
        let said = self.ask("GET", "/screenshot", &json!({})).await;
        let png = STANDARD.decode(said.as_str().unwrap()).unwrap();
        if path
            .extension()
            .is_some_and(|extension| extension == "webp")
        {
            const WIDEST: u32 = 960;
            let mut pixels = image::load_from_memory(&png).unwrap().into_rgb8();
            if pixels.width() > WIDEST {
                let height = pixels.height() * WIDEST / pixels.width();
                pixels = image::imageops::resize(&pixels, WIDEST, height, FilterType::Lanczos3);
            }
            let (width, height) = pixels.dimensions();
            let webp = webp::Encoder::from_rgb(&pixels, width, height).encode(60.0);
            std::fs::write(path, &*webp).unwrap();
        } else {
            std::fs::write(path, png).unwrap();
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver closes its browser on request, but not when it is killed.
        let close = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let (session, host) = (&self.session, &self.address);
            write!(
                stream,
                "DELETE {session} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
            )?;
            stream.read_to_end(&mut Vec::new())?;
            Ok(())
        };
        let _ = close();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
