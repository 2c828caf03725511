//! `tandem config`

use clap::{Args, Subcommand};

use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault};

/// The settings as they count.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem config check        all mistakes at once, with their places; asks no database
  tandem config show         each value, and where it came from")]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Each value and where it came from; secrets are ***
    Show {
        /// One document on standard output
        #[arg(long)]
        json: bool,
    },
    /// Whether the file, the environment and the .env file make sense; neither database is asked
    Check,
}

pub(super) fn config(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let rows = settings.rows();
    match options.action {
        Action::Show { json: true } => {
            let rows = rows.iter().map(|row| {
                serde_json::json!({ "key": row.key, "value": row.value, "from": row.from, "variable": row.variable })
            });
            let rows: Vec<_> = rows.collect();
            show::document(&serde_json::json!({ "schema": 1, "rows": rows }));
        }
        Action::Show { json: false } => {
            let width =
                |of: fn(&crate::config::Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
            // One long value must not push all sources off the screen.
            let keys = width(|row| row.key.chars().count());
            let values = width(|row| row.value.chars().count()).min(40);
            for row in &rows {
                let line = format!("{:<keys$}  {:<values$}  {}", row.key, row.value, row.from);
                show::result(&line);
            }
        }
        Action::Check => {
            let tables = settings.tables.len();
            show::result(&format!("the settings are fine: {tables} tables"));
        }
    }
    Ok(Exit::Fine)
}
