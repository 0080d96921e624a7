//! The files of the repository, and the pages in `docs/` that tests write.

use std::{fs, path::Path, process::Command};

/// Asserts that `docs/NAME` is `page`, line by line. With `FACEPLATE_WRITE_DOCS` set, writes it first.
pub fn assert_current(name: &str, page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    if std::env::var_os("FACEPLATE_WRITE_DOCS").is_some() {
        fs::write(&file, page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap();
    for (should, is) in page.lines().zip(written.lines()) {
        assert_eq!(is, should, "docs/{name}; FACEPLATE_WRITE_DOCS=1 writes it");
    }
    assert_eq!(
        written, page,
        "docs/{name}; FACEPLATE_WRITE_DOCS=1 writes it"
    );
}

/// The paths of all files under version control, below the repository's root.
pub fn tracked_files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    let names = names.split('\0').filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(!names.is_empty(), "git lists no file");
    names
}
