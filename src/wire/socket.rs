//! From an address to a connected socket that notices when its peer is gone.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use crate::config::{Endpoint, Host};
use crate::limits;

/// Anything that carries a session's bytes.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connected socket, TLS or not.
pub(super) type Stream = Box<dyn Io>;

/// Connects. The name is resolved anew each time: a cloud's address changes when it moves.
pub(super) async fn connect(endpoint: &Endpoint) -> io::Result<Stream> {
    match &endpoint.host {
        Host::Tcp(host) => connect_tcp(host, endpoint.port).await,
        Host::Unix(folder) => connect_unix(folder, endpoint.port).await,
    }
}

/// Connects by TCP to the first address that answers.
pub(super) async fn connect_tcp(host: &str, port: u16) -> io::Result<Stream> {
    let mut last = None;
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                tune(&stream)?;
                return Ok(Box::new(stream));
            }
            Err(error) => last = Some(io::Error::new(error.kind(), format!("{address}: {error}"))),
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"))
    }))
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_IDLE)
        .with_interval(limits::KEEPALIVE_INTERVAL);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(limits::KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits::UNACKNOWLEDGED_MAX))?;
    Ok(())
}

#[cfg(unix)]
async fn connect_unix(folder: &std::path::Path, port: u16) -> io::Result<Stream> {
    let path = folder.join(format!(".s.PGSQL.{port}"));
    let stream = tokio::net::UnixStream::connect(&path).await;
    stream
        .map(|stream| Box::new(stream) as Stream)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(not(unix))]
async fn connect_unix(folder: &std::path::Path, _port: u16) -> io::Result<Stream> {
    let text = format!("{}: this system has no unix sockets", folder.display());
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}
