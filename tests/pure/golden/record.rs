//! Plays the scenario on every server at hand and keeps what it sends.

use std::sync::Once;
use std::time::Duration;

use postgres_protocol::message::backend::Message;
use tandem::decode::{self, Message as Decoded};
use tandem::demo::cluster::{Binaries, Cluster, ClusterSpec, find_binaries};
use tandem::demo::endpoint;
use tandem::wire::{Mode, PINNED, Session};
use tokio::time::timeout;

use super::bytes::{Golden, VERSIONS, folder, messages, write};
use super::summary::summary;

const SCENARIO: &str = include_str!("scenario.sql");

/// Records, when `TANDEM_GOLDEN=record` says so.
pub fn if_asked() {
    static ONCE: Once = Once::new();
    if std::env::var("TANDEM_GOLDEN").as_deref() == Ok("record") {
        ONCE.call_once(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            for binaries in find_binaries(None)
                .unwrap()
                .iter()
                .filter(|found| VERSIONS.contains(&found.version))
            {
                let golden = runtime.block_on(record(binaries));
                eprintln!(
                    "recorded PostgreSQL {}: {} frames",
                    binaries.release,
                    golden.frames.len()
                );
                std::fs::write(folder().join("summary.txt"), summary(&messages(&golden))).unwrap();
                write(&golden);
            }
            panic!("recorded; read the difference, then run the tests without TANDEM_GOLDEN");
        });
    }
}

async fn record(binaries: &Binaries) -> Golden {
    let cluster = Cluster::start(binaries, &ClusterSpec::default()).unwrap();
    let at = endpoint(&cluster, "postgres", "postgres");
    let mut sql = Session::connect(&at, Mode::Ordinary, PINNED).await.unwrap();
    for script in SCENARIO.split("-- @").skip(1) {
        let (kind, script) = script.split_once('\n').unwrap();
        let script = if kind == "setup" {
            script.to_owned()
        } else {
            format!("begin; {script}; commit")
        };
        sql.run(&script)
            .await
            .unwrap_or_else(|error| panic!("{error} in {script}"));
    }
    let mut stream = Session::connect(&at, Mode::Replication, PINNED)
        .await
        .unwrap();
    let start = "START_REPLICATION SLOT golden LOGICAL 0/0 (proto_version '1', publication_names 'golden', messages 'true')";
    stream.start_copy_both(start).await.unwrap();
    let mut golden = Golden {
        version: binaries.version,
        frames: Vec::new(),
    };
    timeout(Duration::from_secs(240), receive(&mut stream, &mut golden))
        .await
        .unwrap();
    golden
}

/// Up to the COMMIT behind the last mark.
async fn receive(stream: &mut Session, golden: &mut Golden) {
    let mut ending = false;
    loop {
        let Message::CopyData(body) = stream.next().await.unwrap() else {
            panic!("not a frame")
        };
        let frame = body.into_bytes();
        golden.frames.push(frame.clone());
        let [message] = &messages(&Golden {
            version: 0,
            frames: vec![frame],
        })[..] else {
            continue;
        };
        match decode::message(message).unwrap() {
            Decoded::LogicalMessage { mark, .. } => ending |= mark.prefix == "golden.end",
            Decoded::Commit { .. } if ending => return,
            _ => {}
        }
    }
}
