//! Faceplate with emulated vendors, in this process.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use faceplate::{
    app::{App, Dependencies, StartError},
    clock::{Clock, Timestamp},
    config,
    emulator::{Calls, Control, Emulator, OWN_JID, Options, Rule},
    pipeline::{Faces, Instance},
    store::OpenError,
    upstream::{Resolver, SHIPPED},
};
use hyper::body::Bytes;
use tempfile::TempDir;
use tokio::time;

use super::{Answer, LIMIT, files_below, private, s3};

/// A Friday in November 2026.
const START: Timestamp = Timestamp::from_secs(1_795_200_000);

/// The five vendors. Each has an instance with its name.
pub const VENDORS: [&str; 5] = ["wachat", "wawp", "hypersender", "wappfy", "waha"];

/// Emulated gateways beside the five, which are many tests' instances.
pub const GATEWAYS: [&str; 3] = ["evolution", "wuzapi", "wppconnect"];

/// A running server and its vendors.
pub struct Rig {
    pub clock: Clock,
    pub emulator: Arc<Emulator>,
    pub cache: TempDir,
    settings: Settings,
    app: Option<App>,
}

/// The settings of one test.
#[derive(Clone, Default)]
pub struct Settings {
    /// Tables that replace the rig's own, as `[name]` → lines.
    sections: BTreeMap<String, String>,
    /// The DNS resolver, and the CDN's host in links.
    resolver: Option<Resolver>,
    cdn_host: Option<String>,
    /// Lines added to every instance; a line there replaces the rig's line of the same key.
    instance: String,
    /// Lines for one of them.
    only: Vec<(String, String)>,
    /// Instances beside the five, and their providers.
    more: Vec<(String, String)>,
    /// The URL of Redis, and the fleet's secret if it is another one.
    redis: String,
    secret: Option<String>,
    /// The vendors and the clock of another server.
    beside: Option<(Clock, Arc<Emulator>)>,
}

impl Settings {
    /// Sets the lines of a section such as `cache` or `access`.
    pub fn section(mut self, name: &str, lines: &str) -> Self {
        self.sections.insert(name.to_owned(), lines.to_owned());
        self
    }

    /// Adds lines to every instance.
    pub fn instance(mut self, lines: &str) -> Self {
        self.instance.push_str(lines);
        self.instance.push('\n');
        self
    }

    /// Adds a line to the instance named after `vendor`.
    pub fn only(mut self, vendor: &str, line: &str) -> Self {
        self.only.push((vendor.to_owned(), line.to_owned()));
        self
    }

    /// Adds instances that are named after their providers.
    pub fn more(mut self, providers: &[&str]) -> Self {
        for name in providers {
            self = self.named(name, name);
        }
        self
    }

    /// Adds an instance of each gateway of this program that has none yet.
    pub fn every_gateway(self) -> Self {
        let names = SHIPPED.iter().map(|(name, _)| *name);
        let known: Vec<_> = self.more.iter().map(|(name, _)| name.clone()).collect();
        let is_new = |name: &&str| !VENDORS.contains(name) && !known.iter().any(|k| k == name);
        self.more(&names.filter(is_new).collect::<Vec<_>>())
    }

    /// Removes an instance that was added.
    pub fn without(mut self, name: &str) -> Self {
        self.more.retain(|(known, _)| known != name);
        self
    }

    /// Adds an instance; one with a `*` in its name is a pattern.
    pub fn named(mut self, name: &str, provider: &str) -> Self {
        self.more.push((name.to_owned(), provider.to_owned()));
        self
    }

    /// Makes the server a replica of the fleet on this Redis.
    pub fn fleet(mut self, redis: &str, lines: &str) -> Self {
        self.redis = redis.to_owned();
        let keys = "name = \"crm\"\nredis = \"env:REDIS\"\nsecret = \"env:FLEET_SECRET\"";
        self.section("fleet", &format!("{keys}\n{lines}"))
    }

    /// Sets another secret of the fleet.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// Shares the vendors and the clock of another server.
    pub fn beside(mut self, rig: &Rig) -> Self {
        self.beside = Some((rig.clock.clone(), rig.emulator.clone()));
        self
    }

    /// Shares the vendors of another server, and has a clock of its own, which begins at the time of the other one's.
    pub fn beside_with_own_clock(mut self, rig: &Rig) -> Self {
        self.beside = Some((Clock::manual(rig.clock.now()), rig.emulator.clone()));
        self
    }

    /// Sets the DNS resolver.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Sets the CDN's host in links; the port stays the real one.
    pub fn cdn_host(mut self, host: &str) -> Self {
        self.cdn_host = Some(host.to_owned());
        self
    }

    /// Starts the server with these settings.
    pub async fn start(self) -> Rig {
        self.try_start().await.unwrap()
    }

    /// The same, for settings with which a start may fail.
    pub async fn try_start(self) -> Result<Rig, StartError> {
        private::keep_log();
        let (clock, emulator) = match self.beside.clone() {
            Some(beside) => beside,
            None => {
                let clock = Clock::manual(START);
                let emulator = Emulator::start(Options {
                    clock: clock.clone(),
                    cdn_authority: self.cdn_host.clone(),
                    ..Options::default()
                });
                (clock, Arc::new(emulator.await.unwrap()))
            }
        };
        let mut rig = Rig {
            clock,
            emulator,
            cache: tempfile::tempdir().unwrap(),
            settings: self,
            app: None,
        };
        rig.app = Some(rig.try_start().await?);
        Ok(rig)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        private::assert_none_in_log();
    }
}

impl Rig {
    /// Everything at its default, open to all.
    pub async fn start() -> Self {
        Settings::default().start().await
    }

    /// Everything at its default, with signed URLs.
    pub async fn start_signed() -> Self {
        let key = "signing_keys = [\"env:SIGNING_KEY\"]";
        Settings::default().section("access", key).start().await
    }

    /// The configuration file.
    pub fn config(&self) -> String {
        let mut sections = BTreeMap::from([
            ("server".to_owned(), "listen = \"127.0.0.1:0\"".to_owned()),
            ("admin".to_owned(), "listen = \"127.0.0.1:0\"".to_owned()),
            (
                "access".to_owned(),
                "mode = \"open\"\nallow_public = true".to_owned(),
            ),
            ("cache".to_owned(), String::new()),
        ]);
        sections.extend(self.settings.sections.clone());
        let dir = format!("dir = \"{}\"\n", self.cache.path().display());
        sections
            .entry("cache".to_owned())
            .or_default()
            .insert_str(0, &dir);
        // The rig is open to other machines, which by itself turns it off.
        let live = sections.entry("live".to_owned()).or_default();
        if !live.contains("enabled") {
            live.insert_str(0, "enabled = true\n");
        }
        let mut text = String::new();
        for (name, lines) in sections {
            text.push_str(&format!("[{name}]\n{lines}\n"));
        }
        let more = self.settings.more.iter();
        let more = more.map(|(name, provider)| (name.as_str(), provider.as_str()));
        for (vendor, provider) in VENDORS.map(|name| (name, name)).into_iter().chain(more) {
            let mut keys = BTreeMap::from([
                ("provider", format!("\"{provider}\"")),
                ("account", "\"shop\"".to_owned()),
                ("base_url", format!("\"http://{}\"", self.emulator.api())),
                ("token", "\"env:TOKEN\"".to_owned()),
                ("own_jid", format!("\"{OWN_JID}\"")),
                ("lookups", "{ per_minute = 6000, burst = 2000 }".to_owned()),
                ("refreshes", "{ per_minute = 600, burst = 200 }".to_owned()),
                ("picture_hosts", format!("[\"{}\"]", self.cdn())),
                ("allow_private", "[\"127.0.0.0/8\"]".to_owned()),
            ]);
            let only = self.settings.only.iter();
            let only = only.filter(|(name, _)| name == vendor);
            let only = only.map(|(_, line)| line.as_str());
            if vendor.contains('*') {
                keys.insert("account", "\"{instance}\"".to_owned());
                keys.remove("own_jid");
            }
            for line in self.settings.instance.lines().chain(only) {
                let (key, value) = line.split_once('=').unwrap();
                keys.insert(key.trim(), value.trim().to_owned());
            }
            match vendor.contains('*') {
                true => text.push_str(&format!("[instances.\"{vendor}\"]\n")),
                false => text.push_str(&format!("[instances.{vendor}]\n")),
            }
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }

    /// The CDN's authority in links.
    pub fn cdn(&self) -> String {
        let address = self.emulator.cdn();
        match &self.settings.cdn_host {
            Some(host) => format!("{host}:{}", address.port()),
            None => address.to_string(),
        }
    }

    fn read_config(&self) -> config::Config {
        let fleet_secret = self.settings.secret.clone();
        let fleet_secret = fleet_secret.unwrap_or("a fleet secret for tests".to_owned());
        let env = [
            ("TOKEN", self.emulator.control().token().to_owned()),
            ("SIGNING_KEY", "a signing key for tests".to_owned()),
            ("OTHER_KEY", "another signing key".to_owned()),
            ("HOOK_SECRET", "a hook secret for tests".to_owned()),
            ("HOOK_KEY", "a hook key for tests".to_owned()),
            ("BEARER", "a bearer token for tests".to_owned()),
            ("REDIS", self.settings.redis.clone()),
            ("FLEET_SECRET", fleet_secret),
            ("S3_KEY", s3::ACCESS_KEY.to_owned()),
            ("S3_SECRET", s3::SECRET_KEY.to_owned()),
        ];
        config::from_text("the test's configuration", &self.config(), env.into_iter())
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    async fn try_start(&self) -> Result<App, StartError> {
        let dependencies = Dependencies {
            clock: self.clock.clone(),
            resolver: self.settings.resolver.clone().unwrap_or_default(),
            ..Dependencies::default()
        };
        App::start(self.read_config(), dependencies).await
    }

    /// Changes lines of every instance for the next reload or restart.
    pub fn configure(&mut self, instance: &str) {
        self.settings.instance.push_str(instance);
        self.settings.instance.push('\n');
    }

    /// Reloads the configuration of the running server, with other lines for every instance.
    pub fn reload(&mut self, instance: &str) {
        self.configure(instance);
        self.app.as_ref().unwrap().reload(self.read_config());
    }

    /// Reloads the configuration of the running server, with another line for one instance.
    pub fn reload_only(&mut self, vendor: &str, line: &str) {
        self.settings
            .only
            .push((vendor.to_owned(), line.to_owned()));
        self.app.as_ref().unwrap().reload(self.read_config());
    }

    /// Adds an instance for the next reload or restart.
    pub fn add(&mut self, name: &str, provider: &str, line: &str) {
        let settings = std::mem::take(&mut self.settings);
        self.settings = settings.named(name, provider).only(name, line);
    }

    /// Reloads the configuration of the running server, with other settings.
    pub fn reload_as(&mut self, change: impl FnOnce(Settings) -> Settings) {
        self.settings = change(self.settings.clone());
        self.app.as_ref().unwrap().reload(self.read_config());
    }

    /// Stops the server and starts it again on the same cache directory. The end of a process would unlock the
    /// directory at once; here, a task that is not yet over may keep it locked.
    pub async fn restart(&mut self) {
        self.stop().await;
        let began = Instant::now();
        let app = loop {
            match self.try_start().await {
                Err(StartError::Store(OpenError::Locked { .. })) if began.elapsed() < LIMIT => {
                    time::sleep(Duration::from_millis(10)).await;
                }
                started => break started.unwrap(),
            }
        };
        self.app = Some(app);
    }

    /// Starts the server again with other lines in a section.
    pub async fn turn(&mut self, section: &str, lines: &str) {
        let sections = &mut self.settings.sections;
        sections.insert(section.to_owned(), lines.to_owned());
        self.restart().await;
    }

    /// Stops the server.
    pub async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// Runs the cache's maintenance.
    pub async fn run_maintenance(&self) {
        self.app.as_ref().unwrap().run_maintenance().await;
    }

    /// The files below a folder of the cache.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        files_below(self.cache.path().join(folder))
    }

    /// The record of an instance, as `/v1/instances` shows it.
    pub async fn instance_record(&self, name: &str) -> serde_json::Value {
        let answer = Answer::to(&self.admin(), "GET", "/v1/instances", &[]).await;
        let records: Vec<serde_json::Value> = serde_json::from_slice(&answer.body).unwrap();
        let mut records = records.into_iter();
        records.find(|record| record["instance"] == name).unwrap()
    }

    /// The service of the public listener, without a socket.
    pub fn front(&self) -> faceplate::front::Front {
        self.app.as_ref().unwrap().front()
    }

    /// The pipeline and the instance named after `vendor`, without a socket.
    pub fn pipeline(&self, vendor: &str) -> (Faces, Arc<Instance>) {
        self.app.as_ref().unwrap().pipeline(vendor).unwrap()
    }

    /// The address of the public listener.
    pub fn address(&self) -> String {
        self.app.as_ref().unwrap().address.to_string()
    }

    /// The address of the admin listener.
    pub fn admin(&self) -> String {
        self.app.as_ref().unwrap().admin.to_string()
    }

    /// The address of the listener for webhooks, if there is one.
    pub fn try_hooks(&self) -> Option<String> {
        let hooks = self.app.as_ref().unwrap().hooks.as_ref();
        hooks.map(ToString::to_string)
    }

    /// The address of the listener for webhooks.
    pub fn hooks(&self) -> String {
        self.try_hooks().unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        Answer::to(&self.address(), method, path, headers).await
    }

    /// The face of `jid` as the instance named after `vendor` sees it.
    pub async fn face(&self, vendor: &str, jid: &str) -> Answer {
        self.get(&format!("/avatar/{vendor}/{jid}")).await
    }

    /// The control of the emulated vendors.
    pub fn vendors(&self) -> &Control {
        self.emulator.control()
    }

    pub fn inject(&self, rule: Rule) {
        self.vendors().inject(rule).unwrap();
    }

    /// The calls to the vendors since the start.
    pub fn calls(&self) -> Calls {
        self.vendors().calls()
    }

    /// The numbers of API calls and downloads since the last call of this function.
    pub fn traffic(&self) -> (usize, usize) {
        let calls = self.calls();
        self.vendors().reset_calls();
        (calls.api, calls.cdn)
    }

    /// The current picture of `jid` at the CDN.
    pub fn bytes(&self, jid: &str) -> Bytes {
        self.vendors().face_bytes(jid).unwrap()
    }

    pub fn hours(&self, hours: u64) {
        self.clock.advance(Duration::from_secs(hours * 3600));
    }

    pub fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
