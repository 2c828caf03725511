//! Single statements as text. Pure.

use super::shape::{Collation, Index, Sequence, qualified};
use crate::plan::quote;

/// `CREATE SEQUENCE`, and what stands in the brackets of an identity: what isn't as it would be anyway.
pub(super) fn options(sequence: &Sequence) -> String {
    let (low, high) = match sequence.written.as_str() {
        "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
        "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let up = sequence.step > 0;
    let (min, max) = if up { (1, high) } else { (low, -1) };
    let start = if up { sequence.min } else { sequence.max };
    let all = [
        (
            sequence.step != 1,
            format!("INCREMENT BY {}", sequence.step),
        ),
        (sequence.min != min, format!("MINVALUE {}", sequence.min)),
        (sequence.max != max, format!("MAXVALUE {}", sequence.max)),
        (
            sequence.start != start,
            format!("START WITH {}", sequence.start),
        ),
        (sequence.cache != 1, format!("CACHE {}", sequence.cache)),
        (sequence.cycle, "CYCLE".to_owned()),
    ];
    let all = all
        .into_iter()
        .filter_map(|(wanted, text)| wanted.then_some(text));
    all.collect::<Vec<_>>().join(" ")
}

pub(super) fn sequence(sequence: &Sequence) -> String {
    let text = format!(
        "CREATE SEQUENCE {} AS {} {}",
        sequence.quoted(),
        sequence.written,
        options(sequence)
    );
    text.trim_end().to_owned()
}

/// An identity's words behind the column's type; its sequence is called as on the desktop where that name is free.
pub(super) fn identity(sort: &str, of: Option<&Sequence>, free: bool) -> String {
    let always = if sort == "a" { "ALWAYS" } else { "BY DEFAULT" };
    let name = of.filter(|_| free);
    let name = name.map(|sequence| format!("SEQUENCE NAME {}", sequence.quoted()));
    let given = [
        name.unwrap_or_default(),
        of.map(options).unwrap_or_default(),
    ];
    let given: Vec<_> = given.into_iter().filter(|text| !text.is_empty()).collect();
    match given.is_empty() {
        true => format!("GENERATED {always} AS IDENTITY"),
        false => format!("GENERATED {always} AS IDENTITY ({})", given.join(" ")),
    }
}

pub(super) fn collation(made: &Collation) -> String {
    let mut options = vec![
        "provider = icu".to_owned(),
        format!(
            "locale = {}",
            quote::literal(made.locale.as_deref().unwrap_or_default())
        ),
    ];
    if !made.deterministic {
        options.push("deterministic = false".to_owned());
    }
    options.extend({ made.rules.iter() }.map(|rules| format!("rules = {}", quote::literal(rules))));
    format!(
        "CREATE COLLATION {} ({})",
        qualified(&made.schema, &made.name),
        options.join(", ")
    )
}

/// An index from the server's own words. A partitioned table's stands on a plain one in the cloud; a name that is taken there is
/// left out, and the server takes another.
pub(super) fn index(index: &Index, text: &str, free: bool) -> Option<String> {
    let (head, rest) = match text.strip_prefix("CREATE UNIQUE INDEX ") {
        Some(rest) => ("CREATE UNIQUE INDEX", rest),
        None => ("CREATE INDEX", text.strip_prefix("CREATE INDEX ")?),
    };
    let rest = rest.strip_prefix(index.written.as_deref()?)?;
    let on = rest.strip_prefix(" ON ")?;
    let on = on.strip_prefix("ONLY ").unwrap_or(on);
    let name = index.name.as_deref().filter(|_| free);
    let name = name.map_or_else(String::new, |name| format!(" {}", quote::ident(name)));
    Some(format!("{head}{name} ON {on}"))
}

/// `COMMENT ON`.
pub(super) fn comment(what: &str, text: &str) -> String {
    format!("COMMENT ON {what} IS {}", quote::literal(text))
}

/// Text as SQL comments, a line each: what stands in it, names with line ends too, stays a comment.
pub(super) fn remark(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    format!("-- {clean}\n")
}
