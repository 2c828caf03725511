//! One question to a service's own listener.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::limits;

/// What it answers at this path, with its code.
///
/// # Errors
/// Nobody listens, or what answers is something else.
pub async fn get(listener: SocketAddr, path: &str) -> io::Result<(StatusCode, String)> {
    let address = SocketAddr::new(reachable(listener.ip()), listener.port());
    let stream = TcpStream::connect(address).await?;
    let (mut ask, answers) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let exchange = async {
        let answer = ask.send_request(request).await.map_err(io::Error::other)?;
        let code = answer.status();
        let body = Limited::new(answer.into_body(), limits::HTTP_ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((code, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        // The connection's own end; what came over it may still wait to be read.
        ended = answers => {
            ended.map_err(io::Error::other)?;
            exchange.await
        }
    }
}

/// Who listens everywhere is reached on this computer.
fn reachable(listener: IpAddr) -> IpAddr {
    match listener {
        IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    }
}
