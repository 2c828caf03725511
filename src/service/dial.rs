//! The connection for writing, which is on its way while others are busy.

use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::session_context::Session;
use crate::apply::Applier;
use crate::fault::{Fault, Kind, Side};
use crate::wire::WireError;

/// A connection to the cloud that is on its way.
pub(super) type Dialed = AbortOnDropHandle<Result<Applier, WireError>>;

impl Session<'_> {
    /// The connection for writing, which is asked for while others are busy.
    pub(super) fn dial(&self, timeout: Duration) -> Dialed {
        let endpoint = self.settings.cloud.endpoint.clone();
        let dialed = async move { Applier::connect(&endpoint, timeout).await };
        AbortOnDropHandle::new(tokio::spawn(dialed))
    }
}

pub(super) async fn dialed_up(dialed: Dialed) -> Result<Applier, Fault> {
    let lost = |lost| {
        let what = "internal check failed: a task that connects ended";
        Fault::new(Kind::Internal, what).cause(lost)
    };
    dialed.await.map_err(lost)?.map_err(Fault::at(Side::Cloud))
}
