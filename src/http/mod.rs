//! What is answered over HTTP: metrics, health and a page for a browser, of one service or of a cloud's whole fleet.

mod fleet;
mod metrics;
mod metrics_fleet;
mod serve;

pub use fleet::FleetPage;
pub(crate) use serve::serve;
