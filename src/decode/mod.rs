//! Frames to messages to whole transactions. Pure: bytes in, values out.
//!
//! [`message`] reads one pgoutput message (protocol version 1, with logical messages); [`Assembler`]
//! keeps the relation cache and joins messages into committed transactions. Damaged input is an
//! error that names offset and tag, never a panic.

mod assemble;
mod message;
mod reader;

pub use assemble::{Assembler, Disorder};
pub use message::{Message, message, message_in};
pub use reader::Damage;

#[cfg(test)]
mod tests;
