//! A network between client and server that is slow, hangs or breaks when a test says so.
//!
//! It runs on a thread and a runtime of its own, so blocking and asynchronous tests can use it alike.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::chatter::{Beginning, Chatter};

/// Bytes read at once; small enough that a stall takes effect within a large write.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks under way per direction (64 MiB when full): at 40 ms and 1 GB/s a third of it is used. Beyond it the
/// sender feels back-pressure, as it would from a network.
const CHUNKS_UNDER_WAY: usize = 4096;
/// How long after `cut` the two sides may take to close their ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// What went through the proxy so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted, refused ones left out.
    pub connections: u64,
    /// Those of them that are open now.
    pub open: u64,
    /// Connections turned away by `refuse`.
    pub refused: u64,
    /// Connections whose upstream couldn't be reached.
    pub upstream_failures: u64,
    /// How often clients said something after they had been answered, or first: so often somebody waited for the network.
    pub turns: u64,
    /// Bytes handed to the upstream.
    pub to_upstream: u64,
    /// Bytes handed to clients.
    pub to_client: u64,
}

/// What a test wants of the network; a change reaches all connections.
#[derive(Clone, Debug)]
struct Orders {
    upstream: (String, u16),
    delay: Duration,
    stalled: bool,
    /// What the upstream says is held back; what clients say is not.
    mute: bool,
    refusing: bool,
    chatting: bool,
    /// Connections accepted under an earlier number are to end.
    cuts: u64,
    resets: u64,
}

/// A TCP proxy under the control of a test. Dropping it closes its connections and its port.
pub struct Proxy {
    address: SocketAddr,
    /// `None` only while it is dropped: its end is the order to stop.
    orders: Option<watch::Sender<Orders>>,
    stats: watch::Receiver<Stats>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free loopback port and forwards to `host:port`, which needn't listen yet.
    pub fn start(host: &str, port: u16) -> io::Result<Proxy> {
        let upstream = (host.to_owned(), port);
        let (orders, ordered) = watch::channel(Orders {
            upstream,
            delay: Duration::ZERO,
            stalled: false,
            mute: false,
            refusing: false,
            chatting: false,
            cuts: 0,
            resets: 0,
        });
        let (counted, stats) = watch::channel(Stats::default());
        let (bound, address) = blocking::channel();
        let thread = std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => runtime.block_on(listen(ordered, Arc::new(counted), bound)),
                    Err(error) => drop(bound.send(Err(error))),
                }
            })?;
        let address = address.recv().map_err(io::Error::other)??;
        Ok(Proxy {
            address,
            orders: Some(orders),
            stats,
            thread: Some(thread),
        })
    }

    /// The address clients connect to.
    pub fn host(&self) -> String {
        self.address.ip().to_string()
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Delays every byte by `one_way` in each direction, without limiting the bandwidth. Bytes already under way keep
    /// the delay they started with. The TCP handshake isn't delayed.
    pub fn set_delay(&self, one_way: Duration) {
        self.order(|orders| orders.delay = one_way);
    }

    /// Forwards nothing from now on: open connections stay open and silent, new ones are accepted and hang.
    pub fn stall(&self) {
        self.order(|orders| orders.stalled = true);
    }

    /// Holds back all that the upstream says from now on, while what clients say goes through.
    pub fn stall_answers(&self) {
        self.order(|orders| orders.mute = true);
    }

    /// Ends a stall; what was held back is delivered, in order.
    pub fn resume(&self) {
        self.order(|orders| (orders.stalled, orders.mute) = (false, false));
    }

    /// Ends all accepted connections politely: both sides read an end of file. Bytes under way are lost.
    pub fn cut(&self) {
        self.order(|orders| orders.cuts += 1);
    }

    /// Ends all accepted connections rudely: both sides get a connection reset.
    pub fn reset(&self) {
        self.order(|orders| orders.resets += 1);
    }

    /// Whether new connections are closed at once; open ones aren't touched.
    pub fn refuse(&self, refuse: bool) {
        self.order(|orders| orders.refusing = refuse);
    }

    /// On new connections an asynchronous message of some kind stands before each of the server's messages, as long as
    /// they aren't encrypted.
    pub fn chat(&self) {
        self.order(|orders| orders.chatting = true);
    }

    /// Sends new connections elsewhere, as a failover does; open ones aren't touched.
    pub fn redirect(&self, host: &str, port: u16) {
        self.order(|orders| orders.upstream = (host.to_owned(), port));
    }

    /// The counters as they are now.
    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    /// Waits until `wanted` holds for the counters and returns them; the counters as they are after `patience`
    /// otherwise. Blocks; in an asynchronous test use [`Proxy::when`].
    pub fn wait_for(
        &self,
        patience: Duration,
        wanted: impl FnMut(&Stats) -> bool + Send,
    ) -> Result<Stats, Stats> {
        // On a thread of its own, since a runtime can't be entered from within another.
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime
                    .enable_time()
                    .build()
                    .expect("a runtime for waiting");
                runtime.block_on(self.when(patience, wanted))
            });
            waiter.join().expect("the condition panicked")
        })
    }

    /// As [`Proxy::wait_for`], without blocking.
    pub async fn when(
        &self,
        patience: Duration,
        wanted: impl FnMut(&Stats) -> bool,
    ) -> Result<Stats, Stats> {
        let mut stats = self.stats.clone();
        let reached = tokio::time::timeout(patience, stats.wait_for(wanted)).await;
        match reached {
            Ok(Ok(reached)) => Ok(*reached),
            _ => Err(self.stats()),
        }
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        if let Some(orders) = &self.orders {
            orders.send_modify(change);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts until the orders end; the runtime then drops the connections.
async fn listen(
    mut orders: watch::Receiver<Orders>,
    stats: Arc<watch::Sender<Stats>>,
    bound: blocking::Sender<io::Result<SocketAddr>>,
) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let address = listener
        .as_ref()
        .map_err(|error| io::Error::new(error.kind(), error.to_string()));
    // The receiver waits for exactly this.
    let _ = bound.send(address.and_then(TcpListener::local_addr));
    let Ok(listener) = listener else { return };
    loop {
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            accepted = listener.accept() => {
                // A client that gave up already; the next one may be fine.
                let Ok((client, _)) = accepted else { continue };
                if orders.borrow().refusing {
                    stats.send_modify(|stats| stats.refused += 1);
                    continue;
                }
                stats.send_modify(|stats| { stats.connections += 1; stats.open += 1 });
                let end = ordered_end(orders.clone());
                    tokio::spawn(serve(client, end, orders.clone(), stats.clone()));
            }
        }
    }
}

/// How a connection ends.
enum End {
    /// Both sides have finished, or the upstream couldn't be reached.
    Close,
    Cut,
    Reset,
}

/// One connection from its acceptance to its end.
async fn serve(
    mut client: TcpStream,
    ordered_end: impl Future<Output = End> + Send,
    orders: watch::Receiver<Orders>,
    stats: Arc<watch::Sender<Stats>>,
) {
    let mut upstream = None;
    let end = tokio::select! {
        end = relay(&mut client, &mut upstream, orders, &stats) => end,
        end = ordered_end => end,
    };
    let sides = [Some(client), upstream].into_iter().flatten();
    match end {
        End::Close => drop(sides.collect::<Vec<_>>()),
        End::Cut => sides.for_each(|side| drop(tokio::spawn(say_farewell(side)))),
        End::Reset => sides.for_each(|side| {
            // Fails only for a socket that is gone already.
            let _ = side.set_zero_linger();
        }),
    }
    stats.send_modify(|stats| stats.open -= 1);
}

/// Returns when a cut or a reset is ordered after this call (not after the first poll: none may be missed between).
fn ordered_end(mut orders: watch::Receiver<Orders>) -> impl Future<Output = End> + Send {
    let now = orders.borrow();
    let (cuts, resets) = (now.cuts, now.resets);
    drop(now);
    async move {
        match orders
            .wait_for(|now| now.cuts != cuts || now.resets != resets)
            .await
        {
            Ok(now) if now.resets != resets => End::Reset,
            _ => End::Cut,
        }
    }
}

/// Sends FIN, then reads until the other side closes too: closing a socket with unread bytes would send RST.
async fn say_farewell(mut side: TcpStream) {
    let _ = side.shutdown().await;
    let _ =
        tokio::time::timeout(FAREWELL, tokio::io::copy(&mut side, &mut tokio::io::sink())).await;
}

/// Connects to the upstream, which it leaves in `slot`, and forwards both ways until both sides have finished.
async fn relay(
    client: &mut TcpStream,
    slot: &mut Option<TcpStream>,
    mut orders: watch::Receiver<Orders>,
    stats: &watch::Sender<Stats>,
) -> End {
    resumed(&mut orders, false).await;
    let (host, port) = orders.borrow().upstream.clone();
    let Ok(connected) = TcpStream::connect((host.as_str(), port)).await else {
        stats.send_modify(|stats| stats.upstream_failures += 1);
        return End::Close;
    };
    let upstream = slot.insert(connected);
    for side in [&*client, &*upstream] {
        // Costs only latency when it fails.
        let _ = side.set_nodelay(true);
    }
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    let beginning = Beginning::default();
    let answered = AtomicBool::new(true);
    let listen = |bytes: &[u8]| {
        if !bytes.is_empty() && answered.swap(false, Ordering::Relaxed) {
            stats.send_modify(|stats| stats.turns += 1);
        }
        beginning.see(bytes);
        bytes.to_vec()
    };
    let mut chatter = orders.borrow().chatting.then(Chatter::default);
    let talk = |bytes: &[u8]| match &mut chatter {
        Some(chatter) => chatter.pass(&beginning, bytes),
        None => bytes.to_vec(),
    };
    let there = one_way(
        from_client,
        to_upstream,
        (orders.clone(), false),
        listen,
        |n| stats.send_modify(|stats| stats.to_upstream += n),
    );
    let back = one_way(
        from_upstream,
        to_client,
        (orders.clone(), true),
        talk,
        |n| {
            answered.store(true, Ordering::Relaxed);
            stats.send_modify(|stats| stats.to_client += n);
        },
    );
    // A side that breaks (its peer was killed) breaks the other at once, as no network in between would soften it.
    match tokio::try_join!(there, back) {
        Ok(_) => End::Close,
        Err(_) => End::Reset,
    }
}

/// Waits until nothing holds these bytes back, or for ever once the proxy is being dropped.
async fn resumed(orders: &mut watch::Receiver<Orders>, answers: bool) {
    let free = |now: &Orders| !(now.stalled || answers && now.mute);
    if orders.wait_for(free).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Bytes under way and when they arrive; no bytes mean the end of the stream.
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

/// Forwards what `pass` makes of one direction, which brings requests or answers; `count` is told the bytes delivered.
async fn one_way(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    (orders, answers): (watch::Receiver<Orders>, bool),
    pass: impl FnMut(&[u8]) -> Vec<u8>,
    count: impl Fn(u64),
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
    tokio::try_join!(
        take(from, sender, orders.clone(), pass),
        deliver(receiver, to, (orders, answers), count)
    )
    .map(drop)
}

/// Reads as fast as the sender sends and stamps each chunk with the time it is due at the other side.
async fn take(
    mut from: ReadHalf<'_>,
    under_way: mpsc::Sender<Chunk>,
    orders: watch::Receiver<Orders>,
    mut pass: impl FnMut(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        let due = Instant::now() + orders.borrow().delay;
        let bytes = pass(&buffer[..read]);
        if bytes.is_empty() && read > 0 {
            continue;
        }
        if under_way.send(Chunk { due, bytes }).await.is_err() || read == 0 {
            return Ok(());
        }
    }
}

/// Writes each chunk when it is due and nothing is stalled.
async fn deliver(
    mut under_way: mpsc::Receiver<Chunk>,
    mut to: WriteHalf<'_>,
    (mut orders, answers): (watch::Receiver<Orders>, bool),
    count: impl Fn(u64),
) -> io::Result<()> {
    while let Some(chunk) = under_way.recv().await {
        if chunk.due > Instant::now() {
            tokio::time::sleep_until(chunk.due).await;
        }
        resumed(&mut orders, answers).await;
        if chunk.bytes.is_empty() {
            return to.shutdown().await;
        }
        let mut rest = chunk.bytes.as_slice();
        while !rest.is_empty() {
            let written = to.write(rest).await?;
            count(written as u64);
            rest = &rest[written..];
            resumed(&mut orders, answers).await;
        }
    }
    Ok(())
}
