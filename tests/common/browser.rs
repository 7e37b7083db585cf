//! A real browser, headless: Debian's Chromium, driven by WebDriver (W3C) over HTTP. It reaches this host only, and leaves nothing.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test crate uses its part")]

use crate::needs::skipped;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long one command may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// One at a time: each is some processes and 200 MB.
static TURN: Mutex<()> = Mutex::new(());

/// A window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Opens one; none, and says so, if there is no browser here.
    pub fn open(with_script: bool) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |name: &str| {
            ["/usr/bin", "/usr/local/bin"].iter().any(|folder| std::path::Path::new(folder).join(name).exists())
        };
        if !is_there("chromium") || !is_there("chromedriver") {
            skipped("no chromium and chromedriver here (Debian: chromium, chromium-driver)");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = port(&mut driver);
        let mut browser = Self { driver, port, session: String::new(), profile, _turn: turn };
        let answer = browser.call("POST", "/session", &browser.capabilities(with_script));
        let session = answer["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        session.clone_into(&mut browser.session);
        Some(browser)
    }

    fn capabilities(&self, with_script: bool) -> Value {
        let mut args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--lang=en",
            "--window-size=1280,900",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        .map(str::to_owned)
        .to_vec();
        args.push(format!("--user-data-dir={}", self.profile.path().join("profile").display()));
        let script = if with_script { 1 } else { 2 };
        let prefs = json!({ "profile.managed_default_content_settings.javascript": script });
        let always = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args, "prefs": prefs },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        json!({ "capabilities": { "alwaysMatch": always } })
    }

    /// Shows a page.
    pub fn go(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// What an expression is in the page.
    pub fn value(&self, expression: &str) -> Value {
        self.command("execute/sync", &json!({ "script": format!("return ({expression})"), "args": [] }))
    }

    /// The text that is to be seen of the first element like this; empty: there is none.
    pub fn text(&self, selector: &str) -> String {
        let script = "const element = document.querySelector(arguments[0]); return element ? element.innerText : ''";
        let text = self.command("execute/sync", &json!({ "script": script, "args": [selector] }));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub fn until(&self, what: &str, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while self.value(expression) != json!(true) {
            assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}; {}", self.text("body"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types into an element, as a person does.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.on(selector, "value", &json!({ "text": text }));
    }

    /// Empties an input, as a person does: Control-A, Backspace (WebDriver's own way is no input).
    pub fn clear(&self, selector: &str) {
        self.type_into(selector, "\u{e009}a\u{e000}\u{e003}");
    }

    /// Clicks on an element, as a person does: it must be to be seen.
    pub fn click(&self, selector: &str) {
        self.on(selector, "click", &json!({}));
    }

    fn on(&self, selector: &str, what: &str, body: &Value) {
        let found = self.command("element", &json!({ "using": "css selector", "value": selector }));
        let element = found.as_object().and_then(|object| object.values().next()).and_then(Value::as_str);
        let element = element.unwrap_or_else(|| panic!("no {selector}: {found}"));
        self.command(&format!("element/{element}/{what}"), body);
    }

    /// A telephone's window, say; CSS pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.protocol("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// The user likes it `dark` or `light`.
    pub fn prefers(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.protocol("Emulation.setEmulatedMedia", &features);
    }

    fn protocol(&self, command: &str, parameters: &Value) {
        self.command("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// What the browser complains about since this was asked last: what the page's policy forbids, errors of its script.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "browser" }));
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// Keeps what is to be seen, for whoever asks for it by `SCREENSHOTS=FOLDER`.
    pub fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let image = self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        let path = std::path::Path::new(&folder).join(format!("{name}.png.base64"));
        std::fs::write(path, image.as_str().unwrap()).unwrap();
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.call("POST", &format!("/session/{}/{path}", self.session), body);
        assert!(answer.get("error").is_none(), "{path} {body}: {answer}");
        answer
    }

    /// The `value` of an answer.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        // The driver, and what it may have left behind: they are one group.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}

/// The port that it says it is at.
fn port(driver: &mut Child) -> u16 {
    for line in BufReader::new(driver.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("successfully on port ") {
            return rest.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver does not start");
}
