//! A real Redis server on a free port, for one test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::LIMIT;

/// A running Redis, which is killed on drop.
pub struct RedisServer {
    port: u16,
    process: Child,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with further arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|one| (*one).to_owned()).collect();
        Self::start_on_free_port(&arguments, |port, folder| spawn(port, folder, &arguments))
    }

    /// Starts a server by `spawn`, on another port if a program took the first one meanwhile.
    fn start_on_free_port(
        arguments: &[String],
        spawn: impl Fn(u16, &tempfile::TempDir) -> Child,
    ) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let folder = tempfile::tempdir().unwrap();
            let process = spawn(port, &folder);
            let mut server = Self {
                port,
                process,
                folder,
                arguments: arguments.to_vec(),
            };
            if server.is_started() {
                return server;
            }
        }
        panic!("redis-server finds no free port");
    }

    /// Three servers that are a cluster.
    pub fn cluster() -> Vec<Self> {
        let node = || {
            let port = free_port().to_string();
            Self::start_with(&["--cluster-enabled", "yes", "--cluster-port", &port])
        };
        let nodes: Vec<_> = (0..3).map(|_| node()).collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes.iter().map(Self::address))
            .arg("--cluster-yes")
            .stdout(Stdio::null())
            .status()
            .expect("redis-cli is installed by tests/setup.sh");
        assert!(made.success());
        let start = Instant::now();
        for node in &nodes {
            let info = || node.ask::<String>(&["CLUSTER", "INFO"]);
            while !info().contains("cluster_state:ok") {
                assert!(start.elapsed() < LIMIT, "the cluster does not start");
                thread::sleep(Duration::from_millis(20));
            }
        }
        nodes
    }

    /// A primary called `main` with two followers, and three Sentinels.
    pub fn with_sentinels() -> (Vec<Self>, Vec<Self>) {
        let primary = Self::start();
        let port = primary.port.to_string();
        let follower = || Self::start_with(&["--replicaof", "127.0.0.1", &port]);
        let servers: Vec<_> = [primary, follower(), follower()].into();
        let start = Instant::now();
        for follower in &servers[1..] {
            let info = || follower.ask::<String>(&["INFO", "replication"]);
            while !info().contains("master_link_status:up") {
                assert!(start.elapsed() < LIMIT, "a follower does not follow");
                thread::sleep(Duration::from_millis(20));
            }
        }
        let sentinels = (0..3).map(|_| Self::sentinel(&port)).collect();
        (servers, sentinels)
    }

    fn sentinel(primary: &str) -> Self {
        Self::start_on_free_port(&[], |port, folder| {
            let lines = [
                format!("port {port}"),
                "bind 127.0.0.1".to_owned(),
                format!("dir {}", folder.path().display()),
                format!("sentinel monitor main 127.0.0.1 {primary} 2"),
                "sentinel down-after-milliseconds main 1000".to_owned(),
                "sentinel failover-timeout main 3000".to_owned(),
            ];
            let path = folder.path().join("sentinel.conf");
            std::fs::write(&path, lines.join("\n")).unwrap();
            Command::new("redis-server")
                .arg(&path)
                .arg("--sentinel")
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops it for a while, or lets it go on: a machine that hangs.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills it and starts it again without data.
    pub fn restart_empty(&mut self) {
        self.kill();
        self.process = spawn(self.port, &self.folder, &self.arguments);
        assert!(self.is_started(), "a program has taken the port");
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The answer to a command.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap()
    }

    /// Fills the budgets of all accounts, which the server's clock would do in time. No bucket holds more than its burst.
    pub fn fill_budgets(&self) {
        let keys: Vec<String> = self.ask(&["KEYS", "*:account"]);
        for key in &keys {
            let full = ["calls", "9999", "refreshes", "9999", "background", "9999"];
            let _: i64 = self.ask(&[&["HSET", key], &full[..]].concat());
        }
    }

    fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection_with_timeout(LIMIT)?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query(&mut connection)
    }

    /// Waits for the server's first answer. Returns whether it has started; it ends at once if its port is taken.
    fn is_started(&mut self) -> bool {
        let (start, line) = (
            Instant::now(),
            format!("process_id:{}\r", self.process.id()),
        );
        // Another server may answer on its port.
        let is_own = |info: String| info.contains(&line);
        while !self.try_ask(&["INFO", "server"]).is_ok_and(is_own) {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(start.elapsed() < LIMIT, "redis-server does not start");
            thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that was free just now.
pub fn free_port() -> u16 {
    // The listener ends here, so that a server can have its port.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(port: u16, folder: &tempfile::TempDir, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(arguments)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed by tests/setup.sh")
}
