//! A statement goes out. Source: PostgreSQL documentation, "Message Formats", Bind.

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;

use super::{Session, WireError};
use crate::limits;
use crate::model::{Param, Statement};

/// Whether a statement has a name.
#[derive(Clone, Copy, Debug)]
pub enum Naming<'a> {
    /// It hasn't.
    None,
    /// The server is told the statement under this name, whatever that was before.
    Anew(&'a str),
    /// The server knows it under this name.
    Known(&'a str),
}

impl Session {
    /// Puts one unnamed statement out (Parse, Bind, Execute), and sends what has gathered once it is worth a system call.
    /// A long value goes in pieces, and isn't held twice.
    ///
    /// # Errors
    /// When a name holds a NUL, a parameter is beyond the protocol's 2 GB or the socket fails.
    pub async fn put(&mut self, statement: Statement) -> Result<(), WireError> {
        self.put_as(Naming::None, statement).await
    }

    /// The same under a name.
    ///
    /// # Errors
    /// As [`Session::put`].
    pub async fn put_as(
        &mut self,
        naming: Naming<'_>,
        statement: Statement,
    ) -> Result<(), WireError> {
        let types = statement.params.iter().map(|param| param.type_oid);
        let name = match naming {
            Naming::None => "",
            Naming::Anew(name) | Naming::Known(name) => name,
        };
        if let Naming::Anew(name) = naming {
            self.forget(name)?;
        }
        if !matches!(naming, Naming::Known(_)) {
            frontend::parse(name, &statement.sql, types, self.out())?;
        }
        bind_head(name, &statement.params, self.out())?;
        for Param { value, .. } in statement.params {
            let Some(value) = value else {
                self.out().put_i32(-1);
                continue;
            };
            self.out().put_u32(value.len() as u32);
            for piece in value.chunks(limits::WRITE_BYTES) {
                self.out().put_slice(piece);
                self.flush_much().await?;
            }
        }
        put_formats([false].into_iter(), self.out());
        frontend::execute("", 0, self.out())?;
        self.flush_much().await
    }

    /// Lets the server forget a statement; one that it doesn't know is fine.
    ///
    /// # Errors
    /// When the name holds a NUL.
    pub fn forget(&mut self, name: &str) -> Result<(), WireError> {
        Ok(frontend::close(b'S', name, self.out())?)
    }
}

/// Bind up to the values: its length, the unnamed portal, the statement, how the values are encoded, how many they are.
fn bind_head(name: &str, params: &[Param], out: &mut BytesMut) -> Result<(), WireError> {
    const NAMES: usize = 2;
    const COUNT: usize = 2;
    let values = params.iter().map(|param| param.value.as_ref());
    let values: usize = values
        .map(|value| 4 + value.map_or(0, |value| value.len()))
        .sum();
    let formats = COUNT + 2 * params.len();
    let length = 4 + NAMES + name.len() + formats + COUNT + values + COUNT + 2;
    let (Ok(length), Ok(count)) = (i32::try_from(length), u16::try_from(params.len())) else {
        return Err(WireError::Protocol(
            "a parameter is too large for the protocol".to_owned(),
        ));
    };
    out.put_u8(b'B');
    out.put_i32(length);
    out.put_u8(0);
    out.put_slice(name.as_bytes());
    out.put_u8(0);
    put_formats(params.iter().map(|param| param.binary), out);
    out.put_u16(count);
    Ok(())
}

/// Format codes: binary or text.
fn put_formats(binary: impl ExactSizeIterator<Item = bool>, out: &mut BytesMut) {
    out.put_u16(binary.len() as u16);
    for binary in binary {
        out.put_i16(i16::from(binary));
    }
}
