//! Taking tandem away again: what was set up, in the opposite order. The rows stay.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::publish::{unpublish, unpublishing};
use super::schema::is_installed;
use crate::fault::{Fault, Side};
use crate::model::Name;
use crate::plan::quote;

const DESKTOP: &str = include_str!("../../sql/desktop/uninstall.sql");
const CLOUD: &str = include_str!("../../sql/cloud/uninstall.sql");

/// What has to go on one side.
#[derive(Debug, Default)]
pub struct Removal {
    replicator: String,
    /// Publications that go, as statements that can be pasted: a table that nobody publishes needs no identity.
    publications: Vec<String>,
    /// Tables that leave a publication, or get their identity back.
    tables: Vec<(String, Name)>,
    /// Slots, rows and the schema, as statements that can be pasted.
    rest: Vec<String>,
}

impl Removal {
    /// All of it as statements that can be pasted, in their order.
    pub fn statements(&self) -> Vec<String> {
        let tables = self
            .tables
            .iter()
            .map(|(publication, name)| unpublishing(publication, &self.replicator, name));
        let publications = self.publications.iter().cloned();
        publications
            .chain(tables)
            .chain(self.rest.iter().cloned())
            .collect()
    }

    /// Nothing is left of tandem there.
    pub fn is_nothing(&self) -> bool {
        self.publications.is_empty() && self.tables.is_empty() && self.rest.is_empty()
    }
}

/// Tables that are in a publication for us, or whose replica identity is ours.
const PUBLISHED: &str = r#"select coalesce(u.publication, ''), coalesce(u.schema, i.schema),
      coalesce(u."table", i."table")
    from (select * from tandem.published where replicator = $1) as u full
    join (
      select *
      from tandem.replica_identity
      where replicator = $1
    ) as i using (schema, "table")
    order by 2, 3"#;

/// Publications of ours in which nothing is of others.
const PUBLICATIONS: &str = "select p.publication
    from tandem.publication p
    where p.replicator = $1
      and not exists (
        select
        from tandem.published u
        where u.publication = p.publication and u.replicator <> $1
      )";

/// A row where other replicators have something on this desktop.
const OTHERS: &str = "select 'others'
    from (
      select replicator
      from tandem.slot
      union all
      select replicator
      from tandem.publication
      union all
      select replicator
      from tandem.published
      union all
      select replicator
      from tandem.reverse
      union all
      select replicator
      from tandem.replica_identity
    ) as used
    where replicator <> $1
    limit 1";

/// Looks what a replicator has left on the desktop.
///
/// # Errors
/// When a query fails.
pub async fn on_desktop(desktop: &Client, replicator: &str) -> Result<Removal, Fault> {
    let mut removal = Removal {
        replicator: replicator.to_owned(),
        ..Removal::default()
    };
    if !is_installed(desktop, Side::Desktop).await? {
        return Ok(removal);
    }
    let texts = async |sql: &str| {
        let rows = Side::Desktop
            .query(desktop, sql, &[(&replicator, Type::TEXT)])
            .await?;
        let text =
            |row: &tokio_postgres::Row| (0..row.len()).map(|at| row.get::<_, String>(at)).collect();
        Ok::<Vec<Vec<String>>, Fault>(rows.iter().map(text).collect())
    };
    for row in texts(PUBLISHED).await? {
        let name = Name {
            schema: row[1].clone(),
            relation: row[2].clone(),
        };
        removal.tables.push((row[0].clone(), name));
    }
    for row in texts(PUBLICATIONS).await? {
        removal.publications.push(format!(
            "drop publication if exists {}",
            quote::ident(&row[0])
        ));
    }
    let slots = "select s.slot_name::text
        from pg_replication_slots s
        join tandem.slot t on t.slot = s.slot_name
        where t.replicator = $1";
    for row in texts(slots).await? {
        removal.rest.push(format!(
            "select pg_drop_replication_slot({name})",
            name = quote::literal(&row[0])
        ));
    }
    let who = quote::literal(replicator);
    removal.rest.push(if texts(OTHERS).await?.is_empty() {
        "drop schema tandem cascade".to_owned()
    } else {
        kept(desktop, Side::Desktop, &who).await?.join("; ")
    });
    Ok(removal)
}

/// The rows of all tables that are kept by replicator, of whatever version the schema is; the checkpoint's last.
async fn kept(client: &Client, side: Side, who: &str) -> Result<Vec<String>, Fault> {
    let sql = "select c.relname::text
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'tandem'::regnamespace
          and c.relkind = 'r'
          and a.attname = 'replicator'
          and not a.attisdropped
        order by c.relname = 'checkpoint', 1";
    let rows = client.query_typed(sql, &[]).await;
    let rows = rows.map_err(Fault::at(side))?;
    let delete = |row: &tokio_postgres::Row| {
        let table = quote::ident(row.get(0));
        format!("delete from tandem.{table} where replicator = {who}")
    };
    Ok(rows.iter().map(delete).collect())
}

/// Looks what a replicator has left in the cloud.
///
/// # Errors
/// When a query fails.
pub async fn in_cloud(cloud: &Client, replicator: &str) -> Result<Removal, Fault> {
    let mut removal = Removal {
        replicator: replicator.to_owned(),
        ..Removal::default()
    };
    if !is_installed(cloud, Side::Cloud).await? {
        return Ok(removal);
    }
    let who = quote::literal(replicator);
    let rows = Side::Cloud
        .query(
            cloud,
            "select count(*) filter (where replicator = $1) > 0,
               count(*) filter (where replicator <> $1) > 0
             from tandem.checkpoint",
            &[(&replicator, Type::TEXT)],
        )
        .await?;
    let (ours, others) = rows
        .first()
        .map_or((false, false), |row| (row.get(0), row.get(1)));
    if !others {
        removal.rest.push("drop schema tandem cascade".to_owned());
    } else if ours {
        removal.rest.push(format!(
            r#"select tandem.unwatch({who}, "table")
               from tandem.reverse_state
               where replicator = {who}"#
        ));
        removal.rest.extend(kept(cloud, Side::Cloud, &who).await?);
    }
    Ok(removal)
}

/// Carries it out on the desktop: after the publications table by table, so that nobody waits long, then the rest.
///
/// # Errors
/// When a table stays locked, or the server refuses.
pub async fn remove_from_desktop(desktop: &Client, removal: &Removal) -> Result<(), Fault> {
    for publication in &removal.publications {
        let dropped = desktop.batch_execute(publication).await;
        dropped.map_err(Fault::at(Side::Desktop))?;
    }
    for (publication, name) in &removal.tables {
        unpublish(desktop, publication, &removal.replicator, name).await?;
    }
    run(desktop, Side::Desktop, &removal.replicator, DESKTOP).await
}

/// Carries it out in the cloud.
///
/// # Errors
/// When the server refuses.
pub async fn remove_from_cloud(cloud: &Client, removal: &Removal) -> Result<(), Fault> {
    run(cloud, Side::Cloud, &removal.replicator, CLOUD).await
}

async fn run(client: &Client, side: Side, replicator: &str, file: &str) -> Result<(), Fault> {
    // One simple query, so that a transaction pooler keeps it on one server connection.
    let file: Vec<_> = file
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    let script = format!(
        "begin; select set_config('tandem.replicator', {replicator}, true); {file}\n; commit",
        replicator = quote::literal(replicator),
        file = file.join("\n")
    );
    let done = client.batch_execute(&script).await;
    if done.is_err() {
        let _ = client.batch_execute("rollback").await;
    }
    done.map_err(Fault::at(side))
}
