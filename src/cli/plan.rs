//! What a bootstrap or a swap would do: counts from transactions that only read, and SQL that can be pasted.

use super::show;
use crate::catalog::replicator_name;
use crate::catalog::{Facts, facts};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::flows::{Compared, agree, check_keys, compare, only_look};
use crate::install::{planned_statements, version_of};
use crate::limits;
use crate::model::{Key, Table, Tables, listed};
use crate::observe::Swapped;
use crate::plan::quote;
use crate::wire::control::Control;

/// Both sides, and what they agree on.
pub(super) struct Sides {
    desktop: Control,
    cloud: Control,
    identity: Facts,
    tables: Tables,
}

impl Sides {
    /// Connects both, and finds out whether the settings fit them.
    pub(super) async fn open(settings: &Settings) -> Result<Sides, Fault> {
        let desktop = Side::Desktop.connect(&settings.desktop.endpoint).await?;
        let cloud = Side::Cloud.connect(&settings.cloud.endpoint).await?;
        let identity = facts(&desktop.client, Side::Desktop).await?;
        facts(&cloud.client, Side::Cloud).await?;
        let tables = agree(settings, &desktop.client, &cloud.client).await?;
        Ok(Sides {
            desktop,
            cloud,
            identity,
            tables,
        })
    }

    /// What a copy of these tables would change. `removes`: rows that the desktop doesn't have go, unless they are too
    /// many and nobody allows that.
    pub(super) async fn counts(
        &self,
        names: Option<&[&str]>,
        removes: Option<bool>,
    ) -> Result<Vec<Swapped>, Fault> {
        let wanted =
            |table: &&Table| names.is_none_or(|names| names.contains(&table.name.as_str()));
        let tables: Vec<_> = self.tables.iter().filter(wanted).collect();
        check_keys(&tables, &[], &self.desktop.client, &self.cloud.client).await?;
        only_look(&self.desktop.client, &self.cloud.client).await?;
        let mut all = Vec::new();
        for table in tables {
            let found = compare(&self.desktop.client, &self.cloud.client, table).await?;
            all.push(planned(table, found, removes));
        }
        Ok(all)
    }

    /// What would be set up, as it can be pasted.
    pub(super) async fn say_set_up(&self, settings: &Settings) -> Result<(), Fault> {
        if let Err(fault) = self.identity.can_publish() {
            let first = fault.hint.unwrap_or(fault.what);
            show::result(&format!("-- first, on the desktop: {first}"));
        }
        let replicator = replicator_name(settings, &self.identity);
        for (side, control) in [(Side::Desktop, &self.desktop), (Side::Cloud, &self.cloud)] {
            let installed = version_of(&control.client, side).await?;
            let installed = installed.map(|found| found.state);
            let statements =
                planned_statements(side, installed, settings, &replicator, &self.tables);
            if statements.is_empty() {
                continue;
            }
            show::result(&format!("-- on the {side}"));
            statements
                .iter()
                .for_each(|statement| show::result(statement));
        }
        let slow = self
            .tables
            .iter()
            .filter(|table| !table.indexed && table.key != Key::Multiset);
        let slow: Vec<_> = slow.collect();
        if !slow.is_empty() {
            let names = slow.iter().map(|table| &table.name);
            show::result(&format!(
                "-- {} {} no unique index on {} in the cloud, so each change reads the whole table there; from PostgreSQL 15 on:",
                listed(names, limits::NAMES_SHOWN),
                if slow.len() == 1 { "has" } else { "have" },
                if slow.len() == 1 {
                    "its key"
                } else {
                    "their keys"
                },
            ));
        }
        for table in slow {
            let names = table.key_names().map(quote::ident);
            show::result(&format!(
                "create unique index concurrently on {} ({}) nulls not distinct;",
                quote::table(&table.cloud),
                names.collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(())
    }
}

fn planned(table: &Table, found: Compared, removes: Option<bool>) -> Swapped {
    let share = found.surplus as f64 > table.max_shrink * found.stored as f64;
    let many = found.surplus.unsigned_abs() > limits::SHRINK_ROWS_MIN && share;
    let empties = found.read == 0 && found.stored > 0;
    let refused = (removes == Some(false) && (many || empties)).then(|| {
        format!(
            "{} of its {} rows would be deleted at once, more than max_shrink = {} allows",
            found.surplus, found.stored, table.max_shrink
        )
    });
    let goes = removes.is_some();
    Swapped {
        table: table.name.clone(),
        read: Some(found.read),
        insert: Some(found.missing),
        update: Some(found.different),
        delete: Some(if goes { found.surplus } else { 0 }),
        unchanged: Some(found.read - found.missing - found.different),
        extras: Some(if goes { 0 } else { found.surplus }),
        guarded: refused.is_some(),
        refused,
        quarantined: None,
        waits: None,
    }
}
