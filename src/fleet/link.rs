//! The connection with Redis: every command has a time limit, and after a few failures in a row nothing is sent for a
//! second, so that a Redis that hangs costs no request its time.

use std::{sync::Mutex, time::Duration};

use redis::{Cmd, RedisError, RedisResult, ScriptInvocation, Value, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use tokio::time::{self, Instant};

use super::{
    connection::{CONNECT_LIMIT, Connection, Connector},
    endpoint::Endpoint,
    settings::Settings,
};
use crate::{
    sync::lock,
    telemetry::{CommandResult, Metrics},
    upstream::Resolver,
};

/// The connection with Redis.
pub(super) struct Link {
    connector: Connector,
    connection: tokio::sync::Mutex<Option<Connection>>,
    breaker: Mutex<Breaker>,
    timeout: Duration,
    metrics: Metrics,
}

/// Redis did not answer in time, or refused the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineFailure;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConnectError {
    /// The password is wrong, or the user lacks a right.
    Credential,
    /// The server does not answer.
    Unreachable(String),
}

impl ConnectError {
    fn of(error: &RedisError) -> Self {
        let why = describe(error);
        match is_refusal(&why) {
            true => ConnectError::Credential,
            false => ConnectError::Unreachable(why),
        }
    }
}

#[derive(Debug, Default)]
struct Breaker {
    /// Failures in a row.
    failures: u32,
    /// Nothing is sent before this time.
    open_until: Option<Instant>,
    /// Whether the failure was logged.
    is_down: bool,
    /// Whether Redis refuses the credential.
    is_refused: bool,
}

/// Failures in a row after which nothing is sent for [`PAUSE`].
const FAILURES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

impl Link {
    /// The error is the remedy of a wrong URL.
    pub(super) fn new(
        settings: &Settings,
        resolver: Resolver,
        metrics: Metrics,
    ) -> Result<Self, String> {
        Ok(Self {
            connector: Connector {
                endpoint: Endpoint::parse(settings.redis.expose_secret())?,
                authorities: settings.authorities.clone(),
                resolver,
            },
            connection: tokio::sync::Mutex::default(),
            breaker: Mutex::default(),
            timeout: settings.timeout,
            metrics,
        })
    }

    /// Whether the last command succeeded.
    pub(super) fn is_up(&self) -> bool {
        !lock(&self.breaker).is_down
    }

    /// Whether Redis refused the last command for its credential.
    pub(super) fn is_refused(&self) -> bool {
        lock(&self.breaker).is_refused
    }

    /// Connects, if there is no connection, and returns the reason if that fails.
    pub(super) async fn connect(&self) -> Result<(), ConnectError> {
        let mut connection = self.connection.lock().await;
        if connection.is_none() {
            let made = time::timeout(CONNECT_LIMIT, self.connector.open(self.timeout)).await;
            let made = made.map_err(|_| {
                ConnectError::Unreachable("it did not answer within 5 seconds".to_owned())
            })?;
            *connection = Some(made.map_err(|error| ConnectError::of(&error))?);
        }
        Ok(())
    }

    /// A connection of its own for commands that wait at the server, such as a blocking XREAD. `None` for a cluster.
    pub(super) async fn open_waiting(
        &self,
    ) -> Result<Option<MultiplexedConnection>, EngineFailure> {
        match time::timeout(CONNECT_LIMIT, self.connector.open_waiting()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(_)) | Err(_) => Err(EngineFailure),
        }
    }

    /// Runs a script.
    pub(super) async fn run(
        &self,
        name: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<Vec<Value>, EngineFailure> {
        self.bounded(name, async {
            let mut connection = self.connection().await?;
            script.invoke_async(&mut connection).await
        })
        .await
    }

    /// Sends a command.
    pub(super) async fn send(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<Value, EngineFailure> {
        self.bounded(name, async {
            let mut connection = self.connection().await?;
            command.query_async(&mut connection).await
        })
        .await
    }

    async fn bounded<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, EngineFailure> {
        let started = Instant::now();
        let is_open = lock(&self.breaker)
            .open_until
            .is_some_and(|until| started < until);
        let fleet = self.metrics.fleet();
        if is_open {
            fleet.record_command(CommandResult::Skipped);
            return Err(EngineFailure);
        }
        let result = time::timeout(self.timeout, work).await;
        fleet.record_round_trip(name, started.elapsed());
        fleet.record_command(match &result {
            Ok(Ok(_)) => CommandResult::Answered,
            Ok(Err(error)) if error.is_timeout() => CommandResult::Late,
            Ok(Err(_)) => CommandResult::Failed,
            Err(_) => CommandResult::Late,
        });
        let (is_late, why) = match result {
            Ok(Ok(value)) => {
                self.record_success();
                return Ok(value);
            }
            Ok(Err(error)) => (error.is_timeout(), describe(&error)),
            Err(_) => (true, "it did not answer in time".to_owned()),
        };
        self.record_failure(is_late, &why);
        Err(EngineFailure)
    }

    async fn connection(&self) -> RedisResult<Connection> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let made = self.connector.open(self.timeout).await?;
        *connection = Some(made.clone());
        Ok(made)
    }

    fn record_success(&self) {
        let mut breaker = lock(&self.breaker);
        if breaker.is_down {
            tracing::info!("Redis answers again; the fleet shares faces and budget");
        }
        *breaker = Breaker::default();
        self.metrics.fleet().set_up("redis", true);
    }

    fn record_failure(&self, is_late: bool, why: &str) {
        let mut breaker = lock(&self.breaker);
        breaker.failures += 1;
        // The next command makes a new connection, because the server may have failed over. An answer that is late once leaves
        // it: the commands of a new one would be later still.
        let is_kept = is_late && breaker.failures < FAILURES;
        if !is_kept && let Ok(mut connection) = self.connection.try_lock() {
            *connection = None;
        }
        breaker.is_refused = is_refusal(why);
        if breaker.failures >= FAILURES {
            breaker.open_until = Some(Instant::now() + PAUSE);
        }
        if !breaker.is_down {
            breaker.is_down = true;
            tracing::error!(
                why,
                "Redis does not work; this replica serves what it has and calls vendors from its reserve alone"
            );
        }
        self.metrics.fleet().set_up("redis", false);
    }
}

fn is_refusal(why: &str) -> bool {
    let refusals = ["NOAUTH", "WRONGPASS", "NOPERM", "Authentication"];
    refusals.iter().any(|refusal| why.contains(refusal))
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link(up: {})", self.is_up())
    }
}

/// The reason of a failure, without an argument of the command or the URL.
fn describe(error: &RedisError) -> String {
    // Redis reads no long command of a client without a credential.
    if error
        .detail()
        .is_some_and(|detail| detail.contains("unauthenticated"))
    {
        return "it answers with NOAUTH".to_owned();
    }
    match error.code() {
        Some(code) => format!("it answers with {code}"),
        None => format!("{:?}", error.kind()),
    }
}
