//! What the service answers over HTTP: metrics, health, and a page for a browser.

mod metrics;
mod serve;

pub(crate) use serve::serve;
