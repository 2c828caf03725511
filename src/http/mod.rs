//! What is answered over HTTP: metrics, health and a page for a browser, of one service or of a cloud's whole fleet.

mod curves;
mod drawn;
mod fleet;
mod known;
mod metrics;
mod metrics_fleet;
mod page;
mod serve;
mod status_line;

pub(crate) use curves::remember;
pub use fleet::FleetPage;
pub(crate) use serve::{HttpState, serve};
pub(crate) use status_line::tell;
