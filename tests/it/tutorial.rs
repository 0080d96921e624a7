//! The configuration and the program in `docs/tutorial.md`, run unchanged but for their ports.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use faceplate::emulator::{Emulator, Fault, Options, Rule};

use crate::support::{
    Answer,
    program::{Program, Running},
};

const DOCUMENT: &str = include_str!("../../docs/tutorial.md");
const KEY: &str = "a signing key for tests";

/// The first block of the tutorial in this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// The tutorial's configuration in front of `emulator`, on free ports.
fn program(emulator: &Emulator) -> Program {
    let own = block("toml")
        .replace("127.0.0.1:9900", &emulator.api().to_string())
        .replace("127.0.0.1:9901", &emulator.cdn().to_string())
        .replace("\"cache\"", "\"DIR/cache\"");
    Program::with(&format!(
        "server.listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n{own}"
    ))
}

/// The tutorial's application, which ends on drop.
struct Inbox {
    process: Child,
    address: String,
}

impl Inbox {
    fn start(program: &Program, faces: &str) -> Self {
        let file = program.folder.path().join("inbox");
        fs::write(&file, block("python")).unwrap();
        let mut process = Command::new("python3")
            .arg(file)
            .env("SIGNING_KEY", KEY)
            .env("FACES", format!("http://{faces}"))
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://");
        Self {
            address: address.trim_end_matches('/').to_owned(),
            process,
        }
    }

    /// The paths of the images of its page.
    async fn images(&self, faces: &str) -> Vec<String> {
        let page = Answer::to(&self.address, "GET", "/", &[]).await;
        let page = String::from_utf8(page.body.to_vec()).unwrap();
        let sources = page.split("<img src=\"").skip(1);
        sources
            .map(|rest| rest.split_once('"').unwrap().0.replace("&amp;", "&"))
            .map(|url| url.replace(&format!("http://{faces}"), ""))
            .collect()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_of_the_tutorial_shows_faces_and_keeps_them_when_the_gateway_fails() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = program(&emulator);
    let mut command = program.command(&["serve"]);
    command.env("VENDOR_TOKEN", "emulator-token");
    let mut server = Running::start(command);
    server.wait_for("serving faces");
    let faces = server.address("listen");
    let inbox = Inbox::start(&program, &faces);
    let images = inbox.images(&faces).await;
    assert_eq!(images.len(), 3);
    for path in &images {
        let answer = Answer::to(&faces, "GET", path, &[]).await;
        assert_eq!(answer.header("x-faceplate-source"), "picture", "{path}");
    }
    assert_eq!(emulator.control().calls().api, 3);
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(60),
    };
    emulator.control().inject(Rule::api(limited)).unwrap();
    for path in &images {
        let answer = Answer::to(&faces, "GET", path, &[]).await;
        assert_eq!(answer.header("x-faceplate-source"), "picture", "{path}");
    }
    let new = images[0].replace("628100000001", "628100000077");
    let answer = Answer::to(&faces, "GET", &new, &[]).await;
    assert_eq!(answer.header("x-faceplate-reason"), "rate_limited");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_gateway_of_the_tutorial_answers_its_first_question() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let path = "/api/shop/chats/628100000001@c.us/picture";
    assert!(DOCUMENT.contains(path));
    let key = [("x-api-key", "emulator-token")];
    let answer = Answer::to(&emulator.api().to_string(), "GET", path, &key).await;
    assert_eq!(answer.status, 200);
}
