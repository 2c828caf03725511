//! An office whose service serves metrics, health and the page.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::office::{Office, PATIENCE, Service};
use super::servers::newest;
use tandem::demo::cluster::free_port;

/// Two tables.
pub const DDL: &str =
    "create table item (id int primary key, note text); create table other (id int primary key)";

/// An office whose service listens.
pub struct Watched {
    pub office: Office,
    pub port: u16,
}

/// Two tables, and these settings before them.
pub async fn watched(more: &str) -> Watched {
    watched_with(more, "", DDL, DDL).await
}

/// More tables, too.
pub async fn watched_with(more: &str, tables: &str, desktop: &str, cloud: &str) -> Watched {
    // Free a moment ago, and not one of those that clients are given.
    let port = free_port().unwrap();
    let settings = format!(
        "[heartbeat]\nevery = \"500ms\"\n[listen]\nhttp = \"127.0.0.1:{port}\"\n{more}[[table]]\nname = \"item\"\nmax_shrink = 1\n[[table]]\nname = \"other\"\n{tables}"
    );
    let office = Office::with_tables(&newest(), &settings, desktop, cloud).await;
    Watched { office, port }
}

impl Watched {
    /// Status line and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path).await
    }

    pub async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        ask(self.port, method, path).await
    }

    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics").await;
        let line = page
            .lines()
            .find(|line| line.split(' ').next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until `/readyz` answers this, and the metric is that.
    pub async fn shows(&self, code: u16, words: &str, metric: &str, wanted: f64) {
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        loop {
            looks.tick().await;
            let (now, body) = self.get("/readyz").await;
            let value = self.metric(metric).await;
            if now == code && body.contains(words) && value == Some(wanted) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < until,
                "{now} {body} {metric} {value:?}"
            );
        }
    }
}

/// Status line and body of whoever listens there; 0 where nobody does.
pub async fn ask(port: u16, method: &str, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
        return (0, String::new());
    };
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

/// `tandem fleet --listen` on a port that it chooses, which it says on its first line.
pub async fn fleet_page(mut command: Command) -> (Service, u16) {
    command.args(["fleet", "--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await;
    let line = line.expect("it does not say where it listens").unwrap();
    let line = line.expect("it ends");
    let port = line.split("http://127.0.0.1:").nth(1).unwrap();
    let port = port.split('/').next().unwrap().parse().unwrap();
    (Service { child }, port)
}
