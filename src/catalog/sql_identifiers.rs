//! Which columns an SQL expression mentions.

/// The columns, by number, whose names stand in the expression outside of string constants. A name that means
/// something else there is no harm: the column then arrives and isn't used.
pub(super) fn mentions<'a>(sql: &str, columns: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let words = words(sql);
    columns
        .enumerate()
        .filter(|(_, name)| words.iter().any(|word| word == name))
        .map(|(at, _)| at)
        .collect()
}

/// The identifiers of an expression: bare ones in lower case, quoted ones as they are.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '\'' => quoted(rest, '\'').1,
            '"' => {
                let (word, length) = quoted(rest, '"');
                words.push(word);
                length
            }
            '$' => dollar(rest),
            letter if letter.is_alphabetic() || letter == '_' => {
                let length = rest
                    .find(|next: char| !(next.is_alphanumeric() || next == '_' || next == '$'))
                    .unwrap_or(rest.len());
                words.push(rest[..length].to_lowercase());
                length
            }
            other => other.len_utf8(),
        };
        rest = &rest[skipped..];
    }
    words
}

/// What stands between quotes, and how many bytes that takes with them.
fn quoted(text: &str, quote: char) -> (String, usize) {
    let mut word = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            word.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            word.push(quote);
        } else {
            return (word, at + quote.len_utf8());
        }
    }
    (word, text.len())
}

/// The bytes of `$tag$ ... $tag$`, or of a single dollar sign.
fn dollar(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else {
        return 1;
    };
    let tag = &text[..end + 2];
    if !tag[1..tag.len() - 1]
        .chars()
        .all(|letter| letter.is_alphanumeric() || letter == '_')
    {
        return 1;
    }
    let body = &text[tag.len()..];
    body.find(tag)
        .map_or(text.len(), |at| tag.len() + at + tag.len())
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn columns_are_found_by_name_outside_of_strings() {
        let columns = ["date", "timefrom", "Odd \"name\"", "left", "größe"];
        let found = |sql: &str| mentions(sql, columns.into_iter());
        assert_eq!(found("date + timefrom"), [0, 1]);
        assert_eq!(found("DATE"), [0]);
        assert_eq!(
            found("'date' || $$timefrom$$ || $x$ date $x$"),
            [] as [usize; 0]
        );
        assert_eq!(found("upper(\"Odd \"\"name\"\"\")"), [2]);
        assert_eq!(found("left(größe, 15)"), [3, 4]);
        assert_eq!(found("'it''s' || date || E'\\''"), [0]);
        assert_eq!(found("\"Date\" || dates || $1"), [] as [usize; 0]);
    }
}
