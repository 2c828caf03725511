//! Runs a file of SQL on one side, as far as a throw-away server can: who owns what and who may do what is left out where those
//! people don't exist here, and said.

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::script::{Part, Script, Statement};
use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::sqlstate;
use crate::wire::{ServerError, Session, WireError};

/// What was not run on a side, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The line of the file.
    pub line: usize,
    /// The statement's beginning.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Runs those parts of a script that make a side: structure, and on the desktop its rows. Gives what was left out.
///
/// # Errors
/// With the line and the server's words, where a statement is refused.
pub async fn load(
    session: &mut Session,
    script: &Script,
    side: Side,
) -> Result<Vec<LeftOut>, Fault> {
    let mut left = Vec::new();
    let mine = script.statements.iter().filter(|it| makes(it, side));
    for statement in mine {
        match foreign(statement) {
            Some(why) => left.push(out(statement, why.to_owned())),
            None => match run(session, statement).await {
                Ok(()) => {}
                Err(WireError::Server(error)) if may_be_left(statement, &error) => {
                    left.push(out(statement, error.message));
                }
                Err(error) => return Err(refused(&error, statement, side, &left)),
            },
        }
    }
    Ok(left)
}

/// Runs those statements of a script that are for one part, as they stand.
///
/// # Errors
/// As [`load`].
pub async fn play(
    session: &mut Session,
    script: &Script,
    part: Part,
    side: Side,
) -> Result<usize, Fault> {
    let mine: Vec<_> = { script.statements.iter() }
        .filter(|it| it.part == part)
        .collect();
    for statement in &mine {
        let done = run(session, statement).await;
        done.map_err(|error| refused(&error, statement, side, &[]))?;
    }
    Ok(mine.len())
}

/// Whether a statement belongs to what makes this side.
fn makes(statement: &Statement, side: Side) -> bool {
    match (statement.part, side) {
        (Part::Both, _) => true,
        (Part::Whole, Side::Desktop) | (Part::Desktop | Part::Data, Side::Desktop) => true,
        (Part::Whole, Side::Cloud) => !statement.is_data(),
        (Part::Cloud, Side::Cloud) => true,
        _ => false,
    }
}

/// What has no place on a throw-away server, whatever the server would say.
fn foreign(statement: &Statement) -> Option<&'static str> {
    let begins = |words: &[&str]| statement.begins(words);
    let text: Vec<_> = statement.text.split_whitespace().collect();
    let text = text.join(" ").to_uppercase();
    match () {
        () if begins(&["ALTER"]) && text.contains(" OWNER TO ") => {
            Some("everything belongs to the demo's user here")
        }
        () if begins(&["SET", "SESSION", "AUTHORIZATION"])
            || begins(&["SET", "ROLE"])
            || begins(&["RESET", "ROLE"]) =>
        {
            Some("everything belongs to the demo's user here")
        }
        () if begins(&["SET", "CLIENT_ENCODING"]) && !text.contains("UTF8") => {
            Some("the file was read as UTF-8")
        }
        () if [
            "DATABASE",
            "ROLE",
            "USER",
            "GROUP",
            "TABLESPACE",
            "SUBSCRIPTION",
            "PUBLICATION",
            "SYSTEM",
        ]
        .iter()
        .any(|kind| {
            ["CREATE", "ALTER", "DROP", "COMMENT", "SECURITY"]
                .iter()
                .any(|verb| {
                    begins(&[verb, kind])
                        || begins(&[verb, "ON", kind])
                        || begins(&[verb, "LABEL", "ON", kind])
                })
        }) && !begins(&["CREATE", "USER", "MAPPING"]) =>
        {
            Some("it is about the server, not about tables")
        }
        () => None,
    }
}

/// What a server may refuse without the tables being others for it.
fn may_be_left(statement: &Statement, error: &ServerError) -> bool {
    let begins = |words: &[&str]| statement.begins(words);
    let lacks_role = error.code == sqlstate::UNDEFINED_OBJECT && error.message.contains("role");
    let access = begins(&["GRANT"]) || begins(&["REVOKE"]) || begins(&["ALTER", "DEFAULT"]);
    let known = matches!(
        error.code.as_str(),
        sqlstate::DUPLICATE_SCHEMA | sqlstate::DUPLICATE_OBJECT
    ) && error.message.contains("already exists");
    match () {
        () if access => true,
        () if begins(&["SET"]) => true,
        () if begins(&["CREATE", "POLICY"]) || begins(&["ALTER", "POLICY"]) => lacks_role,
        () if begins(&["CREATE", "SCHEMA"]) => known || lacks_role,
        // What needs it says so with its own line.
        () if begins(&["CREATE", "EXTENSION"]) => true,
        // It needs a superuser, which nobody is in the cloud.
        () if begins(&["CREATE", "EVENT", "TRIGGER"]) || begins(&["ALTER", "EVENT", "TRIGGER"]) => {
            true
        }
        () if begins(&["COMMENT"]) || begins(&["DROP"]) => true,
        () => false,
    }
}

fn out(statement: &Statement, why: String) -> LeftOut {
    LeftOut {
        line: statement.line,
        what: beginning(&statement.text),
        why,
    }
}

/// As much of a statement as one recognises it by.
fn beginning(text: &str) -> String {
    let one: Vec<_> = text.split_whitespace().collect();
    let one = one.join(" ");
    match one.char_indices().nth(limits::STATEMENT_SHOWN) {
        Some((end, _)) => format!("{} ...", &one[..end]),
        None => one,
    }
}

/// The line, the server's words, and what may have led to it.
fn refused(error: &WireError, statement: &Statement, side: Side, left: &[LeftOut]) -> Fault {
    let WireError::Server(said) = error else {
        return Fault::wire(side, error);
    };
    let line = match (&statement.copy, said.position) {
        (Some((first, _)), _) => first + copy_line(said).unwrap_or(1) - 1,
        (None, Some(position)) => {
            let before = statement.text.chars().take(position.saturating_sub(1));
            statement.line + before.filter(|letter| *letter == '\n').count()
        }
        (None, None) => statement.line,
    };
    let fault = Fault::new(
        Kind::Input,
        format!(
            "line {line}: the {side}'s server refuses {}",
            beginning(&statement.text)
        ),
    )
    .cause(error);
    let extension = left
        .iter()
        .find(|out| out.what.to_uppercase().starts_with("CREATE EXTENSION"));
    match (extension, &said.hint) {
        (Some(out), _) => fault.hint(format!(
            "line {} was left out before it ({}); it may be missing here: install it for the demo's server, or take what needs it out of the file",
            out.line, out.why
        )),
        (None, Some(hint)) => fault.hint(hint.clone()),
        (None, None) => fault.hint("nothing of yours was touched; mend the file, and run the demo again"),
    }
}

/// `COPY item, line 3, column id: "x"`
fn copy_line(said: &ServerError) -> Option<usize> {
    let (_, behind) = said.context.as_ref()?.split_once(", line ")?;
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

async fn run(session: &mut Session, statement: &Statement) -> Result<(), WireError> {
    let Some((_, rows)) = &statement.copy else {
        return session.run(&statement.text).await;
    };
    session.query(&statement.text).await?;
    loop {
        match session.next().await {
            Ok(Message::CopyInResponse(_)) => break,
            Ok(_) => {}
            Err(error) => return Err(session.read_to_end(error).await),
        }
    }
    for piece in rows.as_bytes().chunks(limits::COPY_BYTES) {
        session.put_copy(piece);
        session.flush().await?;
    }
    frontend::copy_done(session.out());
    session.flush().await?;
    session.wait_until_ready().await.map(drop)
}
