//! Columns of one name and two types: what the settings have to say so that values go across, with the reason.

use crate::catalog::{ColumnFacts, RelationFacts, Remedy, has_way_back, remedy};
use crate::config::{as_text, quoted};
use crate::fault::Side;

/// Lines of a table's section.
pub(super) struct Fitting {
    /// For the table itself.
    pub(super) table: Vec<String>,
    /// Conversions, for the section of their direction.
    pub(super) converts: Vec<String>,
}

/// What the columns of the sender need at the receiver, but for those that don't travel.
pub(super) fn fitting(
    (from, to): (&RelationFacts, &RelationFacts),
    receiver: Side,
    zone: &str,
    stays: &dyn Fn(&str) -> bool,
) -> Fitting {
    let (mut narrow, mut sql, mut remarks) = (Vec::new(), Vec::new(), Vec::new());
    let travels = |column: &&ColumnFacts| !column.computed && !stays(&column.name);
    for column in from.columns.iter().filter(travels) {
        let Some(other) = to.column(&column.name) else {
            continue;
        };
        let name = &column.name;
        match remedy((column, other), receiver, Some(zone)) {
            None => {}
            Some(Remedy::Narrow(why)) => {
                narrow.push(format!("# {name}: {why}"));
            }
            Some(Remedy::Convert { sql: made, why }) => {
                sql.push(format!("{} = {}", quoted(name), as_text(&made)));
                let back = match receiver == Side::Cloud && !has_way_back(column, other) {
                    true => {
                        "; there is no usual way back: flow = \"both\" needs a convert in [table.reverse]"
                    }
                    false => "",
                };
                remarks.push(format!("# {name}: {why}{back}"));
            }
        }
    }
    let mut table = Vec::new();
    if !narrow.is_empty() {
        table.push(
            "narrow = \"quarantine\"          # a row with a value that does not fit waits in quarantine; wider columns take all:"
                .to_owned(),
        );
        table.extend(narrow);
    }
    let mut converts = Vec::new();
    if !sql.is_empty() {
        converts.push(format!("convert = {{ {} }}", sql.join(", ")));
        converts.extend(remarks);
    }
    Fitting { table, converts }
}
