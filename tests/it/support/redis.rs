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
    _folder: tempfile::TempDir,
}

impl RedisServer {
    pub fn start() -> Self {
        // The listener ends here, so that the server can have its port.
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let folder = tempfile::tempdir().unwrap();
        let process = spawn(port, &folder);
        let server = Self {
            port,
            process,
            _folder: folder,
        };
        server.wait();
        server
    }

    /// Kills it and starts it again without data.
    pub fn restart_empty(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.port, &self._folder);
        self.wait();
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
        assert!(!keys.is_empty(), "no replica has started");
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

    fn wait(&self) {
        let start = Instant::now();
        while self.try_ask::<String>(&["PING"]).is_err() {
            assert!(start.elapsed() < LIMIT, "redis-server does not start");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, folder: &tempfile::TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed by tests/setup.sh")
}
