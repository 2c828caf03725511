//! `tandem repair`

use clap::Args;
use serde::Serialize;

use super::common::{Common, all_named};
use super::{show, swap};
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::observe::{BadRow, Observer, TableVerified};
use crate::{limits, platform};

/// Show the statements that would make both sides equal. With --apply a guarded diff does it, in the service if it runs.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem repair                      what would be done, and why
  tandem repair --table visits --apply")]
pub(super) struct Options {
    /// Only this table; repeat it for more
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Do it. Rows that are not the desktop's are never touched, and a row stands in tandem.swap of what was done
    #[arg(long)]
    apply: bool,
    /// One document on standard output
    #[arg(long)]
    json: bool,
}

/// The `repair` document; source: the contract.
#[derive(Serialize)]
struct Document {
    schema: u32,
    applied: bool,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Table {
    #[serde(flatten)]
    counts: TableVerified,
    statements: Vec<String>,
}

pub(super) async fn repair(
    common: &Common,
    options: &Options,
    settings: &Settings,
) -> Result<Exit, Fault> {
    let _logging = common.log_to_people()?;
    let names = all_named(settings, &options.tables)?;
    let observer = Observer::connect(settings).await?;
    let verified = {
        let say = |_: &TableVerified| {};
        observer
            .verify(settings, &names, limits::REPAIR_SHOWN, &say)
            .await?
    };
    let unknown = verified.iter().any(|table| table.failed.is_some());
    for table in &verified {
        if let Some(why) = &table.failed {
            show::progress(&format!("{} can't be compared: {why}", table.table));
        }
    }
    let unequal = verified.iter().filter(|table| !table.is_equal());
    let unequal: Vec<_> = unequal.filter(|table| table.failed.is_none()).collect();
    let tables: Vec<_> = unequal.iter().map(|table| mended(table)).collect();
    // What could not be compared is not equal.
    let nothing = unknown && tables.is_empty();
    if !options.json && !nothing {
        say(&tables);
    }
    let exit = match (options.apply, tables.is_empty()) {
        (_, true) if unknown => Exit::CannotTell,
        (_, true) => Exit::Fine,
        (false, false) => Exit::BadNews,
        (true, false) => apply(&observer, settings, &unequal).await?,
    };
    if options.json {
        let applied = options.apply && !tables.is_empty();
        show::document(&Document {
            schema: 1,
            applied,
            tables,
        });
    } else if !options.apply && exit == Exit::BadNews {
        show::progress("nothing was changed; next: tandem repair --apply");
    }
    Ok(exit)
}

/// Copies the tables anew, by the diff and under the guards of `bootstrap --table`; the phone's rows come home once more.
async fn apply(
    observer: &Observer,
    settings: &Settings,
    unequal: &[&TableVerified],
) -> Result<Exit, Fault> {
    let names: Vec<_> = unequal.iter().map(|table| table.table.as_str()).collect();
    let names = names.as_slice();
    // Where only the cloud's own columns differ there is nothing to copy.
    let anew = unequal
        .iter()
        .filter(|table| table.rows.iter().any(|row| !row.owned));
    let anew: Vec<_> = anew.map(|table| table.table.as_str()).collect();
    observer.bring_home_again(settings, &anew).await?;
    for table in unequal {
        let keys = |which: &dyn Fn(&BadRow) -> bool| -> Vec<Vec<_>> {
            { table.rows.iter() }
                .filter(|row| which(row) && !row.key.is_empty())
                .map(|row| row.key.iter().map(|(_, value)| value.clone()).collect())
                .collect()
        };
        let extra = keys(&|row| row.homeward && row.what == "extra");
        observer.remove_reverse(&table.table, &extra).await?;
        let owned = keys(&|row| row.owned);
        observer.give_again(&table.table, &owned).await?;
    }
    let forward: Vec<_> = { anew.iter() }
        .filter(|name| swap::goes_out(settings, name))
        .copied()
        .collect();
    if !forward.is_empty() {
        let copied = swap::carry_out(observer, settings, &forward, false).await?;
        if let Some(refused) = copied.iter().find_map(|copied| copied.refused.as_ref()) {
            show::progress(&format!("refused: {refused}"));
            return Ok(Exit::BadNews);
        }
    }
    let again = observer.verify(settings, names, 0, &|_| {}).await?;
    let left: Vec<_> = again.iter().filter(|table| !table.is_equal()).collect();
    for table in &left {
        show::progress(&format!(
            "{} still differs; next: tandem verify --table {} --keys",
            table.table,
            platform::typed(&table.table)
        ));
    }
    Ok(if left.is_empty() {
        Exit::Fine
    } else {
        Exit::BadNews
    })
}

fn mended(table: &TableVerified) -> Table {
    let statements = table.rows.iter().map(|row| match &row.statement {
        Some(statement) => statement.clone(),
        None if row.homeward && row.what == "extra" => format!(
            "-- extra on the desktop: deleted there as if the phone had, if [table.reverse] deletes of {} allows that",
            table.table
        ),
        None if row.homeward => format!(
            "-- {} on the desktop: tandem bootstrap --table {} brings the phone's rows home once more",
            row.what, platform::typed(&table.table)
        ),
        None => format!("-- {} rows too many to be shown: tandem repair --apply mends them, too", row.what),
    });
    let mut statements: Vec<_> = statements.collect();
    statements.dedup();
    Table {
        counts: table.clone(),
        statements,
    }
}

fn say(tables: &[Table]) {
    if tables.is_empty() {
        show::result("-- both sides are equal; there is nothing to repair");
    }
    for table in tables {
        let counts = &table.counts;
        show::result(&format!(
            "-- {}: {} missing, {} extra, {} different, {} of them known",
            counts.table, counts.missing, counts.extra, counts.different, counts.known
        ));
        table
            .statements
            .iter()
            .for_each(|statement| show::result(statement));
    }
}
