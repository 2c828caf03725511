//! The desktop's end of the way home: one transaction for what was found of a table; by halves where the desktop refuses it,
//! until the rows that are refused stand alone.

use std::collections::{HashMap, HashSet};

use super::outcome::{Done, Outcome};
use super::poll::{Found, State};
use super::refusals::{is_busy, is_rows, lies_between_rows, words};
use crate::apply::{Applied as Ran, Applier, ApplyError, Script};
use crate::failpoint;
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::flows::copy::not_applied_on;
use crate::limits;
use crate::model::{ReverseTable, Statement, sqlstate};
use crate::plan::reverse::{
    Coming, Told, Verdict, adopt, bare_mark, claim, fill, level, mark, put, remember, remove,
};
use crate::plan::{TransactionSettings, at_once, hash_joins, opening};
use crate::wire::ServerError;

/// What became of what was found.
pub(super) struct Delivered {
    /// Rows whose entries may go.
    pub(super) done: Vec<Done>,
    /// Why the table can't go on; the entries of the other rows stay.
    pub(super) broken: Option<String>,
}

/// One entry's rows, which are written together.
#[derive(Clone)]
struct Item {
    found: Vec<Found>,
    work: Work,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Put,
    Remove,
    Level,
}

/// Writes what was found of one table.
///
/// # Errors
/// When the desktop is away.
pub(super) async fn deliver(
    desktop: &mut Applier,
    reverse: &ReverseTable,
    replicator: &str,
    found: Vec<Found>,
) -> Result<Delivered, Fault> {
    let mut delivered = Delivered {
        done: Vec::new(),
        broken: None,
    };
    let told: Vec<_> = { found.iter() }
        .filter_map(|found| found.told.clone())
        .collect();
    if !told.is_empty() && !learn(desktop, reverse, replicator, &told).await? {
        return Ok(delivered);
    }
    let (items, judged) = sorted(reverse, found);
    delivered.done.extend(judged);
    let mut round = Round {
        reverse,
        delivered,
        waiting: vec![(items, false)],
        tied: Vec::new(),
        tries: 0,
        doubted: HashSet::new(),
    };
    while let Some((items, loosely)) = round.waiting.pop() {
        let written = match items.is_empty() {
            true => Ok(None),
            false => {
                let written = write(desktop, reverse, replicator, &items, loosely).await;
                written.map(Some)
            }
        };
        let together = match written {
            Ok(written) => {
                round.written(&items, written, loosely)?;
                !loosely
            }
            Err(ApplyError::Refused { error, .. }) if is_busy(&error) => {
                // Somebody has the rows; they are tried again with the next poll.
                tracing::debug!(table = %reverse.name, "{error}");
                return Ok(round.delivered);
            }
            Err(ApplyError::Refused { error, .. }) if !is_rows(&error) && blames_table(&error) => {
                round.delivered.broken = Some(format!("the desktop refuses it: {error}"));
                return Ok(round.delivered);
            }
            Err(ApplyError::Refused { error, step, .. }) if is_rows(&error) => {
                round.refused(items, loosely, (&error, step))
            }
            Err(error) => return Err(not_applied_on(Side::Desktop, error)),
        };
        if together {
            round.try_tied_together();
        }
    }
    Ok(round.ended())
}

/// What is to be written, the rows of an entry together; and what becomes of the other rows without the desktop.
fn sorted(reverse: &ReverseTable, found: Vec<Found>) -> (Vec<Item>, Vec<Done>) {
    let (mut items, mut judged) = (Vec::<Item>::new(), Vec::new());
    for found in found {
        match judge(reverse, &found) {
            Err(outcome) => judged.push(done(&found, outcome)),
            Ok(work) => {
                let same = |item: &&mut Item| item.found[0].coming.entry == found.coming.entry;
                match items.last_mut().filter(same) {
                    Some(item) => item.found.push(found),
                    None => items.push(Item {
                        found: vec![found],
                        work,
                    }),
                }
            }
        }
    }
    (items, judged)
}

/// One table's rows on their way into the desktop.
struct Round<'r> {
    reverse: &'r ReverseTable,
    delivered: Delivered,
    /// What is written next, each in a transaction of its own; loosely: its rows may wait for one another.
    waiting: Vec<(Vec<Item>, bool)>,
    /// Refused alone for what other rows have: together they may fit.
    tied: Vec<(Item, Outcome)>,
    /// So many times they were tried together in vain.
    tries: u32,
    /// Kept out once: where something may keep rows out, somebody may just as well have replaced this one in the same
    /// moment.
    doubted: HashSet<u64>,
}

impl Round<'_> {
    /// The desktop has taken them.
    fn written(
        &mut self,
        items: &[Item],
        written: Option<(Ran, Vec<usize>)>,
        loosely: bool,
    ) -> Result<(), Fault> {
        let reverse = self.reverse;
        let verdicts = match written {
            None => HashMap::new(),
            Some((ran, answers)) => {
                verdicts(&ran, &answers).map_err(|cause| unread(reverse, cause))?
            }
        };
        self.delivered.done.extend(items.iter().map(|item| {
            let verdict = verdicts.get(&item.found[0].coming.entry);
            done(
                &item.found[0],
                outcome(reverse, &item.found[0], verdict.copied()),
            )
        }));
        if loosely {
            self.tied.clear();
        }
        Ok(())
    }

    /// The desktop refuses some of the rows: they are halved until one stands alone. Says whether those that are tied
    /// may be tried together next.
    fn refused(
        &mut self,
        mut items: Vec<Item>,
        loosely: bool,
        (error, step): (&ServerError, Option<usize>),
    ) -> bool {
        let settled = &mut self.delivered.done;
        if let (true, Some(at)) = (loosely, step.filter(|at| *at < self.tied.len())) {
            // It is what the others can do without.
            let (item, why) = self.tied.remove(at);
            settled.push(done(&item.found[0], why));
            self.tries += 1;
            return self.tries < limits::REVERSE_TIED_TRIES;
        }
        if items.len() > 1 && !loosely {
            let rest = items.split_off(items.len() / 2);
            self.waiting.extend([(rest, false), (items, false)]);
        } else if let (Some(item), false) = (items.pop(), loosely) {
            if error.code == sqlstate::KEPT_OUT && self.doubted.insert(item.found[0].coming.entry) {
                self.waiting.push((vec![item], false));
                return false;
            }
            if error.code == sqlstate::KEPT_OUT && self.reverse.lets_keep_out {
                settled.push(done(&item.found[0], Outcome::RuledOut));
                return false;
            }
            let why = Outcome::parked(&error.code, words(error));
            match self.reverse.knot.is_some() && lies_between_rows(error) {
                true => self.tied.push((item, why)),
                false => settled.push(done(&item.found[0], why)),
            }
        }
        !loosely
    }

    /// When nothing else is left to be written.
    fn try_tied_together(&mut self) {
        if self.waiting.is_empty() && self.tied.len() > 1 {
            let together = self.tied.iter().map(|(item, _)| item.clone());
            self.waiting.push((together.collect(), true));
        }
    }

    /// What is tied still, and fits neither alone nor together, is refused.
    fn ended(mut self) -> Delivered {
        let parked = self.tied.into_iter();
        let parked = parked.map(|(item, why)| done(&item.found[0], why));
        self.delivered.done.extend(parked);
        self.delivered
    }
}

/// The ledger takes over what the cloud has of the desktop's changes: a transaction of its own, that does nothing when it is
/// repeated. False when somebody has the rows.
async fn learn(
    desktop: &mut Applier,
    reverse: &ReverseTable,
    replicator: &str,
    told: &[Told],
) -> Result<bool, Fault> {
    let mut statements = opening(&TransactionSettings::desktop());
    statements.push(adopt(reverse, replicator, told));
    match desktop.run(Script::staying(statements)).await {
        Ok(_) => Ok(true),
        Err(ApplyError::Refused { error, .. }) if is_busy(&error) => Ok(false),
        // A type that isn't there any more, for one: the rows themselves say more about it.
        Err(ApplyError::Refused { error, .. }) => {
            tracing::debug!(table = %reverse.name, %error, "not taken over");
            Ok(true)
        }
        Err(error) => Err(not_applied_on(Side::Desktop, error)),
    }
}

/// What is to be done with a row; or what becomes of it without the desktop.
fn judge(reverse: &ReverseTable, found: &Found) -> Result<Work, Outcome> {
    if found.only_told {
        return Err(Outcome::Folded);
    }
    let owns = !reverse.owned.is_empty();
    match found.state {
        State::Gone | State::Mobile if reverse.rows => match found.state {
            State::Mobile if too_large(found) => {
                let why = format!(
                    "the row has {} bytes, more than half of forward.memory_max",
                    found.bytes
                );
                Err(Outcome::parked(sqlstate::TOO_LARGE, why))
            }
            State::Mobile => Ok(Work::Put),
            _ => Ok(Work::Remove),
        },
        State::Desktop if owns => Ok(Work::Level),
        State::Gone => Err(Outcome::Folded),
        State::Emptied | State::Hidden | State::Mobile | State::Desktop | State::Other => {
            Err(Outcome::RuledOut)
        }
    }
}

/// Its cells weren't read.
fn too_large(found: &Found) -> bool {
    found.bytes > 0 && found.coming.cells.iter().all(Option::is_none)
}

fn done(found: &Found, outcome: Outcome) -> Done {
    Done {
        key: found.coming.key.clone(),
        entries: found.entries.clone(),
        new: found.new,
        cells: found.coming.cells.clone(),
        outcome,
    }
}

/// What a verdict of the desktop comes to; without one a later entry was there before.
fn outcome(reverse: &ReverseTable, found: &Found, verdict: Option<Verdict>) -> Outcome {
    let ours = |applied| match reverse.keeps_desktop {
        true => Outcome::RuledOut,
        false => applied,
    };
    match verdict {
        Some(Verdict::Update) if found.again => Outcome::Rewritten,
        Some(Verdict::Update | Verdict::Insert | Verdict::Delete) => Outcome::Applied,
        Some(Verdict::Changed | Verdict::Removed | Verdict::Deleted) => ours(Outcome::Applied),
        Some(Verdict::Keep) => Outcome::RuledOut,
        Some(Verdict::Taken) => Outcome::parked(
            sqlstate::KEY_TAKEN,
            "the desktop has a row of its own with this key",
        ),
        Some(Verdict::Reused) => Outcome::parked(
            sqlstate::KEY_REUSED,
            "a row with this key was deleted in the cloud and kept on the desktop; this is another one",
        ),
        Some(Verdict::Same) | None => Outcome::Folded,
    }
}

/// One transaction. Gives its answers, and which of them say what became of the entries. `loosely`: rows may wait for one
/// another.
async fn write(
    desktop: &mut Applier,
    reverse: &ReverseTable,
    replicator: &str,
    items: &[Item],
    loosely: bool,
) -> Result<(Ran, Vec<usize>), ApplyError> {
    let rows = |work: Work| -> Vec<Coming> {
        let items = items.iter().filter(|item| item.work == work);
        let found = items.flat_map(|item| &item.found);
        found.map(|found| found.coming.clone()).collect()
    };
    let (puts, removes, levels) = (rows(Work::Put), rows(Work::Remove), rows(Work::Level));
    let mut statements = opening(&TransactionSettings::desktop());
    let owned = items.iter().any(|item| item.work == Work::Level);
    if items.len() > limits::REVERSE_PROBED_MAX && (owned || !reverse.indexed) {
        // Rows in arrays have no statistics: to look for each of many by reading a whole table must not look cheap.
        statements.push(hash_joins());
    }
    let marks = reverse.streams && puts.len() + removes.len() > 0;
    if !marks {
        statements.push(bare_mark(replicator));
    }
    let mut answers = Vec::new();
    let mut answering = |statements: &mut Vec<Statement>, work: Vec<Statement>| {
        statements.extend(work);
        answers.push(statements.len() - 1);
    };
    for (rows, gone) in [(&puts, false), (&removes, true)] {
        if rows.is_empty() {
            continue;
        }
        if marks {
            statements.push(mark(reverse, replicator, rows, gone));
        }
        statements.push(claim(reverse, replicator, rows));
        let work = match gone {
            true => remove(reverse, replicator, rows),
            false => put(reverse, replicator, rows, loosely),
        };
        answering(&mut statements, work);
        if loosely && !gone {
            // Each row for itself, so that a refusal says whose it is.
            statements.push(at_once());
            for (at, item) in items.iter().enumerate() {
                let rows = item.found.iter().map(|found| found.coming.clone());
                let rows: Vec<_> = rows.filter(|_| item.work == Work::Put).collect();
                let filled = fill(reverse, replicator, &rows).filter(|_| !rows.is_empty());
                statements.extend(filled.map(|filled| Statement {
                    step: Some(at),
                    ..filled
                }));
            }
        }
        statements.push(remember(reverse, replicator, rows));
    }
    if !levels.is_empty() {
        statements.push(claim(reverse, replicator, &levels));
        answering(&mut statements, level(reverse, replicator, &levels));
    }
    failpoint::reach("reverse_sent");
    let ran = desktop.run(Script::staying(statements)).await?;
    Ok((ran, answers))
}

/// What became of each entry. What can't be read is no verdict at all, and says why.
fn verdicts(ran: &Ran, answers: &[usize]) -> Result<HashMap<u64, Verdict>, String> {
    let mut verdicts = HashMap::new();
    for at in answers {
        let row = ran.answers.get(*at).and_then(|answer| answer.row.as_ref());
        let cell = row.and_then(|row| row.first()?.as_ref());
        let json = cell.ok_or("a statement gave no answer")?;
        let list: Vec<(u64, Verdict)> =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        verdicts.extend(list);
    }
    Ok(verdicts)
}

/// The entries stay in the outbox: what was written is found to be so by whoever understands the desktop's answer.
fn unread(reverse: &ReverseTable, cause: String) -> Fault {
    let what = format!(
        "what the desktop says became of {}'s rows on their way home can't be read",
        reverse.name
    );
    Fault::new(Kind::Damaged, what)
        .cause(cause)
        .hint("their entries stay in the cloud's outbox, nothing is lost; does another version of tandem work on this desktop?")
        .next("tandem doctor")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::apply::Answer;

    fn ran(answers: &[Option<&'static str>]) -> Ran {
        let answer = |json: &Option<&'static str>| Answer {
            table: None,
            step: None,
            row: json.map(|json| vec![Some(Bytes::from_static(json.as_bytes()))]),
            rows: 1,
        };
        Ran {
            reached: None,
            committed: None,
            answers: answers.iter().map(answer).collect(),
        }
    }

    #[test]
    fn p6_a_verdict_that_nobody_knows_is_not_taken_for_as_it_should_be() {
        let known = ran(&[None, Some(r#"[[1, "same"], [2, "deleted"]]"#), Some("[]")]);
        let verdicts_known = verdicts(&known, &[1, 2]).unwrap();
        assert_eq!(verdicts_known[&1], Verdict::Same);
        assert_eq!(verdicts_known[&2], Verdict::Deleted);
        for unknown in [
            Some(r#"[[1, "postponed"]]"#),
            Some(r#"[[1, "Same"]]"#),
            Some(r#"[[1, null]]"#),
            Some(r#"[["1", "same"]]"#),
            Some("null"),
            Some(""),
            None,
        ] {
            let why = verdicts(&ran(&[unknown]), &[0]).unwrap_err();
            assert!(!why.is_empty(), "{unknown:?}");
        }
        assert!(verdicts(&ran(&[]), &[0]).is_err(), "a statement too few");
    }
}
