//! Headless Chromium.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process, time};

/// The time limit for a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// The page's DOM, after its scripts have run for a while.
pub async fn dom(url: &str) -> String {
    let output = run(&["--virtual-time-budget=10000", "--dump-dom", url]).await;
    String::from_utf8(output).unwrap()
}

/// A picture of the page.
pub async fn screenshot(url: &str, path: &Path, width: u32, height: u32) {
    let to = format!("--screenshot={}", path.display());
    let size = format!("--window-size={width},{height}");
    run(&[
        "--virtual-time-budget=10000",
        "--hide-scrollbars",
        &size,
        &to,
        url,
    ])
    .await;
    assert!(path.exists(), "chromium took no picture of {url}");
}

async fn run(args: &[&str]) -> Vec<u8> {
    let profile = tempfile::tempdir().unwrap();
    let output = process::Command::new(browser())
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = time::timeout(PATIENCE, output).await;
    output.expect("chromium takes too long").unwrap().stdout
}

fn browser() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
        .expect("there is no chromium: run make setup")
}
