//! The lease while a large transaction goes in one pass: nothing of it is committed before all of it is there, so it renews
//! nothing, and whoever waits for the lease would find it free.

use std::future::pending;
use std::time::Instant;

use tokio::time::sleep_until;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::apply::Lease;
use crate::fault::{Fault, Kind, Side};
use crate::flows::resumable::Resumable;
use crate::limits;

/// Renews it, by a connection of its own.
pub(in crate::flows::forward) struct Renewal<'a> {
    cloud: &'a Client,
    replicator: String,
    epoch: i64,
    due: Option<Instant>,
    /// One that has begun.
    renewing: Resumable<'a, Result<(), Fault>>,
}

impl<'a> Renewal<'a> {
    pub(in crate::flows::forward) fn new(cloud: &'a Client, lease: &Lease) -> Renewal<'a> {
        Renewal {
            cloud,
            replicator: lease.replicator.clone(),
            epoch: lease.epoch.cast_signed(),
            due: None,
            renewing: Resumable::idle(),
        }
    }

    /// Waits until it is time, and renews it; never where `wanted` doesn't say so. Safe to cancel.
    ///
    /// # Errors
    /// When another has it.
    pub(in crate::flows::forward) async fn keep(&mut self, wanted: bool) -> Result<(), Fault> {
        if self.renewing.is_idle() {
            if !wanted {
                self.due = None;
                return pending().await;
            }
            let soon = || Instant::now() + limits::RENEW_EVERY;
            let due = self.due.unwrap_or_else(soon);
            self.due = Some(due);
            sleep_until(due.into()).await;
            self.renewing
                .begin(renew(self.cloud, self.replicator.clone(), self.epoch));
        }
        let renewed = self.renewing.end().await;
        self.due = None;
        renewed
    }
}

async fn renew(cloud: &Client, replicator: String, epoch: i64) -> Result<(), Fault> {
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&epoch, Type::INT8)];
    let renewed = Side::Cloud.query(cloud, "select tandem.hold($1, $2)", &params);
    match renewed.await {
        Err(fault) if matches!(fault.kind, Kind::LeaseLost) => Err(fault),
        // The connection with the transaction says for itself what is wrong.
        Err(fault) => {
            tracing::debug!(error = %fault, "the lease is not renewed");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}
