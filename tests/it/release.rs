//! Packages and releases: what `make install`, `make deb` and the steps of a release make, and that the workflows call
//! targets that exist. Programs that need the network (docker, cosign, gh) are stand-ins, which record how they are called.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{docs, program::errors};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}: run make setup"))
}

/// The standard output of a command, which has to succeed.
#[track_caller]
fn content(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", errors(&output));
    said
}

fn make(target: &str, variables: &[(&str, &str)]) -> Command {
    make_in(&root(), target, variables)
}

fn make_in(folder: &Path, target: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("make");
    command.arg("-C").arg(folder).args(["-s", target]);
    let variables = variables.iter();
    command.args(variables.map(|(name, value)| format!("{name}={value}")));
    command
}

/// The paths of all files below `folder`.
fn files(folder: &Path) -> BTreeSet<String> {
    let found = walkdir::WalkDir::new(folder);
    let found = found.into_iter().map(Result::unwrap);
    found
        .filter(|item| !item.file_type().is_dir())
        .map(|item| {
            let path = item.path().strip_prefix(folder).unwrap();
            path.display().to_string()
        })
        .collect()
}

#[test]
fn make_install_puts_each_file_where_the_system_looks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().to_str().unwrap();
    let binary = env!("CARGO_BIN_EXE_faceplate");
    content(&mut make(
        "install",
        &[("DESTDIR", dest), ("PREFIX", "/usr"), ("BIN", binary)],
    ));
    let installed = files(folder.path());
    for file in [
        "usr/bin/faceplate",
        "usr/lib/systemd/system/faceplate.service",
        "usr/lib/systemd/system/faceplate.socket",
        "usr/lib/systemd/system/faceplate-admin.socket",
        "usr/share/man/man1/faceplate.1",
        "usr/share/man/man1/faceplate-cache-forget.1",
        "usr/share/bash-completion/completions/faceplate",
        "usr/share/zsh/site-functions/_faceplate",
        "usr/share/fish/vendor_completions.d/faceplate.fish",
    ] {
        assert!(installed.contains(file), "{file} is not in {installed:?}");
    }
    let program = folder.path().join("usr/bin/faceplate");
    let version = content(Command::new(program).arg("--version"));
    assert_eq!(
        version,
        format!("faceplate {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn make_install_without_a_built_program_says_how_to_build_it() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().to_str().unwrap();
    let output = run(&mut make(
        "install",
        &[("DESTDIR", dest), ("BIN", "/does/not/exist")],
    ));
    assert!(!output.status.success());
    assert!(
        errors(&output).contains("cargo build --release"),
        "{}",
        errors(&output)
    );
    assert_eq!(files(folder.path()), BTreeSet::new());
}

#[test]
fn bash_completes_commands_and_options() {
    let script = root().join("deploy/completions/faceplate.bash");
    let complete = |words: &str, last: usize| {
        let line = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; _faceplate faceplate \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last}-1]}}\"; echo ${{COMPREPLY[@]}}",
            script.display()
        );
        content(Command::new("bash").args(["-c", &line]))
    };
    assert_eq!(complete("faceplate hea", 1), "healthcheck\n");
    assert_eq!(complete("faceplate warm --ch", 2), "--chats\n");
}

#[test]
fn the_debian_package_has_the_files_of_make_install_and_its_dependencies() {
    let folder = tempfile::tempdir().unwrap();
    let (out, tree) = (folder.path().join("out"), folder.path().join("tree"));
    // Any program has the same files around it.
    let variables = [("BIN", "/bin/ls"), ("DIST", out.to_str().unwrap())];
    content(&mut make("deb", &variables));
    let packages = files(&out);
    assert_eq!(packages.len(), 1, "{packages:?}");
    let package = out.join(packages.first().unwrap());
    let field = |name: &str| {
        let mut show = Command::new("dpkg-deb");
        content(show.arg("--field").arg(&package).arg(name))
    };
    assert_eq!(field("Version").trim(), env!("CARGO_PKG_VERSION"));
    assert!(
        field("Depends").contains("libc6 (>= "),
        "{}",
        field("Depends")
    );
    content(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&tree));
    let dest = folder.path().join("dest");
    let variables = [
        ("BIN", "/bin/ls"),
        ("DESTDIR", dest.to_str().unwrap()),
        ("PREFIX", "/usr"),
    ];
    content(&mut make("install", &variables));
    let documents = [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "changelog.gz",
        "copyright",
        "examples/faceplate.toml",
    ];
    let expected = files(&dest).into_iter().map(|file| in_debian(&file));
    let documents = documents.map(|name| format!("usr/share/doc/faceplate/{name}"));
    let expected: BTreeSet<_> = expected.chain(documents).collect();
    assert_eq!(files(&tree), expected);
}

/// Where Debian has a file that `make install` puts below `/usr`: it packs manual pages, and its zsh looks elsewhere.
fn in_debian(file: &str) -> String {
    if file.starts_with("usr/share/man/") {
        return format!("{file}.gz");
    }
    file.replace("zsh/site-functions", "zsh/vendor-completions")
}

#[test]
fn the_scripts_of_the_debian_package_restart_the_service_and_leave_its_sockets_open() {
    let folder = tempfile::tempdir().unwrap();
    let (out, control) = (folder.path().join("out"), folder.path().join("control"));
    let variables = [
        ("BIN", "/bin/ls"),
        ("DIST", out.to_str().unwrap()),
        ("VERSION", "1.0.0~rc.1"),
    ];
    content(&mut make("deb", &variables));
    let package = out.join(files(&out).first().unwrap());
    let mut show = Command::new("dpkg-deb");
    let version = content(show.arg("--field").arg(&package).arg("Version"));
    assert_eq!(version, "1.0.0~rc.1\n");
    content(
        Command::new("dpkg-deb")
            .arg("-e")
            .args([&package, &control]),
    );
    let script = |name: &str| {
        content(Command::new("sh").arg("-n").arg(control.join(name)));
        fs::read_to_string(control.join(name)).unwrap()
    };
    let lines = |name: &str, word: &str| {
        let text = script(name);
        let found = text
            .lines()
            .map(str::trim)
            .filter(|line| line.contains(word));
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    let restart = lines("postinst", "deb-systemd-invoke");
    assert_eq!(restart.len(), 1, "{restart:?}");
    assert!(
        restart[0].contains("try-restart faceplate.service"),
        "{restart:?}"
    );
    assert!(!restart[0].contains(".socket"), "{restart:?}");
    let units = [
        "faceplate.service",
        "faceplate.socket",
        "faceplate-admin.socket",
    ];
    for (name, word) in [("prerm", "invoke stop"), ("postrm", "helper purge")] {
        let found = lines(name, word);
        assert!(
            units.iter().all(|unit| found[0].contains(unit)),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn the_debian_package_is_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    let packages = ["one", "two"].map(|name| {
        let out = folder.path().join(name);
        let variables = [("BIN", "/bin/ls"), ("DIST", out.to_str().unwrap())];
        content(&mut make("deb", &variables));
        fs::read(out.join(files(&out).first().unwrap())).unwrap()
    });
    assert!(
        packages[0] == packages[1],
        "the same input makes two packages"
    );
}

#[test]
fn the_archive_of_a_release_is_reproducible_and_its_checksums_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut archives = Vec::new();
    for name in ["one", "two"] {
        let dist = folder.path().join(name);
        let variables = [("BIN", "/bin/ls"), ("DIST", dist.to_str().unwrap())];
        content(&mut make("dist", &variables));
        content(
            Command::new("sha256sum")
                .args(["--check", "--strict", "SHA256SUMS"])
                .current_dir(&dist),
        );
        archives.push(fs::read_to_string(dist.join("SHA256SUMS")).unwrap());
    }
    assert_eq!(archives[0], archives[1]);
    assert!(
        archives[0].contains(env!("CARGO_PKG_VERSION")),
        "{}",
        archives[0]
    );
}

/// A copy of the files that have the version, with another `CHANGELOG.md`.
fn tree(changelog: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in [
        "Makefile",
        "Cargo.toml",
        "deploy/release/release",
        "deploy/helm/faceplate/Chart.yaml",
    ] {
        let copy = folder.path().join(file);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(root().join(file), copy).unwrap();
    }
    fs::write(folder.path().join("CHANGELOG.md"), changelog).unwrap();
    folder
}

#[test]
fn a_release_needs_one_version_in_tag_manifest_chart_and_changelog() {
    let version = env!("CARGO_PKG_VERSION");
    let tag = format!("v{version}");
    let changelog = format!(
        "# Changelog\n\n## Unreleased\n\n* later\n\n## {version} - 2026-12-01\n\n* new\n\n## 0.0.1\n\n* old\n"
    );
    let folder = tree(&changelog);
    let release = |folder: &Path, args: &[&str]| {
        run(Command::new(folder.join("deploy/release/release")).args(args))
    };
    let output = release(folder.path(), &["check", &tag]);
    assert!(output.status.success(), "{}", errors(&output));
    let notes = release(folder.path(), &["notes", version]);
    assert_eq!(String::from_utf8_lossy(&notes.stdout), "* new\n");

    let output = release(folder.path(), &["check", "v99.0.0"]);
    assert!(!output.status.success());
    let said = errors(&output);
    for place in ["Cargo.toml", "Chart.yaml:version", "Chart.yaml:appVersion"] {
        assert!(said.contains(place), "{said}");
    }
    let unreleased = tree("# Changelog\n\n## Unreleased\n\n* new\n");
    let output = release(unreleased.path(), &["check", &tag]);
    assert!(!output.status.success());
    assert!(
        errors(&output).contains("rename Unreleased"),
        "{}",
        errors(&output)
    );
}

const TAG: &str = concat!("v", env!("CARGO_PKG_VERSION"));
const DIGEST: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// A repository at [`TAG`], with stand-ins for the programs that need the network.
struct Release {
    tree: tempfile::TempDir,
}

impl Release {
    fn new() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let tree = tree(&format!(
            "# Changelog\n\n## Unreleased\n\n* later\n\n## {version}\n\n* new\n"
        ));
        let release = Self { tree };
        release.git(&["init", "-q"]);
        release.git(&["commit", "-q", "--allow-empty", "-m", "A release"]);
        let stand_in = format!(
            r#"#!/bin/sh
echo "${{0##*/}} $*" >> '{}'
while [ $# -gt 0 ]; do
    case $1 in
        --metadata-file) echo '{{ "containerimage.digest": "{DIGEST}" }}' > "$2" ;;
        --notes-file) cp "$2" '{}' ;;
    esac
    shift
done
"#,
            release.path("calls").display(),
            release.path("notes").display(),
        );
        fs::create_dir(release.path("bin")).unwrap();
        for program in ["docker", "cosign", "gh"] {
            let path = release.path("bin").join(program);
            fs::write(&path, &stand_in).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        release
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.path().join(name)
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.tree.path());
        command.args(["-c", "user.name=A", "-c", "user.email=a@example.org"]);
        command.args(["-c", "commit.gpgsign=false"]);
        content(command.args(args)).trim().to_owned()
    }

    fn make(&self, target: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = make_in(self.tree.path(), target, variables);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    fn image(&self) -> Command {
        let variables = [
            ("TAG", TAG),
            ("IMAGE", "ghcr.io/Someone/Faceplate"),
            ("SOURCE", "https://github.com/Someone/Faceplate"),
        ];
        self.make("release-image", &variables)
    }

    /// A folder with two packages and their checksums.
    fn packages(&self) -> PathBuf {
        let dist = self.path("dist");
        fs::create_dir(&dist).unwrap();
        fs::write(dist.join("faceplate.deb"), "a package").unwrap();
        fs::write(dist.join("faceplate.tar.gz"), "an archive").unwrap();
        content(&mut self.make("checksums", &[("DIST", dist.to_str().unwrap())]));
        dist
    }

    fn publish(&self, dist: &Path) -> Command {
        let variables = [("TAG", TAG), ("DIST", dist.to_str().unwrap())];
        self.make("release-publish", &variables)
    }

    /// How the stand-ins were called, a line each.
    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }
}

#[test]
fn the_image_of_a_release_is_for_two_platforms_and_has_its_bill_of_materials() {
    let release = Release::new();
    content(&mut release.image());
    let calls = release.calls();
    assert!(calls.starts_with("docker buildx build "), "{calls}");
    assert_eq!(calls.lines().count(), 1, "{calls}");
    let version = env!("CARGO_PKG_VERSION");
    for argument in [
        "--platform linux/amd64,linux/arm64",
        "--push",
        "--sbom=true",
        "--provenance=mode=max",
        &format!("--tag ghcr.io/someone/faceplate:{version}"),
        &format!("--build-arg VERSION={version}"),
        &format!(
            "--build-arg REVISION={}",
            release.git(&["rev-parse", "HEAD"])
        ),
        &format!(
            "--build-arg SOURCE_DATE_EPOCH={}",
            release.git(&["log", "-1", "--format=%ct"])
        ),
        "--label org.opencontainers.image.source=https://github.com/Someone/Faceplate",
    ] {
        let found = calls.contains(&format!(" {argument} "));
        assert!(found, "{argument} is not in {calls}");
    }
}

#[test]
fn an_image_needs_a_tag_of_this_version_and_a_name() {
    let release = Release::new();
    let (image, source) = (("IMAGE", "ghcr.io/a/b"), ("SOURCE", "https://example.org"));
    for (variables, expected) in [
        ([("TAG", "v99.0.0"), image, source], "Cargo.toml"),
        ([("TAG", ""), image, source], "Cargo.toml"),
        ([("TAG", TAG), ("IMAGE", ""), source], "IMAGE is empty"),
        ([("TAG", TAG), image, ("SOURCE", "")], "SOURCE is empty"),
    ] {
        let output = run(&mut release.make("release-image", &variables));
        assert!(!output.status.success(), "{variables:?}");
        let said = errors(&output);
        assert!(said.contains(expected), "{variables:?}: {said}");
    }
    assert_eq!(release.calls(), "");
}

#[test]
fn the_digest_of_the_pushed_image_is_signed_not_its_tag() {
    let release = Release::new();
    let output = run(&mut release.make("release-sign", &[]));
    assert!(!output.status.success());
    let said = errors(&output);
    assert!(said.contains("make release-image first"), "{said}");
    assert_eq!(release.calls(), "");

    content(&mut release.image());
    content(&mut release.make("release-sign", &[]));
    let signing = format!("\ncosign sign --yes ghcr.io/someone/faceplate@{DIGEST}\n");
    let calls = release.calls();
    assert!(calls.ends_with(&signing), "{calls}");
}

#[test]
fn a_release_is_published_with_its_notes_and_all_files_and_their_checksums() {
    let release = Release::new();
    let dist = release.packages();
    let sums = fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    assert!(sums.contains("  faceplate.deb\n"), "{sums}");
    assert!(sums.contains("  faceplate.tar.gz\n"), "{sums}");

    content(&mut release.publish(&dist));
    let calls = release.calls();
    let begin = format!("gh release create {TAG} --verify-tag --title {TAG} ");
    assert!(calls.starts_with(&begin), "{calls}");
    for file in ["faceplate.deb", "faceplate.tar.gz", "SHA256SUMS"] {
        let path = dist.join(file).display().to_string();
        assert!(calls.contains(&path), "{file} is not in {calls}");
    }
    let notes = fs::read_to_string(release.path("notes")).unwrap();
    assert_eq!(notes, "* new\n");
}

#[test]
fn files_that_differ_from_their_checksums_are_not_published() {
    let release = Release::new();
    let dist = release.packages();
    fs::write(dist.join("faceplate.deb"), "another").unwrap();
    let output = run(&mut release.publish(&dist));
    assert!(!output.status.success());
    assert_eq!(release.calls(), "");
}

#[test]
fn every_step_of_the_workflows_is_a_make_target_that_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut called = BTreeSet::new();
    for item in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let text = fs::read_to_string(item.unwrap().path()).unwrap();
        let steps = text
            .lines()
            .map(|line| line.trim().trim_start_matches("- "));
        let steps = steps.filter_map(|line| line.strip_prefix("run: "));
        // In a container, git has to be told that the checked-out folder is its own.
        for step in steps.filter(|step| !step.starts_with("git config ")) {
            let rest = step.strip_prefix("make ");
            let rest = rest.unwrap_or_else(|| panic!("{step:?} is no make target"));
            called.insert(rest.split_whitespace().next().unwrap().to_owned());
        }
    }
    for target in ["release-image", "release-sign", "release-publish", "deb"] {
        assert!(called.contains(target), "no workflow calls {target}");
    }
    for target in called {
        let rule = format!("\n{target}:");
        assert!(makefile.contains(&rule), "there is no target {target}");
    }
}

#[test]
fn the_workflows_are_yaml_with_jobs_that_may_do_no_more_than_they_say() {
    let script = "
import pathlib, sys, yaml
for path in pathlib.Path(sys.argv[1]).glob('.github/workflows/*.yml'):
    flow = yaml.safe_load(path.read_text())
    assert 'permissions' in flow, f'{path}: its token may do everything'
    for name, job in flow['jobs'].items():
        assert 'runs-on' in job and job['steps'], f'{path}: {name}'
        assert set(job.get('needs') if isinstance(job.get('needs'), list) else [job.get('needs')]) - {None} <= set(flow['jobs'])
for path in ['dependabot.yml', 'ISSUE_TEMPLATE/config.yml']:
    yaml.safe_load((pathlib.Path(sys.argv[1]) / '.github' / path).read_text())
";
    let python = root().join("target/test-tools/bin/python");
    content(Command::new(python).args(["-c", script]).arg(root()));
}

/// A text in YAML, as JSON.
#[track_caller]
fn yaml(text: &str) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))";
    let python = root().join("target/test-tools/bin/python");
    let said = content(Command::new(python).args(["-c", script, text]));
    serde_json::from_str(&said).unwrap()
}

/// Asserts that each of these fields has a text.
#[track_caller]
fn assert_texts(name: &str, record: &Value, fields: &[&str]) {
    for field in fields {
        let text = record[field].as_str().unwrap_or_default();
        assert!(!text.trim().is_empty(), "{name} has no {field}: {record}");
    }
}

#[test]
fn github_has_the_fields_that_it_needs_to_offer_each_template() {
    let folder = root().join(".github");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let mut names = files(&folder.join("ISSUE_TEMPLATE"));
    assert!(names.remove("config.yml"), "{names:?}");
    assert!(names.len() >= 2, "{names:?}");
    for name in names {
        assert!(name.ends_with(".md"), "{name} has other fields");
        let text = read(&format!("ISSUE_TEMPLATE/{name}"));
        let front = text.strip_prefix("---\n");
        let (front, body) = front.and_then(|rest| rest.split_once("\n---\n")).unwrap();
        // GitHub silently leaves out a template without one of them.
        assert_texts(&name, &yaml(front), &["name", "about"]);
        // Each question is a paragraph in bold type.
        assert!(body.matches("\n**").count() >= 3, "{name}: {body}");
    }
    let chooser = yaml(&read("ISSUE_TEMPLATE/config.yml"));
    assert!(chooser["blank_issues_enabled"].is_boolean(), "{chooser}");
    for link in chooser["contact_links"].as_array().unwrap() {
        assert_texts("config.yml", link, &["name", "url", "about"]);
        let url = link["url"].as_str().unwrap();
        assert!(url.starts_with("https://"), "GitHub leaves out {url}");
    }
    let request = read("PULL_REQUEST_TEMPLATE.md");
    assert!(
        request.contains("\n- [ ] `make test` passes\n"),
        "{request}"
    );
}

#[test]
fn dependabot_looks_for_newer_versions_where_the_repository_names_versions_and_nowhere_else() {
    let config = fs::read_to_string(root().join(".github/dependabot.yml")).unwrap();
    let config = yaml(&config);
    assert_eq!(config["version"], 2);
    let mut looked_at = BTreeSet::new();
    for update in config["updates"].as_array().unwrap() {
        let interval = update["schedule"]["interval"].as_str().unwrap();
        assert!(["daily", "weekly", "monthly"].contains(&interval));
        let kind = update["package-ecosystem"].as_str().unwrap();
        let several = update["directories"].as_array().cloned();
        let folders = several.unwrap_or_else(|| vec![update["directory"].clone()]);
        for folder in folders {
            looked_at.insert((kind.to_owned(), folder.as_str().unwrap().to_owned()));
        }
    }
    let mut named = BTreeSet::new();
    for path in docs::tracked_files() {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let (kind, folder) = match name {
            // One for all packages of a workspace.
            "Cargo.lock" => ("cargo", folder),
            "Dockerfile" => ("docker", folder),
            "requirements.txt" => ("pip", folder),
            // GitHub finds the folder by itself.
            _ if folder == ".github/workflows" => ("github-actions", ""),
            _ => continue,
        };
        named.insert((kind.to_owned(), format!("/{folder}")));
    }
    assert_eq!(looked_at, named);
}
