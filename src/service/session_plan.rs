//! What a session begins with: which tables have to be copied, and when which one is swapped.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::around::Around;
use super::ready::Ready;
use super::remembered::Remembered;
use super::session_context::Session;
use crate::fault::Fault;
use crate::flows::{Agenda, CopyRequest, How, Scheduled, SwapRequest, last_swaps};

impl Session<'_> {
    /// Tables that have to be copied, and those that are asked for. `again`: all have to.
    pub(super) fn put_on_agenda(
        &self,
        remembered: &HashMap<String, Remembered>,
        asked: &[SwapRequest],
        (again, around): (bool, &Around),
        ready: &mut Ready,
    ) {
        for table in self.tables.iter() {
            let known = remembered.get(&table.name);
            let (anew, replaced) = (&around.anew, &around.replaced);
            let asked = asked.iter().filter(|asked| asked.table == table.name);
            let asked: Vec<_> = asked.collect();
            let allow_shrink = asked.iter().any(|asked| asked.allow_shrink);
            let ids = asked.iter().map(|asked| asked.id).collect();
            let how = match known {
                // The yes that they may go.
                Some(known) if known.extras > 0 && self.goal.remove_extras => {
                    Some(How::Adopt { remove: true })
                }
                Some(known) if !again && known.is_whole(table) && !anew.contains(&table.id) => {
                    (!asked.is_empty()).then_some(How::Swap { allow_shrink })
                }
                Some(known)
                    if !again
                        && known.waits_for_person(table)
                        && !self.goal.fresh
                        && asked.is_empty() =>
                {
                    ready.book.stop(table.id);
                    None
                }
                Some(known) if known.is_ours() && !replaced.contains(&table.id) => {
                    Some(How::Again { allow_shrink })
                }
                _ => Some(How::Adopt {
                    remove: self.goal.remove_extras,
                }),
            };
            if let Some(how) = how {
                let table = table.id;
                ready.agenda.wanted.push(CopyRequest {
                    table,
                    how,
                    asked: ids,
                });
            }
        }
    }

    /// Tables that are swapped again and again, each when it is due.
    pub(super) async fn scheduled(&self) -> Result<Agenda, Fault> {
        let last = last_swaps(&self.cloud.client, &self.lease.replicator).await?;
        let now = Instant::now();
        let wanted = self.settings.tables.iter();
        let scheduled = wanted.filter_map(|wanted| {
            let every = wanted.swap?;
            let table = self.tables.iter().find(|table| table.name == wanted.name)?;
            let ago = last.iter().find(|(name, _)| *name == table.name);
            let ago = ago.map_or(Duration::ZERO, |(_, ago)| *ago);
            Some(Scheduled {
                table: table.id,
                every,
                due: now + every.saturating_sub(ago),
            })
        });
        Ok(Agenda {
            scheduled: scheduled.collect(),
            wanted: Vec::new(),
        })
    }
}
