//! A real S3 server in this process, on a folder and a free port.

use std::{fs, path::PathBuf};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::files_below;

/// The name of the key, and the key, as the rig's environment has them.
pub const ACCESS_KEY: &str = "a-key-for-tests";
pub const SECRET_KEY: &str = "a secret key for tests";
const BUCKET: &str = "faces";

/// A running server with an empty bucket, which ends on drop.
pub struct S3Server {
    address: String,
    folder: TempDir,
    task: JoinHandle<()>,
}

impl S3Server {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts it with TLS.
    pub async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let files = FileSystem::new(folder.path()).unwrap();
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, tls) = (service.clone(), tls.clone());
                tokio::spawn(async move {
                    let connection = http1::Builder::new();
                    let Some(tls) = tls else {
                        return connection
                            .serve_connection(TokioIo::new(socket), service)
                            .await
                            .ok();
                    };
                    let socket = TokioIo::new(tls.accept(socket).await.ok()?);
                    connection.serve_connection(socket, service).await.ok()
                });
            }
        });
        Self {
            address,
            folder,
            task,
        }
    }

    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// The lines of `[fleet.s3]`.
    pub fn lines(&self) -> String {
        lines(&self.address)
    }

    /// The files of the objects whose names begin with a folder.
    pub fn objects(&self, folder: &str) -> Vec<PathBuf> {
        files_below(self.folder.path().join(BUCKET).join(folder))
    }

    /// The bucket's folder.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The lines of `[fleet.s3]` for a server at `address`.
pub fn lines(address: &str) -> String {
    format!(
        "bucket = \"{BUCKET}\"\nendpoint = \"http://{address}\"\naccess_key = \"env:S3_KEY\"\nsecret_key = \"env:S3_SECRET\"\ntimeout = \"10s\""
    )
}
