//! Whether a receiving column can hold less than the sending one (P11: nothing is shortened or
//! rounded in silence).

use super::relation::ColumnFacts;

/// `atttypmod` of `varchar`, `char` and `numeric` counts a header of 4 bytes.
const HEADER: i32 = 4;

/// Why a column doesn't take the values of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Some of them: it holds less.
    Narrower(String),
    /// Any of them: it holds something else.
    Unlike(String),
    /// One says which time zone it means, and the other doesn't.
    Zone,
}

impl Misfit {
    /// In plain words.
    pub(super) fn words(&self) -> &str {
        match self {
            Misfit::Narrower(why) | Misfit::Unlike(why) => why,
            Misfit::Zone => "only one of them says which time zone it means",
        }
    }
}

/// Why values of the desktop's `from` may not fit into the cloud's `to`; none when all fit.
pub(super) fn misfit(from: &ColumnFacts, to: &ColumnFacts) -> Option<Misfit> {
    misfit_between((from, "on the desktop"), (to, "in the cloud"))
}

/// Why values of the cloud's `from` may not fit into the desktop's `to`; none when all fit.
pub(super) fn misfit_home(from: &ColumnFacts, to: &ColumnFacts) -> Option<Misfit> {
    misfit_between((from, "in the cloud"), (to, "on the desktop"))
}

fn misfit_between(
    (from, sent): (&ColumnFacts, &str),
    (to, held): (&ColumnFacts, &str),
) -> Option<Misfit> {
    let says = |why: &str| {
        Some(format!(
            "{} {sent}, {} {held}: {why}",
            from.full_type, to.full_type
        ))
    };
    let narrower = |why: &str| says(why).map(Misfit::Narrower);
    if is_text(to) {
        let longest = if is_text(from) {
            length(from)
        } else {
            written(from)
        };
        return match (longest, length(to)) {
            (_, None) => None,
            (Some(sent), Some(held)) if sent <= held => None,
            _ => narrower("longer values would not fit"),
        };
    }
    if from.type_name == to.type_name {
        return match (precision(from), precision(to)) {
            (_, None) => None,
            (Some(from), Some(to)) if from.fits(to) => None,
            _ => narrower("some values would be rounded or refused"),
        };
    }
    let times = (from.type_name.as_str(), to.type_name.as_str());
    if matches!(
        times,
        ("timestamp" | "date", "timestamptz") | ("timestamptz", "timestamp")
    ) {
        let digits = |column: &ColumnFacts| precision(column).map_or(6, |held| held.digits);
        if from.type_name != "date" && digits(from) > digits(to) {
            return says("parts of a second would be lost").map(Misfit::Unlike);
        }
        return Some(Misfit::Zone);
    }
    if times == ("date", "timestamp") {
        return None;
    }
    match (whole_digits(from), whole_digits(to)) {
        (Some(sent), Some(held)) if sent <= held => None,
        (Some(_), Some(_)) => narrower("larger numbers would not fit"),
        _ if from.category == 'N' && to.category == 'N' => match times {
            ("float4", "float8") => None,
            ("int2" | "int4" | "int8" | "float4" | "float8", "numeric") if to.modifier < 0 => None,
            ("int2", "float4" | "float8") | ("int4", "float8") => None,
            _ => narrower("some numbers would be rounded or refused"),
        },
        _ => match times {
            ("timestamp", "date") => narrower("the time of day would be lost"),
            ("bpchar" | "varchar" | "text", "char") => narrower("longer values would not fit"),
            _ => says("these types do not hold the same values").map(Misfit::Unlike),
        },
    }
}

/// The most characters that a value of a type takes when it is written; none where that isn't known.
fn written(column: &ColumnFacts) -> Option<i32> {
    match column.type_name.as_str() {
        "bool" => Some(5),
        "char" => Some(1),
        "int2" => Some(6),
        "int4" => Some(11),
        "int8" => Some(20),
        "uuid" => Some(36),
        // A sign, a point, and the digits; NaN and the infinities are shorter than nine.
        "numeric" => precision(column).map(|held| (held.digits.max(held.scale) + 3).max(9)),
        _ => None,
    }
}

fn is_text(column: &ColumnFacts) -> bool {
    matches!(
        column.type_name.as_str(),
        "text" | "varchar" | "bpchar" | "citext" | "name"
    )
}

/// The most characters that a text column holds; none for no limit.
fn length(column: &ColumnFacts) -> Option<i32> {
    match column.type_name.as_str() {
        "varchar" | "bpchar" if column.modifier >= HEADER => Some(column.modifier - HEADER),
        "name" => Some(63),
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct Precision {
    digits: i32,
    scale: i32,
}

impl Precision {
    fn fits(self, into: Precision) -> bool {
        self.scale <= into.scale && self.digits - self.scale <= into.digits - into.scale
    }
}

/// What a modifier limits: digits of `numeric`, digits of a second, bits.
fn precision(column: &ColumnFacts) -> Option<Precision> {
    if column.modifier < 0 {
        return None;
    }
    let modifier = column.modifier;
    match column.type_name.as_str() {
        "numeric" => {
            let packed = modifier - HEADER;
            // The scale is an 11-bit signed number since PostgreSQL 15, and was never larger before.
            let scale = ((packed & 0x7ff) ^ 1024) - 1024;
            Some(Precision {
                digits: (packed >> 16) & 0xffff,
                scale,
            })
        }
        "timestamp" | "timestamptz" | "time" | "timetz" => Some(Precision {
            digits: modifier,
            scale: modifier,
        }),
        _ => Some(Precision {
            digits: modifier,
            scale: 0,
        }),
    }
}

/// How many digits of whole numbers a type holds for sure; a number type with a fraction has none.
fn whole_digits(column: &ColumnFacts) -> Option<i32> {
    match column.type_name.as_str() {
        "int2" => Some(4),
        "int4" => Some(9),
        "int8" => Some(18),
        "numeric" => precision(column)
            .filter(|precision| precision.scale == 0)
            .map(|precision| precision.digits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_name: &str, modifier: i32, category: char) -> ColumnFacts {
        ColumnFacts {
            name: "c".to_owned(),
            base_type: type_name.to_owned(),
            full_type: type_name.to_owned(),
            type_name: type_name.to_owned(),
            category,
            modifier,
            not_null: false,
            has_default: false,
            computed: false,
            sent: true,
            fleeting: false,
            always_identity: false,
            unreadable_name: false,
        }
    }

    fn numeric(digits: i32, scale: i32) -> ColumnFacts {
        column("numeric", ((digits << 16) | (scale & 0x7ff)) + HEADER, 'N')
    }

    #[test]
    fn f36_a_receiving_column_that_can_hold_less_is_a_mismatch() {
        let varchar = |length: i32| column("varchar", length + HEADER, 'S');
        for (from, to, fits) in [
            (varchar(15), varchar(15), true),
            (varchar(15), column("text", -1, 'S'), true),
            (varchar(100), varchar(50), false),
            (column("text", -1, 'S'), varchar(50), false),
            (numeric(5, 0), numeric(8, 0), true),
            (numeric(8, 2), numeric(8, 0), false),
            (numeric(10, 0), column("int4", -1, 'N'), false),
            (numeric(10, 0), column("int8", -1, 'N'), true),
            (column("int4", -1, 'N'), column("int8", -1, 'N'), true),
            (column("int8", -1, 'N'), column("int4", -1, 'N'), false),
            (column("timestamp", -1, 'D'), column("time", -1, 'D'), false),
            (column("numeric", -1, 'N'), numeric(8, 2), false),
            (column("date", -1, 'D'), column("date", -1, 'D'), true),
            (column("float8", -1, 'N'), column("numeric", -1, 'N'), true),
            (column("bool", -1, 'B'), column("int4", -1, 'N'), false),
        ] {
            assert_eq!(
                misfit(&from, &to).is_none(),
                fits,
                "{} {} -> {} {}",
                from.type_name,
                from.modifier,
                to.type_name,
                to.modifier
            );
        }
    }

    #[test]
    fn p11_a_zone_alone_is_no_reason_to_round() {
        let time = |name: &str, digits: i32| column(name, digits, 'D');
        for (from, to, only_zone) in [
            (time("timestamp", -1), time("timestamptz", -1), true),
            (time("timestamp", 3), time("timestamptz", 3), true),
            (time("date", -1), time("timestamptz", 0), true),
            (time("timestamp", -1), time("timestamptz", 0), false),
            (time("timestamptz", 3), time("timestamp", 0), false),
        ] {
            let zone = misfit(&from, &to) == Some(Misfit::Zone);
            assert_eq!(zone, only_zone, "{} -> {}", from.modifier, to.modifier);
        }
    }
}
