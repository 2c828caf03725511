//! A real mail server (aiosmtpd), and a web server that takes messages, for tests of alerts.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};

use serde_json::Value;
use tandem::demo::account::Account;
use tandem::demo::certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc as events;
use tokio::time::timeout;

use super::office::PATIENCE;

/// Whoever logs in has to be this.
pub const USER: &str = "office@example.com";
pub const PASSWORD: &str = "cAnary/7 m#il";

/// Three servers in one process, on ports that they say: in the open, with STARTTLS and a log-in, with TLS from the first byte.
/// They refuse while a file `refuse` is there, and end when nobody has their standard input any more.
const SERVER: &str = r#"
import asyncio, json, os, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
folder, user, password = sys.argv[1:4]

class Box:
    def __init__(self, name):
        self.name = name
    async def handle_RCPT(self, server, session, envelope, address, options):
        if os.path.exists(os.path.join(folder, 'refuse')):
            return '451 4.3.0 the box is being emptied'
        envelope.rcpt_tos.append(address)
        return '250 fine'
    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode('utf-8', 'replace')
        print(json.dumps({'by': self.name, 'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'user': str(session.authenticated), 'letter': text}), flush=True)
        return '250 taken'

def authenticate(server, session, envelope, mechanism, data):
    fits = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=fits, handled=fits)

async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(folder, 'server.crt'), os.path.join(folder, 'server.key'))
    loop = asyncio.get_running_loop()
    async def serve(name, wrap, **more):
        made = lambda: SMTP(Box(name), hostname='localhost', loop=loop, **more)
        server = await loop.create_server(made, '127.0.0.1', 0, ssl=wrap)
        return server.sockets[0].getsockname()[1]
    ports = [
        await serve('open', None),
        await serve('starttls', None, tls_context=tls, require_starttls=True, authenticator=authenticate, auth_required=True),
        await serve('implicit', tls, authenticator=authenticate, auth_require_tls=False),
    ]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)

asyncio.run(main())
"#;

/// The mail servers; they end with this.
pub struct Mailbox {
    pub folder: PathBuf,
    /// In the open, with STARTTLS, with TLS from the first byte.
    pub ports: [u16; 3],
    child: Child,
    letters: mpsc::Receiver<Value>,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Mailbox {
    /// Starts them, with a certificate for 127.0.0.1 that `ca.crt` in the folder has signed. None where aiosmtpd can't be had,
    /// which is said.
    pub fn start(folder: &Path) -> Option<Mailbox> {
        let Some(python) = python() else {
            println!("skipped: aiosmtpd isn't installed (deploy/postgres.sh --with-smtp)");
            return None;
        };
        let folder = folder.join("mailbox");
        std::fs::create_dir_all(&folder).unwrap();
        let account = Account::for_servers(&folder).unwrap();
        account.own(&folder).unwrap();
        certificate::make(&folder, account).unwrap();
        let mut child = Command::new(python)
            .args(["-c", SERVER])
            .arg(&folder)
            .args([USER, PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ports = lines.next().unwrap().unwrap();
        let ports: [u16; 3] = serde_json::from_str(&ports).unwrap();
        let (sender, letters) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Mailbox {
            folder,
            ports,
            child,
            letters,
        })
    }

    /// The next letter.
    pub fn letter(&self) -> Value {
        self.letters
            .recv_timeout(PATIENCE)
            .expect("no letter arrives")
    }

    /// From now on letters are refused, or no longer.
    pub fn refuse(&self, refuse: bool) {
        let file = self.folder.join("refuse");
        match refuse {
            true => std::fs::write(file, "").unwrap(),
            false => std::fs::remove_file(file).unwrap(),
        }
    }
}

/// A Python that has aiosmtpd: a distribution's package isn't seen by every one.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let mut asked = Command::new(python);
        let asked = asked.args(["-c", "import aiosmtpd"]).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has)
}

/// A web server that takes messages.
pub struct Hook {
    pub port: u16,
    /// The status that it answers with; 0: nothing at all.
    status: Arc<AtomicU16>,
    posts: events::UnboundedReceiver<(String, String)>,
}

impl Hook {
    pub async fn start() -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let status = Arc::new(AtomicU16::new(200));
        let (sender, posts) = events::unbounded_channel();
        let answer = status.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, sender) = (answer.clone(), sender.clone());
                tokio::spawn(async move {
                    let Some((head, body)) = read(&mut stream).await else {
                        return;
                    };
                    let status = answer.load(Ordering::SeqCst);
                    if status == 0 {
                        // Somebody who hangs: the caller gives up, or the test ends.
                        let _ = stream.read(&mut [0]).await;
                        return;
                    }
                    // A rude one repeats what it was sent.
                    let says = format!("no: {head}");
                    let text = format!(
                        "HTTP/1.1 {status} so\r\ncontent-length: {}\r\nlocation: /elsewhere\r\n\r\n{says}",
                        says.len()
                    );
                    let _ = stream.write_all(text.as_bytes()).await;
                    if status == 200 {
                        let _ = sender.send((head, body));
                    }
                });
            }
        });
        Hook {
            port,
            status,
            posts,
        }
    }

    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The next message that it has taken: its head, and its body.
    pub async fn post(&mut self) -> (String, Value) {
        let post = timeout(PATIENCE, self.posts.recv()).await;
        let (head, body) = post.expect("no message arrives").unwrap();
        (head, serde_json::from_str(&body).unwrap())
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> Option<(String, String)> {
    let mut text = Vec::new();
    loop {
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        });
        if body.len() >= length?.parse::<usize>().ok()? {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}
