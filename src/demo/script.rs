//! A file of SQL, taken apart as `psql` takes it: statements with their lines, the data behind `COPY ... FROM stdin`, and marks
//! that say which side a part is for.

/// Which side a part of the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A file without marks: structure for both, rows for the desktop.
    Whole,
    /// `-- both`: everything for both sides.
    Both,
    /// `-- desktop`
    Desktop,
    /// `-- cloud`
    Cloud,
    /// `-- data`: the desktop's first rows.
    Data,
    /// `-- changes`: what the desktop does while tandem runs.
    Changes,
    /// `-- phones`: what others do in the cloud while tandem runs.
    Phones,
}

const MARKS: [(&str, Part); 6] = [
    ("both", Part::Both),
    ("desktop", Part::Desktop),
    ("cloud", Part::Cloud),
    ("data", Part::Data),
    ("changes", Part::Changes),
    ("phones", Part::Phones),
];

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which side it is for.
    pub part: Part,
    /// The line it begins on, from 1.
    pub line: usize,
    /// Its text, without what stands before it and without the semicolon.
    pub text: String,
    /// The lines behind `COPY ... FROM stdin`, and the line of the first.
    pub copy: Option<(usize, String)>,
}

impl Statement {
    /// Its first words in capitals, comments left out.
    pub fn words(&self, most: usize) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = after_space(&self.text);
        while !rest.is_empty() && words.len() < most {
            let end = rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(rest.len());
            let end = if end == 0 {
                rest.chars().next().map_or(0, char::len_utf8)
            } else {
                end
            };
            words.push(rest[..end].to_uppercase());
            rest = after_space(&rest[end..]);
        }
        words
    }

    /// It begins with these words.
    pub fn begins(&self, words: &[&str]) -> bool {
        self.words(words.len()) == words
    }

    /// It brings or changes rows, and makes no object.
    pub fn is_data(&self) -> bool {
        let text = self.text.to_lowercase();
        let dml = ["COPY", "INSERT", "UPDATE", "DELETE", "TRUNCATE"];
        dml.iter().any(|word| self.begins(&[word]))
            || self.begins(&["SELECT"]) && (text.contains("setval(") || text.contains("lo_"))
    }
}

/// A file, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// In the file's order.
    pub statements: Vec<Statement>,
    /// Lines for `psql` itself, which are left out.
    pub commands: Vec<(usize, String)>,
    /// The file says which part is for whom.
    pub marked: bool,
}

/// Why a file can't be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where, from 1.
    pub line: usize,
    /// What, in plain words.
    pub what: String,
}

/// Takes a file apart.
///
/// # Errors
/// Where something is opened and never closed.
pub fn read(text: &str) -> Result<Script, Unreadable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        at: 0,
        counted: (0, 1),
        script: Script::default(),
        part: Part::Whole,
    };
    while reader.statement()? {}
    let mut script = reader.script;
    script.marked = script.statements.iter().any(|it| it.part != Part::Whole);
    if script.marked {
        // What stands before the first mark.
        for statement in &mut script.statements {
            if statement.part == Part::Whole {
                statement.part = Part::Both;
            }
        }
    }
    Ok(script)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// A place, and its line: lines are counted once.
    counted: (usize, usize),
    script: Script,
    part: Part,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn line_of(&mut self, at: usize) -> usize {
        let (from, line) = self.counted;
        // What is never closed is looked for behind where it opens.
        let (from, line) = if from > at { (0, 1) } else { (from, line) };
        let line = line + self.text[from..at].matches('\n').count();
        self.counted = (at, line);
        line
    }

    fn fails(&mut self, at: usize, what: &str) -> Unreadable {
        Unreadable {
            line: self.line_of(at),
            what: what.to_owned(),
        }
    }

    /// The rest of the line, and behind it.
    fn take_line(&mut self) -> &str {
        let from = self.at;
        let rest = &self.text[from..];
        let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.at += end;
        self.text[from..from + end].trim_end_matches(['\n', '\r'])
    }

    /// Passes over space, comments, marks and psql's commands; then takes one statement. False at the end.
    fn statement(&mut self) -> Result<bool, Unreadable> {
        loop {
            let rest = self.rest();
            match () {
                () if rest.is_empty() => return Ok(false),
                () if rest.starts_with("--") => {
                    let line = self.take_line().trim_start_matches('-').trim().to_owned();
                    let word = line.split(':').next().unwrap_or_default();
                    if let Some((_, part)) = MARKS.iter().find(|(mark, _)| *mark == word) {
                        self.part = *part;
                    }
                }
                () if rest.starts_with("/*") => self.pass_comment()?,
                () if rest.starts_with('\\') => {
                    let line = self.line_of(self.at);
                    let command = self.take_line().to_owned();
                    self.script.commands.push((line, command));
                }
                () if rest.starts_with(|letter: char| letter.is_whitespace() || letter == ';') => {
                    self.at += rest.chars().next().map_or(1, char::len_utf8);
                }
                () => break,
            }
        }
        let from = self.at;
        let line = self.line_of(from);
        let end = self.pass_statement()?;
        let mut statement = Statement {
            part: self.part,
            line,
            text: self.text[from..end].trim_end().to_owned(),
            copy: None,
        };
        if is_copy(&statement) {
            self.take_line();
            statement.copy = Some(self.copy_lines(from)?);
        }
        self.script.statements.push(statement);
        Ok(true)
    }

    /// Up to the semicolon that ends it; gives where that stands.
    fn pass_statement(&mut self) -> Result<usize, Unreadable> {
        let from = self.at;
        let (mut open, mut begun) = (0usize, 0usize);
        let mut words = 0usize;
        let mut routine = false;
        while let Some(letter) = self.rest().chars().next() {
            let rest = self.rest();
            match letter {
                '-' if rest.starts_with("--") => drop(self.take_line()),
                '/' if rest.starts_with("/*") => self.pass_comment()?,
                '\'' => self.pass_quoted('\'', self.escapes())?,
                '"' => self.pass_quoted('"', false)?,
                '$' => self.pass_dollars()?,
                ';' if open == 0 && begun == 0 => {
                    self.at += 1;
                    return Ok(self.at - 1);
                }
                // A command may stand for the semicolon: `\gexec`.
                '\\' => return Err(self.fails(self.at, "a command of psql inside a statement; it is left to psql: run the file through it, and dump the result")),
                letter if letter.is_alphabetic() || letter == '_' => {
                    let end = rest
                        .find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '$')
                        .unwrap_or(rest.len());
                    let word = rest[..end].to_uppercase();
                    self.at += end;
                    words += 1;
                    // SQL's own function bodies: BEGIN ATOMIC ... END, with CASE ... END inside.
                    routine |= words <= 4 && (word == "FUNCTION" || word == "PROCEDURE");
                    match word.as_str() {
                        "BEGIN" if routine => begun += 1,
                        "CASE" if begun > 0 => begun += 1,
                        "END" if begun > 0 => begun -= 1,
                        _ => {}
                    }
                }
                other => {
                    match other {
                        '(' => open += 1,
                        ')' => open = open.saturating_sub(1),
                        _ => {}
                    }
                    self.at += other.len_utf8();
                }
            }
        }
        match open + begun {
            0 => Ok(self.text.len()),
            _ => Err(self.fails(
                from,
                "this statement opens a parenthesis, or BEGIN ATOMIC, that is never closed",
            )),
        }
    }

    /// The quote before us belongs to E'...'.
    fn escapes(&self) -> bool {
        let before = &self.text[..self.at];
        let mut letters = before.chars().rev();
        let is_e = letters
            .next()
            .is_some_and(|letter| letter == 'e' || letter == 'E');
        is_e && !letters
            .next()
            .is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    }

    fn pass_quoted(&mut self, quote: char, escapes: bool) -> Result<(), Unreadable> {
        let from = self.at;
        let mut letters = self.text[from + 1..].char_indices();
        while let Some((at, letter)) = letters.next() {
            let doubled = letter == quote && self.text[from + 1 + at + 1..].starts_with(quote);
            if letter == '\\' && escapes || doubled {
                letters.next();
            } else if letter == quote {
                self.at = from + 1 + at + 1;
                return Ok(());
            }
        }
        Err(self.fails(from, "a quote that is never closed"))
    }

    fn pass_dollars(&mut self) -> Result<(), Unreadable> {
        let from = self.at;
        let rest = &self.text[from + 1..];
        let name = rest
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        let is_tag = rest[name..].starts_with('$')
            && !rest.starts_with(|letter: char| letter.is_ascii_digit());
        if !is_tag {
            self.at += 1;
            return Ok(());
        }
        let tag = &self.text[from..from + name + 2];
        let body = from + tag.len();
        match self.text[body..].find(tag) {
            Some(end) => {
                self.at = body + end + tag.len();
                Ok(())
            }
            None => Err(self.fails(from, &format!("{tag} is never closed"))),
        }
    }

    fn pass_comment(&mut self) -> Result<(), Unreadable> {
        let from = self.at;
        let mut deep = 0usize;
        while !self.rest().is_empty() {
            let rest = self.rest();
            match () {
                () if rest.starts_with("/*") => {
                    deep += 1;
                    self.at += 2;
                }
                () if rest.starts_with("*/") => {
                    deep -= 1;
                    self.at += 2;
                    if deep == 0 {
                        return Ok(());
                    }
                }
                () => self.at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        Err(self.fails(from, "a comment that is never closed"))
    }

    /// The lines up to `\.`.
    fn copy_lines(&mut self, from: usize) -> Result<(usize, String), Unreadable> {
        let line = self.line_of(self.at);
        let mut data = String::new();
        while !self.rest().is_empty() {
            let one = self.take_line();
            if one == "\\." {
                return Ok((line, data));
            }
            data.push_str(one);
            data.push('\n');
        }
        Err(self.fails(
            from,
            "the rows behind COPY have no end; it is a line with \\. alone",
        ))
    }
}

fn is_copy(statement: &Statement) -> bool {
    let lower = statement.text.to_lowercase();
    let words: Vec<_> = lower.split_whitespace().collect();
    statement.begins(&["COPY"]) && words.windows(2).any(|pair| pair == ["from", "stdin"])
}

/// Behind space and comments.
fn after_space(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let end = match () {
            () if rest.starts_with("--") => rest.find('\n'),
            () if rest.starts_with("/*") => rest.find("*/").map(|at| at + 2),
            () => return rest,
        };
        rest = end.map_or("", |end| &rest[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let script = read(text).unwrap();
        script.statements.into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn semicolons_end_statements_only_where_they_stand_free() {
        assert_eq!(
            texts(
                "a 'x;''y'; b \"q;\"; c $$;$$; d $t$;$$;$t$; e (f; g); /* ; /* ; */ */ h -- ;\n, i; j E'\\';'; k '\\'; l E'm''\\';n'"
            ),
            [
                "a 'x;''y'",
                "b \"q;\"",
                "c $$;$$",
                "d $t$;$$;$t$",
                "e (f; g)",
                "h -- ;\n, i",
                "j E'\\';'",
                "k '\\'",
                "l E'm''\\';n'"
            ]
        );
        assert_eq!(
            texts("create function f() returns int begin atomic select 1; select case when true then 2 end; end; begin; end;").len(),
            3
        );
        assert_eq!(texts("select $1; select 2"), ["select $1", "select 2"]);
    }

    #[test]
    fn a_dump_is_taken_apart_with_its_rows() {
        let text = "\\restrict abc\nSET a = 1;\nCOPY public.t (a, b) FROM stdin;\n1\tx;\n2\t\\\\.\n\\.\n\n--\n-- Name: x; Type: y\n--\nselect 1;\n\\unrestrict abc\n";
        let script = read(text).unwrap();
        assert_eq!(script.commands.len(), 2);
        assert!(!script.marked);
        let copy = &script.statements[1];
        assert_eq!(copy.copy, Some((4, "1\tx;\n2\t\\\\.\n".to_owned())));
        assert!(copy.is_data() && copy.part == Part::Whole);
        assert_eq!(
            (script.statements[2].line, script.statements.len()),
            (11, 3)
        );
    }

    #[test]
    fn marks_say_which_side_a_part_is_for() {
        let script =
            read("one;\n-- cloud\ntwo;\n-- data: a few rows\nthree;\n-- a remark\nfour;").unwrap();
        let parts: Vec<_> = script.statements.iter().map(|it| it.part).collect();
        assert_eq!(parts, [Part::Both, Part::Cloud, Part::Data, Part::Data]);
    }

    #[test]
    fn what_is_never_closed_is_said_with_its_line() {
        for (text, line) in [
            ("a;\n'b", 2),
            ("\n\n$x$ y", 3),
            ("/* a", 1),
            ("a;\nb (\nc;", 2),
            ("COPY t FROM stdin;\n1\n", 1),
            ("select 'create'\n\\gexec", 2),
        ] {
            assert_eq!(read(text).unwrap_err().line, line, "{text}");
        }
    }

    #[test]
    fn words_pass_over_comments() {
        let script = read("create /* x */ table -- y\n \"t\"").unwrap();
        assert!(script.statements[0].begins(&["CREATE", "TABLE", "\""]));
    }
}
