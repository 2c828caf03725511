//! A large table beside the stream, as long as it doesn't stream itself: filled by COPY, piece by piece, and each piece remembered
//! with it. What is left, or has changed since an interrupted copy wrote it, is staged and merged ([`super::sift`]).

use super::beforehand::Filled;
use super::pour::{Pour, Poured};
use super::stage::Staging;
use crate::capture::TableReader;
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::{Lsn, Table, TableId, Tables};
use crate::plan::verify::Stretch;
use crate::plan::{Pages, direct, join_pieces, pieces, read_pieces};

impl Staging<'_> {
    /// Fills what is missing of a table, if it is empty or an interrupted copy left off there; says what it did. `group` are the
    /// tables that are copied with it, none of which is whole: one that it refers to comes first.
    ///
    /// # Errors
    /// When a connection fails or the lease is lost.
    pub(super) async fn pour_pieces(
        &mut self,
        reader: &mut TableReader,
        table: &Table,
        (tables, group): (&Tables, &[TableId]),
        before: Lsn,
    ) -> Result<Filled, Fault> {
        let mut filled = Filled::default();
        let desktop = Fault::at(Side::Desktop);
        let Some(halves) = direct(table, tables, &|_| false) else {
            return Ok(filled);
        };
        let refers = |other: &&TableId| {
            let other = tables.get(**other);
            other.id != table.id && { other.reaches.iter() }.any(|reach| reach.child == table.cloud)
        };
        if table.leaves.is_some() || table.knot.is_some() || group.iter().any(|of| refers(&of)) {
            return Ok(filled);
        }
        let size = reader.size(&[table.desktop_oid]).await;
        let last = size.map_err(&desktop)?.pages;
        filled.pages = Some(last);
        if last < 2 * limits::PIECE_PAGES_MAX {
            return Ok(filled);
        }
        let done = self.pieces_done(table).await?;
        let cloud = (&mut *self.applier, self.opening);
        let references = self.checks.of(cloud, table, &halves).await?;
        let mut pour = Pour {
            table,
            halves: &halves,
            pages: None,
            last,
            before,
            references,
        };
        if done.is_empty() && !pour.claim(self).await? {
            filled.done = Some(done);
            return Ok(filled);
        }
        let mut poured_pages = Vec::new();
        for piece in left(&done, last) {
            pour.pages = Some(piece);
            reader.begin_try().await.map_err(&desktop)?;
            let Poured::Whole(poured) = pour.pour(self, reader).await? else {
                // It has rows that were moved here from pages that are done, or that don't fit as they are.
                reader.undo_try().await.map_err(&desktop)?;
                break;
            };
            reader.keep_try().await.map_err(&desktop)?;
            filled.rows += poured;
            poured_pages.push((piece.0, piece.1.unwrap_or(last)));
        }
        poured_pages.extend(done);
        poured_pages.sort_unstable();
        filled.done = Some(join_pieces(poured_pages.into_iter()));
        Ok(filled)
    }

    /// The pages of which an interrupted copy wrote the rows.
    pub(super) async fn pieces_done(&mut self, table: &Table) -> Result<Vec<Stretch>, Fault> {
        let done = pieces(&self.lease.replicator, table);
        let done = self.asks(done).await?.unwrap_or_default();
        Ok(read_pieces(&done))
    }
}

/// The pages that are not done, in pieces.
fn left(done: &[Stretch], last: u64) -> Vec<Pages> {
    let mut left = Vec::new();
    let mut from = 0;
    for (first, next) in done.iter().copied().chain([(last, last)]) {
        while from < first {
            let to = first.min(from + limits::PIECE_PAGES_MAX);
            left.push((from, Some(to)));
            from = to;
        }
        from = from.max(next);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::left;
    use crate::limits::PIECE_PAGES_MAX as MOST;

    #[test]
    fn what_is_left_is_cut_into_pieces() {
        assert_eq!(left(&[(0, 10), (20, 30)], 30), [(10, Some(20))]);
        assert_eq!(
            left(&[(0, 5)], 6 + MOST),
            [(5, Some(5 + MOST)), (5 + MOST, Some(6 + MOST))]
        );
        assert_eq!(left(&[(0, 50)], 40), []);
    }
}
