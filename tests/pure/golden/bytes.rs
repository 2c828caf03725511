//! The files: frames one after another, each behind its length, four bytes in network order.

use std::path::PathBuf;
use std::sync::OnceLock;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tandem::capture::Frame;

/// The recorded versions.
pub const VERSIONS: [u32; 4] = [15, 16, 17, 18];

/// What one server sent.
pub struct Golden {
    /// Its major version.
    pub version: u32,
    /// The contents of its CopyData messages.
    pub frames: Vec<Bytes>,
}

/// Where a version's bytes are.
pub fn file(version: u32) -> PathBuf {
    folder().join(format!("pg{version}.bin"))
}

/// Where all this is.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pure/golden")
}

/// What every version sent.
pub fn all() -> &'static [Golden] {
    static ALL: OnceLock<Vec<Golden>> = OnceLock::new();
    ALL.get_or_init(|| VERSIONS.iter().map(|version| read(*version)).collect())
}

/// The output plugin's messages, without keepalives.
pub fn messages(golden: &Golden) -> Vec<Bytes> {
    let message = |frame: &Bytes| match Frame::read(frame.clone()).unwrap() {
        Frame::Data { message, .. } => Some(message),
        Frame::Keepalive { .. } => None,
    };
    golden.frames.iter().filter_map(message).collect()
}

fn read(version: u32) -> Golden {
    let mut bytes = Bytes::from(std::fs::read(file(version)).unwrap());
    let mut frames = Vec::new();
    while bytes.has_remaining() {
        let length = bytes.get_u32() as usize;
        frames.push(bytes.split_to(length));
    }
    Golden { version, frames }
}

/// Writes a version's file.
pub fn write(golden: &Golden) {
    let mut out = BytesMut::new();
    for frame in &golden.frames {
        out.put_u32(frame.len() as u32);
        out.put_slice(frame);
    }
    assert!(
        out.len() < 200_000,
        "{} bytes are too many for the repository",
        out.len()
    );
    std::fs::write(file(golden.version), out).unwrap();
}
