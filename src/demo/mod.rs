//! Throw-away PostgreSQL servers: `tandem demo` shows the product on them, the tests are run on them.
//!
//! [`binaries`] finds what is installed, [`cluster`] starts and ends a server, `template` makes a data
//! directory in a tenth of a second, `place` a folder and a port, [`account`] is who runs it, [`certificate`] gives
//! it TLS.
pub mod account;
pub mod binaries;
pub mod certificate;
pub mod cluster;
mod place;
mod template;
