//! The fleet's page, and its metrics for Prometheus, for whoever looks after many offices. The cloud is asked once a second at
//! most, however many look.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::metrics_fleet::render;
use super::serve::{METRICS, page, refused, serve_on, text, typed};
use crate::config::Endpoint;
use crate::fault::{Fault, Kind};
use crate::limits;
use crate::observe::{Fleet, FleetObserver};

const PAGE: &str = include_str!("fleet.html");

/// The page of a cloud, at an address.
pub struct FleetPage {
    listener: TcpListener,
    cloud: Endpoint,
    first: FleetObserver,
}

impl FleetPage {
    /// Takes the address; port 0 stands for any that is free. `first` has looked already.
    ///
    /// # Errors
    /// When the address can't be had.
    pub async fn bind(
        address: SocketAddr,
        cloud: Endpoint,
        first: FleetObserver,
    ) -> Result<FleetPage, Fault> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Fault::new(Kind::Input, format!("nothing can be served at {address}"))
                .cause(error)
                .hint("give --listen another address and port; port 0 takes any that is free")
        })?;
        Ok(FleetPage {
            listener,
            cloud,
            first,
        })
    }

    /// Where it is.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves as long as it is polled.
    pub async fn serve(self) {
        let shown = Rc::new(Shown {
            cloud: self.cloud,
            last: Mutex::new(Last {
                observer: Some(self.first),
                ..Last::default()
            }),
        });
        let served = serve_on(&self.listener, move |request| {
            let shown = shown.clone();
            async move { shown.answer(&request).await }
        });
        LocalSet::new().run_until(served).await;
    }
}

struct Shown {
    cloud: Endpoint,
    last: Mutex<Last>,
}

/// The last look, and why the one after it failed.
#[derive(Default)]
struct Last {
    observer: Option<FleetObserver>,
    fleet: Option<Rc<Fleet>>,
    tried: Option<Instant>,
    failed: Option<String>,
}

impl Shown {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(refused) = refused(request) {
            return refused;
        }
        match request.uri().path() {
            "/" => page(PAGE),
            "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
            "/metrics" => {
                let (fleet, failed) = self.look().await;
                // What was true before the cloud went away is nothing to be counted.
                let fleet = fleet.filter(|_| failed.is_none());
                let body = render(fleet.as_deref(), failed.is_none());
                typed(StatusCode::OK, METRICS, body)
            }
            "/fleet.json" => {
                let (fleet, failed) = self.look().await;
                let body =
                    serde_json::json!({"schema": 1, "failed": failed, "fleet": fleet.as_deref()});
                typed(StatusCode::OK, "application/json", body.to_string())
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there are / /metrics /healthz /fleet.json\n".to_owned(),
            ),
        }
    }

    /// All replicators, and why that isn't of this moment.
    async fn look(&self) -> (Option<Rc<Fleet>>, Option<String>) {
        let mut last = self.last.lock().await;
        let young = |tried: Instant| tried.elapsed() < limits::HTTP_SAMPLE_EVERY;
        if !last.tried.is_some_and(young) {
            let observer = last.observer.take();
            last.failed = match timeout(limits::HTTP_SAMPLE_MAX, self.ask(observer)).await {
                Ok(Ok((observer, fleet))) => {
                    last.observer = Some(observer);
                    last.fleet = Some(Rc::new(fleet));
                    None
                }
                Ok(Err(fault)) => Some(fault.to_string()),
                Err(_) => Some("the cloud does not answer".to_owned()),
            };
            last.tried = Some(Instant::now());
        }
        (last.fleet.clone(), last.failed.clone())
    }

    async fn ask(&self, observer: Option<FleetObserver>) -> Result<(FleetObserver, Fleet), Fault> {
        let observer = match observer {
            Some(observer) => observer,
            None => FleetObserver::connect(&self.cloud).await?,
        };
        let fleet = observer.look().await?;
        Ok((observer, fleet))
    }
}
