//! `faceplate licenses` prints the license texts of exactly the crates that are in the binary. After a change of
//! `Cargo.lock`, `make licenses` collects the texts again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde_json::Value;

const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

const INTRODUCTION: &str = "\
Faceplate is licensed under MIT or Apache-2.0, at your option.

It contains the crates that are listed below with their licenses, the Rust standard library
(MIT or Apache-2.0, copyright The Rust Project Contributors), and Noto fonts (SIL Open Font
License 1.1). The static binary in the container image also contains parts of the GNU C Library
(LGPL 2.1 or later, https://sourceware.org/glibc/); the Dockerfile in Faceplate's source builds the
binary again with another version of that library.

This software is based in part on the work of the Independent JPEG Group.
";

/// A crate that is in the binary.
struct Package {
    name: String,
    version: String,
    license: String,
    authors: Vec<String>,
    url: String,
    folder: PathBuf,
}

#[test]
fn the_printed_licenses_are_those_of_the_crates_in_the_binary() {
    let file = root().join("src/cli/licenses/texts.zz");
    let collected = collect();
    if std::env::var_os("FACEPLATE_WRITE_DOCS").is_some() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        std::io::Write::write_all(&mut encoder, collected.as_bytes()).unwrap();
        fs::write(&file, encoder.finish().unwrap()).unwrap();
    }
    let mut committed = String::new();
    ZlibDecoder::new(&*fs::read(&file).unwrap())
        .read_to_string(&mut committed)
        .unwrap();
    for (is, should) in committed.lines().zip(collected.lines()) {
        assert_eq!(is, should, "make licenses collects the texts again");
    }
    assert!(
        committed == collected,
        "make licenses collects the texts again"
    );
}

#[test]
fn licenses_are_printed_by_the_binary_until_its_reader_has_enough() {
    let program = env!("CARGO_BIN_EXE_faceplate");
    let output = Command::new(program).arg("licenses").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in [
        "work of the Independent JPEG Group",
        "SIL OPEN FONT LICENSE",
        "GNU LESSER GENERAL PUBLIC LICENSE",
        "tokio 1.",
    ] {
        assert!(text.contains(part), "{part} is missing");
    }
    let script = format!("{program} licenses | head -1; echo ${{PIPESTATUS[0]}}");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("\n0\n"), "{text}");
}

fn collect() -> String {
    let packages = packages();
    let mut page = INTRODUCTION.to_owned();
    for package in &packages {
        let Package {
            name,
            version,
            license,
            url,
            ..
        } = package;
        let _ = write!(page, "\n{name} {version}: {license}");
        if !url.is_empty() {
            let _ = write!(page, ", {url}");
        }
    }
    page.push('\n');

    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in &packages {
        for text in license_texts(package) {
            let users = texts.entry(text).or_default();
            users.insert(package.name.clone());
        }
    }
    for (users, path) in [
        ("Faceplate, the Rust standard library", "LICENSE-MIT"),
        ("Faceplate, the Rust standard library", "LICENSE-APACHE"),
        ("GNU C Library", "src/cli/licenses/LGPL-2.1.txt"),
        ("Noto fonts", "src/images/placeholder/fonts/OFL.txt"),
    ] {
        section(&mut page, users, &read(path));
    }
    // In the order of the crates.
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (text, users) in texts {
        let users: Vec<_> = users.into_iter().collect();
        section(&mut page, &users.join(", "), &text);
    }
    page
}

fn section(page: &mut String, users: &str, text: &str) {
    let rule = "=".repeat(80);
    let _ = write!(page, "\n{rule}\n{users}\n{rule}\n\n{}\n", text.trim_end());
}

/// The texts in a crate's files. A crate without one gets the usual text of its license.
fn license_texts(package: &Package) -> Vec<String> {
    let mut texts = Vec::new();
    let mut is_complete = false;
    let mut files: Vec<_> = walkdir::WalkDir::new(&package.folder)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|file| file.file_type().is_file())
        .collect();
    files.retain(|file| {
        let name = file.file_name().to_string_lossy().to_lowercase();
        let kinds = [
            "license",
            "licence",
            "copying",
            "copyright",
            "notice",
            "patents",
            "unlicense",
        ];
        !name.ends_with(".rs") && kinds.iter().any(|kind| name.starts_with(kind))
    });
    for file in files {
        let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap()).replace('\r', "");
        is_complete |= file.depth() == 1;
        texts.push(text);
    }
    if !is_complete {
        texts.push(usual_text(package));
    }
    texts
}

fn usual_text(package: &Package) -> String {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    if package.license.contains("Apache-2.0") {
        read("LICENSE-APACHE")
    } else if package.license == "MIT" {
        let text = read("LICENSE-MIT");
        let (_, permission) = text.split_once("\n\n").unwrap();
        let (_, permission) = permission.split_once("\n\n").unwrap();
        format!(
            "MIT License\n\nCopyright (c) {}\n\n{permission}",
            package.authors.join(", ")
        )
    } else {
        let Package { name, license, .. } = package;
        panic!("{name} has no license file; add the usual text of {license} here")
    }
}

/// The crates in the binary, on the platforms that releases are built for.
fn packages() -> Vec<Package> {
    let mut names = BTreeSet::new();
    for platform in PLATFORMS {
        let tree = cargo(&[
            "tree",
            "--package=faceplate",
            "--edges=normal,no-proc-macro",
            "--prefix=none",
            "--format={p}",
            "--target",
            platform,
        ]);
        let lines = tree.lines();
        names.extend(lines.filter_map(|line| {
            let mut words = line.split(' ');
            Some((
                words.next()?.to_owned(),
                words.next()?.trim_start_matches('v').to_owned(),
            ))
        }));
    }
    let [first, second] = PLATFORMS.map(|platform| format!("--filter-platform={platform}"));
    let metadata = cargo(&["metadata", "--format-version=1", &first, &second]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let mut packages: Vec<_> = packages
        .map(|package| Package {
            name: text(package, "name"),
            version: text(package, "version"),
            license: text(package, "license"),
            authors: serde_json::from_value(package["authors"].clone()).unwrap(),
            url: text(package, "repository"),
            folder: Path::new(&text(package, "manifest_path"))
                .parent()
                .unwrap()
                .to_owned(),
        })
        .filter(|package| package.name != "faceplate")
        .filter(|package| names.remove(&(package.name.clone(), package.version.clone())))
        .collect();
    names.retain(|(name, _)| name != "faceplate");
    assert!(names.is_empty(), "no metadata of {names:?}");
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    packages
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .args(["--locked", "--quiet"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
