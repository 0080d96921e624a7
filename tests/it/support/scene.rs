//! The real binary in front of emulated vendors.

use std::{fs, process::Command};

use faceplate::emulator::{Emulator, Options};

use super::{
    Answer,
    program::{Program, Running},
};

/// Emulated vendors, the configuration of an open proxy in front of them, and the proxy while it runs.
pub struct Scene {
    pub emulator: Emulator,
    pub program: Program,
    pub server: Option<Running>,
}

impl Scene {
    /// A scene whose server runs.
    pub async fn set() -> Self {
        let mut scene = Self::before_the_start().await;
        scene.serve();
        scene
    }

    /// A scene whose server does not run yet.
    pub async fn before_the_start() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let program = Program::before(&emulator, "");
        Self {
            emulator,
            program,
            server: None,
        }
    }

    /// Starts the server.
    pub fn serve(&mut self) {
        self.server = Some(self.program.serve());
    }

    /// Stops the server, and returns its log.
    pub fn stop(&mut self) -> String {
        let server = self.server.take().unwrap();
        server.signal("TERM");
        server.end().1
    }

    /// Replaces a part of the configuration file, which has to be there.
    pub fn rewrite(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.program.config()).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        fs::write(self.program.config(), text.replace(from, to)).unwrap();
    }

    /// The running server.
    pub fn server(&mut self) -> &mut Running {
        self.server.as_mut().unwrap()
    }

    /// The address behind `key=` in the log.
    pub fn address(&self, key: &str) -> String {
        self.server.as_ref().unwrap().address(key)
    }

    /// The answer of the public listener.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(&self.address("listen"), "GET", path, &[]).await
    }

    /// The answer of the admin listener.
    pub async fn admin(&self, method: &str, path: &str) -> Answer {
        Answer::to(&self.address("admin"), method, path, &[]).await
    }

    /// A command that finds the server, if that runs.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program.command(args);
        if self.server.is_some() {
            command.env("FACEPLATE_ADMIN__LISTEN", self.address("admin"));
        }
        command
    }
}
