//! Generated columns: the server computes them, so nobody writes them; where both sides do, they are compared.

use super::super::narrow::misfit;
use super::super::relation::ColumnFacts;
use super::complaint::Complaints;
use super::mapping::{Resolver, Sides, column};
use crate::config::Flow;
use crate::model::{Arriving, Column, Key, Source, Table};

impl Resolver<'_> {
    /// Columns that both sides compute, each with what the desktop says. They are numbered behind those that travel.
    pub(super) fn computed(&self, sides: &Sides<'_>, table: &Table) -> Vec<(Arriving, Column)> {
        let skipped = |name: &String| {
            self.wanted.skip.contains(name) || self.settings.forward.skip.contains(name)
        };
        // Rows without a key are counted by what travels of them.
        let columns = sides.desktop.columns.iter();
        let columns = columns.filter(|_| table.key != Key::Multiset);
        let both = columns.filter(|from| from.computed && !skipped(&from.name));
        let both = both.filter_map(|from| {
            let to = sides.cloud.column(self.name_of(from))?;
            let compared = to.computed && !from.unreadable_name && misfit(from, to).is_none();
            compared.then_some((from, to))
        });
        both.enumerate()
            .map(|(nth, (from, to))| {
                let arriving = Arriving {
                    name: from.name.clone(),
                    base_type: from.base_type.clone(),
                };
                let at = table.arriving.len() + nth;
                (arriving, column(to, Source::Arriving(at)))
            })
            .collect()
    }

    /// Who made a row has to be read on the desktop, and written there on the way home.
    pub(super) fn tells_phones(&self, owner: &ColumnFacts, complaints: &mut Complaints) {
        let reverse = self.wanted.flow != Flow::Forward;
        if owner.computed && reverse || !owner.sent && self.wanted.stream {
            complaints.push(format!(
                "column {} of the desktop says who made a row, but it is computed there, so it can't be {}; make it an ordinary column",
                owner.name,
                if reverse { "written" } else { "read" },
            ));
        }
    }

    /// A column that is computed stands in no log that we could read, unless its server is new enough; a copy can read it.
    pub(super) fn can_be_read(&self, from: &ColumnFacts, complaints: &mut Complaints) {
        let name = &from.name;
        if from.sent || !self.wanted.stream {
            return;
        }
        complaints.push(match from.fleeting {
            true => format!(
                "column {name} is computed on the desktop when it is read (VIRTUAL), which does not send it; name it in skip, compute it in the cloud, too, or make it STORED there"
            ),
            false => format!(
                "column {name} is computed on the desktop, which does not send it; name it in skip, or compute it in the cloud, too (PostgreSQL 18 sends it)"
            ),
        });
    }
}
