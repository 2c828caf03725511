//! Reads a file of SQL as people have them: `pg_dump`'s plain text, also as PowerShell writes it.

use std::path::Path;

use super::script::{self, Script};
use crate::fault::{Fault, Kind};
use crate::limits;

/// Reads and takes apart a file.
///
/// # Errors
/// With the line and what to do, when it isn't there, is no text, or isn't closed somewhere.
pub fn read(path: &Path) -> Result<Script, Fault> {
    let name = path.display();
    let fault = |what: String| Fault::new(Kind::Input, what);
    let unread = |error| fault(format!("{name} can't be read")).cause(error);
    let length = std::fs::metadata(path).map_err(unread)?.len();
    if length > limits::SCHEMA_FILE_MAX {
        return Err(fault(format!(
            "{name} has {} MB, more than the demo takes",
            length / 1024 / 1024
        ))
        .hint("pg_dump --schema-only has the tables without their rows; the demo makes some"));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let text = text(bytes)
        .map_err(|(line, what, hint)| fault(format!("{name}, line {line}: {what}")).hint(hint))?;
    let script = script::read(&text).map_err(|broken| {
        fault(format!("{name}, line {}: {}", broken.line, broken.what))
            .hint("nothing was started; mend the file, or make it with pg_dump")
    })?;
    match script.statements.is_empty() {
        true => Err(fault(format!("{name} has no statement"))
            .hint("pg_dump --no-owner DATABASE > FILE.sql writes one with your tables")),
        false => Ok(script),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, (usize, &'static str, &'static str)> {
    if bytes.starts_with(b"PGDMP") {
        let what = "this is an archive of pg_dump's, not SQL";
        return Err((
            1,
            what,
            "pg_restore --file=FILE.sql ARCHIVE makes SQL of it",
        ));
    }
    // What `pg_dump > file` makes in PowerShell.
    if let Some(wide) = bytes.strip_prefix(&[0xff, 0xfe]) {
        let pairs = wide
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let text: Result<String, _> = char::decode_utf16(pairs).collect();
        return text.map_err(|_| (1, "it begins as UTF-16, but is not", UTF8));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        (line, "a letter that is not UTF-8", UTF8)
    })
}

const UTF8: &str = "pg_dump --encoding=UTF8 --file=FILE.sql writes the file in UTF-8";

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn what_powershell_writes_is_read_and_archives_are_named() {
        let wide: Vec<u8> = "\u{feff}é;"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(text(wide).as_deref(), Ok("é;"));
        assert_eq!(text(b"a\nb\xfc".to_vec()).unwrap_err().0, 2);
        assert!(
            text(b"PGDMP\0\x01".to_vec())
                .unwrap_err()
                .1
                .contains("archive")
        );
        assert_eq!(text("ü".into()).as_deref(), Ok("ü"));
    }
}
