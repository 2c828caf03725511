//! `[listen] http`: metrics, health, and a small page for a browser. It listens and never dials out; what it shows is the same
//! sample of both sides that `status` takes, at most once a second.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::known::Known;
use super::metrics::render;
use super::page::{self, Shown};
use crate::config::Settings;
use crate::flows::{Alive, Counters, Reloads};
use crate::limits;
use crate::observe::{Curve, Details, Observer, Seen, Status, Verdict};

/// Prometheus' text format.
pub(super) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves as long as it is polled. An address that is taken is tried again: metrics must not keep the service from its work.
pub(crate) async fn serve(office: Arc<HttpState>) {
    let mut news = office.reloads.news();
    let mut settings = news.next().await;
    let mut open: Option<(SocketAddr, TcpListener)> = None;
    loop {
        // The listener stays where only other settings changed.
        open = open.filter(|(address, _)| Some(*address) == settings.listen.http);
        if let (None, Some(address)) = (&open, settings.listen.http) {
            tokio::select! {
                listener = listen(address) => {
                    tracing::debug!(%address, "listening");
                    open = Some((address, listener));
                }
                now = news.next() => {
                    settings = now;
                    continue;
                }
            }
        }
        let served = async {
            let Some((_, listener)) = &open else {
                return pending().await;
            };
            let office = office.clone();
            let answer = move |request| {
                let office = office.clone();
                async move { office.answer(&request).await }
            };
            serve_on(listener, answer).await;
        };
        tokio::select! {
            () = served => {}
            now = news.next() => settings = now,
        }
    }
}

/// Serves what `answer` says to each request, as long as it is polled; inside a `LocalSet`.
pub(super) async fn serve_on<Answer, Answered>(listener: &TcpListener, answer: Answer)
where
    Answer: Fn(Request<Incoming>) -> Answered + Clone + 'static,
    Answered: Future<Output = Response<Full<Bytes>>> + 'static,
{
    let room = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(limits::HTTP_RETRY).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let answer = answer.clone();
        spawn_local(async move {
            serve_one(stream, answer).await;
            drop(permit);
        });
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !said => {
                said = true;
                tracing::warn!(%address, "metrics can't be served there, all else goes on: {error}; another address can be set by listen.http");
            }
            Err(_) => {}
        }
        sleep(limits::HTTP_RETRY).await;
    }
}

async fn serve_one<Answer, Answered>(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer)
where
    Answer: Fn(Request<Incoming>) -> Answered,
    Answered: Future<Output = Response<Full<Bytes>>>,
{
    let answer = service_fn(|request: Request<Incoming>| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_PATIENCE);
    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
}

/// What is shown of an office, to everybody who asks.
pub(crate) struct HttpState {
    reloads: Reloads,
    meter: Arc<Counters>,
    /// When the curves begin.
    began: Instant,
    last: Mutex<Last>,
}

/// The last sample, and how it was taken.
#[derive(Default)]
struct Last {
    /// The settings that the connections belong to.
    settings: Option<Arc<Settings>>,
    observer: Option<Observer>,
    status: Option<(Arc<Status>, Instant)>,
    /// When it was tried last, and why that failed.
    tried: Option<(Instant, Option<String>)>,
    /// What only the page shows, when it was asked for, and what a sample said of it then.
    details: Option<(Arc<Details>, Instant)>,
    detailed: Option<Detailed>,
    curve: Curve,
}

impl Last {
    /// What only the page shows; the last that is known where it can't be asked.
    async fn details(&mut self, known: &Known) -> Arc<Details> {
        let sample = known.status.as_ref().filter(|_| known.failed.is_none());
        if let (Some((status, _)), Some(observer)) = (sample, &self.observer) {
            let parked = status.parked != (0, 0);
            let swapped = status.tables.iter().map(|table| &table.last_swap);
            let told = (status.parked, swapped.max().cloned().flatten());
            let young = |asked: Instant| asked.elapsed() < limits::HTTP_DETAILS_EVERY;
            let is_young = { self.details.as_ref() }.is_some_and(|(_, asked)| young(*asked));
            if !is_young || self.detailed.as_ref() != Some(&told) {
                self.detailed = Some(told);
                let tables = status.tables.iter().map(|one| one.table.as_str());
                let tables: Vec<_> = tables.collect();
                let asked = observer.details(parked, &tables);
                let asked = timeout(limits::HTTP_SAMPLE_MAX, asked).await;
                let now = Instant::now();
                match (asked, &mut self.details) {
                    (Ok(Ok(details)), kept) => *kept = Some((Arc::new(details), now)),
                    (_, Some((_, asked))) => *asked = now,
                    (_, kept @ None) => *kept = Some((Arc::default(), now)),
                }
            }
        }
        let details = self.details.as_ref().map(|(details, _)| details.clone());
        details.unwrap_or_default()
    }
}

/// What a sample tells of details that are others by now: rows in quarantine, and the last swap.
type Detailed = ((i64, i64), Option<String>);

impl HttpState {
    pub(crate) fn new(reloads: Reloads, meter: Arc<Counters>) -> Arc<HttpState> {
        Arc::new(HttpState {
            reloads,
            meter,
            began: Instant::now(),
            last: Mutex::default(),
        })
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(refused) = refused(request) {
            return refused;
        }
        match request.uri().path() {
            "/" => page(&self.drawn().await),
            "/healthz" => healthy(&self.meter.alive),
            "/readyz" => ready(&self.look().await),
            "/status.json" => document(&self.look().await),
            "/metrics" => {
                let known = self.look().await;
                let status = known.status.as_ref();
                let status = status.map(|(status, age)| (&**status, *age));
                let body = render(status, known.failed.is_none(), &self.meter.read());
                typed(StatusCode::OK, METRICS, body)
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there are / /metrics /healthz /readyz /status.json\n".to_owned(),
            ),
        }
    }

    /// The page as it is now.
    async fn drawn(&self) -> String {
        let known = self.look().await;
        let mut last = self.last.lock().await;
        let details = last.details(&known).await;
        page::office(&Shown {
            known: &known,
            details: &details,
            curve: &last.curve,
            at: self.began.elapsed(),
        })
    }

    /// How long nobody has looked; for ever where nobody ever did.
    pub(super) async fn unseen_for(&self) -> Option<Duration> {
        let last = self.last.lock().await;
        last.tried.as_ref().map(|(tried, _)| tried.elapsed())
    }

    /// The last sample if it is young, else a new one.
    pub(super) async fn look(&self) -> Known {
        let mut last = self.last.lock().await;
        let young = |tried: Instant| tried.elapsed() < limits::HTTP_SAMPLE_EVERY;
        let settings = self.reloads.settings();
        if let Some(settings) = settings
            && last.tried.as_ref().is_none_or(|(tried, _)| !young(*tried))
        {
            if { last.settings.as_ref() }.is_none_or(|of| !Arc::ptr_eq(of, &settings)) {
                (last.observer, last.settings) = (None, Some(settings.clone()));
            }
            let sampled = timeout(
                limits::HTTP_SAMPLE_MAX,
                Observer::status_over(&mut last.observer, &settings),
            );
            let failed = match sampled.await {
                Ok(Ok(status)) => {
                    last.curve.note(self.began.elapsed(), Seen::of(&status));
                    last.status = Some((Arc::new(status), Instant::now()));
                    None
                }
                Ok(Err(fault)) => Some(fault.to_string()),
                Err(_) => Some("a side does not answer".to_owned()),
            };
            last.tried = Some((Instant::now(), failed));
        }
        let status = last.status.as_ref();
        Known {
            status: status.map(|(status, taken)| (status.clone(), taken.elapsed())),
            failed: last.tried.as_ref().and_then(|(_, failed)| failed.clone()),
        }
    }
}

/// Healthy: the service itself works; whether both sides are there is another question.
fn healthy(alive: &Alive) -> Response<Full<Bytes>> {
    match alive.is_stuck() {
        false => text(StatusCode::OK, "ok\n".to_owned()),
        true => {
            let seconds = alive.silent_for().as_secs();
            let body = format!("stuck: the service has not moved for {seconds} s; start it anew\n");
            text(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

/// Ready: both sides answer, it streams, it isn't far behind, and nothing waits for a person.
fn ready(known: &Known) -> Response<Full<Bytes>> {
    if let Some(why) = &known.failed {
        return text(StatusCode::SERVICE_UNAVAILABLE, format!("unknown: {why}\n"));
    }
    let Some((status, _)) = &known.status else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "unknown\n".to_owned());
    };
    let word = serde_json::to_value(status.verdict);
    let word = word
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default();
    let late = status
        .forward
        .lag_ms
        .is_none_or(|lag| Duration::from_millis(lag.unsigned_abs()) > limits::READY_LAG_MAX);
    match status.verdict {
        Verdict::CaughtUp => text(StatusCode::OK, format!("{word}\n")),
        Verdict::CatchingUp if !late => text(StatusCode::OK, format!("{word}\n")),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, format!("{word}\n")),
    }
}

fn document(known: &Known) -> Response<Full<Bytes>> {
    let status = known.status.as_ref().map(|(status, age)| {
        let mut status = Status::clone(status);
        status.forward.measured_age_ms += u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        status
    });
    let body = serde_json::json!({"schema": 1, "failed": known.failed, "status": status});
    typed(StatusCode::OK, "application/json", body.to_string())
}

/// Nothing here is changed by asking.
pub(super) fn refused(request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return None;
    }
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    let headers = refused.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(refused)
}

/// A page that asks nobody but us.
pub(super) fn page(html: &str) -> Response<Full<Bytes>> {
    let mut page = typed(StatusCode::OK, "text/html; charset=utf-8", html.to_owned());
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    page.headers_mut()
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    page
}

pub(super) fn text(code: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(code, "text/plain; charset=utf-8", body)
}

pub(super) fn typed(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
