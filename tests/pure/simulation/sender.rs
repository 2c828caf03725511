//! The sender's machine between a model of the desktop and one of the cloud: answers that are lost, batches that are refused and
//! void, sent again in another form, cut in another way by the next session (P1, P3, P8, and P7's counts).
//!
//! `TANDEM_SIM_SEEDS=100000` drives more seeds than a run of the suite does, `TANDEM_SIM_SEED=4711` that one alone: a failure
//! prints which.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem::apply::{ApplyError, Lease};
use tandem::decode::Assembler;
use tandem::fault::Decision;
use tandem::flows::machine::{
    Chunk, Command, Distance, Done, Errand, Event, JobResult, Machine, Outcome, Outgoing,
    OutgoingChunk, PendingBatch, WorkItem, read_parked,
};
use tandem::fold::StreamState;
use tandem::model::{Lsn, Recovery, TableId, TableStop, Tables, Transaction};
use tandem::plan::TransactionSettings;

use super::Dice;
use super::cloud::{Cloud, weather};
use super::desktop::{CLIENTS, ITEMS, Logged, TALLIES, history, relations, tables};

const ALL: [TableId; 3] = [CLIENTS, ITEMS, TALLIES];
const SEEDS: u64 = 2_000;

/// What is on the line.
enum Flight {
    Batch(Outgoing),
    Chunk(OutgoingChunk),
}

/// A batch that may arrive after its session has ended.
type Zombies = Vec<(u64, Outgoing)>;

/// Why a session ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Everything is in the cloud, and nothing more comes.
    Done,
    /// It was cut, or ended itself.
    Again,
}

struct Session<'a> {
    machine: Machine,
    cloud: &'a mut Cloud,
    dice: &'a mut Dice,
    log: &'a [Logged],
    tables: Arc<Tables>,
    assembler: Assembler,
    /// The tables were described in this session.
    is_described: bool,
    epoch: u64,
    now: Instant,
    /// How many transactions have been taken from the log.
    taken: usize,
    /// Batches on the line, and answers on their way back.
    line: VecDeque<Flight>,
    /// What the machine has not got yet of a transaction in one pass.
    chunks: VecDeque<Chunk>,
    /// Which one has begun so, in whatever session.
    attempt: &'a mut usize,
    /// The session can't go on.
    given_up: bool,
    answers: VecDeque<Result<Done, ApplyError>>,
    /// The last answer is a refusal, which nobody has read yet.
    is_refused: bool,
    errand: Option<Errand>,
    /// Out of luck one time in so many.
    luck: u64,
}

impl<'a> Session<'a> {
    fn begin(
        cloud: &'a mut Cloud,
        (log, tables): (&'a [Logged], Arc<Tables>),
        (dice, attempt): (&'a mut Dice, &'a mut usize),
        luck: u64,
    ) -> Session<'a> {
        cloud.epoch += 1;
        cloud.refused.clear();
        cloud.vain = 0;
        let epoch = cloud.epoch;
        let at = |logged: &&Logged| logged.end <= cloud.checkpoint().0;
        let taken = log.iter().take_while(at).count();
        let mut book = StreamState::default();
        for table in ALL {
            let at = usize::from(table.0);
            match cloud.state.stopped[at] {
                Some(Recovery::Operator) if cloud.broken[at] || dice.once_in(2) => book.stop(table),
                Some(_) => cloud.copy(at, &desktop_at(log, taken)),
                None => {}
            }
        }
        // Whoever takes the lease waits for the disk, and so does a copy.
        cloud.flush();
        let going: Vec<_> = { ALL.into_iter() }
            .filter(|table| !book.is_stopped(*table))
            .collect();
        let parked = cloud.parked(&going).to_string();
        book.parking = read_parked(parked.as_bytes(), &tables).unwrap();
        let lease = Lease {
            replicator: "office".to_owned(),
            slot: "tandem".to_owned(),
            epoch,
        };
        let distance = Distance {
            round_trip: Duration::from_millis(80),
            longest_pause: Duration::from_millis(50),
            direct: !dice.once_in(4),
        };
        let (now, from) = (Instant::now(), cloud.checkpoint());
        let opening = TransactionSettings::cloud(Duration::from_secs(60), false);
        let machine = Machine::new((opening, lease), tables.clone(), book, from, distance, now);
        Session {
            machine,
            cloud,
            dice,
            log,
            tables,
            epoch,
            now,
            taken,
            line: VecDeque::new(),
            chunks: VecDeque::new(),
            attempt,
            given_up: false,
            answers: VecDeque::new(),
            is_refused: false,
            errand: None,
            luck,
            assembler: Assembler::default(),
            is_described: false,
        }
    }

    /// One session, until it is cut or has nothing more to do.
    fn run(mut self, zombies: &mut Zombies) -> End {
        for _ in 0..2_000 {
            self.now += Duration::from_millis(self.dice.below(40));
            match self.dice.below(10) {
                0..3 => self.feed(),
                3..6 => self.work(),
                6..9 => {
                    if let Err(end) = self.hear() {
                        self.cut(zombies);
                        return end;
                    }
                }
                _ => {
                    if self.dice.once_in(self.luck) {
                        self.cloud.saw("the line is cut");
                        self.cut(zombies);
                        return End::Again;
                    }
                    self.wait();
                }
            }
            self.carry_out();
            if self.given_up {
                self.cloud.saw("a transaction is given up in one pass");
                self.cut(zombies);
                return End::Again;
            }
            self.a_zombie_writes_nothing(zombies);
            if !self.machine.is_busy() && self.chunks.is_empty() {
                self.machine_knows_what_waits();
                if self.taken == self.log.len() && self.errand.is_none() {
                    self.flush();
                }
                if self.taken == self.log.len() && self.errand.is_none() {
                    assert_eq!(self.machine.durable(), self.machine.checkpoint());
                    return End::Done;
                }
            }
        }
        panic!("it gets nowhere");
    }

    /// What comes next from the desktop, as decoded.
    fn feed(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            return self.feed_chunk(chunk);
        }
        if !self.machine.has_room(self.line.len() < 3, self.now) || self.taken == self.log.len() {
            return;
        }
        if self.dice.once_in(4) && *self.attempt <= self.taken {
            let transaction = self.decode(1).pop().unwrap();
            *self.attempt = self.taken;
            return self.cut_up(transaction);
        }
        let most = 1 + self.dice.below(4) as usize;
        let transactions = self.decode(most);
        let mut batch = PendingBatch::of(transactions);
        // It may be a mistake: nothing comes after all.
        batch.followed = !self.dice.once_in(3);
        self.machine.write(WorkItem::Batch(batch));
    }

    /// The next transactions of the log.
    fn decode(&mut self, most: usize) -> Vec<Transaction> {
        let mut transactions: Vec<Transaction> = Vec::new();
        let log = self.log;
        for logged in log[self.taken..].iter().take(most) {
            let (begin, rest) = logged.messages.split_first().unwrap();
            assert!(self.assembler.push(begin).unwrap().is_none());
            if !std::mem::replace(&mut self.is_described, true) {
                for relation in relations() {
                    assert!(self.assembler.push(&relation).unwrap().is_none());
                }
            }
            for message in rest {
                transactions.extend(self.assembler.push(message).unwrap());
            }
            self.taken += 1;
        }
        transactions
    }

    /// A transaction goes as it comes.
    fn cut_up(&mut self, mut transaction: Transaction) {
        let mut is_first = true;
        loop {
            let most = 1 + self.dice.below(3) as usize;
            let rest = transaction
                .changes
                .split_off(most.min(transaction.changes.len()));
            let is_last = rest.is_empty() && !self.dice.once_in(8);
            let part = Transaction {
                marks: Vec::new(),
                ..transaction.clone()
            };
            self.chunks.push_back(Chunk::of(part, is_first, is_last));
            if is_last {
                return;
            }
            (transaction.changes, is_first) = (rest, false);
        }
    }

    fn feed_chunk(&mut self, chunk: Chunk) {
        let room = self.line.len() < 3;
        match self.machine.takes_chunk(chunk.is_first(), room, self.now) {
            true => self.machine.write(WorkItem::Chunk(Box::new(chunk))),
            false => self.chunks.push_front(chunk),
        }
    }

    /// It can't go as it comes, and nothing of it has gone.
    fn take_back(&mut self, first: Chunk) {
        self.cloud.saw("a transaction is taken back");
        let mut whole = first.into_transaction();
        for chunk in self.chunks.drain(..) {
            whole.changes.extend(chunk.into_transaction().changes);
        }
        let batch = PendingBatch::of(vec![whole]);
        self.machine.write(WorkItem::Batch(batch));
    }

    /// Does what the machine asks for.
    fn carry_out(&mut self) {
        while let Some(command) = self.machine.poll(self.line.len() < 3, self.now) {
            match command {
                Command::Send(outgoing) => {
                    assert!(self.errand.is_none(), "a job has the connection");
                    self.line.push_back(Flight::Batch(outgoing));
                    self.machine.sent(self.now);
                }
                Command::SendChunk(outgoing) => {
                    assert!(self.errand.is_none(), "a job has the connection");
                    let begins_alone = self.line.is_empty() && self.answers.is_empty();
                    assert!(!outgoing.begins || begins_alone);
                    self.line.push_back(Flight::Chunk(outgoing));
                }
                Command::TakeBack(chunk) => self.take_back(*chunk),
                Command::GiveUp(fault) => {
                    assert_eq!(fault.decision(), Decision::Again, "{fault:?}");
                    self.given_up = true;
                }
                Command::Run(errand, _) => {
                    assert!(self.line.is_empty() && self.answers.is_empty());
                    self.errand = Some(errand);
                }
                Command::Stage(_) => panic!("nothing here is that large"),
            }
        }
    }

    /// The cloud works off what has come first.
    fn work(&mut self) {
        if self.is_refused {
            return;
        }
        let Some(outgoing) = self.line.pop_front() else {
            return;
        };
        let answer = if self.dice.once_in(4 * self.luck) {
            self.cloud.open = None;
            Err(weather())
        } else {
            if let Flight::Batch(outgoing) = &outgoing {
                let before = self.cloud.checkpoint();
                assert_eq!(outgoing.from, before, "P3: a batch for another checkpoint");
            }
            self.arrives(&outgoing)
        };
        self.is_refused = answer.is_err();
        self.answers.push_back(answer);
        self.cloud_holds();
    }

    /// The cloud carries it out.
    fn arrives(&mut self, flight: &Flight) -> Result<Done, ApplyError> {
        match flight {
            Flight::Batch(outgoing) => self.cloud.commit(outgoing, self.epoch),
            Flight::Chunk(chunk) => self.cloud.take_chunk(chunk, self.epoch),
        }
    }

    /// The next answer arrives.
    fn hear(&mut self) -> Result<(), End> {
        let event = if let Some(errand) = self.errand.take() {
            let done = match &errand {
                Errand::Retry(tables) => self.cloud.retry(tables),
                Errand::Flush => {
                    self.cloud.saw("what nothing came behind is flushed");
                    self.cloud.flush();
                    Ok(Done {
                        checkpoint: Some(self.cloud.checkpoint()),
                        answers: Vec::new(),
                    })
                }
                other => panic!("{other:?}: nothing here needs that"),
            };
            self.cloud_holds();
            match done {
                Ok(done) => Event::JobDone(JobResult::Applied(done)),
                Err(error) => Event::JobFailed(error),
            }
        } else {
            match self.answers.pop_front() {
                None => return Ok(()),
                Some(Ok(done)) => Event::Committed(done),
                Some(Err(error)) => {
                    self.void();
                    Event::NotCommitted(error)
                }
            }
        };
        match self.machine.take(event, self.now) {
            Ok(Outcome::CopyAgain(_)) => {
                self.cloud.saw("a session ends for a copy");
                Err(End::Again)
            }
            Ok(Outcome::Committed | Outcome::Again) => {
                self.cloud.confirmed = self.machine.durable().max(self.cloud.confirmed);
                Ok(())
            }
            Err(fault) => {
                let expected = [Decision::Retry, Decision::Again];
                assert!(expected.contains(&fault.decision()), "{fault:?}");
                Err(End::Again)
            }
        }
    }

    /// What was sent behind a refused batch arrives, and finds another checkpoint than its own.
    fn void(&mut self) {
        let line = std::mem::take(&mut self.line);
        for void in line {
            self.cloud.saw("a batch is void");
            let late = self.arrives(&void);
            assert!(
                late.is_err(),
                "P3: a batch was committed without the one before it"
            );
        }
        self.is_refused = false;
    }

    /// Time passes, and things happen to tables.
    fn wait(&mut self) {
        self.now += Duration::from_millis(self.dice.below(3_000));
        if self.machine.parked_due().is_some_and(|due| due <= self.now) {
            self.cloud.saw("parked rows are tried");
            self.machine.try_parked(self.now);
        }
        if self.machine.flush_due().is_some_and(|due| due <= self.now) {
            self.flush();
        }
        let happens = self.cloud.strict && !self.cloud.is_peaceful;
        if happens && self.dice.once_in(4 * self.luck) {
            let table = self.dice.below(3) as usize;
            self.cloud.broken[table] = !self.cloud.broken[table];
        }
        if happens && self.dice.once_in(4 * self.luck) {
            let way = match self.dice.once_in(2) {
                true => Recovery::Operator,
                false => Recovery::Recopy,
            };
            let table = ALL[self.dice.below(3) as usize];
            self.cloud.may_stop[usize::from(table.0)] = true;
            let why = "it no longer fits".to_owned();
            self.machine.halt_later(vec![TableStop { table, why, way }]);
        }
    }

    /// Nothing came behind a batch that did not wait for the disk.
    fn flush(&mut self) {
        if self.machine.flush_due().is_some() {
            self.machine.flush(self.now);
            self.carry_out();
        }
    }

    /// What is on the line may still arrive, now or late, or not at all. Or the cloud itself dies.
    fn cut(&mut self, zombies: &mut Zombies) {
        while let Some(outgoing) = self.line.pop_front() {
            match self.dice.below(3) {
                0 if !self.is_refused => {
                    self.cloud.saw("an answer is lost");
                    self.is_refused = self.arrives(&outgoing).is_err();
                    self.cloud_holds();
                }
                1 => match outgoing {
                    Flight::Batch(outgoing) => zombies.push((self.epoch, outgoing)),
                    // It goes with its connection.
                    Flight::Chunk(_) => self.is_refused = true,
                },
                _ => self.is_refused = true,
            }
        }
        self.cloud.open = None;
        if !self.answers.is_empty() {
            self.cloud.saw("an answer is lost");
        }
        if self.dice.once_in(2) {
            zombies.clear();
            self.cloud.crash();
            self.cloud_holds();
        }
    }

    fn a_zombie_writes_nothing(&mut self, zombies: &mut Zombies) {
        if self.dice.once_in(8)
            && let Some((epoch, outgoing)) = zombies.pop()
        {
            self.cloud.saw("a zombie comes");
            assert!(self.cloud.commit(&outgoing, epoch).is_err(), "P14");
        }
    }

    fn cloud_holds(&self) {
        let checkpoint = self.cloud.checkpoint().0;
        let behind = |logged: &&Logged| logged.end <= checkpoint;
        let at = self.log.iter().take_while(behind).count();
        let whole = at == 0 || self.log[at - 1].end == checkpoint;
        assert!(whole, "P3: a checkpoint within a transaction");
        self.cloud.holds(&desktop_at(self.log, at));
        // P7: what is through is accounted for once.
        let mut changes = [0; 3];
        for logged in &self.log[..at] {
            for (sum, table) in changes.iter_mut().zip(logged.changes) {
                *sum += table;
            }
        }
        assert_eq!(self.cloud.state.counted, changes, "P7");
    }

    /// With nothing on its way the machine knows of the cloud what the cloud does.
    fn machine_knows_what_waits(&self) {
        assert_eq!(self.machine.checkpoint(), self.cloud.checkpoint());
        for table in ALL {
            let book = self.machine.book();
            let is_stopped = self.cloud.state.stopped[usize::from(table.0)].is_some();
            assert_eq!(book.is_stopped(table), is_stopped, "{table:?}");
            if is_stopped {
                continue;
            }
            let rows = book.parking.of(table).into_iter().flatten();
            let mut known: Vec<_> = rows.map(|(name, _)| name.clone()).collect();
            let mut there: Vec<_> = self.cloud.names(table).collect();
            known.sort();
            there.sort();
            assert_eq!(
                known,
                there,
                "parked rows of {}",
                self.tables.get(table).name
            );
        }
    }
}

fn desktop_at(log: &[Logged], transactions: usize) -> super::desktop::Rows {
    let last = transactions.checked_sub(1).map(|at| log[at].after.clone());
    last.unwrap_or_default()
}

/// Parked rows are tried until none of them goes on.
fn settle(session: &mut Session<'_>) {
    let mut waited = usize::MAX;
    while session.cloud.waiting() < waited {
        waited = session.cloud.waiting();
        for _ in 0..ALL.len() {
            session.now += Duration::from_secs(3_600);
            session.machine.try_parked(session.now);
            session.carry_out();
            assert_eq!(session.hear(), Ok(()));
            session.carry_out();
        }
    }
}

/// A whole history; says what happened.
fn drive(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut dice = Dice::of(seed);
    let is_peaceful = dice.once_in(4);
    let log = history(&mut dice, is_peaceful);
    let tables = Arc::new(tables());
    let mut cloud = Cloud::new(is_peaceful, dice.once_in(3), (*tables).clone());
    let mut zombies = Vec::new();
    let luck = 3 + dice.below(20);
    let mut attempt = 0;
    for sessions in 0.. {
        assert!(sessions < 150, "it never ends");
        // Luck comes back in the end.
        let luck = luck + sessions / 10;
        let of = (&log[..], tables.clone());
        let session = Session::begin(&mut cloud, of, (&mut dice, &mut attempt), luck);
        if session.run(&mut zombies) == End::Done {
            break;
        }
    }
    let last = log.last().unwrap();
    assert_eq!(cloud.checkpoint(), Lsn(last.end));
    // The cloud is mended: whatever has stopped is copied, and whatever waits goes on, but for rows that wait for one another.
    for mends in [false, true] {
        cloud.broken = [false; 3];
        cloud.strict &= !mends;
        while mends && cloud.state.stopped.iter().any(Option::is_some) {
            drop(Session::begin(
                &mut cloud,
                (&log, tables.clone()),
                (&mut dice, &mut attempt),
                1,
            ));
        }
        let of = (&log[..], tables.clone());
        let mut session = Session::begin(&mut cloud, of, (&mut dice, &mut attempt), u64::MAX / 8);
        settle(&mut session);
        session.machine_knows_what_waits();
        session.cloud_holds();
        cloud.each_parked_row_is_refused_alone();
    }
    if cloud.waiting() == 0 {
        cloud.saw("all is in the cloud");
        assert_eq!(cloud.state.rows, last.after);
    }
    for (epoch, outgoing) in zombies {
        assert!(cloud.commit(&outgoing, epoch).is_err(), "P14");
    }
    cloud.seen
}

/// Says which seed has failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was TANDEM_SIM_SEED={}", self.0);
        }
    }
}

#[test]
fn p1_p3_p7_p8_lost_answers_refusals_and_other_cuts_change_nothing() {
    let number = |name: &str| {
        let text = std::env::var(name).ok();
        text.map(|text| text.parse::<u64>().unwrap())
    };
    let one = number("TANDEM_SIM_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..number("TANDEM_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let whole = one.is_none() && seeds.end >= SEEDS;
    let mut seen = BTreeMap::new();
    for seed in seeds {
        let said = Seed(seed);
        for (what, times) in drive(seed) {
            *seen.entry(what).or_insert(0) += times;
        }
        drop(said);
    }
    println!("{seen:#?}");
    // Otherwise it proves nothing.
    for what in [
        "a crash takes a batch back",
        "a batch is void",
        "a parked row got through",
        "a session ends for a copy",
        "a step is refused",
        "a table is copied anew",
        "a table is refused",
        "a table stops",
        "a transaction is given up in one pass",
        "a transaction is taken back",
        "a transaction went in one pass",
        "a zombie comes",
        "all is in the cloud",
        "an answer is lost",
        "parked rows are tried",
        "part of a transaction is refused",
        "refused at COMMIT",
        "rows are quarantined",
        "the line is cut",
        "what nothing came behind is flushed",
    ] {
        assert!(!whole || seen.get(what) > Some(&100), "{what}: hardly ever");
    }
}
