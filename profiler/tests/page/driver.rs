//! A headless browser, driven by WebDriver over loopback.
//!
//! In: `chromedriver` and `chromium` of this machine. Out: a page that is opened from disk, scripts run in it, what its console said and what
//! it asked the network for. The browser's profile is new and gone with it; so are both processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Nothing of a page takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

/// Why there is no browser here, if there is none.
pub fn missing() -> Option<String> {
    let there = |name: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|directory| directory.join(name).is_file())
    };
    let gone: Vec<&str> = ["chromium", "chromedriver"].into_iter().filter(|name| !there(name)).collect();
    (!gone.is_empty())
        .then(|| format!("{} missing; fix: apt-get install chromium chromium-driver", gone.join(" and ")))
}

impl Browser {
    /// Starts it, with a window of that size.
    pub fn start(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said =
            lines.find_map(|line| line.rsplit_once("successfully on port ").map(|(_, port)| port.to_owned()));
        let port = said.unwrap().trim_end_matches('.').parse().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ];
        let size = format!("--window-size={width},{height}");
        let data = format!("--user-data-dir={}", browser._profile.path().display());
        let args: Vec<&str> = flags.into_iter().chain([size.as_str(), data.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let session = browser.ask("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// One request; its value.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = told.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }

    fn of_session(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// Opens a page from disk and waits until it says that it is ready; ms since it began.
    pub fn open(&self, page: &Path) -> f64 {
        self.of_session("/url", &json!({ "url": format!("file://{}", page.display()) }));
        let ready = self.wait("return document.documentElement.dataset.ready || null");
        ready.as_str().unwrap().parse().unwrap()
    }

    /// Runs a script.
    pub fn run(&self, script: &str) -> Value {
        self.of_session("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a script again until it gives something.
    pub fn wait(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; const poll = () => {{ const told = (() => {{ {script} }})(); \
             if (told) done(told); else setTimeout(poll, 10); }}; poll();"
        );
        self.of_session("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Presses, moves and releases the pointer on an element, at parts of its width and height.
    pub fn drag(&self, element: &str, from: (f64, f64), to: (f64, f64), shift: bool) {
        self.run(&format!("document.querySelector({element:?}).scrollIntoView({{ block: 'center' }})"));
        let at = |(x, y): (f64, f64)| -> Value {
            self.run(&format!(
                "const box = document.querySelector({element:?}).getBoundingClientRect(); \
                 return [Math.round(box.left + box.width * {x}), Math.round(box.top + box.height * {y})]"
            ))
        };
        let (from, to) = (at(from), at(to));
        let step =
            |place: &Value| json!({ "type": "pointerMove", "duration": 0, "x": place[0], "y": place[1] });
        let pause = json!({ "type": "pause", "duration": 0 });
        let keys =
            |kind: &str| if shift { json!({ "type": kind, "value": "\u{e008}" }) } else { pause.clone() };
        self.of_session(
            "/actions",
            &json!({ "actions": [
                { "type": "key", "id": "keys", "actions": [keys("keyDown"), pause, pause, pause, keys("keyUp")] },
                { "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": [
                    step(&from), { "type": "pointerDown", "button": 0 }, step(&to), { "type": "pointerUp", "button": 0 }, pause] },
            ] }),
        );
    }

    /// What the console said, and the addresses that a page from disk asked for, its own among them.
    pub fn said_and_asked(&self) -> (Vec<String>, Vec<String>) {
        let log = |kind: &str| self.of_session("/se/log", &json!({ "type": kind }));
        let entries = |value: Value| value.as_array().cloned().unwrap_or_default();
        let said = entries(log("browser")).iter().map(|entry| entry["message"].to_string()).collect();
        let performance = entries(log("performance"));
        let asked = performance.iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let (method, parameters) = (&message["message"]["method"], &message["message"]["params"]);
            let of_disk = parameters["documentURL"].as_str()?.starts_with("file:");
            let url = parameters["request"]["url"].as_str()?;
            (method == "Network.requestWillBeSent" && of_disk).then(|| url.to_owned())
        });
        (said, asked.collect())
    }

    /// A picture of what is in sight, as base64 of a PNG; dark if it is asked for.
    pub fn command(&self, name: &str, parameters: &Value) -> Value {
        self.of_session("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session's end ends the browser; a driver that answers no more is killed with it.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        } else if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = write!(
                stream,
                "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n",
                self.session
            );
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.read(&mut [0; 64]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
