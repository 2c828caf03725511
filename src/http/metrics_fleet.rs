//! The metrics of all replicators of a cloud, each with its name as a label. Pure.

use super::metrics::Page;
use crate::observe::{Fleet, Replicator, Verdict};

/// `fresh`: the cloud answered a moment ago.
pub(super) fn render(fleet: Option<&Fleet>, fresh: bool) -> String {
    let mut page = Page::default();
    page.gauge(
        "tandem_fleet_cloud_up",
        "1 while the cloud can be asked",
        f64::from(u8::from(fresh)),
    );
    let all = fleet.map_or(&[][..], |fleet| &fleet.replicators);
    gauges(&mut page, all);
    page.head(
        "tandem_fleet_quarantined",
        "rows that wait in the quarantine",
        "gauge",
    );
    for one in all {
        let (forward, reverse) = (one.quarantined.forward, one.quarantined.reverse);
        for (direction, rows) in [("forward", forward), ("reverse", reverse)] {
            let labels = [
                ("replicator", one.replicator.as_str()),
                ("direction", direction),
            ];
            page.line("tandem_fleet_quarantined", &labels, rows as f64);
        }
    }
    page.head(
        "tandem_fleet_verdict",
        "1 for the verdict that it has, 0 for the others",
        "gauge",
    );
    for one in all {
        let mut known = vec!["unknown".to_owned()];
        known.extend(Verdict::ALL.map(Verdict::word));
        for verdict in known {
            let has = f64::from(u8::from(one.word() == verdict));
            let labels = [
                ("replicator", one.replicator.as_str()),
                ("verdict", &verdict),
            ];
            page.line("tandem_fleet_verdict", &labels, has);
        }
    }
    page.head(
        "tandem_fleet_info",
        "1, with the version of its program",
        "gauge",
    );
    for one in all {
        let version = one.version.as_deref().unwrap_or_default();
        let labels = [
            ("replicator", one.replicator.as_str()),
            ("version", version),
        ];
        page.line("tandem_fleet_info", &labels, 1.0);
    }
    page.text()
}

/// What is one number for each; where it isn't known there is none.
fn gauges(page: &mut Page, all: &[Replicator]) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Replicator) -> Option<f64>| {
        page.head(name, help, "gauge");
        for one in all {
            if let Some(value) = value(one) {
                page.line(name, &[("replicator", &one.replicator)], value);
            }
        }
    };
    let flag = |is: bool| Some(f64::from(u8::from(is)));
    let number = |number: Option<i64>| number.map(|number| number as f64);
    let seconds = |ms: Option<i64>| ms.map(|ms| ms as f64 / 1_000.0);
    each(
        "tandem_fleet_up",
        "1 while the replicator gives signs of life",
        &|one| flag(one.lives()),
    );
    each(
        "tandem_fleet_needs_you",
        "1 where somebody has to do something",
        &|one| flag(!one.is_fine()),
    );
    each(
        "tandem_fleet_last_seen_age_seconds",
        "how long ago its last sign of life was",
        &|one| seconds(one.last_seen_age_ms),
    );
    each(
        "tandem_fleet_lag_seconds",
        "how far the cloud is behind its desktop",
        &|one| seconds(one.lag_ms),
    );
    each(
        "tandem_fleet_lag_bytes",
        "WAL of its desktop that the cloud doesn't have yet",
        &|one| number(one.lag_bytes),
    );
    each(
        "tandem_fleet_reverse_pending",
        "entries of phones that wait to come home",
        &|one| one.reverse.pending.map(|pending| pending as f64),
    );
    each(
        "tandem_fleet_reverse_lag_seconds",
        "how long the oldest of them has waited",
        &|one| seconds(one.reverse.lag_ms),
    );
    each(
        "tandem_fleet_tables_stopped",
        "tables that wait for a person",
        &|one| Some(one.stopped.len() as f64),
    );
    each(
        "tandem_fleet_wal_held_bytes",
        "WAL that its desktop keeps for it",
        &|one| number(one.wal_held_bytes),
    );
    each(
        "tandem_fleet_wal_held_bytes_max",
        "the settings' limit for that",
        &|one| number(one.wal_held_bytes_max),
    );
}
