//! Rows that the side which has them can't look at as the receiver would: it lacks a function that a conversion uses, or a type.
//! They are sent as they would travel, and the receiver makes of them what it would write.

use super::super::array::TextArray;
use super::super::as_text::as_it_is;
use super::super::desktop_rows::cell;
use super::super::source::arrived;
use super::look::{Look, Reading};
use crate::model::{Arriving, Cell, Charset, Column, Param};

/// How such rows are sent, and looked at where they arrive.
#[derive(Clone, Debug)]
pub struct Abroad {
    /// What is read where they are.
    cells: String,
    /// What the sender's bytes mean, where they come as digits.
    pub charset: Option<Charset>,
    /// How they are looked at where they arrive: one `text[]` parameter for each column, then those of the look.
    pub look: Look,
    columns: usize,
}

impl Abroad {
    /// These columns are looked at; of them, `named` name a row, and `names` do for people.
    pub(super) fn new(
        arriving: &[Arriving],
        (columns, named): (&[&Column], &[&Column]),
        names: Option<Vec<usize>>,
        charset: Option<Charset>,
    ) -> Abroad {
        let made = |columns: &[&Column]| -> Vec<String> {
            let made = columns
                .iter()
                .map(|column| arrived(arriving, column, &|index| format!("t.c{index}")));
            made.collect()
        };
        let numbers = (1..=arriving.len()).map(|at| format!("${at}"));
        let cells = (0..arriving.len()).map(|at| format!("c{at}"));
        let from = format!(
            "(select * from unnest({numbers}) as u({cells}))",
            numbers = numbers.collect::<Vec<_>>().join(", "),
            cells = cells.collect::<Vec<_>>().join(", ")
        );
        let look = Look::new(from, "true".to_owned(), made(columns), made(named));
        let names = names.map(|names| names.iter().map(|at| format!("t.c{at}")).collect());
        let shown = arriving.iter().map(|column| match charset {
            Some(_) => as_it_is(&cell(&column.name)),
            None => cell(&column.name),
        });
        Abroad {
            cells: format!(
                "array[{shown}]::text[]",
                shown = shown.collect::<Vec<_>>().join(", ")
            ),
            charset,
            columns: arriving.len(),
            look: Look {
                names: names.unwrap_or_else(|| look.names.clone()),
                param: arriving.len() + 1,
                ..look
            },
        }
    }

    /// The rows as they would travel, one `text[]` each: all of the sender's look, or, where the sender can tell them, only those
    /// that are asked for.
    pub fn rows(&self, sender: &Look, asked: Option<Reading>) -> String {
        let among = asked.and_then(|reading| sender.among(reading));
        format!(
            "select {cells} from {from} as t where {which}{also}",
            cells = self.cells,
            from = sender.from,
            which = sender.which,
            also = among.map_or(String::new(), |among| format!(" and {among}"))
        )
    }

    /// Rows as the parameters of [`Abroad::look`].
    pub fn params(&self, rows: &[Vec<Option<String>>]) -> Vec<Param> {
        let mut arrays: Vec<_> = (0..self.columns).map(|_| TextArray::new()).collect();
        for row in rows {
            for (array, cell) in arrays.iter_mut().zip(row) {
                let cell = cell.as_ref();
                array.push(cell.map_or(Cell::Null, |text| Cell::Text(text.as_bytes())));
            }
        }
        arrays.into_iter().map(TextArray::finish).collect()
    }
}
