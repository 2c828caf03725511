//! Tables that stop, or that have to, as those outside are told and tell.

use super::attempt::Attempt;
use super::notes::Note;
use super::state::Machine;
use crate::model::{Recovery, TableStop};

impl Machine {
    /// Tables that have stopped until they fit again, since this was asked last.
    pub fn take_halted(&mut self) -> Vec<(String, Recovery)> {
        std::mem::take(&mut self.halted)
    }

    /// Tables that can't go on, seen from outside: they stop with the next batch. Says whether any is new.
    pub fn halt_later(&mut self, halts: Vec<TableStop>) -> bool {
        let known = |halt: &TableStop| self.halting.iter().any(|known| known.table == halt.table);
        let new = |halt: &TableStop| {
            !known(halt) && (halt.way == Recovery::Recopy || !self.book.is_stopped(halt.table))
        };
        let new: Vec<_> = halts.into_iter().filter(new).collect();
        let any = !new.is_empty();
        self.halting.extend(new);
        any
    }

    /// The table stops, with what is sent next.
    pub(super) fn halt(&mut self, form: &mut Attempt, halt: TableStop) {
        self.book.stop(halt.table);
        form.halts.push(halt);
        // Steps have other numbers without it.
        form.row_by_row.clear();
    }

    /// Tells which tables have stopped. Answers why the session ends, where one of them has to be copied anew.
    pub(super) fn say_stopped(&mut self, halts: Vec<TableStop>) -> Option<String> {
        let mut copy = None;
        for halt in halts {
            let name = &self.tables.get(halt.table).name;
            match halt.way {
                Recovery::WhenSchemaFits | Recovery::WhenAccepted => {
                    self.halted.push((name.clone(), halt.way));
                }
                Recovery::Recopy => {
                    copy = Some(format!("table {name} has to be copied anew: {}", halt.why));
                }
                Recovery::Operator | Recovery::WhenAllowed => {}
            }
            self.notes.push(Note::Stopped(halt));
        }
        copy
    }
}
