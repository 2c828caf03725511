//! The metrics in Prometheus' text format. Pure.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;
use std::time::Duration;

use crate::flows::{BUCKETS_MS, CounterSnapshot};
use crate::observe::{ReverseSample, Sample, State, Status, TableStatus};

/// All metrics: of the last sample of both sides, if there is one, and how old it is; and what the program counted itself.
pub(super) fn render(
    status: Option<(&Status, Duration)>,
    fresh: bool,
    reading: &CounterSnapshot,
) -> String {
    let mut page = Page::default();
    let streams = status.is_some_and(|(status, _)| {
        let moves = matches!(status.forward.state, State::Streaming | State::CatchingUp);
        status.service.running && moves
    });
    page.gauge(
        "tandem_up",
        "1 while the service streams and both sides can be asked",
        f64::from(u8::from(fresh && streams)),
    );
    if let Some((status, age)) = status {
        of_status(&mut page, status, if fresh { Duration::ZERO } else { age });
    }
    page.counter(
        "tandem_batches_total",
        "batches that the cloud committed since the program started",
        reading.batches,
    );
    page.counter(
        "tandem_batch_rows",
        "row changes in them",
        reading.batch_rows,
    );
    page.head(
        "tandem_batch_seconds",
        "time from sending a batch to its commit",
        "histogram",
    );
    for (bound, count) in BUCKETS_MS.iter().zip(&reading.buckets) {
        let seconds = *bound as f64 / 1_000.0;
        page.line(
            "tandem_batch_seconds_bucket",
            &[("le", &seconds.to_string())],
            *count as f64,
        );
    }
    page.line(
        "tandem_batch_seconds_bucket",
        &[("le", "+Inf")],
        reading.batches as f64,
    );
    page.line(
        "tandem_batch_seconds_sum",
        &[],
        reading.batch_time.as_secs_f64(),
    );
    page.line("tandem_batch_seconds_count", &[], reading.batches as f64);
    page.head(
        "tandem_reconnects_total",
        "sessions that ended because a side was away",
        "counter",
    );
    for (side, count) in [
        ("desktop", reading.desktop_reconnects),
        ("cloud", reading.cloud_reconnects),
    ] {
        page.line("tandem_reconnects_total", &[("side", side)], count as f64);
    }
    page.text()
}

/// `older`: so long ago the numbers were true, and the lag has grown by that since.
fn of_status(page: &mut Page, status: &Status, older: Duration) {
    of_forward(page, &status.forward, older);
    of_reverse(page, &status.reverse);
    of_commits(page, status);
    of_quarantine(page, status);
    of_rows(page, &status.tables);
    of_tables(page, &status.tables);
    of_statements(page, status);
    of_refills(page, status);
    of_alerts(page, status);
    of_comparison(page, status);
}

/// How far the cloud is behind, and what that costs the desktop.
fn of_forward(page: &mut Page, forward: &Sample, older: Duration) {
    if let Some(lag) = forward.lag_ms {
        let lag = Duration::from_millis(lag.unsigned_abs()) + older;
        page.gauge(
            "tandem_lag_seconds",
            "how far the cloud is behind the desktop",
            lag.as_secs_f64(),
        );
    }
    if let Some(bytes) = forward.lag_bytes {
        page.gauge(
            "tandem_lag_bytes",
            "WAL of the desktop that the cloud doesn't have yet",
            bytes as f64,
        );
    }
    if let Some(bytes) = forward.wal_held_bytes {
        page.gauge(
            "tandem_wal_held_bytes",
            "WAL that the desktop keeps for us",
            bytes as f64,
        );
    }
    page.gauge(
        "tandem_wal_held_bytes_max",
        "the settings' limit for it",
        forward.wal_held_bytes_max as f64,
    );
}

/// What waits to come home.
fn of_reverse(page: &mut Page, reverse: &ReverseSample) {
    if let Some(pending) = reverse.pending {
        page.gauge(
            "tandem_reverse_pending",
            "entries of phones that wait to come home",
            pending as f64,
        );
    }
    if let Some(lag) = reverse.lag_ms {
        page.gauge(
            "tandem_reverse_lag_seconds",
            "how long the oldest of them has waited",
            lag as f64 / 1_000.0,
        );
    }
}

/// What the cloud has committed.
fn of_commits(page: &mut Page, status: &Status) {
    if let Some(at) = status.last_commit {
        page.gauge(
            "tandem_last_commit_timestamp_seconds",
            "when the cloud committed our last transaction",
            at,
        );
    }
    if let Some(count) = status.transactions {
        page.counter(
            "tandem_transactions_total",
            "transactions of the desktop that are in the cloud",
            count.unsigned_abs(),
        );
    }
}

/// What waits in the quarantine, by direction.
fn of_quarantine(page: &mut Page, status: &Status) {
    page.head(
        "tandem_quarantined",
        "rows that wait in the quarantine",
        "gauge",
    );
    page.line(
        "tandem_quarantined",
        &[("direction", "forward")],
        status.parked.0 as f64,
    );
    page.line(
        "tandem_quarantined",
        &[("direction", "reverse")],
        status.parked.1 as f64,
    );
}

/// What became of rows, by table and direction.
fn of_rows(page: &mut Page, tables: &[TableStatus]) {
    page.head(
        "tandem_rows_total",
        "row messages, by what became of them",
        "counter",
    );
    for table in tables {
        let out = [
            table.applied,
            table.folded,
            table.ruled_out,
            table.quarantined,
        ];
        let reverse = table.reverse.as_ref().map(|counts| {
            [
                counts.applied,
                counts.folded,
                counts.ruled_out,
                counts.quarantined,
            ]
        });
        for (direction, counts) in [("forward", Some(out)), ("reverse", reverse)] {
            let outcomes = ["applied", "folded", "ruled_out", "quarantined"];
            for (outcome, count) in outcomes.iter().zip(counts.into_iter().flatten()) {
                let labels = [
                    ("direction", direction),
                    ("table", table.table.as_str()),
                    ("outcome", *outcome),
                ];
                page.line("tandem_rows_total", &labels, count as f64);
            }
        }
    }
}

/// Which tables wait for a person.
fn of_tables(page: &mut Page, tables: &[TableStatus]) {
    page.head(
        "tandem_table_needs_you",
        "1 for a table that waits for a person",
        "gauge",
    );
    for table in tables {
        page.line(
            "tandem_table_needs_you",
            &[("table", &table.table)],
            f64::from(u8::from(table.needs_you())),
        );
    }
}

/// The office's statements, as they ended last.
fn of_statements(page: &mut Page, status: &Status) {
    let refill = { status.refills.iter() }.any(|refill| refill.failed.is_some());
    let then = { status.then.as_ref() }.is_some_and(|then| then.failed.is_some());
    page.head(
        "tandem_statement_failed",
        "1 if the office's statement failed when it ran last",
        "gauge",
    );
    for (statement, failed) in [("refill", refill), ("then", then)] {
        let failed = f64::from(u8::from(failed));
        page.line(
            "tandem_statement_failed",
            &[("statement", statement)],
            failed,
        );
    }
}

/// The office's refill, part by part.
fn of_refills(page: &mut Page, status: &Status) {
    if status.refills.is_empty() {
        return;
    }
    page.head(
        "tandem_refill_failed",
        "1 for a part of the office's refill that failed when it ran last",
        "gauge",
    );
    for refill in &status.refills {
        let failed = f64::from(u8::from(refill.failed.is_some()));
        let labels = [("refill", refill.name.as_str())];
        page.line("tandem_refill_failed", &labels, failed);
    }
    page.head(
        "tandem_refill_seconds",
        "how long a part of the office's refill took when it ran last",
        "gauge",
    );
    for refill in &status.refills {
        if let Some(took) = refill.took_ms {
            let labels = [("refill", refill.name.as_str())];
            page.line("tandem_refill_seconds", &labels, took as f64 / 1000.0);
        }
    }
}

/// Whether people hear of what is wrong.
fn of_alerts(page: &mut Page, status: &Status) {
    if let Some(alert) = &status.alert {
        page.head(
            "tandem_alert_failed",
            "1 if the last message to people did not arrive that way",
            "gauge",
        );
        for way in &alert.ways {
            let failed = f64::from(u8::from(way.failed.is_some()));
            page.line("tandem_alert_failed", &[("way", way.way.word())], failed);
        }
    }
}

/// What the last comparison found.
fn of_comparison(page: &mut Page, status: &Status) {
    if let Some(verified) = &status.verified {
        page.gauge(
            "tandem_verified_equal",
            "1 if the last comparison found both sides equal",
            f64::from(u8::from(verified.equal)),
        );
    }
}

/// A page of metrics as it grows.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// The whole page.
    pub(super) fn text(self) -> String {
        self.0
    }

    pub(super) fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "gauge");
        self.line(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.line(name, &[], value as f64);
    }

    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = labels.iter().map(|(label, value)| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{label}=\"{value}\"")
        });
        let labels: Vec<_> = escaped.collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_cannot_break_the_format() {
        let mut page = Page::default();
        page.line("x", &[("table", "a\"b\\c\nd")], 1.0);
        assert_eq!(page.0, "x{table=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn without_a_sample_it_is_down_and_says_what_it_knows() {
        let page = render(None, false, &CounterSnapshot::default());
        assert!(page.contains("\ntandem_up 0\n") || page.contains("tandem_up 0\n"));
        assert!(page.contains("tandem_batches_total 0\n"));
        assert!(!page.contains("tandem_lag_seconds"));
    }
}
