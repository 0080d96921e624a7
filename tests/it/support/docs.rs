//! Pages in `docs/` that tests write.

use std::{fs, path::Path};

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
