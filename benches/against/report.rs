//! Medians, ratios, one table and one document.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::rival::Rival;
use crate::scene::Drained;
use crate::shape::StepShape;

#[derive(Default)]
pub struct Report {
    drains: BTreeMap<(Duration, StepShape, Rival), Vec<Drained>>,
    times: BTreeMap<(Duration, Rival), Vec<f64>>,
}

/// The middle one of some figures.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

struct Line {
    rate: f64,
    cpu_us: f64,
    peak_mb: f64,
}

impl Report {
    pub fn new() -> Report {
        Report::default()
    }

    pub fn drained(&mut self, trip: Duration, shape: StepShape, rival: Rival, drained: Drained) {
        self.drains
            .entry((trip, shape, rival))
            .or_default()
            .push(drained);
    }

    pub fn seen(&mut self, trip: Duration, rival: Rival, times: Vec<f64>) {
        self.times.entry((trip, rival)).or_default().extend(times);
    }

    fn line(&self, trip: Duration, shape: StepShape, rival: Rival) -> Option<Line> {
        let drains = self.drains.get(&(trip, shape, rival))?;
        let of = |figure: fn(&Drained) -> f64| median(drains.iter().map(figure).collect());
        Some(Line {
            rate: of(|drained| drained.rows as f64 / drained.seconds),
            cpu_us: of(|drained| drained.usage.cpu * 1e6 / drained.rows as f64),
            peak_mb: of(|drained| drained.usage.peak_kb as f64 / 1024.0),
        })
    }

    /// Each round's ratio, and of these the median: a slow minute hits both.
    fn ratio(&self, trip: Duration, shape: StepShape, to: Rival) -> f64 {
        let of = |rival| {
            self.drains
                .get(&(trip, shape, rival))
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        let pairs = of(Rival::Tandem).iter().zip(of(to));
        median(
            pairs
                .map(|(ours, theirs)| theirs.seconds / ours.seconds)
                .collect(),
        )
    }

    pub fn print_drain(&self, trip: Duration, shape: StepShape) {
        println!("\n{}, {} ms round trips", shape.words(), trip.as_millis());
        println!(
            "  {:<14} {:>10} {:>12} {:>9}",
            "", "rows/s", "us CPU/row", "peak MB"
        );
        for rival in Rival::ALL {
            if let Some(Line {
                rate,
                cpu_us,
                peak_mb,
            }) = self.line(trip, shape, rival)
            {
                let peak = if peak_mb > 0.0 {
                    format!("{peak_mb:.0}")
                } else {
                    "-".to_owned()
                };
                println!(
                    "  {:<14} {rate:>10.0} {cpu_us:>12.1} {peak:>9}",
                    rival.name()
                );
            }
        }
        println!(
            "  tandem / native {:.2}, tandem / lazy reader {:.2}",
            self.ratio(trip, shape, Rival::Native),
            self.ratio(trip, shape, Rival::Lazy)
        );
    }

    fn percentiles(&self, trip: Duration, rival: Rival) -> Option<(f64, f64)> {
        let mut times = self.times.get(&(trip, rival))?.clone();
        times.sort_by(f64::total_cmp);
        Some((percentile(&times, 0.5), percentile(&times, 0.99)))
    }

    pub fn print_latency(&self, trip: Duration) {
        println!(
            "\ncommit to visible, 50 rows/s, {} ms round trips",
            trip.as_millis()
        );
        for rival in [Rival::Tandem, Rival::Native] {
            if let Some((middle, late)) = self.percentiles(trip, rival) {
                println!(
                    "  {:<14} p50 {middle:>7.2} ms   p99 {late:>7.2} ms",
                    rival.name()
                );
            }
        }
    }

    /// All of it as one document.
    pub fn json(&self) -> String {
        let drains = self.drains.keys().map(|(trip, shape, rival)| {
            let line = self.line(*trip, *shape, *rival);
            let line = line.map(|line| json!({ "rows_per_second": line.rate, "cpu_us_per_row": line.cpu_us, "peak_mb": line.peak_mb }));
            json!({ "shape": shape.name(), "round_trip_ms": trip.as_millis() as u64, "by": rival.name(), "median": line,
                "ratio_of_tandem": self.ratio(*trip, *shape, *rival) })
        });
        let latencies = self.times.keys().filter_map(|(trip, rival)| {
            let (middle, late) = self.percentiles(*trip, *rival)?;
            Some(json!({ "round_trip_ms": trip.as_millis() as u64, "by": rival.name(), "p50_ms": middle, "p99_ms": late }))
        });
        let (drains, latencies): (Vec<Value>, Vec<Value>) = (drains.collect(), latencies.collect());
        json!({ "schema": 1, "drain": drains, "latency": latencies }).to_string()
    }
}
