//! Reads `[fleet]`: the Redis through which several replicas share accounts.

use std::{fs, num::NonZeroU32, path::PathBuf, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::ExposeSecret;

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::SecretReference,
    },
    fleet::{self, Settings},
};

pub(super) const SECTION: Section = Section {
    name: "fleet",
    about: "Several replicas that share faces and budgets through Redis: [A fleet](fleet.md). Without this table, a server shares nothing.",
    keys: &[
        Key::required::<String>(
            "name",
            "write a name for the fleet, such as \"crm\"",
            "The name of the fleet, the same on all its replicas. It keeps fleets on one Redis apart.",
        )
        .at_restart(),
        Key::required::<SecretReference>(
            "redis",
            "write env:NAME or file:PATH of the URL of Redis",
            "The URL of Redis or Valkey, with its password: `redis://user:password@host:6379/0`, or `rediss://` for TLS. Several hosts with commas between them are nodes of a cluster; `redis+sentinel://user:password@host:26379,host:26379/NAME` is the primary that Sentinels call NAME.",
        )
        .at_restart(),
        Key::optional::<PathBuf>(
            "redis_ca",
            "the public ones",
            "A PEM file with the certificates of the authorities that are trusted for `rediss://`.",
        )
        .at_restart(),
        Key::required::<SecretReference>(
            "secret",
            "make one with: openssl rand -base64 32",
            "What the names of faces in Redis are derived from, the same on all replicas. Without it, no phone number can be read there.",
        )
        .at_restart(),
        Key::new::<NonZeroU32>(
            "replicas",
            "3",
            "The most replicas, the same on all of them. Each has a share of the reserve.",
        )
        .within("1", "100")
        .at_restart(),
        Key::new::<NonZeroU32>(
            "reserve",
            "20",
            "How many percent of each account's budget the replicas keep for the time in which Redis does not answer.",
        )
        .within("1", "50")
        .at_restart(),
        Key::new::<Duration>(
            "timeout",
            "200ms",
            "How long a command to Redis may take.",
        )
        .at_least("20ms")
        .at_restart(),
    ],
    sections: &[],
};

/// `is_set` says whether the file has the table.
pub(super) fn read(reader: &Reader<'_>, is_set: bool) -> Option<Settings> {
    let name: Option<String> = match is_set {
        true => reader.optional("name"),
        false => reader.waived("name"),
    };
    let redis = secret(reader, "redis", is_set);
    let authorities: Option<PathBuf> = reader.optional("redis_ca");
    let authorities = authorities.and_then(|path| match fs::read(&path) {
        Ok(pem)
            if CertificateDer::pem_slice_iter(&pem)
                .next()
                .is_some_and(|one| one.is_ok()) =>
        {
            // The path may stay the same while the file changes.
            reader.changes_at_restart("redis_ca", &String::from_utf8_lossy(&pem));
            Some(pem)
        }
        Ok(_) => {
            let remedy = "write the path of a file with BEGIN CERTIFICATE in it";
            reader.problem(
                "redis_ca",
                format!("{} has no certificate; {remedy}", path.display()),
            );
            None
        }
        Err(error) => {
            reader.problem(
                "redis_ca",
                format!("{} cannot be read: {error}", path.display()),
            );
            None
        }
    });
    let secret = secret(reader, "secret", is_set);
    let replicas = reader.get::<NonZeroU32>("replicas").get();
    let reserve = reader.get::<NonZeroU32>("reserve").get();
    let timeout = reader.get("timeout");
    reader.finish();
    let (name, redis, secret) = (name?, redis?, secret?);
    let is_name = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name {
        reader.problem(
            "name",
            "is made of letters, digits, - and _, at most 64 of them".into(),
        );
    }
    if let Err(remedy) = fleet::check_url(redis.expose_secret()) {
        reader.problem("redis", remedy);
    }
    Some(Settings {
        name,
        redis,
        authorities,
        secret,
        replicas,
        reserve,
        timeout,
    })
}

fn secret(reader: &Reader<'_>, name: &str, is_set: bool) -> Option<secrecy::SecretString> {
    let reference: Option<SecretReference> = match is_set {
        true => reader.optional(name),
        false => reader.waived(name),
    };
    let reference = reference?;
    let secret = match name {
        "secret" => reader.own_secret(name, &reference),
        _ => reader.secret(name, &reference),
    }?;
    // The reference may stay the same while the secret behind it changes.
    reader.changes_at_restart(name, &fleet::fingerprint(&secret));
    Some(secret)
}
