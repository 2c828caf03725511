//! What happened to the publication and to the cloud's tables while nobody looked: they are compared with what is
//! remembered of them, and whatever may lack something is copied anew (P13).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::remembered::Remembered;
use super::session_context::Session;
use crate::catalog::{self, Changed, Drift, Footprint, footprints};
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::{Recovery, Statement, TableId, alike, listed};
use crate::plan::table_state;

/// What both sides are like, and which tables that makes doubtful.
#[derive(Default)]
pub(super) struct Around {
    /// The cloud's tables as they are.
    pub(super) prints: BTreeMap<TableId, Footprint>,
    /// Tables that may lack something.
    pub(super) anew: BTreeSet<TableId>,
    /// Those of them that are other tables in the cloud: nothing is known of the rows there.
    pub(super) replaced: BTreeSet<TableId>,
    /// Tables of which something else is remembered than what they are.
    unlike: BTreeSet<TableId>,
}

impl Session<'_> {
    /// Looks around. `known`: the tables were filled before, and the log is read on from the checkpoint.
    ///
    /// # Errors
    /// When the publication was dropped, or a side can't be asked.
    pub(super) async fn look_around(
        &self,
        remembered: &HashMap<String, Remembered>,
        known: bool,
    ) -> Result<Around, Fault> {
        let (mut around, mut said) = (Around::default(), Vec::new());
        let prints = footprints(&self.cloud.client, self.cloud_identity, self.tables).await;
        for (id, print) in prints.map_err(Fault::at(Side::Cloud))? {
            let (table, Some(print)) = (self.tables.get(id), print) else {
                continue;
            };
            let known = remembered.get(&table.name);
            let seen = known.and_then(|known| known.seen.as_ref());
            let changed = seen.and_then(|seen| print.since(seen));
            if let Some(changed) = &changed {
                said.push((changed.words(), &table.name));
                around.anew.insert(id);
            }
            // Rows that were there before us can't be told from those that were ours in another table.
            if changed == Some(Changed::Table) {
                around.replaced.insert(id);
            }
            if seen != Some(&print) {
                around.unlike.insert(id);
            }
            if seen.is_none() {
                around.anew.insert(id);
            }
            around.prints.insert(id, print);
        }
        warn_of(said);
        if known {
            let anew = self.drifted(remembered).await?;
            around.anew.extend(anew);
        }
        Ok(around)
    }

    /// Tables of the desktop's whose changes may not all have been sent.
    async fn drifted(
        &self,
        remembered: &HashMap<String, Remembered>,
    ) -> Result<Vec<TableId>, Fault> {
        let (desktop, name) = (&self.desktop.client, &self.settings.forward.publication);
        let replicator = &self.lease.replicator;
        let wire = Fault::at(Side::Desktop);
        let halts = match catalog::drift(desktop, replicator, name, self.tables).await {
            Ok(Drift::Halts(halts)) => halts,
            Ok(Drift::Gone) => {
                let remembered = catalog::is_remembered(desktop, replicator, name).await;
                return match remembered.map_err(wire)? {
                    true => Err(catalog::publication_gone(name)),
                    // Another name in the settings: it is made, and what it never sent is copied.
                    false => Ok(self.tables.iter().map(|table| table.id).collect()),
                };
            }
            Err(error) => return Err(wire(error)),
        };
        let halts = halts
            .into_iter()
            .filter(|halt| halt.way == Recovery::Recopy);
        let halts: Vec<_> = halts.collect();
        let said =
            { halts.iter() }.map(|halt| (halt.why.as_str(), &self.tables.get(halt.table).name));
        // A table that is new was never published.
        let served = |name: &String| remembered.get(name).is_some_and(Remembered::is_served);
        warn_of(said.filter(|(_, name)| served(name)));
        Ok(halts.iter().map(|halt| halt.table).collect())
    }

    /// Remembers what is published of tables that are copied from now on.
    pub(super) async fn remember_published(&self, which: &BTreeSet<TableId>) -> Result<(), Fault> {
        let (desktop, name) = (&self.desktop.client, &self.settings.forward.publication);
        let replicator = &self.lease.replicator;
        let done = catalog::remember(desktop, replicator, name, self.tables, which).await;
        done.map_err(Fault::at(Side::Desktop))
    }

    /// Remembers what the cloud's tables are, with what is done about those that had changed.
    pub(super) fn remember_prints(&self, around: &Around) -> Vec<Statement> {
        let unlike = around.unlike.iter();
        let remember = unlike.filter_map(|id| {
            let print = around.prints.get(id)?;
            let replaced = around.replaced.contains(id);
            let (replicator, table) = (&self.lease.replicator, self.tables.get(*id));
            Some(table_state::remember_footprint(
                replicator,
                table,
                print.text(),
                replaced,
            ))
        });
        remember.collect()
    }
}

/// What has happened to several tables alike is said once.
fn warn_of<'t, Words: AsRef<str> + PartialEq>(said: impl IntoIterator<Item = (Words, &'t String)>) {
    for (words, names) in alike(said) {
        let words = words.as_ref();
        match &names[..] {
            [one] => tracing::warn!(table = %one, "{words}"),
            all => {
                let names = listed(all, limits::NAMES_SHOWN);
                tracing::warn!(tables = names, count = all.len(), "{words}");
            }
        }
    }
}
