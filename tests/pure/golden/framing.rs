//! A server that sends what it is told, in the pieces it is told.

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::message::backend::Message;
use tandem::config::{ChannelBinding, Endpoint, Host, SslMode};
use tandem::wire::{Mode, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

/// AuthenticationOk, then ReadyForQuery.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
/// CopyBothResponse without columns.
const COPY_BOTH: &[u8] = b"W\0\0\0\x07\0\0\0";
const COPY_DONE: &[u8] = b"c\0\0\0\x04";

/// Sends `frames` as CopyData in pieces of these sizes, in turn, and returns what a session made of them.
pub fn through_a_session(frames: &[Bytes], pieces: &[usize]) -> Vec<Bytes> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = plain(listener.local_addr().unwrap().port());
        let (_, received) = tokio::join!(serve(listener, frames, pieces), receive(&endpoint));
        received
    })
}

async fn receive(endpoint: &Endpoint) -> Vec<Bytes> {
    let mut session = Session::connect(endpoint, Mode::Replication, &[])
        .await
        .unwrap();
    session.start_copy_both("START_REPLICATION").await.unwrap();
    let mut received = Vec::new();
    loop {
        match session.next().await.unwrap() {
            Message::CopyData(body) => received.push(body.into_bytes()),
            Message::CopyDone => return received,
            _ => panic!("not a frame"),
        }
    }
}

async fn serve(listener: TcpListener, frames: &[Bytes], pieces: &[usize]) {
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.set_nodelay(true).unwrap();
    let length = socket.read_u32().await.unwrap();
    skip(&mut socket, length).await;
    socket.write_all(WELCOME).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'Q');
    let length = socket.read_u32().await.unwrap();
    skip(&mut socket, length).await;
    let stream = stream(frames);
    let (mut rest, mut sizes) = (&stream[..], pieces.iter().cycle());
    let most = pieces.iter().copied().max().unwrap_or(1);
    while !rest.is_empty() {
        // Small pieces are for the seams between messages; a long value is crossed in large ones.
        let size = *sizes.next().unwrap();
        let size = if stream.len() - rest.len() > 20_000 {
            size.max(most.max(5000))
        } else {
            size
        };
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        socket.write_all(piece).await.unwrap();
        rest = behind;
        // The reader is on the same thread: now it reads this piece.
        yield_now().await;
    }
}

/// The rest of a message whose length was just read.
async fn skip(socket: &mut TcpStream, length: u32) {
    socket
        .read_exact(&mut vec![0; length as usize - 4])
        .await
        .unwrap();
}

fn stream(frames: &[Bytes]) -> BytesMut {
    let mut out = BytesMut::from(COPY_BOTH);
    for frame in frames {
        out.put_u8(b'd');
        out.put_u32(frame.len() as u32 + 4);
        out.put_slice(frame);
    }
    out.put_slice(COPY_DONE);
    out
}

fn plain(port: u16) -> Endpoint {
    Endpoint {
        host: Host::Tcp("127.0.0.1".to_owned()),
        port,
        user: "nobody".to_owned(),
        database: "none".to_owned(),
        password: None,
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
        application_name: None,
        connect_timeout: None,
        channel_binding: ChannelBinding::Prefer,
        encoding: None,
    }
}
