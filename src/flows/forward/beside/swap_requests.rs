//! Swaps that people ask for while the service runs: rows in the cloud, and a mark in the desktop's log that wakes us.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_postgres::Client;

use super::super::copies::{Copies, copy_anew};
use super::super::sender::Sender;
use crate::fault::Fault;
use crate::flows::copy::{CopyRequest, How, SwapRequest, asked, refuse};
use crate::flows::resumable::Resumable;
use crate::model::Tables;

pub(in crate::flows::forward) struct SwapRequests<'a> {
    cloud: &'a Client,
    replicator: String,
    tables: Arc<Tables>,
    /// A question that was asked.
    open: Resumable<'a, Result<Vec<SwapRequest>, Fault>>,
    /// Somebody asked since.
    again: bool,
    known: BTreeSet<i64>,
}

impl<'a> SwapRequests<'a> {
    /// `known` are those that are on the agenda already.
    pub(in crate::flows::forward) fn new(
        cloud: &'a Client,
        replicator: &str,
        tables: Arc<Tables>,
        known: impl Iterator<Item = i64>,
    ) -> SwapRequests<'a> {
        SwapRequests {
            cloud,
            replicator: replicator.to_owned(),
            tables,
            open: Resumable::idle(),
            again: false,
            known: known.collect(),
        }
    }

    /// Somebody has asked for something.
    pub(in crate::flows::forward) fn look(&mut self) {
        self.again = true;
        if self.open.is_idle() {
            self.again = false;
            let (cloud, replicator) = (self.cloud, self.replicator.clone());
            self.open
                .begin(async move { asked(cloud, &replicator).await });
        }
    }

    /// What is asked for that wasn't known; never without a question. Safe to cancel.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub(in crate::flows::forward) async fn answer(&mut self) -> Result<Vec<SwapRequest>, Fault> {
        let answered = self.open.end().await;
        if self.again {
            self.look();
        }
        let new = { answered?.into_iter() }.filter(|asked| self.known.insert(asked.id));
        Ok(new.collect())
    }

    /// Puts it on the agenda.
    ///
    /// # Errors
    /// When a table is asked for that has stopped: it is looked at anew, both sides of it, by the next session.
    pub(in crate::flows::forward) async fn take(
        &self,
        asked: Vec<SwapRequest>,
        copies: &mut Copies,
        sender: &Sender,
    ) -> Result<(), Fault> {
        let mut stopped = None;
        for asked in asked {
            let table = self.tables.iter().find(|table| table.name == asked.table);
            let Some(table) = table else {
                let why = "the running service doesn't have this table in its settings; restart it";
                refuse(self.cloud, asked.id, why).await?;
                continue;
            };
            if sender.is_stopped(table.id) && !copies.has(table.id) {
                stopped = Some(table.name.clone());
            }
            copies.want(CopyRequest {
                table: table.id,
                how: How::Swap {
                    allow_shrink: asked.allow_shrink,
                },
                asked: vec![asked.id],
            });
        }
        stopped.map_or(Ok(()), |table| Err(copy_anew(&table)))
    }
}
