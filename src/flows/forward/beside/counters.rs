//! The server's counters of what the refill reads, and what the refill's own transaction adds to them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use crate::catalog::{Sources, sources};
use crate::config::Refill;
use crate::wire::WireError;

/// One table of those that belong to a watched one: itself, a partition, a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// The watched table.
    pub(super) root: u32,
    /// This one.
    pub(super) oid: u32,
    /// Rows that were inserted, changed and deleted.
    pub(super) rows: i64,
    /// Another one after TRUNCATE, a rename, or where the table was written anew.
    pub(super) shape: String,
}

/// The counters at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) members: Vec<Member>,
    /// The transactions that were over.
    #[serde(skip)]
    pub(super) snapshot: String,
    /// When somebody set the counters back.
    pub(super) reset: String,
    /// The functions and views that lead to them; another version after one was replaced.
    pub(super) definitions: BTreeMap<u32, String>,
}

/// What a refill's own transaction did to the tables that are read.
pub(super) struct Own {
    pub(super) sources: Sources,
    pub(super) counts: Counts,
    /// Those whose shape is its own.
    pub(super) held: BTreeSet<u32>,
}

/// A statement that finds the tables `$1` and all that belong to them.
pub(super) const WHOLE: &str = "with recursive whole(root, oid) as (
      select w.oid, w.oid
      from unnest($1::oid[]) as w(oid)
      union
      select whole.root, i.inhrelid
      from whole
      join pg_inherits as i on i.inhparent = whole.oid
    )";
const SHAPE: &str = "concat(c.relfilenode, ' ', c.relnamespace, '.', c.relname)";
const RESET: &str = "(
      select coalesce(pg_stat_get_db_stat_reset_time(d.oid)::text, '')
      from pg_database as d
      where d.datname = current_database()
    )";
const DEFINITIONS: &str = "(
      select coalesce(jsonb_object_agg(d.oid, d.version), '{}')::text
      from (
        select p.oid, p.xmin::text
        from pg_proc as p
        where p.oid = any ($2)
        union all
        select r.ev_class, string_agg(concat(r.oid, '.', r.xmin), ' ' order by r.oid)
        from pg_rewrite as r
        where r.ev_class = any ($2)
        group by 1
      ) as d(oid, version)
    )";

impl Counts {
    /// Those of what was found for one part of all.
    pub(super) fn of(&self, found: &Sources) -> Counts {
        let is_its = |member: &&Member| found.tables.iter().any(|table| table.oid == member.root);
        let definitions = self.definitions.iter();
        let definitions = definitions.filter(|(oid, _)| found.definitions.contains(oid));
        Counts {
            members: self.members.iter().filter(is_its).cloned().collect(),
            snapshot: self.snapshot.clone(),
            reset: self.reset.clone(),
            definitions: definitions.map(|(oid, had)| (*oid, had.clone())).collect(),
        }
    }

    /// The watched tables that are not as they were, in either direction.
    pub(super) fn unlike(&self, now: &Counts) -> BTreeSet<u32> {
        if self.members == now.members {
            return BTreeSet::new();
        }
        let ours = self
            .members
            .iter()
            .filter(|member| !now.members.contains(member));
        let theirs = now
            .members
            .iter()
            .filter(|member| !self.members.contains(member));
        ours.chain(theirs).map(|member| member.root).collect()
    }

    /// What is counted there by now is known.
    pub(super) fn account(&mut self, now: &Member) {
        let same =
            |had: &&mut Member| (had.root, had.oid, &had.shape) == (now.root, now.oid, &now.shape);
        if let Some(had) = self.members.iter_mut().find(same) {
            had.rows = now.rows;
        }
    }

    /// No table was made anew, emptied or renamed.
    pub(super) fn has_shapes_of(&self, now: &Counts) -> bool {
        let shapes = |counts: &Counts| -> BTreeSet<(u32, u32, String)> {
            let members = counts.members.iter();
            members
                .map(|member| (member.root, member.oid, member.shape.clone()))
                .collect()
        };
        shapes(self) == shapes(now)
    }

    /// These counters; those of `before` for tables that a run doesn't write.
    pub(super) fn but_of(&self, before: &Counts, written: impl Fn(u32) -> bool) -> Counts {
        let earlier = |member: &Member| {
            let same = |had: &&Member| (had.root, had.oid) == (member.root, member.oid);
            let had = before
                .members
                .iter()
                .find(same)
                .filter(|_| !written(member.root));
            had.unwrap_or(member).clone()
        };
        Counts {
            members: self.members.iter().map(earlier).collect(),
            snapshot: String::new(),
            reset: before.reset.clone(),
            definitions: self.definitions.clone(),
        }
    }
}

impl Own {
    /// What counts as seen behind a run: what had been counted before, and its own.
    pub(super) fn behind(&self, before: &Counts) -> Counts {
        let had: BTreeMap<_, _> = before
            .members
            .iter()
            .map(|had| ((had.root, had.oid), had))
            .collect();
        let members = self.counts.members.iter().filter_map(|own| {
            let held = self.held.contains(&own.oid);
            match had.get(&(own.root, own.oid)) {
                Some(had) => Some(Member {
                    rows: had.rows + own.rows,
                    shape: if held { &own.shape } else { &had.shape }.clone(),
                    ..own.clone()
                }),
                // Made by it; another's new table is somebody's change.
                None => held.then(|| own.clone()),
            }
        });
        Counts {
            members: members.collect(),
            snapshot: String::new(),
            reset: before.reset.clone(),
            definitions: self.counts.definitions.clone(),
        }
    }
}

/// What the transaction at hand has done so far to what `refill` reads.
///
/// # Errors
/// When the desktop can't be asked.
pub(super) async fn own(client: &Client, refill: &Refill) -> Result<Own, Error> {
    let found = sources(client, &refill.sql, &refill.watch).await?;
    // Whose shape is changed in a transaction is locked by it until its end.
    let sql = format!(
        "{WHOLE},
         held as (
           select l.relation
           from pg_locks as l
           where l.pid = pg_backend_pid()
             and l.locktype = 'relation'
             and l.mode = 'AccessExclusiveLock'
             and l.granted
         )
         select w.root, c.oid,
           pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
           + pg_stat_get_xact_tuples_deleted(c.oid),
           {SHAPE}, '', {DEFINITIONS}, exists (select from held where held.relation = c.oid), ''
         from whole as w
         join pg_class as c on c.oid = w.oid
         order by 1, 2"
    );
    let rows = client
        .query_typed(&sql, &params(&ids([&found]), &definitions([&found])))
        .await?;
    let held = rows.iter().filter(|row| row.get(6)).map(|row| row.get(1));
    Ok(Own {
        counts: counted(&rows),
        held: held.collect(),
        sources: found,
    })
}

/// Rows of the office's tables that the transaction at hand has written so far.
///
/// # Errors
/// When the desktop can't be asked.
pub(super) async fn written(client: &Client) -> Result<i64, Error> {
    let sql = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
        from pg_stat_xact_user_tables
        where schemaname <> 'tandem' and schemaname !~ '^pg_(toast_)?temp_'";
    let rows = client.query_typed(sql, &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// All counters of what was found for all parts in one statement, and whether a session is still there.
pub(super) async fn count(
    client: &Client,
    found: &[Sources],
    session: i32,
) -> Result<(Counts, bool), WireError> {
    let sql = format!(
        "{WHOLE}
         select w.root, c.oid,
           pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid)
           + pg_stat_get_tuples_deleted(c.oid),
           {SHAPE}, {RESET}, {DEFINITIONS},
           exists (select from pg_stat_get_activity({session})), pg_current_snapshot()::text
         from whole as w
         join pg_class as c on c.oid = w.oid
         order by 1, 2"
    );
    let rows = client
        .query_typed(&sql, &params(&ids(found), &definitions(found)))
        .await?;
    let is_there = rows.first().is_some_and(|row| row.get(6));
    Ok((counted(&rows), is_there))
}

/// The tables' numbers, each once.
pub(super) fn ids<'a>(found: impl IntoIterator<Item = &'a Sources>) -> Vec<u32> {
    let tables = found.into_iter().flat_map(|found| &found.tables);
    let ids: BTreeSet<u32> = tables.map(|table| table.oid).collect();
    ids.into_iter().collect()
}

fn definitions<'a>(found: impl IntoIterator<Item = &'a Sources>) -> Vec<u32> {
    let all = found.into_iter().flat_map(|found| &found.definitions);
    let ids: BTreeSet<u32> = all.copied().collect();
    ids.into_iter().collect()
}

fn params<'a>(
    tables: &'a Vec<u32>,
    definitions: &'a Vec<u32>,
) -> [(&'a (dyn ToSql + Sync), Type); 2] {
    [(tables, Type::OID_ARRAY), (definitions, Type::OID_ARRAY)]
}

fn counted(rows: &[Row]) -> Counts {
    let member = |row: &Row| Member {
        root: row.get(0),
        oid: row.get(1),
        rows: row.get(2),
        shape: row.get(3),
    };
    let first = |at: usize| rows.first().map_or_else(String::new, |row| row.get(at));
    Counts {
        members: rows.iter().map(member).collect(),
        snapshot: first(7),
        reset: first(4),
        // What can't be read is as good as replaced.
        definitions: serde_json::from_str(&first(5)).unwrap_or_default(),
    }
}
