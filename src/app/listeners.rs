//! Opens the listeners: sockets of the service manager if there are any, else the configured addresses.

use std::io;

use super::StartError;
use crate::{
    config::Config,
    server::{Address, InheritedListeners, Listener},
};

/// The listeners, with their actual addresses.
pub(super) struct Listeners {
    pub(super) public: Listener,
    pub(super) address: Address,
    pub(super) admin: Listener,
    pub(super) admin_address: Address,
    /// The one for webhooks, if it is configured.
    pub(super) hooks: Option<Listener>,
    pub(super) hooks_address: Option<Address>,
}

impl Listeners {
    /// Opens the listeners.
    pub(super) async fn open(
        config: &Config,
        inherited: &mut InheritedListeners,
        socket_mode: Option<u32>,
    ) -> Result<Self, StartError> {
        let (startup, reloadable) = (&config.startup, &config.reloadable);
        let public = match inherited.take("faces") {
            Some(listener) => listener,
            None => bind(&startup.listen, socket_mode, "server.listen").await?,
        };
        let admin = match inherited.take("admin") {
            Some(listener) => listener,
            None => bind(&startup.admin, socket_mode, "admin.listen").await?,
        };
        let hooks = match (inherited.take("hooks"), &startup.hooks) {
            (Some(listener), _) => Some(listener),
            (None, Some(address)) => Some(bind(address, socket_mode, "hooks.listen").await?),
            (None, None) => None,
        };
        let hooks_address = hooks.as_ref().and_then(|hooks| hooks.address().ok());
        let address = actual_address(&public, &startup.listen);
        let admin_address = actual_address(&admin, &startup.admin);
        // The configuration was checked with its own addresses; inherited sockets may have others.
        if !reloadable.may_be_public && !address.is_local() {
            return Err(StartError::PublicSocket(address));
        }
        if reloadable.admin_token.is_none() && !admin_address.is_local() {
            return Err(StartError::AdminSocket(admin_address));
        }
        Ok(Self {
            public,
            address,
            admin,
            admin_address,
            hooks,
            hooks_address,
        })
    }
}

async fn bind(
    address: &Address,
    mode: Option<u32>,
    key: &'static str,
) -> Result<Listener, StartError> {
    Listener::bind(address, mode).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "stop the process that uses it, or choose another port",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege; choose a higher one"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; write 127.0.0.1 or 0.0.0.0"
            }
            _ => "check the address",
        };
        StartError::Listen {
            address: address.clone(),
            key,
            error,
            remedy,
        }
    })
}

fn actual_address(listener: &Listener, configured: &Address) -> Address {
    listener.address().unwrap_or_else(|_| configured.clone())
}
