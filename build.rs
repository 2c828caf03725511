//! What Windows reads in the program itself: its version, and the words of its entries in the event log.

use std::io;

/// The identifiers of `winlog2`'s entries, from errors to traces; each entry brings its whole text.
const MESSAGES: [u32; 5] = [
    0xC000_0001,
    0x8000_0002,
    0x4000_0003,
    0x4000_0004,
    0x4000_0005,
];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("windows") {
        return Ok(());
    }
    let folder = std::env::var("OUT_DIR").map_err(io::Error::other)?;
    let file = std::path::Path::new(&folder).join("messages.bin");
    std::fs::write(&file, table())?;
    // A resource script wants its backslashes doubled. 1: the only table; 11: RT_MESSAGETABLE.
    let name = file.display().to_string().replace('\\', r"\\");
    winresource::WindowsResource::new()
        .append_rc_content(&format!("1 11 \"{name}\"\n"))
        .compile()
}

/// `MESSAGE_RESOURCE_DATA`: a block for each identifier, in ascending order, then their entries. Source: winnt.h.
fn table() -> Vec<u8> {
    let text: Vec<u8> = "%1\r\n\0\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let entry = 4 + text.len();
    let mut identifiers = MESSAGES;
    identifiers.sort_unstable();
    let mut table = Vec::from((MESSAGES.len() as u32).to_le_bytes());
    let first = 4 + 12 * MESSAGES.len();
    for (at, identifier) in identifiers.into_iter().enumerate() {
        let offset = (first + at * entry) as u32;
        for word in [identifier, identifier, offset] {
            table.extend(word.to_le_bytes());
        }
    }
    for _ in identifiers {
        table.extend((entry as u16).to_le_bytes());
        // UTF-16.
        table.extend(1u16.to_le_bytes());
        table.extend(&text);
    }
    table
}
