//! A terminal with a program before it, and somebody who reads and types.

use std::fs::File;
use std::io::{Read, Write};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::office::PATIENCE;

/// A program that has a terminal for input, output and errors.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: UnboundedReceiver<Vec<u8>>,
    bytes: Vec<u8>,
    looked: usize,
}

impl Terminal {
    /// Starts the program before a new terminal.
    pub fn start(mut command: Command) -> Terminal {
        let here = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&here).unwrap();
        unlockpt(&here).unwrap();
        let name = ptsname(&here, Vec::new()).unwrap();
        let there = || open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        command.stdin(there()).stdout(there()).stderr(there());
        let child = command.kill_on_drop(true).spawn().unwrap();
        // The terminal ends with the last program that has it open.
        drop(command);
        let keyboard = File::from(here);
        let mut reads = keyboard.try_clone().unwrap();
        let (sender, screen) = unbounded_channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = reads.read(&mut part) {
                if sender.send(part[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            child,
            keyboard,
            screen,
            bytes: Vec::new(),
            looked: 0,
        }
    }

    /// Waits until these words stand on the screen, after what was waited for before.
    pub async fn shows(&mut self, words: &str) {
        loop {
            let text = self.text();
            if let Some(at) = text.get(self.looked..).and_then(|news| news.find(words)) {
                self.looked += at + words.len();
                return;
            }
            match timeout(PATIENCE, self.screen.recv()).await {
                Ok(Some(part)) => self.bytes.extend(part),
                _ => panic!("{words} is not shown: {text}"),
            }
        }
    }

    /// Types; a line ends with `\n`, and `\u{4}` says that there are no more.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the program's end: exit code, and all that was on the screen.
    pub async fn ends(mut self) -> (i32, String) {
        while let Some(part) = timeout(PATIENCE, self.screen.recv())
            .await
            .expect("the program does not end")
        {
            self.bytes.extend(part);
        }
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("the program does not end").unwrap();
        (status.code().unwrap_or(-1), self.text())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).replace("\r\n", "\n")
    }
}
