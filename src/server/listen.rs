//! Listeners: a TCP port, a Unix socket, or a socket that a service manager opened before this process started
//! (`LISTEN_FDS` of systemd).

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// An address to listen on, as configured: `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/faces.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and port. Names are refused, because they may have several addresses.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A bound listener.
#[derive(Debug)]
pub enum Listener {
    /// Accepts TCP connections.
    Tcp(TcpListener),
    /// Accepts connections on a Unix socket. The file is removed with the listener that made it.
    Unix(UnixListener, Option<SocketFile>),
}

/// Listeners that a service manager opened, by name.
#[derive(Debug, Default)]
pub struct InheritedListeners(Vec<(String, Listener)>);

/// The file of a bound Unix socket, removed on drop.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A client with this address.
    Ip(IpAddr),
    /// A process on this machine, through a Unix socket.
    Local,
}

/// An accepted connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

// === impl Address ===

impl Address {
    /// Whether only processes on this machine can reach the address.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().is_loopback(),
            Address::Unix(_) => true,
        }
    }

    /// The URL of `/` at this address in cleartext, for a browser on this machine. It cannot open Unix sockets.
    pub fn local_url(&self) -> Option<String> {
        let Address::Tcp(mut address) = *self else {
            return None;
        };
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some(format!("http://{address}/"))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Address::Unix(PathBuf::from(path)))
            } else {
                Err(format!(
                    "{text:?} is not an absolute socket path; write unix:/run/faceplate.sock"
                ))
            };
        }
        text.parse().map(Address::Tcp).map_err(|_| {
            format!("{text:?} is not an IP address with a port; write 127.0.0.1:8080, [::1]:8080 or unix:/path")
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

// === impl Listener ===

impl Listener {
    /// Binds `address`. A socket file that a killed server left behind is replaced; a file of a socket that still listens
    /// is not. `mode` is the mode of a socket file, where it is not the one that the umask gives.
    pub async fn bind(address: &Address, mode: Option<u32>) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Ok(Listener::Tcp(TcpListener::bind(address).await?)),
            Address::Unix(path) => {
                remove_stale_socket(path).await?;
                let listener = UnixListener::bind(path)?;
                if let Some(mode) = mode {
                    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
                }
                Ok(Listener::Unix(listener, Some(SocketFile(path.clone()))))
            }
        }
    }

    /// The bound address, with the port that the system chose for port 0.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Listener::Unix(listener, _) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or(Path::new("@"));
                Ok(Address::Unix(path.to_path_buf()))
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Responses are written in one piece, so waiting to fill a segment only delays their end.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Ip(peer.ip().to_canonical())))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Local))
            }
        }
    }
}

// === impl InheritedListeners ===

impl InheritedListeners {
    /// The listeners that a service manager opened, if it opened any. `names` are the names that it gave them, such as
    /// `faces:admin` (`FileDescriptorName=faces` and `admin`). Without names, the first one serves faces.
    pub fn from_manager(names: &str) -> io::Result<Self> {
        let names: Vec<_> = names.split(':').collect();
        let mut sockets = ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..sockets.len() {
            let name = match names.get(index) {
                Some(name @ (&"faces" | &"admin" | &"hooks")) => name,
                _ if index == 0 => "faces",
                _ => "admin",
            };
            let tcp = sockets.take_tcp_listener(index);
            let listener = if let Ok(Some(listener)) = tcp {
                listener.set_nonblocking(true)?;
                Listener::Tcp(TcpListener::from_std(listener)?)
            } else if let Some(listener) = sockets.take_unix_listener(index)? {
                listener.set_nonblocking(true)?;
                Listener::Unix(UnixListener::from_std(listener)?, None)
            } else {
                continue;
            };
            listeners.push((name.to_owned(), listener));
        }
        Ok(Self(listeners))
    }

    /// The listener of this name.
    pub fn take(&mut self, name: &str) -> Option<Listener> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }
}

async fn remove_stale_socket(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket && UnixStream::connect(path).await.is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

// === impl SocketFile ===

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The file may be removed already.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ip_and_port_or_an_absolute_socket_path() {
        for good in ["127.0.0.1:8080", "[::1]:0", "unix:/run/faces.sock"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in ["8080", "localhost:8080", "unix:faces.sock", ""] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        for (address, local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("unix:/x", true),
            ("0.0.0.0:1", false),
            ("192.0.2.1:1", false),
        ] {
            assert_eq!(
                address.parse::<Address>().unwrap().is_local(),
                local,
                "{address}"
            );
        }
    }
}
