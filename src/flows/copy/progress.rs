//! How far the copying of tables is, for whoever wants to say it: told by those who copy, looked at by those who show it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far the copying of tables is. Cheap to tell; may be looked at from anywhere.
#[derive(Debug, Default)]
pub struct Progress {
    /// Tables that set-up publishes: those that are, and all.
    published: (AtomicU64, AtomicU64),
    /// Something is being copied, or was.
    tables: Mutex<BTreeMap<String, Arc<Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Rows that the desktop's statistics expect; 0 where they know nothing.
    expected: AtomicU64,
    /// Those who read it at the moment.
    readers: AtomicUsize,
    /// It is being written from what was staged.
    merging: AtomicBool,
    /// One of the constants below.
    end: AtomicU8,
}

const OPEN: u8 = 0;
const WHOLE: u8 = 1;
const REFUSED: u8 = 2;

/// A look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copying {
    /// Tables that set-up publishes: those that are, and all.
    pub published: (u64, u64),
    /// All tables that are to be copied,
    pub tables: u64,
    /// those that are finished,
    pub done: u64,
    /// and those that wait for somebody, which are finished, too.
    pub refused: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Their bytes on the way to the cloud.
    pub bytes: u64,
    /// Rows that there will be, as far as the desktop's statistics know.
    pub expected: u64,
    /// Tables that are being copied at the moment.
    pub at_work: Vec<AtWork>,
}

/// A table that is being copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// Its name in the settings.
    pub table: String,
    /// Rows that were read.
    pub rows: u64,
    /// Rows that are expected; 0 where nobody knows.
    pub expected: u64,
    /// They were all read, and are being written.
    pub merging: bool,
}

impl Copying {
    /// There is something to say.
    pub fn has_begun(&self) -> bool {
        self.tables > 0 || self.published.1 > 0
    }

    /// All that was wanted is finished.
    pub fn is_over(&self) -> bool {
        self.done == self.tables
    }
}

impl Progress {
    fn tables(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Set-up publishes so many tables, of which so many are.
    pub fn publishing(&self, done: u64, tables: u64) {
        self.published.0.store(done, Ordering::Relaxed);
        self.published.1.store(tables, Ordering::Relaxed);
    }

    /// These tables are to be copied, with the rows that are expected of each. What an earlier try has finished stays
    /// finished; where all of that is over, it is forgotten.
    pub(in super::super) fn want<'t>(&self, wanted: impl Iterator<Item = (&'t str, u64)>) {
        let mut tables = self.tables();
        let over = |entry: &Arc<Entry>| entry.end.load(Ordering::Relaxed) != OPEN;
        if tables.values().all(over) {
            tables.clear();
        }
        for (table, expected) in wanted {
            let entry = Entry {
                expected: AtomicU64::new(expected),
                ..Entry::default()
            };
            tables.insert(table.to_owned(), Arc::new(entry));
        }
    }

    /// The table is read from now on, until what is returned goes. Nothing is noted of one that nobody wanted to be told of.
    pub(in super::super) fn read(&self, table: &str) -> Course {
        let entry = self.tables().get(table).cloned();
        if let Some(entry) = &entry {
            entry.readers.fetch_add(1, Ordering::Relaxed);
        }
        Course {
            entry,
            rows: 0,
            bytes: 0,
        }
    }

    /// What was staged of the table is being written.
    pub(in super::super) fn merge(&self, table: &str) {
        if let Some(entry) = self.tables().get(table) {
            entry.merging.store(true, Ordering::Relaxed);
        }
    }

    /// The table is finished, or waits for somebody.
    pub(in super::super) fn end(&self, table: &str, refused: bool) {
        if let Some(entry) = self.tables().get(table) {
            let end = if refused { REFUSED } else { WHOLE };
            entry.end.store(end, Ordering::Relaxed);
            entry.merging.store(false, Ordering::Relaxed);
        }
    }

    /// How far it is now.
    pub fn look(&self) -> Copying {
        let mut copying = Copying {
            published: (
                self.published.0.load(Ordering::Relaxed),
                self.published.1.load(Ordering::Relaxed),
            ),
            ..Copying::default()
        };
        for (table, entry) in self.tables().iter() {
            let rows = entry.rows.load(Ordering::Relaxed);
            let expected = entry.expected.load(Ordering::Relaxed);
            copying.tables += 1;
            copying.rows += rows;
            copying.bytes += entry.bytes.load(Ordering::Relaxed);
            let end = entry.end.load(Ordering::Relaxed);
            if end != OPEN {
                copying.done += 1;
                copying.refused += u64::from(end == REFUSED);
                copying.expected += rows;
                continue;
            }
            copying.expected += expected.max(rows);
            let merging = entry.merging.load(Ordering::Relaxed);
            if merging || entry.readers.load(Ordering::Relaxed) > 0 {
                copying.at_work.push(AtWork {
                    table: table.clone(),
                    rows,
                    expected,
                    merging,
                });
            }
        }
        copying
    }
}

/// A reading of a table, or of a piece of one.
pub(in super::super) struct Course {
    entry: Option<Arc<Entry>>,
    rows: u64,
    bytes: u64,
}

impl Course {
    /// One more row was read, of so many bytes.
    pub(in super::super) fn row(&mut self, bytes: u64) {
        self.rows += 1;
        self.bytes += bytes;
        if let Some(entry) = &self.entry {
            entry.rows.fetch_add(1, Ordering::Relaxed);
            entry.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// So many rows need not be read: they are there. Of `told` rows of the table was told before; they are among those, or are read
    /// again.
    pub(in super::super) fn are_there(&self, rows: u64, told: u64) {
        if let Some(entry) = &self.entry {
            entry.rows.fetch_add(rows, Ordering::Relaxed);
            entry.rows.fetch_sub(told, Ordering::Relaxed);
        }
    }

    /// What was read comes to nothing: it is read again in another way.
    pub(in super::super) fn undo(&mut self) {
        if let Some(entry) = &self.entry {
            entry.rows.fetch_sub(self.rows, Ordering::Relaxed);
            entry.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        (self.rows, self.bytes) = (0, 0);
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            entry.readers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_read_twice_count_once_and_a_second_try_keeps_what_is_finished() {
        let progress = Progress::default();
        progress.want([("one", 10), ("two", 0)].into_iter());
        let mut course = progress.read("one");
        (0..4).for_each(|_| course.row(5));
        course.undo();
        course.row(5);
        let seen = progress.look();
        assert_eq!((seen.rows, seen.bytes, seen.expected), (1, 5, 10));
        assert_eq!(seen.at_work.len(), 1);
        // Filled by pieces, of which one was refused: some of its rows are equal, the others are read once more.
        (0..4).for_each(|_| course.row(5));
        course.are_there(3, 5);
        (0..2).for_each(|_| course.row(5));
        assert_eq!(progress.look().rows, 5);
        course.are_there(0, 4);
        drop(course);
        progress.end("one", false);
        assert_eq!(progress.look().at_work, []);
        progress.want([("two", 7)].into_iter());
        progress.end("two", true);
        let seen = progress.look();
        assert_eq!((seen.tables, seen.done, seen.refused), (2, 2, 1));
        assert_eq!((seen.rows, seen.expected, seen.is_over()), (1, 1, true));
        progress.want([("three", 3)].into_iter());
        assert_eq!(progress.look().tables, 1);
        // Nobody asked for it.
        progress.read("four").row(1);
        assert_eq!(progress.look().rows, 0);
    }
}
