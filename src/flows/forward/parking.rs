//! What the cloud says of parked rows.

use std::collections::BTreeSet;

use serde::Deserialize;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::job::Form;
use crate::apply::Done;
use crate::fault::{Fault, Side};
use crate::fold::{Parked, ParkedRows, Parking, name_of_cells};
use crate::model::{Cell, Key, Table, Tables, Tuple, Work};

/// A parked row, as `tandem.try_rows` and `tandem.parked` answer it.
#[derive(Deserialize)]
struct Said {
    /// Its table; left out where that is known.
    table: Option<String>,
    key: Vec<Option<String>>,
    cells: Vec<Option<String>>,
    /// Arriving columns that were not sent, counted from 1.
    unsent: Vec<usize>,
    copies: u64,
    work: String,
    #[serde(default)]
    sqlstate: String,
    #[serde(default)]
    why: String,
}

impl Said {
    fn parked(&self) -> Parked {
        let work = match self.work.as_str() {
            "delete" => Work::Delete,
            "remove" => Work::RemoveCopies,
            "add" => Work::AddCopies,
            _ => Work::Upsert,
        };
        let cell = |(at, cell): (usize, &'_ Option<String>)| match cell {
            _ if self.unsent.contains(&(at + 1)) => None,
            cell => Some(cell.clone()),
        };
        let cells: Vec<_> = self.cells.iter().enumerate().map(cell).collect();
        let tuple = Tuple::from_cells(cells.iter().map(|cell| match cell {
            None => Cell::Unchanged,
            Some(None) => Cell::Null,
            Some(Some(text)) => Cell::Text(text.as_bytes()),
        }));
        Parked {
            tuple: (!work.removes()).then_some(tuple),
            copies: if work == Work::AddCopies {
                self.copies
            } else {
                0
            },
            work,
            too_large: self.sqlstate == "TD007",
        }
    }

    fn name(&self) -> Vec<u8> {
        name_of_cells(self.key.iter().map(Option::as_deref))
    }
}

/// All parked rows of a replicator, as the cloud has them.
///
/// # Errors
/// When the query fails.
pub async fn parked(cloud: &Client, replicator: &str, tables: &Tables) -> Result<Parking, Fault> {
    let params = [(&replicator as _, Type::TEXT)];
    let rows = cloud
        .query_typed("select tandem.parked($1)::text", &params)
        .await;
    let rows = rows.map_err(Fault::at(Side::Cloud))?;
    let json: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
    Ok(read(json.as_bytes(), tables))
}

/// All parked rows, from the answer of `tandem.parked`.
pub(super) fn read(json: &[u8], tables: &Tables) -> Parking {
    let mut parking = Parking::default();
    for said in serde_json::from_slice::<Vec<Said>>(json).unwrap_or_default() {
        let named = tables
            .iter()
            .find(|table| Some(&table.name) == said.table.as_ref());
        if let Some(table) = named {
            parking.park(table.id, said.name(), said.parked());
        }
    }
    parking
}

/// After a batch: rows that got through leave, rows that were refused are parked.
pub(super) fn settle(parking: &mut Parking, form: &Form, done: &Done, tables: &Tables) {
    for answer in &done.answers {
        let (Some(id), Some(step), Some(row)) = (answer.table, answer.step, &answer.row) else {
            continue;
        };
        for name in form.names.get(&step).into_iter().flatten() {
            parking.leave(id, name);
        }
        let Some(Some(json)) = row.first() else {
            continue;
        };
        let refused = serde_json::from_slice::<Vec<Said>>(json).unwrap_or_default();
        tell(tables.get(id), &refused);
        for said in refused {
            parking.park(id, said.name(), said.parked());
        }
    }
}

fn tell(table: &Table, refused: &[Said]) {
    if let Some(first) = refused.first() {
        tracing::warn!(
            table = %table.name,
            rows = refused.len(),
            key = %key_words(table, first),
            sqlstate = %first.sqlstate,
            why = %first.why,
            "quarantined; the other rows go on"
        );
    }
}

/// The key for a person; nothing of a row without a key, which may be personal.
fn key_words(table: &Table, said: &Said) -> String {
    match table.key {
        Key::Multiset => String::new(),
        Key::Columns(_) => {
            let values = said
                .key
                .iter()
                .map(|cell| cell.as_deref().unwrap_or("NULL"));
            values.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The kinds of parked rows that one statement each can try again.
pub(super) fn kinds(rows: &ParkedRows) -> BTreeSet<(Work, Vec<usize>)> {
    let kind = |row: &Parked| {
        let unsent = row.tuple.iter().flat_map(|tuple| {
            let cells = tuple.cells().enumerate();
            cells
                .filter(|(_, cell)| *cell == Cell::Unchanged)
                .map(|(at, _)| at)
        });
        (row.work, unsent.collect())
    };
    rows.values()
        .filter(|row| !row.too_large)
        .map(kind)
        .collect()
}
