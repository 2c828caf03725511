//! What a road costs both servers and the network: counters that are read before it and after it.

use std::ops::Sub;

use tandem::demo::cluster::{Cluster, Mode};
use tandem::wire::control::Control;

use crate::proxy::Proxy;
use crate::scene::{OWN, binaries, connect, number, run, spec, text, wait_for};
use crate::usage::of_children;

/// A server that counts its statements, where it has the module for that, and leaves dead rows where they are: what autovacuum does,
/// and when, would be in every figure.
pub async fn counting_server(superuser: &str) -> Cluster {
    let mut spec = spec().set("autovacuum", "off");
    superuser.clone_into(&mut spec.superuser);
    let server = Cluster::start(&binaries(), &spec).unwrap();
    let admin = connect(&server, "postgres").await;
    run(&admin, "create database meter").await;
    let has = "select count(*) from pg_available_extensions where name = 'pg_stat_statements'";
    if number(&admin, has).await == 1 {
        run(
            &admin,
            "alter system set shared_preload_libraries = 'pg_stat_statements'",
        )
        .await;
        drop(admin);
        server.stop(Mode::Fast).unwrap();
        server.start_again().unwrap();
        let meter = connect(&server, "meter").await;
        run(&meter, "create extension pg_stat_statements").await;
    }
    server
}

/// Counters at one moment, or what came between two of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Bytes of log that the cloud wrote.
    pub wal: f64,
    /// Statements of clients, on the desktop and in the cloud, without BEGIN and COMMIT: where those have names the module counts the
    /// first one only.
    pub desktop_statements: f64,
    pub cloud_statements: f64,
    /// Bytes to the cloud and from it, where they went through a proxy.
    pub to_cloud: f64,
    pub from_cloud: f64,
    /// Seconds of a processor: all processes of a server but those of our own connections.
    pub desktop_cpu: f64,
    pub cloud_cpu: f64,
    pub tandem_cpu: f64,
}

impl Sub for Counters {
    type Output = Counters;

    fn sub(self, before: Counters) -> Counters {
        Counters {
            wal: self.wal - before.wal,
            desktop_statements: self.desktop_statements - before.desktop_statements,
            cloud_statements: self.cloud_statements - before.cloud_statements,
            to_cloud: self.to_cloud - before.to_cloud,
            from_cloud: self.from_cloud - before.from_cloud,
            desktop_cpu: self.desktop_cpu - before.desktop_cpu,
            cloud_cpu: self.cloud_cpu - before.cloud_cpu,
            tandem_cpu: self.tandem_cpu - before.tandem_cpu,
        }
    }
}

/// Rows of the cloud's tables, those of the schema `tandem` with them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows {
    /// That were updated or deleted so far: each leaves a dead one.
    pub died: f64,
    /// That are dead and still there: pages are cleaned when they are written again.
    pub dead: f64,
    /// That went into the staging table so far.
    pub staged: f64,
}

impl Rows {
    /// As they are when whoever wrote has left: only then all of it is counted.
    pub async fn of(cloud: &Control) -> Rows {
        let nobody = format!(
            "select not exists (select from pg_stat_activity where datname = current_database() and application_name <> '{OWN}' \
            and backend_type in ('client backend', 'logical replication worker'))"
        );
        wait_for(cloud, &nobody).await;
        let counted = "select concat_ws(' ', sum(n_tup_upd + n_tup_del), sum(n_dead_tup), \
            coalesce(sum(n_tup_ins) filter (where schemaname = 'tandem' and relname = 'staging'), 0)) from pg_stat_user_tables";
        let counted = text(cloud, counted).await;
        let counted: Vec<f64> = counted.split(' ').map(|one| one.parse().unwrap()).collect();
        Rows {
            died: counted[0],
            dead: counted[1],
            staged: counted[2],
        }
    }
}

impl Sub for Rows {
    type Output = Rows;

    fn sub(self, before: Rows) -> Rows {
        Rows {
            died: self.died - before.died,
            dead: self.dead - before.dead,
            staged: self.staged - before.staged,
        }
    }
}

struct Probe {
    postmaster: u32,
    control: Control,
    counts_statements: bool,
}

/// A look at both servers and at what goes between them.
pub struct Meter<'a> {
    desktop: Probe,
    cloud: Probe,
    to_desktop: &'a Proxy,
    to_cloud: &'a Proxy,
}

impl Probe {
    async fn of(server: &Cluster) -> Probe {
        let control = connect(server, "meter").await;
        let has = "select count(*) from pg_extension where extname = 'pg_stat_statements'";
        Probe {
            postmaster: server.pid().unwrap(),
            counts_statements: number(&control, has).await == 1,
            control,
        }
    }

    /// The processes of connections that only look.
    async fn own(&self) -> Vec<u32> {
        let pids = format!(
            "select string_agg(pid::text, ' ') from pg_stat_activity where application_name = '{OWN}'"
        );
        let pids = text(&self.control, &pids).await;
        pids.split(' ').filter_map(|pid| pid.parse().ok()).collect()
    }

    /// In all databases but that of the meter.
    async fn statements(&self) -> f64 {
        if !self.counts_statements {
            return f64::NAN;
        }
        let calls = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements where query !~* '^(begin|commit|rollback)' \
            and dbid <> (select oid from pg_database where datname = 'meter')";
        number(&self.control, calls).await as f64
    }
}

impl<'a> Meter<'a> {
    /// Of these servers and of the proxies before them, the desktop's first.
    pub async fn new(servers: (&Cluster, &Cluster), proxies: (&'a Proxy, &'a Proxy)) -> Meter<'a> {
        Meter {
            desktop: Probe::of(servers.0).await,
            cloud: Probe::of(servers.1).await,
            to_desktop: proxies.0,
            to_cloud: proxies.1,
        }
    }

    /// Our own connections of now are left out; they have to be the same at both looks.
    pub async fn read(&self) -> Counters {
        let (desktop, cloud) = (&self.desktop, &self.cloud);
        let own = [desktop.own().await, cloud.own().await].concat();
        let (there, back) = (self.to_cloud.stats(), self.to_desktop.stats());
        let wal = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
        Counters {
            wal: number(&cloud.control, wal).await as f64,
            desktop_statements: desktop.statements().await,
            cloud_statements: cloud.statements().await,
            to_cloud: (there.to_upstream + back.to_client) as f64,
            from_cloud: (there.to_client + back.to_upstream) as f64,
            desktop_cpu: of_children(desktop.postmaster, &own),
            cloud_cpu: of_children(cloud.postmaster, &own),
            tandem_cpu: of_children(std::process::id(), &[]),
        }
    }

    /// Bytes of log that a slot holds back now.
    pub async fn held(&self, slot: &str) -> f64 {
        let held = format!(
            "select coalesce(max(pg_current_wal_insert_lsn() - restart_lsn), 0)::bigint from pg_replication_slots where slot_name = '{slot}'"
        );
        number(&self.desktop.control, &held).await as f64
    }
}
