//! Connects with Redis: with one server, with the primary that Sentinels name, or with a cluster.

use std::{net::SocketAddr, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError,
    RedisFuture, RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::AsyncDNSResolver,
};

use super::endpoint::{Endpoint, EndpointKind};
use crate::upstream::Resolver;

/// A connection with Redis. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Makes connections.
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    /// The certificates of the authorities that are trusted, in PEM, instead of the public ones.
    pub(super) authorities: Option<Vec<u8>>,
    pub(super) resolver: Resolver,
}

/// Resolves the host with our own resolver: the C library's is never used.
struct OwnResolver(Resolver);

/// The time limit of a connection.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The time that a Sentinel has to answer, so that the next one is asked if it does not.
const SENTINEL_LIMIT: Duration = Duration::from_secs(1);

impl Connector {
    /// A connection for commands, each of which takes as long as `limit` at most.
    pub(super) async fn open(&self, limit: Duration) -> RedisResult<Connection> {
        match &self.endpoint.kind {
            EndpointKind::Cluster => self.open_cluster(limit).await.map(Connection::Cluster),
            _ => self.open_server(Some(limit)).await.map(Connection::Server),
        }
    }

    /// A connection for commands that wait at the server. `None` for a cluster, whose nodes each have a part of the
    /// logs.
    pub(super) async fn open_waiting(&self) -> RedisResult<Option<MultiplexedConnection>> {
        match &self.endpoint.kind {
            EndpointKind::Cluster => Ok(None),
            _ => self.open_server(None).await.map(Some),
        }
    }

    async fn open_server(&self, limit: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        match &self.endpoint.kind {
            EndpointKind::Sentinel(name) => self.open_primary(name, limit).await,
            _ => {
                let servers = self.endpoint.servers().into_iter();
                let server = servers.last().ok_or_else(no_server)?;
                self.connect(server, limit).await
            }
        }
    }

    /// Asks the Sentinels in turn, and checks that the server is a primary: after a failover, one of them may not know
    /// it yet.
    async fn open_primary(
        &self,
        name: &str,
        limit: Option<Duration>,
    ) -> RedisResult<MultiplexedConnection> {
        let mut error = no_server();
        for sentinel in self.endpoint.sentinels() {
            let asked = tokio::time::timeout(SENTINEL_LIMIT, self.ask_sentinel(sentinel, name));
            let (host, port) = match asked.await {
                Ok(Ok(address)) => address,
                Ok(Err(why)) => {
                    error = why;
                    continue;
                }
                Err(_) => continue,
            };
            let server = self.endpoint.server(&host, port).ok_or_else(no_server)?;
            let mut connection = match self.connect(server, limit).await {
                Ok(connection) => connection,
                Err(why) => {
                    error = why;
                    continue;
                }
            };
            let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
            let is_primary =
                matches!(role.first(), Some(Value::BulkString(role)) if role == b"master");
            if is_primary {
                return Ok(connection);
            }
        }
        Err(error)
    }

    async fn ask_sentinel(
        &self,
        sentinel: ConnectionInfo,
        name: &str,
    ) -> RedisResult<(String, u16)> {
        let mut connection = self.connect(sentinel, Some(SENTINEL_LIMIT)).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let address: Option<(String, u16)> = command.query_async(&mut connection).await?;
        address.ok_or_else(|| {
            let what = "no Sentinel knows a primary of that name";
            RedisError::from((ErrorKind::InvalidClientConfig, what))
        })
    }

    async fn connect(
        &self,
        server: ConnectionInfo,
        limit: Option<Duration>,
    ) -> RedisResult<MultiplexedConnection> {
        let client = match self.certificates() {
            Some(certificates) => Client::build_with_tls(server, certificates)?,
            None => Client::open(server)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(limit)
            .set_dns_resolver(OwnResolver(self.resolver.clone()));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    async fn open_cluster(&self, limit: Duration) -> RedisResult<ClusterConnection> {
        let mut builder = ClusterClient::builder(self.endpoint.servers())
            .connection_timeout(CONNECT_LIMIT)
            .response_timeout(limit)
            .retries(1)
            .async_dns_resolver(OwnResolver(self.resolver.clone()));
        if let Some(certificates) = self.certificates() {
            builder = builder.certs(certificates);
        }
        builder.build()?.get_async_connection().await
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let authorities = self.authorities.clone();
        let authorities = authorities.filter(|_| self.endpoint.is_tls())?;
        Some(TlsCertificates {
            client_tls: None,
            root_cert: Some(authorities),
        })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Server(connection) => connection.req_packed_command(command),
            Connection::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Server(one) => one.req_packed_commands(pipeline, offset, count),
            Connection::Cluster(one) => one.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Server(connection) => connection.get_db(),
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}

impl AsyncDNSResolver for OwnResolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = self.0.resolve(host).await?.into_iter();
            let found = found.map(move |address| SocketAddr::new(address, port));
            Ok(Box::new(found) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

fn no_server() -> RedisError {
    RedisError::from((ErrorKind::Io, "no server answers"))
}
