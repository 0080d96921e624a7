//! Reads `[fleet]`: the Redis through which several replicas share accounts.

use std::{fs, num::NonZeroU32, path::PathBuf, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::ExposeSecret;

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::{PictureEngine, SecretReference, UrlText},
    },
    fleet::{self, S3Settings, Settings},
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
            "What the names of faces in Redis are derived from, at least 16 characters, the same on all replicas. Without it, no phone number can be read there.",
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
        Key::new::<PictureEngine>(
            "pictures",
            "redis",
            "Where the bytes of pictures are: in Redis, or in the S3 store of `[fleet.s3]`.",
        )
        .at_restart(),
        Key::new::<Duration>(
            "timeout",
            "200ms",
            "How long a command to Redis may take.",
        )
        .at_least("20ms")
        .at_restart(),
    ],
    sections: &[S3],
};

const S3: Section = Section {
    name: "s3",
    about: "The S3 store of pictures, with `pictures = \"s3\"`.",
    keys: &[
        Key::required::<String>(
            "bucket",
            "write the name of a bucket that exists",
            "The bucket.",
        )
        .at_restart(),
        Key::required::<UrlText>(
            "endpoint",
            "write the URL of the store, such as http://garage:3900",
            "The URL of the store, without the bucket. No other server is asked.",
        )
        .at_restart(),
        Key::optional::<PathBuf>(
            "ca",
            "the public ones",
            "A PEM file with the certificates of the authorities that are trusted for `https://`.",
        )
        .at_restart(),
        Key::new::<String>(
            "region",
            "us-east-1",
            "The region of the bucket, as the store has it in its settings.",
        )
        .at_restart(),
        Key::required::<SecretReference>(
            "access_key",
            "write env:NAME or file:PATH of the name of the key",
            "The name of the key, which may read, write, delete and list in the bucket.",
        )
        .at_restart(),
        Key::required::<SecretReference>(
            "secret_key",
            "write env:NAME or file:PATH of the key",
            "The key.",
        )
        .at_restart(),
        Key::new::<Duration>("timeout", "1s", "How long a request to the store may take.")
            .at_least("20ms")
            .at_restart(),
    ],
    sections: &[],
};

/// `is_set` says whether the file has the table, and `archives` whether every picture is kept.
pub(super) fn read(reader: &Reader<'_>, is_set: bool, archives: bool) -> Option<Settings> {
    let name: Option<String> = match is_set {
        true => reader.optional("name"),
        false => reader.waived("name"),
    };
    let redis = secret(reader, "redis", is_set);
    let authorities = authorities(reader, "redis_ca");
    let secret = secret(reader, "secret", is_set);
    let replicas = reader.get::<NonZeroU32>("replicas").get();
    let reserve = reader.get::<NonZeroU32>("reserve").get();
    let timeout = reader.get("timeout");
    let pictures = reader.get::<PictureEngine>("pictures");
    let has_s3 = reader.has("s3");
    let s3 = read_s3(&reader.section("s3"), has_s3, archives);
    reader.finish();
    if !is_set {
        for key in ["replicas", "reserve", "pictures", "timeout"] {
            reader.omit_value(key);
        }
    }
    if pictures == PictureEngine::S3 && !has_s3 {
        reader.problem(
            "pictures",
            "is \"s3\", and [fleet.s3] is missing; write it, with bucket, endpoint, access_key and secret_key".into(),
        );
    }
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
        s3: s3.filter(|_| pictures == PictureEngine::S3),
    })
}

fn read_s3(reader: &Reader<'_>, is_set: bool, archives: bool) -> Option<S3Settings> {
    let (bucket, endpoint): (Option<String>, Option<UrlText>) = match is_set {
        true => (reader.optional("bucket"), reader.optional("endpoint")),
        false => (reader.waived("bucket"), reader.waived("endpoint")),
    };
    let authorities = authorities(reader, "ca");
    let region = reader.get("region");
    let access_key = secret(reader, "access_key", is_set);
    let secret_key = secret(reader, "secret_key", is_set);
    let timeout = reader.get("timeout");
    reader.finish();
    if !is_set {
        reader.omit_value("region");
        reader.omit_value("timeout");
    }
    let (bucket, UrlText(endpoint)) = (bucket?, endpoint?);
    if bucket.is_empty() || bucket.contains('/') {
        reader.problem("bucket", "is not the name of a bucket".into());
    }
    if let Err(remedy) = fleet::check_endpoint(&endpoint) {
        reader.problem("endpoint", remedy);
    }
    Some(S3Settings {
        bucket,
        endpoint,
        authorities,
        region,
        access_key: access_key?,
        secret_key: secret_key?,
        timeout,
        archives,
    })
}

/// The certificates of the authorities in a file.
fn authorities(reader: &Reader<'_>, name: &str) -> Option<Vec<u8>> {
    let path: PathBuf = reader.optional(name)?;
    let found = fs::read(&path).map_err(|error| format!("cannot be read: {error}"));
    let found = found.and_then(|pem| {
        let first = CertificateDer::pem_slice_iter(&pem).next();
        let remedy = "has no certificate; write the path of a file with BEGIN CERTIFICATE in it";
        match first {
            Some(Ok(_)) => Ok(pem),
            _ => Err(remedy.to_owned()),
        }
    });
    match found {
        Ok(pem) => {
            // The path may stay the same while the file changes.
            reader.changes_at_restart(name, &String::from_utf8_lossy(&pem));
            Some(pem)
        }
        Err(problem) => {
            reader.problem(name, format!("{} {problem}", path.display()));
            None
        }
    }
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
