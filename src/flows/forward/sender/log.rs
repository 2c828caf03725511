//! What the machine notes goes into the log and the metrics.

use super::machine::Note;
use crate::flows::counters::Counters;
use crate::model::{Recovery, TableStop, Tables};

pub(super) fn tell(note: Note, tables: &Tables, meter: &Counters) {
    match note {
        Note::Batch { took, changes } => meter.batch(took, changes),
        Note::Refused { step, error } => {
            tracing::debug!(step, code = %error.code, message = %error.message, "refused");
        }
        Note::NotNow(error) => tracing::debug!(%error, "not now"),
        Note::Stopped(stop) => tell_stop(&stop, tables),
        Note::Quarantined {
            table,
            rows,
            key,
            sqlstate,
            why,
        } => tracing::warn!(
            table = %tables.get(table).name,
            rows,
            %key,
            %sqlstate,
            %why,
            "quarantined; the other rows go on"
        ),
    }
}

/// Says that a table stops, and why.
fn tell_stop(TableStop { table, why, way }: &TableStop, tables: &Tables) {
    let name = &tables.get(*table).name;
    match way {
        Recovery::Operator => {
            tracing::error!(table = %name, why, "stopped; the other tables go on");
        }
        Recovery::WhenSchemaFits | Recovery::WhenAccepted => {
            tracing::error!(table = %name, why, "stopped until it fits again; the other tables go on");
        }
        Recovery::WhenAllowed => {
            tracing::error!(table = %name, why, "held; the other tables go on");
        }
        Recovery::Recopy => tracing::warn!(table = %name, why, "it is copied anew"),
    }
}
