//! A way to a server that isn't PostgreSQL: the same sockets, the same TLS, the same trust.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::WireError;
use super::socket::{Stream, connect_tcp};
use super::tls;
use crate::config::RootCert;
use crate::limits;

/// A connected socket, encrypted or not, that anything may be said over.
pub trait Dialed: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Dialed for T {}

/// Connects. With `trust` it is TLS: the certificate has to be made out to `host`, and signed by whom `trust` names.
///
/// # Errors
/// When it can't be reached in time, or the certificate isn't trusted.
pub async fn dial(
    host: &str,
    port: u16,
    trust: Option<&RootCert>,
) -> Result<impl Dialed, WireError> {
    let dialed = async {
        let stream = connect_tcp(host, port).await.map_err(WireError::Io)?;
        Ok(match trust {
            None => stream,
            Some(trust) => Box::new(tls::verified(stream, host, trust).await?) as Stream,
        })
    };
    match timeout(limits::CONNECT_TIMEOUT, dialed).await {
        Ok(dialed) => dialed,
        Err(_) => Err(WireError::Timeout(limits::CONNECT_TIMEOUT.as_secs())),
    }
}
