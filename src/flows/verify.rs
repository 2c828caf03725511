//! Are both sides equal? By reading alone; what differs is looked at again after the cloud has caught up, until it has stood
//! still between two looks: only that is no mere delay.

mod asked;

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use self::asked::{Both, Way};
use crate::fault::Fault;
use crate::limits;
use crate::plan::verify::{Comparison, Reading};

/// What a comparison came to.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Rows of the desktop.
    pub desktop_rows: u64,
    /// Rows of the cloud.
    pub cloud_rows: u64,
    /// Rows that differ, by the hash of what names them.
    pub bad: BTreeMap<i64, Bad>,
}

/// What is wrong with the rows of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bad {
    /// The desktop's, by hash, with how many there are.
    pub desktop: BTreeMap<i64, i64>,
    /// The cloud's.
    pub cloud: BTreeMap<i64, i64>,
    /// Which versions of the rows these are, where that counts.
    pub versions: Vec<String>,
    /// The key's values, where rows are named.
    pub key: Vec<Option<String>>,
    /// All compared values of the desktop's row, and of the cloud's, as far as they were asked for.
    pub values: Option<Vec<Option<String>>>,
    /// The cloud's.
    pub cloud_values: Option<Vec<Option<String>>>,
}

impl Bad {
    /// Rows that only the desktop has, rows that only the cloud has, rows that differ.
    pub fn counts(&self, what: &Comparison) -> (u64, u64, u64) {
        if what.shared() {
            return (0, 0, self.other());
        }
        if what.keyed && !self.desktop.is_empty() && !self.cloud.is_empty() {
            return (0, 0, 1);
        }
        let (desktop, cloud) = self.only();
        (desktop, cloud, 0)
    }

    /// How many rows only the desktop has, and only the cloud.
    fn only(&self) -> (u64, u64) {
        let only = |these: &BTreeMap<i64, i64>, others: &BTreeMap<i64, i64>| {
            let more = these
                .iter()
                .map(|(hash, copies)| copies - others.get(hash).unwrap_or(&0));
            more.map(|copies| copies.max(0).unsigned_abs()).sum()
        };
        (
            only(&self.desktop, &self.cloud),
            only(&self.cloud, &self.desktop),
        )
    }

    /// How many rows both have, and each otherwise.
    fn other(&self) -> u64 {
        let (desktop, cloud) = self.only();
        desktop.min(cloud)
    }
}

/// Compares; of so many rows that differ the values are read, too. `catch_up` returns when the receiving side has all that the other one had when it was called, or never will.
///
/// # Errors
/// When a side can't be asked.
pub async fn verify(
    desktop: &Client,
    cloud: &Client,
    what: &Comparison,
    catch_up: &impl AsyncFn() -> Result<(), Fault>,
    valued: usize,
) -> Result<Verified, Fault> {
    let both = Both::new(desktop, cloud, what).await?;
    let (ranges, mut verified) = both.ranges().await?;
    if ranges.0.is_empty() {
        return Ok(verified);
    }
    catch_up().await?;
    let mut suspects = BTreeMap::new();
    // Some at a time: of each only the rows that differ are kept.
    let at_once = match both.way {
        Way::Abroad { named: false } => limits::VERIFY_RANGES_SENT,
        Way::Abroad { named: true } | Way::InReverse => limits::VERIFY_RANGES,
    };
    for some in ranges.0.chunks(at_once) {
        suspects.append(&mut both.rows(Which::Ranges(some.to_vec(), ranges.1)).await?);
    }
    for _ in 0..limits::VERIFY_LOOKS {
        if suspects.is_empty() {
            break;
        }
        catch_up().await?;
        let again = both
            .rows(Which::Keys(suspects.keys().copied().collect()))
            .await?;
        let stood_still =
            |(key, bad): (&i64, &Bad)| (suspects.get(key) == Some(bad)).then_some(*key);
        let still: Vec<_> = again.iter().filter_map(stood_still).collect();
        for key in still {
            if let Some(bad) = again.get(&key) {
                verified.bad.insert(key, bad.clone());
            }
        }
        suspects = { again.into_iter() }
            .filter(|(key, _)| !verified.bad.contains_key(key))
            .collect();
    }
    both.values(&mut verified, valued).await?;
    Ok(verified)
}

/// Of each range how many rows, and the sum of their hashes.
type Sums = BTreeMap<i32, (i64, i128)>;

enum Which {
    Ranges(Vec<i32>, u32),
    Keys(Vec<i64>),
}

impl Both<'_> {
    /// Ranges that differ, of how many; and how many rows there are.
    async fn ranges(&self) -> Result<((Vec<i32>, u32), Verified), Fault> {
        let size = self.size().await?;
        let wanted = size / limits::VERIFY_RANGE_ROWS;
        let ranges = wanted.clamp(64, 65_536).next_power_of_two() as u32;
        let (mut desktop, mut cloud) = (Sums::new(), Sums::new());
        let mut add = |of_desktop: bool, row: Row| {
            let sums = if of_desktop { &mut desktop } else { &mut cloud };
            let (rows, sum) = sums.entry(row.get(0)).or_default();
            *rows += row.get::<_, i64>(1);
            *sum += row.get::<_, String>(2).parse().unwrap_or(0);
        };
        self.ask(Reading::Ranges(ranges), &[], &mut add).await?;
        let count =
            |sums: &Sums| -> u64 { sums.values().map(|(rows, _)| rows.unsigned_abs()).sum() };
        // Rows that are counted already aren't counted once more.
        let counted = |sums: &Sums| if self.what.shared() { 0 } else { count(sums) };
        let verified = Verified {
            desktop_rows: counted(&desktop),
            cloud_rows: counted(&cloud),
            bad: BTreeMap::new(),
        };
        let all: BTreeSet<_> = desktop.keys().chain(cloud.keys()).copied().collect();
        let differ = all
            .into_iter()
            .filter(|range| desktop.get(range) != cloud.get(range));
        Ok(((differ.collect(), ranges), verified))
    }

    /// How many rows the desktop's table has, about.
    async fn size(&self) -> Result<u64, Fault> {
        let counted = self.what.desktop.count();
        let rows = self.desktop.query_typed(&counted, &[]).await;
        let rows = rows.map_err(Fault::at(self.first()))?;
        Ok(rows
            .first()
            .map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    /// Rows that differ, among these.
    async fn rows(&self, which: Which) -> Result<BTreeMap<i64, Bad>, Fault> {
        let mut found: BTreeMap<i64, Bad> = BTreeMap::new();
        let mut add = |of_desktop: bool, row: Row| {
            let bad = found.entry(row.get(0)).or_default();
            let rows = match of_desktop {
                true => &mut bad.desktop,
                false => &mut bad.cloud,
            };
            *rows.entry(row.get(1)).or_default() += row.get::<_, i64>(2);
            let version: String = row.get(3);
            bad.versions
                .extend((!version.is_empty()).then_some(version));
        };
        match &which {
            Which::Ranges(these, ranges) => {
                let params = [(these as &(dyn ToSql + Sync), Type::INT4_ARRAY)];
                self.ask(Reading::RowsIn(*ranges), &params, &mut add)
                    .await?;
            }
            Which::Keys(keys) => {
                let params = [(keys as &(dyn ToSql + Sync), Type::INT8_ARRAY)];
                self.ask(Reading::RowsOf, &params, &mut add).await?;
            }
        }
        found.retain(|_, bad| bad.desktop != bad.cloud);
        match self.what.shared() {
            true => found.retain(|_, bad| bad.other() > 0),
            false if self.what.extras => {}
            false => found.retain(|_, bad| !bad.cloud.is_empty()),
        }
        for bad in found.values_mut() {
            bad.versions.sort_unstable();
        }
        Ok(found)
    }

    /// The values of rows that differ, for people.
    async fn values(&self, verified: &mut Verified, valued: usize) -> Result<(), Fault> {
        if verified.bad.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = verified.bad.keys().copied().collect();
        // Of the phone's rows the cloud's own names count, of the desktop's theirs.
        let reverse = self.what.homeward();
        let digits = self
            .what
            .desktop
            .charset
            .filter(|_| self.way == Way::InReverse);
        let texts = |row: &Row, at: usize, of_desktop: bool| {
            let mut texts: Vec<Option<String>> = row.get(at);
            if let Some(charset) = digits.filter(|_| of_desktop) {
                let read = |text: &mut String| *text = charset.read_digits(text);
                texts.iter_mut().flatten().for_each(read);
            }
            texts
        };
        let (first, rest) = keys.split_at(valued.min(keys.len()));
        // Each reading may send the whole table.
        let at_once = match self.way {
            Way::Abroad { named: false } => keys.len(),
            Way::Abroad { named: true } | Way::InReverse => limits::VERIFY_NAMED,
        };
        let first = first.chunks(at_once).map(|some| (some, true));
        let rest = rest.chunks(at_once).map(|some| (some, false));
        for (some, all) in first.chain(rest) {
            let some = some.to_vec();
            let params = [(&some as &(dyn ToSql + Sync), Type::INT8_ARRAY)];
            let reading = if all {
                Reading::ValuesOf
            } else {
                Reading::NamesOf
            };
            let (mut desktop, mut cloud) = (Vec::new(), Vec::new());
            let mut add = |of_desktop: bool, row: Row| match of_desktop {
                true => desktop.push(row),
                false => cloud.push(row),
            };
            self.ask(reading, &params, &mut add).await?;
            for (rows, of_desktop) in match reverse {
                true => [(desktop, true), (cloud, false)],
                false => [(cloud, false), (desktop, true)],
            } {
                for row in rows {
                    let Some(bad) = verified.bad.get_mut(&row.get::<_, i64>(0)) else {
                        continue;
                    };
                    bad.key = texts(&row, 1, of_desktop);
                    if !all {
                        continue;
                    }
                    match of_desktop {
                        true => bad.values = Some(texts(&row, 2, true)),
                        false => bad.cloud_values = Some(texts(&row, 2, false)),
                    }
                }
            }
        }
        Ok(())
    }
}
