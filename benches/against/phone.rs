//! What a phone's insert pays for the way home: its time with the triggers less its time without them.

use std::process::Stdio;

use tandem::demo::cluster::{Cluster, ClusterSpec, find_binaries};
use tokio::process::Command;

use crate::report::median;
use crate::scene::{connect, run, text};

const INSERTS: u32 = 2000;
/// Pairs of one round.
const PAIRS: usize = 9;
const DIARY: &str =
    "create table diary (id bigint primary key, note text, source char(1) default 'D')";
/// Microseconds of one insert, with all of them in one statement: nothing but the server's own work.
const MANY: &str = "create table plain (like diary including all); \
    create function many(n int, into_plain bool) returns double precision language plpgsql as $$ declare since timestamptz := clock_timestamp(); begin \
    if into_plain then for i in 1..n loop insert into plain values (i, 'a note of a phone', 'M'); end loop; \
    else for i in 1..n loop insert into diary values (i, 'a note of a phone', 'M'); end loop; end if; \
    return extract(epoch from clock_timestamp() - since) * 1e6 / n; end $$";

/// Measures, and prints the median and the least of all pairs: whatever else the machine does only adds to them.
pub async fn phone(rounds: usize) {
    let binaries = find_binaries(None).unwrap();
    let binaries = binaries
        .first()
        .expect("PostgreSQL isn't here; run: make servers");
    let spec = ClusterSpec {
        fsync: true,
        ..ClusterSpec::default()
    };
    let desktop_server = Cluster::start(binaries, &spec).unwrap();
    let cloud_server = Cluster::start(binaries, &spec).unwrap();
    let desktop = connect(&desktop_server, "postgres").await;
    let cloud = connect(&cloud_server, "postgres").await;
    run(&desktop, DIARY).await;
    run(&cloud, DIARY).await;
    run(&cloud, MANY).await;
    let url = |server: &Cluster| {
        format!(
            "postgres://postgres@{}:{}/postgres",
            server.host(),
            server.port()
        )
    };
    let file = desktop_server.socket_dir().join("phone.toml");
    let settings = format!(
        "[desktop]\nurl = \"{}\"\n[cloud]\nurl = \"{}\"\n[[table]]\nname = \"diary\"\nflow = \"reverse\"\n",
        url(&desktop_server),
        url(&cloud_server)
    );
    std::fs::write(&file, settings).unwrap();
    let set_up = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .arg("--config")
        .arg(&file)
        .arg("bootstrap")
        .stdout(Stdio::null())
        .status()
        .await;
    assert!(set_up.unwrap().success());
    let mut extra = Vec::new();
    for _ in 0..rounds * PAIRS {
        let of = async |plain: bool| -> f64 {
            let took = text(&cloud, &format!("select many({INSERTS}, {plain})")).await;
            took.parse().unwrap()
        };
        let plain = of(true).await;
        extra.push(of(false).await - plain);
        run(&cloud, "truncate plain; set session_replication_role = replica; delete from diary; reset session_replication_role; delete from tandem.outbox").await;
    }
    let least = extra.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "\na phone's insert pays {:.1} us more for the way home (the least of {} pairs: {least:.1} us)",
        median(extra.clone()),
        extra.len()
    );
}
