//! What the desktop's bytes mean.

use tokio_postgres::Client;

use super::report::{Report, Wrong};
use crate::catalog::{encoding, strange};
use crate::config::{self, Settings};
use crate::fault::{Fault, Side};
use crate::model::{Charset, Encoding};

const ID: &str = "desktop_encoding";

pub(super) async fn check(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    let wire = |error| Fault::wire(Side::Desktop, &error);
    let has = encoding(client).await.map_err(wire)?;
    let setting = settings.desktop.endpoint.encoding.map(Encoding::name);
    if has != Charset::SQL_ASCII {
        match setting {
            Some(setting) => report.warn(
                ID,
                "the database says what its bytes mean, so the setting is not used",
                Wrong::new(
                    format!("the desktop's database has the encoding {has}, and desktop.encoding says {setting}"),
                    "remove encoding from [desktop] in tandem.toml",
                ),
            ),
            None => report.ok(ID, format!("encoding {has}")),
        }
        return Ok(());
    }
    if let Some(setting) = setting {
        let what = format!("no encoding (SQL_ASCII); its bytes are read as {setting}");
        report.ok(ID, what);
        return Ok(());
    }
    let tables = settings.tables.iter().map(config::Table::desktop_name);
    let tables: Vec<_> = tables.collect();
    let found = strange(client, &tables).await.map_err(wire)?;
    if found.is_empty() {
        let what = "no encoding (SQL_ASCII); the rows that were looked at are UTF-8";
        report.ok(ID, what);
        return Ok(());
    }
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    report.warn(
        ID,
        "rows that are not UTF-8 wait in quarantine until the settings say what their bytes mean",
        Wrong::new(
            format!(
                "the desktop's database has no encoding (SQL_ASCII), and not all of its text is UTF-8: {}",
                found.join(", ")
            ),
            "find out what the office's program writes (on Windows in western Europe mostly WIN1252) and name it in tandem.toml: [desktop] encoding = \"WIN1252\"",
        ),
    );
    Ok(())
}
