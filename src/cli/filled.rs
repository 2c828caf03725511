//! What a first copy came to: the tables that need somebody first, then what all the others have.

use serde::Serialize;

use super::screen::number;
use super::show;
use crate::limits;
use crate::model::{alike, listed};
use crate::observe::Filled;

/// The document of a first copy.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tables: &'a [Filled],
}

/// Says it, those with trouble first; `each`: also every table that is fine.
pub(super) fn say(tables: &[Filled], json: bool, each: bool) {
    if json {
        return show::document(&Document { schema: 1, tables });
    }
    lines(tables, each)
        .iter()
        .for_each(|line| show::result(line));
}

fn lines(tables: &[Filled], each: bool) -> Vec<String> {
    let (troubled, fine): (Vec<_>, Vec<_>) = tables.iter().partition(|table| table.has_trouble());
    let mut lines = Vec::new();
    // What is wrong with many tables for one reason is said once.
    let same = |table: &&Filled| match (&table.why, table.quarantined, table.extras) {
        (Some(why), 0, 0) => Some((table.state.clone(), why.clone())),
        _ => None,
    };
    let said = { troubled.iter() }.map(|table| (same(table).ok_or(&table.table), *table));
    for (_, group) in alike(said) {
        match &group[..] {
            [one] => lines.push(line(one)),
            all => {
                let names = all.iter().map(|table| &table.table);
                lines.push(format!(
                    "{:<20} {:<10} {} tables{}",
                    listed(names, limits::NAMES_SHOWN),
                    all[0].state,
                    all.len(),
                    why(all[0])
                ));
            }
        }
    }
    let shown = match each || fine.len() <= limits::TABLES_SHOWN {
        true => fine.len(),
        false => 0,
    };
    lines.extend(fine.iter().take(shown).map(|table| line(table)));
    lines.push(closing(&troubled, &fine));
    lines
}

fn line(table: &Filled) -> String {
    let rows = match table.cloud_rows {
        Some(rows) => rows.to_string(),
        None => "unknown".to_owned(),
    };
    let extras = match table.extras {
        0 => String::new(),
        extras => format!("; {extras} rows that only the cloud has stay: --yes deletes them"),
    };
    let parked = match (table.quarantined, &table.quarantined_why) {
        (0, _) => String::new(),
        (rows, None) => format!("; {rows} in quarantine"),
        (rows, Some(why)) => format!("; {rows} in quarantine: {why}"),
    };
    format!(
        "{:<20} {:<10} {rows} rows{extras}{parked}{}",
        table.table,
        table.state,
        why(table)
    )
}

fn why(table: &Filled) -> String {
    { table.why.as_ref() }.map_or_else(String::new, |why| format!(": {why}"))
}

/// All in one line.
fn closing(troubled: &[&Filled], fine: &[&Filled]) -> String {
    let all = troubled.iter().chain(fine);
    let rows: i64 = all.clone().filter_map(|table| table.cloud_rows).sum();
    let waiting: i64 = all.clone().map(|table| table.quarantined).sum();
    let but = match waiting {
        0 => String::new(),
        waiting => format!(", {} in quarantine", number(waiting.unsigned_abs())),
    };
    let need = match troubled.len() {
        0 => "none needs you".to_owned(),
        1 => "one needs you".to_owned(),
        many => format!("{many} need you"),
    };
    format!(
        "{} tables, {need}; {} rows are in the cloud{but}",
        all.count(),
        number(rows.unsigned_abs())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StateWord, TableState};

    fn table(name: &str, rows: i64) -> Filled {
        Filled {
            table: name.to_owned(),
            state: StateWord::Known(TableState::Streaming),
            why: None,
            cloud_rows: Some(rows),
            quarantined: 0,
            quarantined_why: None,
            extras: 0,
            needs_you: false,
        }
    }

    fn stopped(name: &str, why: &str) -> Filled {
        Filled {
            state: StateWord::Known(TableState::Stopped),
            why: Some(why.to_owned()),
            needs_you: true,
            ..table(name, 0)
        }
    }

    #[test]
    fn many_tables_are_one_line_and_each_with_trouble_is_named_with_its_reason() {
        let mut all = vec![Filled {
            quarantined: 2,
            quarantined_why: Some("23503 no parent".to_owned()),
            needs_you: true,
            ..table("child", 50)
        }];
        all.extend((0..12).map(|n| stopped(&format!("s{n}"), "not readable")));
        all.push(stopped("odd", "another reason"));
        all.extend((0..400).map(|n| table(&format!("t{n}"), 3)));
        let said = lines(&all, false);
        assert_eq!(
            said,
            [
                "child                streaming  50 rows; 2 in quarantine: 23503 no parent",
                "s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 2 more stopped    12 tables: not readable",
                "odd                  stopped    0 rows: another reason",
                "414 tables, 14 need you; 1,250 rows are in the cloud, 2 in quarantine",
            ]
        );
        assert_eq!(lines(&all, true).len(), 404);
        let few = [table("a", 1), table("b", 2)];
        assert_eq!(lines(&few, false).len(), 3);
    }
}
