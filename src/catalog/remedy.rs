//! What the settings say where a column can't take the values of another one as they are.

use super::narrow::{NarrowingMismatch, is_text, misfit, misfit_reverse};
use super::relation::ColumnFacts;
use crate::fault::Side;
use crate::plan::quote;

/// What makes a pair of columns fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// `narrow = "quarantine"`, for this reason.
    Narrow(String),
    /// `convert` with this SQL, for this reason.
    Convert {
        /// Over the sender's column.
        sql: String,
        /// Why it is needed.
        why: String,
    },
}

/// What the settings should say of a pair of columns, whose values go to `receiver`; none where nothing is needed, or nothing helps.
/// `zone` is what times without a zone mean.
pub fn remedy(
    (from, to): (&ColumnFacts, &ColumnFacts),
    receiver: Side,
    zone: Option<&str>,
) -> Option<Remedy> {
    let found = match receiver {
        Side::Cloud => misfit(from, to),
        Side::Desktop => misfit_reverse(from, to),
    };
    let convert = |why: &str| {
        conversion(from, to, zone).map(|sql| Remedy::Convert {
            sql,
            why: why.to_owned(),
        })
    };
    match found? {
        NarrowingMismatch::Narrower(why) => convert(&why).or(Some(Remedy::Narrow(why))),
        NarrowingMismatch::Unlike(why) => convert(&why),
        NarrowingMismatch::Zone => None,
    }
}

/// Whether what `to` holds can go back into `from` as it is, or where it fits: else a way back has to be written.
pub fn has_way_back(from: &ColumnFacts, to: &ColumnFacts) -> bool {
    !matches!(misfit_reverse(to, from), Some(NarrowingMismatch::Unlike(_)))
}

/// SQL that makes a value of the one type into one of the other; none where there is no usual way. It is immutable, as conversions
/// have to be.
pub(super) fn conversion(
    from: &ColumnFacts,
    to: &ColumnFacts,
    zone: Option<&str>,
) -> Option<String> {
    let name = name(&from.name);
    let target = &to.base_type;
    let local = || zone.map(|zone| format!("({name} at time zone {})", quote::literal(zone)));
    match (from.type_name.as_str(), to.type_name.as_str()) {
        ("int2" | "int4" | "int8" | "numeric" | "float4" | "float8", "bool") => {
            Some(format!("{name} <> 0"))
        }
        ("bool", _) if is_text(to) => Some(format!("left({name}::text, 1)")),
        // A filled-up text without its blanks.
        (
            "bpchar",
            "bool" | "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "uuid" | "jsonb",
        ) => Some(format!("rtrim({name})::{target}")),
        (_, "bool" | "numeric" | "float4" | "float8" | "jsonb") if is_text(from) => {
            Some(format!("{name}::{target}"))
        }
        ("timestamp" | "timetz", "time") => Some(format!("{name}::time")),
        ("timestamptz", "time") => local().map(|local| format!("{local}::time")),
        ("timestamptz", "date") => local().map(|local| format!("{local}::date")),
        ("oid", "int2" | "int4") | ("int2" | "int4", "oid") => {
            Some(format!("{name}::bigint::{target}"))
        }
        _ => None,
    }
}

/// A column's name as people write it, quoted only where it has to be.
fn name(column: &str) -> String {
    let mut letters = column.chars();
    let plain = letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && letters
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    match plain && !KEYWORDS.split_whitespace().any(|word| word == column) {
        true => column.to_owned(),
        false => quote::ident(column),
    }
}

/// Words that mean something else where a column stands.
const KEYWORDS: &str = "all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both \
    case cast char character check coalesce collate collation column concurrently constraint create cross current_catalog current_date \
    current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end \
    except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner \
    inout int integer intersect interval into is isnull join json_array json_object lateral leading least left like limit localtime \
    localtimestamp national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps \
    overlay placing position precision primary real references returning right row select session_user setof similar smallint some \
    substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique user using values \
    varchar variadic verbose when where window with";
