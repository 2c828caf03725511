//! A real browser that a test steers: its width, its keys, its colours, over its own pipe.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::office::PATIENCE;

/// A browser with one page open.
pub struct Steered {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
}

impl Steered {
    /// Starts it; what it keeps is in a folder that the caller removes.
    pub async fn start(browser: &Path, folder: &Path) -> Steered {
        // It reads commands from descriptor 3 and answers on 4.
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            ])
            .arg(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .args(["--disable-background-networking", "--disable-extensions"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        let mut it = Steered {
            child,
            to,
            from,
            session: None,
            calls: 0,
        };
        let page = it
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let target = &page["targetId"];
        let attached = it
            .call(
                "Target.attachToTarget",
                json!({"targetId": target, "flatten": true}),
            )
            .await;
        it.session = attached["sessionId"].as_str().map(str::to_owned);
        it
    }

    /// A command of its protocol, and the answer to it.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.unwrap();
        let answer = async {
            loop {
                let mut said = Vec::new();
                let length = self.from.read_until(0, &mut said).await.unwrap();
                assert!(length > 0, "the browser ended");
                said.pop();
                let said: Value = serde_json::from_slice(&said).unwrap();
                if said["id"] == json!(self.calls) {
                    assert!(said["error"].is_null(), "{method}: {said}");
                    return said["result"].clone();
                }
            }
        };
        let answer = timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| panic!("no answer to {method}"))
    }

    /// What an expression comes to in the page; promises are waited for.
    pub async fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// Opens an address in a window of this size.
    pub async fn open(&mut self, address: &str, (width, height): (u32, u32)) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        self.call("Page.navigate", json!({"url": address})).await;
        self.value("new Promise(done => document.readyState === 'complete' ? done(1) : addEventListener('load', () => done(1)))").await;
    }

    /// A key, pressed and let go.
    pub async fn press(&mut self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Ends it.
    pub async fn end(mut self) {
        self.child.kill().await.unwrap();
    }
}
