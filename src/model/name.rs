//! The name of a table, as catalogs have it and as people write it.

use std::fmt;

/// A schema-qualified name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The schema.
    pub schema: String,
    /// The table in it.
    pub relation: String,
}

/// What `public` stands for in front of a name: nothing.
const PUBLIC: &str = "public";

impl Name {
    /// Reads a name as people write it: `table`, or `schema.table`. Upper and lower case count, and letters of any kind may stand
    /// in it; only a part with a dot or a quote in it has to be in SQL's quotes, and any part may be: `"my.table"`,
    /// `shop."My Table"`.
    ///
    /// # Errors
    /// What can't be read, as words behind the name.
    pub fn read(text: &str) -> Result<Name, &'static str> {
        let (first, rest) = part(text)?;
        let Some(rest) = rest else {
            return Ok(Name {
                schema: PUBLIC.to_owned(),
                relation: first,
            });
        };
        match part(rest)? {
            (relation, None) => Ok(Name {
                schema: first,
                relation,
            }),
            _ => Err("has more than one dot"),
        }
    }

    /// As it is written with its schema, also where that is `public`.
    pub fn in_full(&self) -> String {
        format!("{}.{}", written(&self.schema), written(&self.relation))
    }

    /// The two parts with a dot between them and no quotes: several names may look like this.
    pub fn bare(&self) -> String {
        match self.schema.as_str() {
            PUBLIC => self.relation.clone(),
            schema => format!("{schema}.{}", self.relation),
        }
    }
}

impl fmt::Display for Name {
    /// As people write it, in the settings too: without the schema when that is `public`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_str() {
            PUBLIC => f.write_str(&written(&self.relation)),
            _ => f.write_str(&self.in_full()),
        }
    }
}

/// The first part of a name, and what follows behind its dot, if there is one.
fn part(text: &str) -> Result<(String, Option<&str>), &'static str> {
    let Some(inside) = text.strip_prefix('"') else {
        let (part, rest) = match text.split_once('.') {
            Some((part, rest)) => (part, Some(rest)),
            None => (text, None),
        };
        return match part.contains('"') {
            true => Err("has a quote inside"),
            false => Ok((part.to_owned(), rest)),
        };
    };
    let mut part = String::new();
    let mut letters = inside.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != '"' {
            part.push(letter);
        } else if letters.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            let rest = &inside[at + 1..];
            return match rest.strip_prefix('.') {
                Some(rest) => Ok((part, Some(rest))),
                None if rest.is_empty() => Ok((part, None)),
                None => Err("goes on behind its quotes"),
            };
        }
    }
    Err("has a quote that nothing closes")
}

/// A part of a name, in quotes where it would be read otherwise.
fn written(part: &str) -> String {
    match part.contains(['.', '"']) || part.is_empty() {
        true => format!("\"{}\"", part.replace('"', "\"\"")),
        false => part.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(schema: &str, relation: &str) -> Name {
        Name {
            schema: schema.to_owned(),
            relation: relation.to_owned(),
        }
    }

    #[test]
    fn names_without_quotes_are_what_they_look_like() {
        for (text, schema, relation) in [
            ("jobs", "public", "jobs"),
            ("shop.Order", "shop", "Order"),
            ("My Table", "public", "My Table"),
            ("größe.it's", "größe", "it's"),
        ] {
            assert_eq!(Name::read(text), Ok(name(schema, relation)), "{text}");
        }
    }

    #[test]
    fn quotes_are_sqls() {
        for (text, schema, relation) in [
            ("\"a.b\"", "public", "a.b"),
            ("schema.\"My Table\"", "schema", "My Table"),
            ("\"my.schema\".t", "my.schema", "t"),
            ("\"a\"\".\"\"b\".\"c.\"", "a\".\"b", "c."),
        ] {
            assert_eq!(Name::read(text), Ok(name(schema, relation)), "{text}");
        }
        for (text, says) in [
            ("a.b.c", "has more than one dot"),
            ("\"a.b\".c.d", "has more than one dot"),
            ("a\"b", "has a quote inside"),
            ("\"a", "has a quote that nothing closes"),
            ("s.\"a\"\"", "has a quote that nothing closes"),
            ("\"a\"b", "goes on behind its quotes"),
        ] {
            assert_eq!(Name::read(text), Err(says), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_what_it_was() {
        for schema in ["public", "s", "a.b", "\"", "a\"b.", "S p"] {
            for relation in ["t", ".", "a.b", "a\"b", "\"x\".\"y\"", "T t", "it's"] {
                let name = name(schema, relation);
                assert_eq!(Name::read(&name.to_string()), Ok(name.clone()));
                assert_eq!(Name::read(&name.in_full()), Ok(name));
            }
        }
        assert_eq!(name("shop", "My Order").to_string(), "shop.My Order");
        assert_eq!(name("public", "a.b").to_string(), "\"a.b\"");
    }
}
