//! Whole tables, safely, as a diff: swaps beside the stream, by the clock and on demand, and the office's refill.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::office::{Office, exec, places, until, value};
use support::servers::newest;
use tokio::time::interval;

const BEAT: &str = "[heartbeat]\nevery = \"500ms\"\n";

/// A table whose key the cloud makes, one without a key, one that only swaps.
const SETTINGS: &str = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"task\"\nkey = [\"org\", \"nr\"]\n\
    [[table]]\nname = \"tick\"\nkey = []\n[[table]]\nname = \"kept\"\nkey = [\"nr\"]\nstream = false\n";
const DESKTOP: &str = "create table task (org int, nr int, what text); create table tick (org int, what text); create table kept (nr int, what text); \
    insert into task select n % 3, n, 'task ' || n from generate_series(1, 2000) n; insert into tick select n % 5, 'tick ' || n % 700 from generate_series(1, 2000) n; \
    insert into kept select n, 'kept ' || n from generate_series(1, 500) n";
const CLOUD: &str = "create table task (id bigserial primary key, org int, nr int, what text, source char(1) default 'D', unique (org, nr)); \
    create table tick (id bigserial primary key, org int, what text, source char(1) default 'D'); create table kept (id bigserial primary key, nr int unique, what text, source char(1) default 'D')";

/// Identities and versions of all rows, as far as nothing may change them.
const VERSIONS: &str = "select md5(string_agg(v, ';' order by v)) from (select 'task' || id || ' ' || xmin || ' ' || ctid from task \
    union all select 'tick' || id || ' ' || xmin || ' ' || ctid from tick union all select 'kept' || id || ' ' || xmin || ' ' || ctid from kept) as all_of(v)";

#[tokio::test(flavor = "multi_thread")]
async fn p9_an_unchanged_swap_writes_no_row_version_and_a_changed_one_only_what_differs() {
    for place in places() {
        let office = Office::with_tables(&place, SETTINGS, DESKTOP, CLOUD).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        let before = value(&office.cloud, VERSIONS).await;
        let (code, out, said) = office.ask(&["swap", "task", "tick", "kept", "--json"]).await;
        assert_eq!(code, 0, "{out} {said}");
        assert!(out.contains("{\"table\":\"task\",\"read\":2000,\"insert\":0,\"update\":0,\"delete\":0,\"unchanged\":2000,\"extras\":0,\"refused\":null}"), "{out}");
        assert_eq!(value(&office.cloud, VERSIONS).await, before);
        // What somebody broke in the cloud, and what changed in the table that doesn't stream.
        exec(&office.cloud, "set role postgres; set search_path = public; update task set what = 'broken' where nr = 7; delete from task where nr = 8; insert into tick (org, what) values (9, 'not ours'); reset role").await;
        exec(&office.desktop, "update kept set what = 'new' where nr = 3; delete from kept where nr = 4; insert into kept values (1000, 'x')").await;
        let ids = "select string_agg(id::text, ',' order by nr) from task where nr <> 8";
        let (ids_before, plan) = (value(&office.cloud, ids).await, office.ask(&["swap", "kept", "--plan"]).await);
        assert!(plan.0 == 0 && plan.1.contains("would be inserted 1, updated 1, deleted 1, unchanged 498"), "{plan:?}");
        let (code, out, said) = office.ask(&["swap", "task", "tick", "kept"]).await;
        assert_eq!(code, 0, "{out} {said}");
        assert!(out.contains("inserted 1, updated 1, deleted 0, unchanged 1998") && out.contains("inserted 0, updated 0, deleted 1, unchanged 2000"), "{out}");
        office.assert_equal().await;
        assert_eq!(value(&office.cloud, ids).await, ids_before);
        assert_eq!(value(&office.cloud, "select count(*) from tandem.swap where ended_at is null or snapshot is null or lsn is null").await, "0");
        // The same when the service is down.
        exec(&office.desktop, "update kept set what = 'again'").await;
        assert_eq!(service.stop().await, 0);
        let (code, out, said) = office.ask(&["swap", "kept"]).await;
        assert!(code == 0 && out.contains("updated 500"), "{code} {out} {said}");
        office.assert_equal().await;
        assert_eq!(value(&office.cloud, "select count(*) from tandem.staging").await, "0");
    }
}
