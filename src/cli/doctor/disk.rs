//! Checks that a server can write to the cache directory, and that its disk has space. Creates no file: root may run
//! this, and the server could not read root's files.

use std::{collections::BTreeSet, path::Path};

use rustix::{
    fs::{Access, access},
    io::Errno,
};

use super::finding::Finding;
use crate::{
    app::account_id,
    cli::admin_client,
    config::Config,
    store::{Inspection, disk_space, is_locked, unusable_path},
};

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let settings = &config.startup.store;
    let mut findings = vec![directory(config).await];
    findings.extend(unused_faces(config));
    let existing = settings.dir.ancestors().find(|dir| dir.exists());
    let Some(Ok(space)) = existing.map(disk_space) else {
        return findings;
    };
    let limits = &config.reloadable.disk_limits;
    let free = format!("{} MiB free of {} MiB", space.free >> 20, space.size >> 20);
    findings.push(if space.free < limits.min_free {
        Finding::fail(
            "cache.min_free",
            format!("{free}, which is less than {} MiB", limits.min_free >> 20),
            "free space on the disk, or lower cache.min_free; until then faces are evicted as far as that helps",
        )
    } else if limits.max_bytes > space.size.saturating_sub(limits.min_free) {
        Finding::warn(
            "cache.max_bytes",
            format!(
                "{free}; the limit, {} MiB, is larger than the disk",
                limits.max_bytes >> 20
            ),
            "lower cache.max_bytes; until then only cache.min_free limits the cache",
        )
    } else {
        Finding::ok("cache.max_bytes", free)
    });
    findings
}

/// Faces in the cache that no instance has any more.
fn unused_faces(config: &Config) -> Option<Finding> {
    let inspection = Inspection::open(&config.startup.store.dir).ok()?;
    let mut unused = BTreeSet::new();
    for name in inspection.instances() {
        match config.reloadable.instance(&name) {
            Some(instance) => {
                let names = inspection.account_names(&name, account_id(&instance));
                unused.extend(names.earlier().map(str::to_owned));
            }
            None => {
                unused.insert(name);
            }
        }
    }
    if unused.is_empty() {
        return None;
    }
    let unused: Vec<_> = unused.into_iter().collect();
    Some(Finding::warn(
        "cache.dir",
        format!(
            "it has faces of accounts that are not configured, which are not served: {}",
            unused.join(", ")
        ),
        "faceplate cache rename gives them to an instance, and POST /v1/purge deletes them",
    ))
}

async fn directory(config: &Config) -> Finding {
    let (about, dir) = ("cache.dir", &config.startup.store.dir);
    let shown = dir.display();
    if let Some(other) = admin_client::other_cache_dir(config).await {
        return Finding::warn(
            about,
            format!("the running server uses {other}, and this command {shown}"),
            format!("give the command the server's environment: FACEPLATE_CACHE__DIR={other}"),
        );
    }
    if !dir.exists() {
        return missing_directory(dir);
    }
    if let Some((path, why)) = unusable_path(dir) {
        return Finding::fail(
            about,
            format!("{} {why}", path.display()),
            format!(
                "give {shown} and everything in it to the server's user (chown -R), or set cache.dir to another place"
            ),
        );
    }
    if access(dir, Access::WRITE_OK) == Err(Errno::ROFS) {
        return Finding::warn(
            about,
            format!(
                "{shown} is on a read-only disk: its faces are served, and nothing new is kept"
            ),
            "mount the disk for writing, or set cache.dir to another place",
        );
    }
    if !is_locked(dir) {
        return Finding::ok(about, format!("{shown} can be written to"));
    }
    match admin_client::check_cache_dir(config).await {
        Ok(()) => Finding::ok(about, format!("{shown} is in use by the running server")),
        Err(error) => Finding::fail(
            about,
            error,
            "stop the other server, or set cache.dir to another place",
        ),
    }
}

/// A missing directory is made by the server, below a folder that it may write to.
fn missing_directory(dir: &Path) -> Finding {
    let (about, shown) = ("cache.dir", dir.display());
    let parent = dir.ancestors().skip(1).find(|parent| parent.exists());
    match parent {
        Some(parent)
            if parent.is_dir() && access(parent, Access::WRITE_OK | Access::EXEC_OK).is_ok() =>
        {
            Finding::ok(
                about,
                format!("{shown} does not exist yet; the server makes it"),
            )
        }
        _ => Finding::fail(
            about,
            format!("{shown} does not exist and cannot be made"),
            "make it for the server's user, or set cache.dir to another place",
        ),
    }
}
