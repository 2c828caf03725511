//! Which of its pages a table's first copy has written, until it is whole: all SQL about `tandem.piece`. It is believed only as far
//! as both sides' rows come to the same sums ([`super::verify::Sieve`]).

use super::table_state::IS_OURS;
use crate::model::{Param, Statement, Table};

/// The rows on these pages of the desktop's table are in the cloud: from the first on, up to, not including, the second.
pub fn piece_done(replicator: &str, table: &Table, (from, to): (u64, u64)) -> Statement {
    let sql = r#"insert into tandem.piece (replicator, "table", first_page, next_page)
        values ($1, $2, $3, $4)
        on conflict (replicator, "table", first_page) do update
        set next_page = excluded.next_page"#;
    let mut params = of(replicator, table);
    params.extend([Param::int8(from), Param::int8(to)]);
    Statement::bookkeeping(sql, params)
}

/// The table is whole, or is begun anew.
pub fn forget_pieces(replicator: &str, table: &Table) -> Statement {
    let sql = "delete from tandem.piece where replicator = $1 and \"table\" = $2";
    Statement::bookkeeping(sql, of(replicator, table))
}

/// Answers with all pieces in their order, as [`read_pieces`] reads them; NULL where there is none, or the cloud's table is another
/// one by now.
pub fn pieces(replicator: &str, table: &Table) -> Statement {
    let ours = IS_OURS.replace("$3", "$2");
    let sql = format!(
        r#"select string_agg(first_page || '-' || next_page, ' ' order by first_page)
           from tandem.piece
           where replicator = $1 and "table" = $2 and exists ({ours})"#
    );
    Statement::bookkeeping(sql, of(replicator, table))
}

/// Pieces as [`pieces`] writes them; those that lie side by side are one.
pub fn read_pieces(text: &str) -> Vec<(u64, u64)> {
    let pieces = text.split_whitespace().filter_map(|piece| {
        let (from, to) = piece.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    join_pieces(pieces)
}

/// Pieces in their order; those that lie side by side are one.
pub fn join_pieces(pieces: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for (from, to) in pieces {
        match all.last_mut() {
            Some(last) if from == last.1 => last.1 = to,
            _ => all.push((from, to)),
        }
    }
    all
}

fn of(replicator: &str, table: &Table) -> Vec<Param> {
    vec![Param::string(replicator), Param::string(&table.name)]
}

#[cfg(test)]
mod tests {
    #[test]
    fn pieces_side_by_side_are_one() {
        assert_eq!(super::read_pieces("0-10 10-20 40-50"), [(0, 20), (40, 50)]);
        assert_eq!(super::read_pieces(""), []);
    }
}
