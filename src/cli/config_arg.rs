//! The argument that names the configuration file, and the configuration behind it.

use std::{borrow::Cow, path::PathBuf};

use crate::{
    config::{self, Config, Instance},
    upstream::Catalog,
};

/// The default path of the configuration file.
const CONFIG: &str = "config/faceplate.toml";

#[derive(Debug, clap::Args)]
pub(super) struct ConfigArg {
    /// The configuration file.
    #[arg(
        long,
        env = "FACEPLATE_CONFIG",
        default_value = CONFIG,
        value_name = "FILE",
        global = true
    )]
    pub(super) config: PathBuf,
}

impl ConfigArg {
    /// The descriptions of gateways: with a configuration also the operator's. Nothing else of it is read.
    pub(super) fn catalog(&self) -> Result<Catalog, String> {
        if !self.config.exists() {
            return Ok(Catalog::default());
        }
        config::catalog_from_file(&self.config).map_err(|problems| problems.to_string())
    }

    pub(super) fn load(&self) -> Result<Config, String> {
        config::from_file(&self.config).map_err(|problems| problems.to_string())
    }
}

/// Refuses a command that the siblings of a fleet have to hear of, if no server runs with this configuration.
pub(super) fn check_alone(config: &Config) -> Result<(), String> {
    match config.startup.fleet {
        None => Ok(()),
        Some(_) => Err(
            "this configuration is that of a replica of a fleet, and no server runs with it, so the other replicas would not hear of the command; start the replica, or run the command beside another one"
                .to_owned(),
        ),
    }
}

/// The instance called `name`.
pub(super) fn instance<'c>(config: &'c Config, name: &str) -> Result<Cow<'c, Instance>, String> {
    config.reloadable.instance(name).ok_or_else(|| {
        format!("there is no instance {name:?} in the configuration; check its name in [instances]")
    })
}
