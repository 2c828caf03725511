//! The bench itself: servers that start, end and never stay behind; a network that does what it is told.
//!
//! Measured times are printed; see them with `cargo test --test docs bench_servers -- --nocapture`.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::bouncer::{Bouncer, BouncerError};
use crate::support::proxy::Proxy;
use crate::support::servers::{Pair, newest, versions};
use crate::support::{Nobody, poll};
use tandem::demo::cluster::{Cluster, ClusterSpec, Mode, find_binaries};

/// Far beyond what anything here takes, also on a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// Just enough of the protocol to ask a server one thing, so that the bench doesn't test itself with the product.
struct Session(TcpStream);

impl Session {
    /// Sends the startup message and reads up to ReadyForQuery; the error is the server's message.
    fn open(port: u16, user: &str, database: &str) -> Result<Session, String> {
        let mut stream =
            TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .write_all(&startup(user, database))
            .map_err(|error| error.to_string())?;
        let mut session = Session(stream);
        session.until_ready().map(|_| session)
    }

    /// The first column of the first row.
    fn ask(&mut self, sql: &str) -> Result<String, String> {
        let mut message = vec![b'Q'];
        message.extend((sql.len() as u32 + 5).to_be_bytes());
        message.extend(sql.as_bytes());
        message.push(0);
        self.0
            .write_all(&message)
            .map_err(|error| error.to_string())?;
        self.until_ready()
    }

    fn until_ready(&mut self) -> Result<String, String> {
        let (mut value, mut failure) = (None, None);
        loop {
            let (tag, body) = self.message().map_err(|error| error.to_string())?;
            match tag {
                b'D' if value.is_none() => {
                    // Column count (2 bytes), length of the first value (4 bytes), the value.
                    let length = i32::from_be_bytes(body[2..6].try_into().unwrap()).max(0) as usize;
                    value = Some(String::from_utf8(body[6..6 + length].to_vec()).unwrap());
                }
                b'E' => failure = Some(String::from_utf8_lossy(&body).replace('\0', " ")),
                _ => {}
            }
            match failure {
                // A refused connection ends without ReadyForQuery.
                Some(failure) if tag == b'Z' || failure.contains("FATAL") => return Err(failure),
                None if tag == b'Z' => return Ok(value.unwrap_or_default()),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.0.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.0.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = 196_608u32.to_be_bytes().to_vec();
    for part in ["user", user, "database", database, ""] {
        body.extend(part.as_bytes());
        body.push(0);
    }
    let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
    message.extend(body);
    message
}

fn ask(port: u16, sql: &str) -> String {
    Session::open(port, "postgres", "postgres")
        .unwrap()
        .ask(sql)
        .unwrap()
}

fn gone(folder: &Path, port: u16) -> Option<()> {
    (!folder.exists() && TcpStream::connect(("127.0.0.1", port)).is_err()).then_some(())
}

#[test]
fn every_installed_version_starts() {
    for binaries in find_binaries(None).unwrap() {
        let since = Instant::now();
        let cluster = Cluster::start(&binaries, &ClusterSpec::default()).unwrap();
        let first = since.elapsed();
        let since = Instant::now();
        let again = Cluster::start(&binaries, &ClusterSpec::default()).unwrap();
        let cached = since.elapsed();
        let number: u32 = ask(cluster.port(), "show server_version_num")
            .parse()
            .unwrap();
        assert_eq!(number / 10_000, binaries.version);
        assert_eq!(ask(cluster.port(), "show wal_level"), "logical");
        assert_eq!(ask(cluster.port(), "show server_encoding"), "UTF8");
        assert_ne!(cluster.port(), again.port());
        let since = Instant::now();
        drop(again);
        println!(
            "PostgreSQL {}: started in {first:.0?}, from the template in {cached:.0?}, dropped in {:.0?}",
            binaries.release,
            since.elapsed()
        );
    }
}

#[test]
fn a_pair_starts_side_by_side_with_identities_of_its_own() {
    for binaries in versions() {
        let since = Instant::now();
        let pair = Pair::start(&binaries).unwrap();
        println!("pair of {}: {:.0?}", binaries.release, since.elapsed());
        let identity = "select system_identifier from pg_control_system()";
        let (desktop, cloud) = (
            ask(pair.desktop.port(), identity),
            ask(pair.cloud.port(), identity),
        );
        assert_ne!(desktop, cloud);
        assert_eq!(
            desktop,
            pair.desktop.system_identifier().unwrap().to_string()
        );
    }
}

#[test]
fn committed_rows_survive_every_way_to_stop() {
    let cluster = Cluster::start(&newest(), &ClusterSpec::default()).unwrap();
    ask(cluster.port(), "create table kept (n int)");
    for mode in [Mode::Smart, Mode::Fast, Mode::Immediate] {
        ask(cluster.port(), "insert into kept values (1)");
        let stopped = cluster.stop(mode).unwrap();
        assert_eq!(cluster.pid(), None);
        let started = cluster.start_again().unwrap();
        println!("{mode:?}: stopped in {stopped:.0?}, started in {started:.0?}");
    }
    assert_eq!(ask(cluster.port(), "select count(*) from kept"), "3");
    assert!(
        cluster.log_tail(200).contains("automatic recovery"),
        "{}",
        cluster.log_tail(200)
    );
}

#[test]
fn settings_rules_and_superuser_are_those_asked_for() {
    let mut spec = ClusterSpec::default()
        .set("wal_sender_timeout", "7s")
        .set("fsync", "on");
    spec.superuser = "power ca".into();
    spec.hba = vec!["host all trusted 127.0.0.1/32 trust".into()];
    let cluster = Cluster::start(&newest(), &spec).unwrap();
    let refused = Session::open(cluster.port(), "power ca", "postgres")
        .err()
        .unwrap();
    assert!(refused.contains("28000"), "{refused}");
    std::fs::write(
        cluster.data_dir().join("pg_hba.conf"),
        "host all all 127.0.0.1/32 trust\n",
    )
    .unwrap();
    cluster.reload().unwrap();
    let opened = poll(SOON, || {
        Session::open(cluster.port(), "power ca", "postgres").ok()
    });
    let mut session = opened.expect("the reloaded rules let the superuser in");
    assert_eq!(session.ask("show wal_sender_timeout").unwrap(), "7s");
    assert_eq!(session.ask("show fsync").unwrap(), "on");
    let socket = cluster
        .socket_dir()
        .join(format!(".s.PGSQL.{}", cluster.port()));
    assert!(
        socket.exists() && socket.as_os_str().len() < 100,
        "{}",
        socket.display()
    );
}

#[test]
fn tls_is_offered_on_every_version() {
    for binaries in versions() {
        let spec = ClusterSpec {
            tls: true,
            ..ClusterSpec::default()
        };
        let since = Instant::now();
        let cluster = Cluster::start(&binaries, &spec).unwrap();
        println!("{} with TLS: {:.0?}", binaries.release, since.elapsed());
        let address = format!("127.0.0.1:{}", cluster.port());
        let client = [
            "s_client",
            "-starttls",
            "postgres",
            "-verify_return_error",
            "-verify_ip",
            "127.0.0.1",
        ];
        let output = Command::new("openssl")
            .args(client)
            .args(["-connect", &address, "-CAfile"])
            .arg(cluster.ca_file())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains("Verify return code: 0"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_failed_start_says_why_and_leaves_nothing() {
    let spec = ClusterSpec::default().set("shared_buffers", "many");
    let error = Cluster::start(&newest(), &spec).unwrap_err().to_string();
    assert!(error.contains("shared_buffers"), "{error}");
}

#[test]
fn a_dropped_cluster_is_gone() {
    let cluster = Cluster::start(&newest(), &ClusterSpec::default()).unwrap();
    let (folder, port) = (cluster.socket_dir().to_path_buf(), cluster.port());
    let _open = Session::open(port, "postgres", "postgres").unwrap();
    drop(cluster);
    assert_eq!(gone(&folder, port), Some(()));
}

/// Not a test: the process that `a_cluster_is_gone_when_its_owner_was_killed` kills.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn owner_that_gets_killed() {
    let cluster = Cluster::start(&newest(), &ClusterSpec::default()).unwrap();
    println!(
        "\ncluster {} {}",
        cluster.port(),
        cluster.socket_dir().display()
    );
    // Until killed; the end of the input is for when the killer itself dies.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_cluster_is_gone_when_its_owner_was_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "bench_servers::owner_that_gets_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("cluster ")).unwrap();
    let mut words = line.splitn(3, ' ').skip(1);
    let port: u16 = words.next().unwrap().parse().unwrap();
    let folder = PathBuf::from(words.next().unwrap());
    assert_eq!(ask(port, "select 1"), "1");
    let since = Instant::now();
    owner.kill().unwrap();
    owner.wait().unwrap();
    poll(SOON, || gone(&folder, port)).expect("the watcher ends the server of a killed owner");
    println!("gone {:.0?} after SIGKILL", since.elapsed());
}

/// Nobody listens there, or nobody for long: another test may have been given the port.
fn is_nobodys(port: u16) -> bool {
    poll(SOON, || TcpStream::connect(("127.0.0.1", port)).err()).is_some()
}

/// A server that sends back what it gets, over and over; and its port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect((proxy.host(), proxy.port())).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn round_trip(mut stream: &TcpStream) -> Duration {
    let since = Instant::now();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    since.elapsed()
}

#[test]
fn the_proxy_delays_without_limiting_the_bandwidth() {
    const SIZE: usize = 50_000_000;
    let proxy = Proxy::start("127.0.0.1", echo()).unwrap();
    let stream = connect(&proxy);
    let quick = round_trip(&stream);
    proxy.set_delay(Duration::from_millis(40));
    let slow = round_trip(&stream);
    assert!(slow >= Duration::from_millis(80), "{slow:?}");
    let sent: Vec<u8> = (0..SIZE).map(|n| (n * 31 / 7) as u8).collect();
    let since = Instant::now();
    let mut received = vec![0; SIZE];
    thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&sent).unwrap());
        (&stream).read_exact(&mut received).unwrap();
    });
    let took = since.elapsed();
    println!(
        "round trip {quick:.1?}, delayed {slow:.1?}; 50 MB there and back in {took:.0?} at 80 ms"
    );
    assert!(received == sent, "50 MB came back changed");
    let stats = proxy.stats();
    assert_eq!(
        (stats.to_upstream, stats.to_client),
        (SIZE as u64 + 2, SIZE as u64 + 2)
    );
    assert_eq!((stats.connections, stats.open), (1, 1));
    // What is under way holds up nothing behind it: all of it is on the way before any of it arrives.
    proxy.set_delay(Duration::from_secs(3600));
    (&stream).write_all(&sent[..SIZE / 2]).unwrap();
    assert_eq!(proxy.stats().to_upstream, stats.to_upstream);
}

#[test]
fn a_stall_holds_everything_and_a_resume_delivers_it() {
    let proxy = Proxy::start("127.0.0.1", echo()).unwrap();
    let mut old = connect(&proxy);
    round_trip(&old);
    proxy.stall();
    let mut new = connect(&proxy);
    old.write_all(b"held").unwrap();
    new.write_all(b"hung").unwrap();
    for stream in [&mut old, &mut new] {
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let silence = stream.read(&mut [0]).unwrap_err().kind();
        assert!(
            matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "{silence}"
        );
        stream.set_read_timeout(Some(SOON)).unwrap();
    }
    assert_eq!(proxy.stats().to_upstream, 1);
    proxy.resume();
    for (stream, expected) in [(&mut old, b"held"), (&mut new, b"hung")] {
        let mut received = [0; 4];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(&received, expected);
    }
    assert_eq!(
        proxy
            .wait_for(SOON, |stats| stats.to_client == 9)
            .unwrap()
            .open,
        2
    );
}

#[test]
fn a_cut_is_an_end_of_file_and_a_reset_is_a_reset() {
    let proxy = Proxy::start("127.0.0.1", echo()).unwrap();
    let mut polite = connect(&proxy);
    round_trip(&polite);
    proxy.cut();
    assert_eq!(polite.read(&mut [0]).unwrap(), 0);
    proxy.wait_for(SOON, |stats| stats.open == 0).unwrap();
    let mut rude = connect(&proxy);
    round_trip(&rude);
    proxy.reset();
    assert_eq!(
        rude.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    proxy
        .wait_for(SOON, |stats| stats.open == 0 && stats.connections == 2)
        .unwrap();
    round_trip(&connect(&proxy));
}

#[test]
fn a_refused_client_sees_the_end_and_others_stay() {
    let proxy = Proxy::start("127.0.0.1", echo()).unwrap();
    let old = connect(&proxy);
    round_trip(&old);
    proxy.refuse(true);
    assert_eq!(connect(&proxy).read(&mut [0]).unwrap(), 0);
    round_trip(&old);
    proxy.refuse(false);
    round_trip(&connect(&proxy));
    assert_eq!((proxy.stats().connections, proxy.stats().refused), (2, 1));
}

#[test]
fn a_closed_side_closes_the_other_and_a_dropped_proxy_its_port() {
    let proxy = Proxy::start("127.0.0.1", echo()).unwrap();
    let mut stream = connect(&proxy);
    stream.write_all(b"last words").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert_eq!(received, "last words");
    proxy.wait_for(SOON, |stats| stats.open == 0).unwrap();
    let port = proxy.port();
    drop(proxy);
    assert!(is_nobodys(port));
}

#[tokio::test]
async fn the_proxy_serves_asynchronous_tests_and_follows_a_failover() {
    let nobody = Nobody::new();
    let proxy = Proxy::start("127.0.0.1", nobody.port()).unwrap();
    let _lost = tokio::net::TcpStream::connect(("127.0.0.1", proxy.port()))
        .await
        .unwrap();
    proxy
        .when(SOON, |stats| stats.upstream_failures == 1)
        .await
        .unwrap();
    proxy.redirect("127.0.0.1", echo());
    round_trip(&connect(&proxy));
    assert!(
        proxy
            .wait_for(Duration::from_millis(1), |stats| stats.connections == 9)
            .is_err()
    );
}

#[test]
fn the_proxy_stands_before_a_server() {
    let cluster = Cluster::start(&newest(), &ClusterSpec::default()).unwrap();
    let proxy = Proxy::start(cluster.host(), cluster.port()).unwrap();
    let mut session = Session::open(proxy.port(), "postgres", "postgres").unwrap();
    assert_eq!(session.ask("select 6 * 7").unwrap(), "42");
    cluster.kill_hard().unwrap();
    session.ask("select 1").unwrap_err();
}

#[test]
fn pgbouncer_forwards_to_every_version() {
    for binaries in versions() {
        let cluster = Cluster::start(&binaries, &ClusterSpec::default()).unwrap();
        let since = Instant::now();
        let bouncer = match Bouncer::start(&cluster) {
            Err(error @ BouncerError::Missing) => return println!("skipped: {error}"),
            started => started.unwrap_or_else(|error| panic!("{error}")),
        };
        println!(
            "pgbouncer before {}: {:.0?}",
            binaries.release,
            since.elapsed()
        );
        let mut raw = TcpStream::connect((bouncer.host(), bouncer.port())).unwrap();
        raw.set_read_timeout(Some(SOON)).unwrap();
        raw.write_all(&startup("postgres", "postgres")).unwrap();
        let mut first = [0];
        raw.read_exact(&mut first).unwrap();
        assert_eq!(first, *b"R", "{}", bouncer.log());
        ask(bouncer.port(), "create role later login");
        ask(bouncer.port(), "create database \"other one\"");
        let mut later = Session::open(bouncer.port(), "later", "other one").unwrap();
        assert_eq!(later.ask("select current_user").unwrap(), "later");
        let port = bouncer.port();
        drop(bouncer);
        assert!(is_nobodys(port));
    }
}
