//! What `sql/` installs, once per side and in one transaction each, how tables are published and watched, and
//! how all of it goes again.
//!
//! DDL happens here and nowhere else: in any schema it makes Supabase's API reload.

mod lock_retry;
mod publish;
mod remove;
mod schema;
mod watch;

pub use publish::{ensure_publication, publish, published_besides, unpublish};
pub use remove::{Removal, in_cloud, on_desktop, remove_from_cloud, remove_from_desktop};
pub use schema::{
    InstalledVersion, ensure_schema, installed_version, is_installed, planned_statements,
};
pub use watch::{queue_again, watch};
