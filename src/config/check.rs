//! The checks of one value: the right type, in range, a name that PostgreSQL accepts.

use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::complaint::{Checked, Complaint};
use super::document::describe;
use super::layers::Input;
use super::units::{self, Limits};
use crate::model::{Encoding, Name};

/// The longest identifier that PostgreSQL keeps whole, in bytes (NAMEDATALEN - 1).
const IDENTIFIER_MAX: usize = 63;

impl Input<'_> {
    /// The text of a string.
    pub(super) fn text(&self) -> Checked<&str> {
        match self {
            Input::Text(text) | Input::Word(text) => Ok(text),
            Input::Other(value) => Err(expected("a string in quotes", value)),
        }
    }
}

fn expected(what: &str, found: &DeValue<'_>) -> Complaint {
    Complaint::new(format!("must be {what}, not {}", describe(found)))
}

/// Whether the value is the word "off", or false.
pub(super) fn off(input: &Input<'_>) -> bool {
    matches!(input, Input::Text(text) | Input::Word(text) if text == "off")
}

/// A text that isn't empty.
pub(super) fn filled(text: &str) -> Checked<String> {
    if text.trim().is_empty() {
        Err(Complaint::new("is empty"))
    } else {
        Ok(text.to_owned())
    }
}

/// A name that PostgreSQL keeps whole; upper and lower case count.
pub(super) fn identifier(text: &str) -> Checked<String> {
    if text.is_empty() || text.contains('\0') {
        return Err(Complaint::new("isn't a name"));
    }
    if text.len() > IDENTIFIER_MAX {
        return Err(
            Complaint::new(format!("is longer than {IDENTIFIER_MAX} bytes"))
                .hint("PostgreSQL would cut the name off"),
        );
    }
    Ok(text.to_owned())
}

/// The name of a table.
pub(super) fn table(text: &str) -> Checked<Name> {
    let name = Name::read(text).map_err(|says| {
        Complaint::new(says).hint(
            "a name is table or schema.table; a part with a dot or a quote in it stands in SQL's quotes: '\"my.table\"', 'shop.\"My.Table\"'",
        )
    })?;
    identifier(&name.schema)?;
    identifier(&name.relation)?;
    Ok(name)
}

/// The name of a table as it is written.
pub(super) fn written_table(input: &Input<'_>) -> Checked<String> {
    let text = input.text()?;
    table(text).map(|_| text.to_owned())
}

/// The name of a replication slot.
/// <https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS>
pub(super) fn slot(text: &str) -> Checked<String> {
    lower_case(
        text,
        "_",
        "PostgreSQL allows lower-case letters, digits and _ in a slot's name",
    )
}

/// The name of a replicator.
pub(super) fn replicator(text: &str) -> Checked<String> {
    lower_case(
        text,
        "_-",
        "a replicator's name has lower-case letters, digits, _ and -",
    )
}

fn lower_case(text: &str, also: &str, rule: &str) -> Checked<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || also.contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        return Err(Complaint::new("isn't a valid name").hint(rule));
    }
    identifier(text)
}

/// Column or other text of a string.
pub(super) fn name(input: &Input<'_>) -> Checked<String> {
    identifier(input.text()?)
}

/// SQL or other text of a string.
pub(super) fn sentence(input: &Input<'_>) -> Checked<String> {
    filled(input.text()?)
}

/// A constant as text, as it will travel: strings, numbers, true and false, dates.
pub(super) fn constant(input: &Input<'_>) -> Checked<String> {
    match input {
        Input::Text(text) | Input::Word(text) => Ok(text.clone()),
        Input::Other(DeValue::Integer(number)) => Ok(integer(number)?.to_string()),
        Input::Other(DeValue::Float(number)) => Ok(number.as_str().to_owned()),
        Input::Other(DeValue::Boolean(value)) => Ok(value.to_string()),
        Input::Other(DeValue::Datetime(time)) => Ok(time.to_string()),
        Input::Other(other) => Err(expected("a constant", other)),
    }
}

fn integer(number: &DeInteger<'_>) -> Checked<i128> {
    let parsed = i128::from_str_radix(number.as_str(), number.radix());
    parsed.map_err(|_| Complaint::new("is out of range"))
}

pub(super) fn whole(input: &Input<'_>) -> Checked<i128> {
    match input {
        Input::Word(text) => text
            .trim()
            .parse()
            .map_err(|_| Complaint::new("isn't a whole number")),
        Input::Other(DeValue::Integer(number)) => integer(number),
        Input::Other(other) => Err(expected("a whole number", other)),
        Input::Text(_) => Err(Complaint::new("must be a whole number, not a string")),
    }
}

pub(super) fn switch(input: &Input<'_>) -> Checked<bool> {
    match input {
        Input::Other(DeValue::Boolean(value)) => Ok(*value),
        Input::Word(text) => text
            .parse()
            .map_err(|_| Complaint::new("must be true or false")),
        Input::Text(_) => Err(Complaint::new("must be true or false, not a string")),
        Input::Other(other) => Err(expected("true or false", other)),
    }
}

pub(super) fn share(input: &Input<'_>) -> Checked<f64> {
    let number: f64 = match input {
        Input::Other(DeValue::Float(number)) => number.as_str().parse().ok(),
        Input::Other(DeValue::Integer(number)) => number.as_str().parse().ok(),
        Input::Word(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| Complaint::new("must be a number such as 0.2"))?;
    let fits = (0.0..=1.0).contains(&number);
    if fits {
        Ok(number)
    } else {
        Err(Complaint::new("is out of range: 0 to 1"))
    }
}

/// Bytes of a size within its limits; a plain number counts bytes.
pub(super) fn size(input: &Input<'_>, limits: &Limits<u64>) -> Checked<u64> {
    let bytes = match input {
        Input::Other(DeValue::Integer(number)) => integer(number)?,
        Input::Other(other) => {
            return Err(expected("a size", other).hint("sizes look like \"8MB\""));
        }
        Input::Text(text) | Input::Word(text) => {
            let unfit = || {
                Complaint::new("isn't a size").hint("sizes look like \"8MB\": B, kB, MB, GB or TB")
            };
            units::size(text).ok_or_else(unfit)?.into()
        }
    };
    let bytes = within(bytes, &limits.range, limits.why, |bytes| {
        units::show_size(*bytes)
    })?;
    u64::try_from(bytes).map_err(|_| Complaint::new("is out of range"))
}

pub(super) fn duration(input: &Input<'_>, limits: &Limits<Duration>) -> Checked<Duration> {
    let unfit =
        || Complaint::new("isn't a duration").hint("durations look like \"15m\": ms, s, m, h or d");
    let span = match input {
        Input::Text(text) | Input::Word(text) => units::duration(text).ok_or_else(unfit)?,
        Input::Other(other) => {
            return Err(expected("a duration", other).hint("durations look like \"15m\""));
        }
    };
    if limits.range.contains(&span) {
        return Ok(span);
    }
    let (least, most) = (
        units::show_duration(*limits.range.start()),
        units::show_duration(*limits.range.end()),
    );
    Err(Complaint::new(format!("is out of range: {least} to {most}")).hint(limits.why))
}

/// The number, when it is within the limits.
pub(super) fn within<T: Copy + Into<i128>>(
    number: i128,
    range: &std::ops::RangeInclusive<T>,
    why: &str,
    show: impl Fn(&T) -> String,
) -> Checked<i128> {
    let (least, most) = (range.start(), range.end());
    if ((*least).into()..=(*most).into()).contains(&number) {
        return Ok(number);
    }
    Err(Complaint::new(format!(
        "is out of range: {} to {}",
        show(least),
        show(most)
    ))
    .hint(why))
}

pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Checked<T> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meant)| *meant).ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = super::problem::nearest(text, all.iter().copied());
        let complaint = Complaint::new(format!("isn't one of {}", all.join(", ")));
        match near {
            Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
            None => complaint,
        }
    })
}

/// An encoding of the desktop's, by one of PostgreSQL's names.
pub(super) fn encoding(text: &str) -> Checked<Encoding> {
    Encoding::named(text).ok_or_else(|| {
        let all: Vec<&str> = Encoding::all().map(Encoding::name).collect();
        let near = super::problem::nearest(&text.to_ascii_uppercase(), all.iter().copied());
        let complaint = Complaint::new(format!(
            "isn't an encoding that tandem reads as PostgreSQL does: {}",
            all.join(", ")
        ));
        match near {
            Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
            None => complaint,
        }
    })
}
