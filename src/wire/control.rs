//! Ordinary clients for catalog and control queries, by `tokio-postgres` over our sockets and TLS.
//!
//! Only `query_typed` and `simple_query`/`batch_execute` are used: they prepare nothing by name, so
//! they work through a transaction pooler.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::config::SslMode as Negotiation;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_rustls::client::TlsStream as Rustls;
use tokio_util::task::TaskTracker;

use super::quiet::Quiet;
use super::socket::{self, Stream};
use super::turns::Gate;
use super::{ServerError, WireError, tls};
use crate::config::{ChannelBinding as Binding, Endpoint, SslMode};
use crate::limits;
use crate::model::sqlstate;

/// A client, and the news of its end.
pub struct Control {
    /// Runs queries.
    pub client: Client,
    ended: watch::Receiver<Option<End>>,
}

/// How a control connection ended.
#[derive(Clone, Debug)]
pub struct End {
    /// What the server said last, if anything.
    pub server: Option<ServerError>,
}

impl Control {
    /// Waits for the connection's end: a server that shuts down tells its ordinary clients at once
    /// (57P01), while it waits for replication (P10).
    pub async fn ended(&self) -> End {
        let mut ended = self.ended.clone();
        let end = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|end| end.clone());
        end.unwrap_or(End { server: None })
    }
}

/// The connections of this program that are open: a client only asks, and is dropped at any moment; its connection is what
/// has to end in good order.
static OPEN: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Waits until all connections whose clients were dropped have said goodbye, within bounds. A program that only ends leaves
/// a server in the middle of an answer, which it writes into its log as the loss of a client.
pub async fn goodbyes() {
    OPEN.close();
    let _ = timeout(limits::GOODBYE_MAX, OPEN.wait()).await;
}

/// Connects an ordinary client.
///
/// # Errors
/// As [`super::Session::connect`].
pub async fn connect(endpoint: &Endpoint) -> Result<Control, WireError> {
    let limit = endpoint.connect_timeout.unwrap_or(limits::CONNECT_TIMEOUT);
    timeout(limit, Box::pin(login(endpoint)))
        .await
        .map_err(|_| WireError::Timeout(limit.as_secs()))?
}

async fn login(endpoint: &Endpoint) -> Result<Control, WireError> {
    let negotiation = match endpoint.ssl_mode {
        SslMode::Disable | SslMode::Allow => Negotiation::Disable,
        SslMode::Prefer => Negotiation::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Negotiation::Require,
    };
    match attempt(endpoint, negotiation).await {
        Err(WireError::Server(error))
            if error.code == sqlstate::INVALID_AUTHORIZATION_SPECIFICATION
                && endpoint.ssl_mode == SslMode::Allow =>
        {
            attempt(endpoint, Negotiation::Require).await
        }
        Err(WireError::Server(error))
            if error.code == sqlstate::INVALID_AUTHORIZATION_SPECIFICATION
                && endpoint.ssl_mode == SslMode::Prefer =>
        {
            attempt(endpoint, Negotiation::Disable).await
        }
        Err(WireError::Tls(_)) if endpoint.ssl_mode == SslMode::Prefer => {
            attempt(endpoint, Negotiation::Disable).await
        }
        result => result,
    }
}

async fn attempt(endpoint: &Endpoint, negotiation: Negotiation) -> Result<Control, WireError> {
    let mut config = Config::new();
    config
        .user(&endpoint.user)
        .dbname(&endpoint.database)
        .ssl_mode(negotiation);
    config.application_name(endpoint.application_name.as_deref().unwrap_or("tandem"));
    config.channel_binding(match endpoint.channel_binding {
        Binding::Disable => tokio_postgres::config::ChannelBinding::Disable,
        Binding::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
        Binding::Require => tokio_postgres::config::ChannelBinding::Require,
    });
    if let Some(password) = &endpoint.password {
        config.password(password.expose());
    }
    let asks_for_tls = negotiation != Negotiation::Disable;
    let gate = Arc::<Gate>::default();
    let stream = Quiet::over(socket::connect(endpoint).await?, asks_for_tls, gate.clone());
    let (client, connection) = config
        .connect_raw(stream, Upgrade(endpoint.clone(), gate.clone()))
        .await
        .map_err(refused)?;
    let (told, ended) = watch::channel(None);
    OPEN.spawn(async move {
        let error = connection.await.err();
        let server = error
            .as_ref()
            .and_then(|error| error.as_db_error().map(ServerError::from));
        told.send_replace(Some(End { server }));
    });
    if is_direct(&client, &gate, endpoint).await {
        gate.open();
    }
    Ok(Control { client, ended })
}

/// Which ends were found to be servers themselves, and which not.
static DIRECT: LazyLock<Mutex<HashMap<String, bool>>> = LazyLock::new(Mutex::default);

/// Whether nobody stands between us and the server: else he tells a process number of his own. Asked once for each end.
async fn is_direct(client: &Client, gate: &Gate, endpoint: &Endpoint) -> bool {
    let Endpoint { user, database, .. } = endpoint;
    let name = format!("{:?}:{}/{database}/{user}", endpoint.host, endpoint.port);
    let known = || DIRECT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(direct) = known().get(&name) {
        return *direct;
    }
    let asked = client.simple_query("select pg_backend_pid()");
    let Ok(Ok(said)) = timeout(limits::PROBE_MAX, asked).await else {
        return false;
    };
    let process = said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let direct = process == Some(gate.process().to_string().as_str());
    known().insert(name, direct);
    direct
}

/// Keeps apart what a person has to mend (TLS, authentication) from a network that comes back.
fn refused(error: tokio_postgres::Error) -> WireError {
    let text = error.to_string();
    let cause = || std::error::Error::source(&error).map_or(text.clone(), ToString::to_string);
    if error.as_db_error().is_none() {
        if text.starts_with("error performing TLS handshake") {
            return WireError::Tls(cause());
        }
        if text.starts_with("authentication error") || text.starts_with("invalid configuration") {
            return WireError::Authentication(cause());
        }
    }
    error.into()
}

/// Performs the TLS handshake in `tokio-postgres`'s stead.
struct Upgrade(Endpoint, Arc<Gate>);

impl TlsConnect<Quiet<Stream>> for Upgrade {
    type Stream = Encrypted;
    type Error = WireError;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted, WireError>> + Send>>;

    fn connect(self, stream: Quiet<Stream>) -> Self::Future {
        Box::pin(async move {
            let stream = tls::upgrade(stream.into_inner(), &self.0).await?;
            Ok(Encrypted(Quiet::over(stream, false, self.1)))
        })
    }
}

/// An encrypted socket that knows what SCRAM may bind to.
struct Encrypted(Quiet<Rustls<Stream>>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        tls::server_end_point(self.0.inner())
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
