//! What `sql/` installs, once per side and in one transaction each, and how tables are published.
//!
//! DDL happens here and nowhere else: in any schema it makes Supabase's API reload.

mod publish;
mod schema;

pub use publish::{ensure_publication, publish};
pub use schema::{ensure_schema, is_installed};
