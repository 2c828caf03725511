//! Whether a receiving column can hold less than the sending one (P11: nothing is shortened or
//! rounded in silence).

use super::relation::ColumnFacts;

/// `atttypmod` of `varchar`, `char` and `numeric` counts a header of 4 bytes.
const HEADER: i32 = 4;

/// Why a column doesn't take the values of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NarrowingMismatch {
    /// Some of them: it holds less.
    Narrower(String),
    /// Any of them: it holds something else.
    Unlike(String),
    /// One says which time zone it means, and the other doesn't.
    Zone,
}

impl NarrowingMismatch {
    /// In plain words.
    pub(super) fn words(&self) -> &str {
        match self {
            NarrowingMismatch::Narrower(why) | NarrowingMismatch::Unlike(why) => why,
            NarrowingMismatch::Zone => "only one of them says which time zone it means",
        }
    }
}

/// Why values of the desktop's `from` may not fit into the cloud's `to`; none when all fit.
pub(super) fn misfit(from: &ColumnFacts, to: &ColumnFacts) -> Option<NarrowingMismatch> {
    let pair = Pair {
        from,
        sent: "on the desktop",
        to,
        held: "in the cloud",
    };
    pair.misfit()
}

/// Why values of the cloud's `from` may not fit into the desktop's `to`; none when all fit.
pub(super) fn misfit_reverse(from: &ColumnFacts, to: &ColumnFacts) -> Option<NarrowingMismatch> {
    let pair = Pair {
        from,
        sent: "in the cloud",
        to,
        held: "on the desktop",
    };
    pair.misfit()
}

/// A column whose values travel, and the one that takes them; with the words for where they are.
#[derive(Clone, Copy)]
struct Pair<'a> {
    from: &'a ColumnFacts,
    sent: &'a str,
    to: &'a ColumnFacts,
    held: &'a str,
}

impl Pair<'_> {
    fn misfit(self) -> Option<NarrowingMismatch> {
        let Pair { from, to, .. } = self;
        if let (Some(one), Some(other)) = (from.item(), to.item()) {
            return self.misfit_of_elements(&one, &other);
        }
        if from.category == 'E' && to.category == 'E' {
            return self.misfit_of_labels();
        }
        if is_text(to) {
            return self.misfit_as_text();
        }
        if from.type_name == to.type_name {
            return self.misfit_of_modifiers();
        }
        self.misfit_of_types()
    }

    fn says(self, why: &str) -> String {
        format!(
            "{} {}, {} {}: {why}",
            self.from.full_type, self.sent, self.to.full_type, self.held
        )
    }

    fn narrower(self, why: &str) -> Option<NarrowingMismatch> {
        Some(NarrowingMismatch::Narrower(self.says(why)))
    }

    fn unlike(self) -> Option<NarrowingMismatch> {
        let why = self.says("these types do not hold the same values");
        Some(NarrowingMismatch::Unlike(why))
    }

    /// Between arrays.
    fn misfit_of_elements(
        self,
        one: &ColumnFacts,
        other: &ColumnFacts,
    ) -> Option<NarrowingMismatch> {
        let elements = Pair {
            from: one,
            to: other,
            ..self
        };
        match elements.misfit()? {
            NarrowingMismatch::Narrower(_) => self.narrower("some elements would not fit"),
            NarrowingMismatch::Unlike(_) | NarrowingMismatch::Zone => self.unlike(),
        }
    }

    /// Between enums.
    fn misfit_of_labels(self) -> Option<NarrowingMismatch> {
        let mut labels = self.from.labels.iter();
        match labels.all(|label| self.to.labels.contains(label)) {
            true => None,
            false => self.narrower("some labels are not there"),
        }
    }

    /// Into a text, which takes every value as it is written.
    fn misfit_as_text(self) -> Option<NarrowingMismatch> {
        let Pair { from, to, .. } = self;
        let longest = if is_text(from) {
            length(from)
        } else {
            written(from)
        };
        match (longest, length(to)) {
            (_, None) => None,
            (Some(sent), Some(held)) if sent <= held => None,
            // One letter says it as well.
            _ if from.type_name == "bool" => self.unlike(),
            _ => self.narrower("longer values would not fit"),
        }
    }

    /// Between columns of one type.
    fn misfit_of_modifiers(self) -> Option<NarrowingMismatch> {
        let Pair { from, to, .. } = self;
        match (precision(from), precision(to)) {
            _ if to.type_name == "bit" && from.modifier != to.modifier => {
                self.narrower("other lengths would be refused")
            }
            (_, None) => None,
            (Some(from), Some(to)) if from.fits(to) => None,
            _ => self.narrower("some values would be rounded or refused"),
        }
    }

    /// Between columns of two types, the second of which is no text.
    fn misfit_of_types(self) -> Option<NarrowingMismatch> {
        let Pair { from, to, .. } = self;
        match (from.type_name.as_str(), to.type_name.as_str()) {
            (_, "char") if is_text(from) => self.narrower("longer values would not fit"),
            // Blanks that fill it up belong to no value; and what is true is written in several ways.
            ("bpchar", _) | (_, "bool") => self.unlike(),
            _ if is_text(from) => {
                self.narrower("a text that the type would write otherwise would be refused")
            }
            ("timestamp" | "date", "timestamptz") | ("timestamptz", "timestamp") => {
                self.misfit_of_zones()
            }
            ("date", "timestamp") | ("json", "jsonb") | ("jsonb", "json") | ("cidr", "inet") => {
                None
            }
            ("timestamp", "date") => self.narrower("the time of day would be lost"),
            ("inet", "cidr") => self.narrower("an address in a network would be refused"),
            ("bit" | "varbit", "varbit" | "bit") => self.misfit_of_bits(),
            _ => self.misfit_of_numbers(),
        }
    }

    /// Between times of which one says its zone.
    fn misfit_of_zones(self) -> Option<NarrowingMismatch> {
        let Pair { from, to, .. } = self;
        let digits = |column: &ColumnFacts| precision(column).map_or(6, |held| held.digits);
        if from.type_name != "date" && digits(from) > digits(to) {
            let why = self.says("parts of a second would be lost");
            return Some(NarrowingMismatch::Unlike(why));
        }
        Some(NarrowingMismatch::Zone)
    }

    /// Between bits of a fixed length and of any.
    fn misfit_of_bits(self) -> Option<NarrowingMismatch> {
        let varies = self.to.type_name == "varbit";
        match (precision(self.from), precision(self.to)) {
            (_, None) if varies => None,
            (Some(one), Some(other)) if varies && one.fits(other) => None,
            _ => self.narrower("other lengths would be refused"),
        }
    }

    /// Between numbers; whatever else is left is unlike.
    fn misfit_of_numbers(self) -> Option<NarrowingMismatch> {
        let Pair { from, to, .. } = self;
        match numbers(from, to) {
            None => self.unlike(),
            Some(true) => None,
            Some(false) if from.category == 'N' && whole(from) && whole(to) => {
                self.narrower("larger numbers would not fit")
            }
            Some(false) => self.narrower("some numbers would be rounded or refused"),
        }
    }
}

/// Whether all numbers of the one type are numbers of the other; none where they are not made into each other.
fn numbers(from: &ColumnFacts, to: &ColumnFacts) -> Option<bool> {
    let (one, other) = (from.type_name.as_str(), to.type_name.as_str());
    let is_number = |name: &str| {
        matches!(
            name,
            "bool" | "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "money" | "oid"
        )
    };
    if !is_number(one) || !is_number(other) {
        return None;
    }
    match (one, other) {
        // Yes and no are one and nothing.
        ("bool", "oid" | "money") => None,
        ("bool", "numeric") => (places(to).is_none_or(|(whole, _)| whole > 0)).then_some(true),
        ("bool", _) => Some(true),
        ("oid", "int8") => Some(true),
        ("int8", "oid") => Some(false),
        ("oid", "numeric") => Some(places(to).is_none_or(|(whole, _)| whole >= 10)),
        ("oid", _) | (_, "oid") => None,
        ("money", "numeric") => {
            Some(places(to).is_none_or(|(whole, fraction)| whole >= 17 && fraction >= 2))
        }
        ("int2" | "int4", "money") => Some(true),
        ("numeric", "money") => {
            Some(places(from).is_some_and(|(whole, fraction)| whole <= 16 && fraction <= 2))
        }
        ("money", _) | (_, "money") => None,
        ("float4", "float8") | ("int2", "float4" | "float8") | ("int4", "float8") => Some(true),
        (_, "numeric") if to.modifier < 0 => Some(true),
        _ => Some(match (most_digits(from), places(to)) {
            (Some(sent), Some((held, fraction))) => sent <= held && fraction >= 0,
            _ => false,
        }),
    }
}

/// The number has no fraction.
fn whole(column: &ColumnFacts) -> bool {
    matches!(column.type_name.as_str(), "int2" | "int4" | "int8" | "oid")
        || column.type_name == "numeric" && precision(column).is_some_and(|held| held.scale <= 0)
}

/// The most digits that a whole number of this type has; none where it may have a fraction.
fn most_digits(column: &ColumnFacts) -> Option<i32> {
    match column.type_name.as_str() {
        "int2" => Some(5),
        "int4" => Some(10),
        "int8" => Some(19),
        _ if whole(column) => precision(column).map(|held| held.digits - held.scale),
        _ => None,
    }
}

/// How many digits before the point and behind it a type holds for sure; none for any, or for a type that rounds.
fn places(column: &ColumnFacts) -> Option<(i32, i32)> {
    match column.type_name.as_str() {
        "int2" => Some((4, 0)),
        "int4" => Some((9, 0)),
        "int8" => Some((18, 0)),
        "numeric" => precision(column).map(|held| (held.digits - held.scale, held.scale)),
        _ => None,
    }
}

/// The most characters that a value of a type takes when it is written; none where that isn't known.
fn written(column: &ColumnFacts) -> Option<i32> {
    match column.type_name.as_str() {
        "bool" => Some(5),
        "char" => Some(1),
        _ if column.category == 'E' => {
            let lengths = column.labels.iter().map(|label| label.chars().count());
            lengths
                .max()
                .and_then(|longest| i32::try_from(longest).ok())
        }
        "int2" => Some(6),
        "int4" => Some(11),
        "int8" => Some(20),
        "uuid" => Some(36),
        // A sign, a point, and the digits; NaN and the infinities are shorter than nine.
        "numeric" => precision(column).map(|held| (held.digits.max(held.scale) + 3).max(9)),
        _ => None,
    }
}

pub(super) fn is_text(column: &ColumnFacts) -> bool {
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
            labels: Vec::new(),
            element: None,
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
            (column("int4", -1, 'N'), column("bool", -1, 'B'), false),
            (column("bool", -1, 'B'), column("int4", -1, 'N'), true),
            (column("bool", -1, 'B'), column("money", -1, 'N'), false),
            (column("int4", -1, 'N'), numeric(9, 0), false),
            (column("int4", -1, 'N'), numeric(12, 2), true),
            (column("bit", 4, 'V'), column("bit", 8, 'V'), false),
            (column("oid", -1, 'N'), column("int4", -1, 'N'), false),
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
            let zone = misfit(&from, &to) == Some(NarrowingMismatch::Zone);
            assert_eq!(zone, only_zone, "{} -> {}", from.modifier, to.modifier);
        }
    }
}
