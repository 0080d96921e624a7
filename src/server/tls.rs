//! TLS of a listener, with a certificate that can be replaced while connections stay open.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use super::certificate_end::certificate_end;
use crate::clock::Timestamp;

/// TLS settings and the current certificate. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    current: Arc<CurrentCertificate>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first, in PEM.
    pub certificate: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. The key is never shown.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// A file is missing or has other contents.
    #[error("{} is not a PEM file of {kind}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The expected contents.
        kind: &'static str,
        /// The cause.
        error: String,
    },
    /// The key belongs to another certificate.
    #[error("the key in {} does not belong to the certificate in {}: {error}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The cause.
        error: rustls::Error,
    },
}

/// The certificate of the next handshakes.
#[derive(Debug)]
struct CurrentCertificate(ArcSwap<CertifiedKey>);

impl Tls {
    /// TLS 1.2 and 1.3 with this certificate; ALPN offers HTTP/2 and HTTP/1.1.
    pub fn new(files: &CertificateFiles) -> Result<Self, BadCertificate> {
        let current = Arc::new(CurrentCertificate(ArcSwap::from_pointee(read(files)?)));
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Without tickets, which clients keep, only the sessions of the last 256 clients could be resumed.
        if let Ok(tickets) = aws_lc_rs::Ticketer::new() {
            config.ticketer = tickets;
        }
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
        })
    }

    /// The end of the certificate in use, if it can be read.
    pub fn certificate_end(&self) -> Option<Timestamp> {
        let current = self.current.0.load();
        certificate_end(current.cert.first()?)
    }

    /// Uses another certificate from the next handshake on. An error changes nothing.
    pub fn replace(&self, files: &CertificateFiles) -> Result<(), BadCertificate> {
        self.current.0.store(Arc::new(read(files)?));
        Ok(())
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, BadCertificate> {
    let CertificateFiles { certificate, key } = files;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, "certificates", &error))?;
    if chain.is_empty() {
        let nothing = io::Error::other("there is no CERTIFICATE in it");
        return Err(unreadable(certificate, "certificates", &nothing));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key, "a private key", &error))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|error| {
        BadCertificate::Mismatch {
            certificate: certificate.clone(),
            key: key.clone(),
            error,
        }
    })
}

fn unreadable(path: &Path, kind: &'static str, error: &dyn fmt::Display) -> BadCertificate {
    BadCertificate::Unreadable {
        path: path.to_path_buf(),
        kind,
        error: error.to_string(),
    }
}
