//! Packages and releases: what `make install`, `make deb` and the steps of a release make, and that the workflows call
//! targets that exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::program::errors;

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
    let mut command = Command::new("make");
    command.arg("-C").arg(root()).args(["-s", target]);
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
    let mut deb = make("deb", &variables);
    content(deb.env("DEB_COMPRESSION", "none"));
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
    let unpacked = files(&tree);
    for file in [
        "usr/bin/faceplate",
        "usr/lib/systemd/system/faceplate.service",
        "usr/share/man/man1/faceplate.1.gz",
        "usr/share/bash-completion/completions/faceplate",
        "usr/share/doc/faceplate/examples/faceplate.toml",
        "usr/share/doc/faceplate/LICENSE-MIT",
        "usr/share/doc/faceplate/changelog.gz",
    ] {
        assert!(unpacked.contains(file), "{file} is not in {unpacked:?}");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let path = root().join("deploy/debian").join(script);
        content(Command::new("sh").arg("-n").arg(path));
    }
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

#[test]
fn every_make_target_of_the_workflows_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut called = BTreeSet::new();
    for item in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let text = fs::read_to_string(item.unwrap().path()).unwrap();
        let targets = text.split("run: make ").skip(1);
        called.extend(targets.map(|rest| rest.split_whitespace().next().unwrap().to_owned()));
    }
    assert!(called.len() >= 8, "{called:?}");
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
