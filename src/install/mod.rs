//! What `sql/` installs and how it goes from version to version, in one transaction a side, how tables are published and
//! watched, and how all of it goes again.
//!
//! DDL happens here and nowhere else: in any schema it makes Supabase's API reload.

mod lock_retry;
mod migrate;
mod migrations;
mod publish;
mod remove;
mod schema;
mod watch;

pub use migrate::{may_migrate, migrate, owner_besides};
pub use migrations::{Migration, Migrations};
pub use publish::{ensure_publication, publish, published_besides, unpublish};
pub use remove::{Removal, in_cloud, on_desktop, remove_from_cloud, remove_from_desktop};
pub use schema::{
    InstalledVersion, install_schema, installed_version, is_installed, planned_statements,
    planned_steps, refuse_newer_there, version_of,
};
pub use watch::{queue_again, watch};
