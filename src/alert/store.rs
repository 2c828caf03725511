//! Where it is kept who has been told what: in both databases, since either may be away when it matters.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::memory::{AlertStatus, Memory};
use crate::config::{Alert, Endpoint, Settings};
use crate::fault::{Fault, Side};
use crate::limits;
use crate::wire::control::{self, Control};

/// What one database has; none where nothing was kept there, or tandem isn't installed.
///
/// # Errors
/// When it can't be asked.
pub async fn kept(client: &Client, side: Side, replicator: &str) -> Result<Option<Memory>, Fault> {
    let there = "select to_regclass('tandem.alert') is not null";
    let rows = side.query(client, there, &[]).await?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(None);
    }
    let sql = "select memory from tandem.alert where replicator = $1";
    let rows = side
        .query(client, sql, &[(&replicator, Type::TEXT)])
        .await?;
    // What can't be read is no memory: at worst people are told twice.
    Ok(rows
        .first()
        .and_then(|row| serde_json::from_str(row.get(0)).ok()))
}

/// Whether people hear of what is wrong, as one database has it; none where the settings have nobody to tell.
///
/// # Errors
/// When it can't be asked.
pub async fn status(
    alert: &Alert,
    (client, side): (&Client, Side),
    replicator: &str,
) -> Result<Option<AlertStatus>, Fault> {
    if !alert.is_on() {
        return Ok(None);
    }
    let memory = kept(client, side, replicator).await?;
    Ok(Some(memory.unwrap_or_default().status(&super::ways(alert))))
}

/// What both databases have.
pub struct Loaded {
    /// The newest of it; none where there is none.
    pub found: Option<Memory>,
    /// How many of them answered.
    pub answered: usize,
}

/// Connections to both databases, each made when it is needed.
pub struct Keeper<'s> {
    settings: &'s Settings,
    replicator: String,
    sides: [Kept; 2],
}

#[derive(Default)]
struct Kept {
    control: Option<Control>,
    /// The version that it has.
    version: u64,
}

impl<'s> Keeper<'s> {
    /// Nothing is connected yet.
    pub fn new(settings: &'s Settings, replicator: String) -> Keeper<'s> {
        Keeper {
            settings,
            replicator,
            sides: Default::default(),
        }
    }

    /// The newest memory that a database has which answers.
    pub async fn load(&mut self) -> Loaded {
        let replicator = &self.replicator;
        let ends = ends(self.settings);
        let [desktop, cloud] = &mut self.sides;
        let (desktop, cloud) = tokio::join!(
            desktop.load(ends[0], replicator),
            cloud.load(ends[1], replicator)
        );
        let both = [desktop, cloud];
        let answered = both.iter().filter(|kept| kept.is_ok()).count();
        let found = both.into_iter().filter_map(|kept| kept.ok().flatten());
        Loaded {
            found: found.max_by_key(|memory| memory.version),
            answered,
        }
    }

    /// Keeps it in each database that doesn't have this version and that answers. Says whether both have it.
    pub async fn save(&mut self, memory: &Memory) -> bool {
        let replicator = &self.replicator;
        let ends = ends(self.settings);
        let [desktop, cloud] = &mut self.sides;
        let (desktop, cloud) = tokio::join!(
            desktop.save(ends[0], replicator, memory),
            cloud.save(ends[1], replicator, memory)
        );
        desktop && cloud
    }
}

fn ends(settings: &Settings) -> [(Side, &Endpoint); 2] {
    [
        (Side::Desktop, &settings.desktop.endpoint),
        (Side::Cloud, &settings.cloud.endpoint),
    ]
}

impl Kept {
    async fn load(
        &mut self,
        (side, endpoint): (Side, &Endpoint),
        replicator: &str,
    ) -> Result<Option<Memory>, ()> {
        let asked = async {
            let control = control::connect(endpoint).await.map_err(drop)?;
            let found = kept(&control.client, side, replicator).await;
            self.control = Some(control);
            found.map_err(drop)
        };
        let found = within(asked).await;
        if let Ok(Some(memory)) = &found {
            self.version = memory.version;
        }
        found
    }

    async fn save(
        &mut self,
        (side, endpoint): (Side, &Endpoint),
        replicator: &str,
        memory: &Memory,
    ) -> bool {
        if self.version == memory.version {
            return true;
        }
        let control = self.control.take();
        let written = async {
            let control = match control {
                Some(control) => control,
                None => control::connect(endpoint).await.map_err(drop)?,
            };
            write(&control.client, side, replicator, memory)
                .await
                .map_err(drop)?;
            Ok(control)
        };
        match within(written).await {
            Ok(control) => {
                self.control = Some(control);
                self.version = memory.version;
                true
            }
            Err(()) => false,
        }
    }
}

async fn write(
    client: &Client,
    side: Side,
    replicator: &str,
    memory: &Memory,
) -> Result<(), Fault> {
    // Before anything is installed there is no place for it, and nothing to be told of but that.
    let there = "select to_regclass('tandem.alert') is not null";
    let rows = client.query_typed(there, &[]).await;
    if !rows
        .map_err(Fault::at(side))?
        .first()
        .is_some_and(|row| row.get(0))
    {
        return Ok(());
    }
    let from = match side {
        Side::Desktop => "(select 1) as one",
        Side::Cloud => "tandem.checkpoint as c where c.replicator = $1",
    };
    let sql = format!(
        "insert into tandem.alert as a (replicator, memory, kept_at)
         select $1, $2, clock_timestamp()
         from {from}
         on conflict (replicator) do update
         set memory = excluded.memory, kept_at = excluded.kept_at"
    );
    let text = in_ascii(&serde_json::to_string(memory).unwrap_or_default());
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&replicator, Type::TEXT), (&text, Type::TEXT)];
    side.query(client, &sql, &params).await.map(drop)
}

/// A document without letters that an old desktop's encoding may not have.
fn in_ascii(document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    for letter in document.chars() {
        if letter.is_ascii() {
            text.push(letter);
            continue;
        }
        let mut units = [0; 2];
        for unit in letter.encode_utf16(&mut units) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

/// A side that is away holds nobody up for long.
async fn within<T>(asked: impl Future<Output = Result<T, ()>>) -> Result<T, ()> {
    const MOST: Duration = limits::ALERT_KEEP_MAX;
    timeout(MOST, asked).await.unwrap_or(Err(()))
}
