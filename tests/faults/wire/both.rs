//! Both clients at one door: our own session and the control client.

use postgres_protocol::message::backend::Message;
use tandem::config::{ChannelBinding, Endpoint, Secret, SslMode};
use tandem::demo::cluster::{Cluster, ClusterSpec};
use tandem::fault::{Decision, Exit, Fault, Side};
use tandem::wire::{Mode, PINNED, Session, WireError, control};

use crate::support::servers::versions;

/// Who may come in, and how. The second address is one that the certificate doesn't name.
const HBA: &[&str] = &[
    "host all postgres 127.0.0.0/8 trust",
    "hostssl all encrypted 127.0.0.0/8 trust",
    "hostnossl all plain 127.0.0.0/8 trust",
    "host all scrammer 127.0.0.0/8 scram-sha-256",
    "host all fiver 127.0.0.0/8 md5",
    "host all clear 127.0.0.0/8 password",
];
pub const OTHER_NAME: &str = "127.0.0.2";
pub const PASSWORD: &str = "pa ss'wörd";

pub fn servers() -> Vec<Cluster> {
    let spec = || {
        let hba = HBA.iter().map(|line| (*line).to_owned()).collect();
        let spec = ClusterSpec {
            tls: true,
            hba,
            ..ClusterSpec::default()
        };
        spec.set("listen_addresses", &format!("127.0.0.1,{OTHER_NAME}"))
    };
    versions()
        .iter()
        .map(|binaries| Cluster::start(binaries, &spec()).unwrap())
        .collect()
}

pub fn at(cluster: &Cluster, user: &str, mode: SslMode) -> Endpoint {
    Endpoint {
        ssl_mode: mode,
        ..tandem::demo::endpoint(cluster, user, "postgres")
    }
}

pub fn with_password(
    cluster: &Cluster,
    user: &str,
    mode: SslMode,
    binding: ChannelBinding,
) -> Endpoint {
    Endpoint {
        password: Some(Secret::new(PASSWORD)),
        channel_binding: binding,
        ..at(cluster, user, mode)
    }
}

const ENCRYPTED: &str = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";

/// What both clients come to: encrypted or not, or why they weren't let in. They have to agree on which.
pub async fn both(endpoint: &Endpoint) -> Result<bool, [WireError; 2]> {
    let ours = by_session(endpoint).await.map(|(encrypted, _)| encrypted);
    let control = match control::connect(endpoint).await {
        Ok(control) => Ok(control.client.query_typed(ENCRYPTED, &[]).await.unwrap()[0]
            .get::<_, String>(0)
            == "true"),
        Err(error) => Err(error),
    };
    match (ours, control) {
        (Ok(ours), Ok(control)) => {
            assert_eq!(ours, control, "the two clients differ: {endpoint:?}");
            Ok(ours)
        }
        (Err(ours), Err(control)) => Err([ours, control]),
        (ours, control) => {
            panic!("the session: {ours:?}, the control client: {control:?}, to {endpoint:?}")
        }
    }
}

/// Whether the session is encrypted, and bound to its channel.
pub async fn by_session(endpoint: &Endpoint) -> Result<(bool, bool), WireError> {
    let mut session = Session::connect(endpoint, Mode::Ordinary, PINNED).await?;
    let bound = session.is_channel_bound();
    session.query(ENCRYPTED).await?;
    let mut encrypted = false;
    loop {
        match session.next().await? {
            Message::DataRow(row) => encrypted = row.buffer().ends_with(b"true"),
            Message::ReadyForQuery(_) => break,
            _ => {}
        }
    }
    session.terminate().await;
    Ok((encrypted, bound))
}

/// A person has to act: nothing is retried.
pub fn stops(error: &WireError) {
    assert_eq!(
        Fault::wire(Side::Cloud, error).decision(),
        Decision::Stop(Exit::Input),
        "{error}"
    );
}

/// Runs statements as the superuser.
pub async fn exec(cluster: &Cluster, sql: &str) {
    let mut session = Session::connect(
        &at(cluster, "postgres", SslMode::Disable),
        Mode::Ordinary,
        PINNED,
    )
    .await
    .unwrap();
    session.run(sql).await.unwrap();
    session.terminate().await;
}
