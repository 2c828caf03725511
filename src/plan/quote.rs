//! Names and values as SQL text. Names are quoted always, so that no name is special.

use crate::model::Name;

/// An identifier.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A schema-qualified table.
pub fn table(name: &Name) -> String {
    format!("{}.{}", ident(&name.schema), ident(&name.relation))
}

/// A string constant, whatever `standard_conforming_strings` says.
pub fn literal(value: &str) -> String {
    let quoted = value.replace('\'', "''");
    if value.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// An array constant in text form, for parameters of type `text[]` or `int8[]`.
pub fn array<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let quoted = values.into_iter().map(|value| {
        let text = value.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{text}\"")
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// The same with NULLs.
pub fn array_of(values: &[Option<String>]) -> String {
    let quoted = values.iter().map(|value| match value {
        None => "NULL".to_owned(),
        Some(text) => {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{text}\"")
        }
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(array(["a", "b\"c\\"]), r#"{"a","b\"c\\"}"#);
    }
}
