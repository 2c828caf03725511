//! Every bound in one place, with its unit in its name and its reason beside it.

use std::time::Duration;

/// Bytes read from a socket at once: large enough that a backlog costs few system calls.
pub const READ_BYTES: usize = 256 * 1024;

/// What keeping one message costs beside its bytes: its place in a transaction and in the fold.
/// Measured; without it many small rows would take twice `memory_max`.
pub const MESSAGE_OVERHEAD: usize = 128;

/// Blocks of so many bytes are given back to the system at once, and don't stay with the thread that had them.
pub const MAPPED_BYTES_MIN: usize = 128 * 1024;

/// The largest frame that is accepted, in bytes: PostgreSQL's own limit (`MaxAllocSize`).
pub const FRAME_BYTES_MAX: usize = 0x3fff_ffff;

/// Connecting, TLS and authentication together, where the URL says nothing.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// TCP asks an idle peer whether it lives after this long...
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// ...again after each of these...
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// ...and gives up after this many: a half-open socket is noticed in 25 s.
pub const KEEPALIVE_PROBES: u32 = 3;
/// Data that the peer's kernel doesn't acknowledge for this long ends the connection.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(25);

/// The longest time between two positions reported to the desktop.
pub const FEEDBACK_EVERY: Duration = Duration::from_secs(10);
/// Committed positions are reported so often at most: each report stops the server's sending for a moment.
pub const NEWS_EVERY: Duration = Duration::from_millis(50);
/// While a backlog is written, COMMIT waits for the cloud's disk so often at least; servers write their logs out as often.
pub const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// No frame for this long: ask the desktop for a reply.
pub const SILENCE_BEFORE_ASKING: Duration = Duration::from_secs(10);
/// No frame for this long: the session is dead (P13: noticed in 30 s at most).
pub const SILENCE_MAX: Duration = Duration::from_secs(25);

/// Nothing confirmed for this long while something is outstanding: the stream is ended, so that a
/// shutdown of the desktop's server does not wait for a cloud that is away (P10).
pub const UNCONFIRMED_MAX: Duration = Duration::from_secs(30);

/// The WAL that the desktop keeps is looked at so often where it has a hard limit.
pub const WAL_HELD_EVERY: Duration = Duration::from_secs(10);

/// A statement that takes longer than its limit gets twice that the next time, so many times.
pub const SLOWER_MAX: u32 = 4;

/// Who waits for the lease looks so often whether it is free.
pub const STANDBY_EVERY: Duration = Duration::from_secs(2);

/// A replicator says so often at most in the cloud that it lives, however short its heartbeat is: nobody looks more often.
pub const LIFESIGN_EVERY_MIN: Duration = Duration::from_secs(1);
/// It may take so long, below the shortest term of a lease; then the next one is tried...
pub const LIFESIGN_MAX: Duration = Duration::from_secs(10);
/// ...and so much of it is for asking the desktop, which may be away.
pub const LIFESIGN_DESKTOP_MAX: Duration = Duration::from_secs(4);

/// Browsers and scrapers that are served at once.
pub const HTTP_CONNECTIONS_MAX: usize = 64;
/// The longest that one may take to send its request.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(10);
/// An address that is taken is tried again after this long.
pub const HTTP_RETRY: Duration = Duration::from_secs(5);
/// However often is asked, both sides are looked at so often at most.
pub const HTTP_SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// A look at both sides takes so long at most.
pub const HTTP_SAMPLE_MAX: Duration = Duration::from_secs(8);
/// The page's curves have a point for so much time: a look at both sides that somebody took anyway, else one of its own...
pub const CURVE_EVERY: Duration = Duration::from_secs(30);
/// ...and so many points: an hour, in a few kilobytes.
pub const CURVE_POINTS: usize = 120;
/// However often the page is looked at, what only the page shows is asked for so often at most.
pub const HTTP_DETAILS_EVERY: Duration = Duration::from_secs(5);
/// Reasons of the quarantine, and swaps, that the page shows: what fits a screen.
pub const DETAILS_ROWS: usize = 12;
/// Letters of a reason that the page shows; the whole text is in `tandem quarantine list`.
pub const DETAILS_REASON_MAX: usize = 300;
/// `tandem probe` waits so long for the service's answer; longer than a look at both sides takes at most.
pub const HTTP_ANSWER_MAX: Duration = Duration::from_secs(10);
/// No answer to it is longer.
pub const HTTP_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The supervisor shows so often that it works.
pub const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// After so long without that it is stuck: `/healthz` says so, and what watches it starts it anew. No step of the work holds
/// its thread for nearly as long.
pub const ALIVE_MAX: Duration = Duration::from_secs(120);
/// Words for systemd that wait while it doesn't read; more than a service says in a minute.
pub const UNHEARD_WORDS_MAX: usize = 64;
/// The line for `systemctl status` is made anew so often.
pub const STATUS_LINE_EVERY: Duration = Duration::from_secs(10);
/// With more lag than this it isn't ready.
pub const READY_LAG_MAX: Duration = Duration::from_secs(60);

/// The office is looked at so often for alerts, where `after` isn't shorter...
pub const ALERT_LOOK_MAX: Duration = Duration::from_secs(15);
/// ...and so often at most: each look writes a marker on the desktop.
pub const ALERT_LOOK_MIN: Duration = Duration::from_secs(1);
/// A look takes so long at most; then a side doesn't answer.
pub const ALERT_LOOK_PATIENCE: Duration = Duration::from_secs(20);
/// Nobody looked for so long: the computer slept, and what was before says nothing any more.
pub const ALERT_GAP_MAX: Duration = Duration::from_secs(90);
/// A message takes so long at most, from the first packet to the server's word that it has it.
pub const ALERT_SEND_MAX: Duration = Duration::from_secs(20);
/// The same of the last one, before the program ends.
pub const ALERT_LAST_MAX: Duration = Duration::from_secs(30);
/// A message that didn't arrive is tried again after this long...
pub const ALERT_RETRY_FIRST: Duration = Duration::from_secs(5);
/// ...and, after more and more such tries in vain, so seldom.
pub const ALERT_RETRY_MAX: Duration = Duration::from_secs(600);
/// In this time...
pub const ALERT_HOUR: Duration = Duration::from_secs(3600);
/// ...there are so many messages at most, however much comes and goes: who gets more reads none.
pub const ALERTS_IN_HOUR: usize = 6;
/// Who was told what is written to a database in so long at most.
pub const ALERT_KEEP_MAX: Duration = Duration::from_secs(10);
/// So many reasons stand in a message.
pub const ALERT_REASONS: usize = 20;
/// So many are told apart: of more it only matters that they are many.
pub const ALERT_TROUBLES: usize = 200;
/// Letters of one reason, and of an answer that refuses a message.
pub const ALERT_WORDS: usize = 400;
/// Bytes of a web server's answer that are read to say why it refuses.
pub const ALERT_ANSWER_BYTES: usize = 4096;
/// Bytes of its head.
pub const ALERT_ANSWER_HEAD: usize = 64 * 1024;

/// Rows of one range that is compared by its sum: where one differs so many hashes cross the network.
pub const VERIFY_RANGE_ROWS: u64 = 256;
/// So many ranges are looked at row by row at once.
pub const VERIFY_RANGES: usize = 64;
/// The same where each look at some ranges sends the whole table: their rows' hashes are held in memory meanwhile.
pub const VERIFY_RANGES_SENT: usize = 1_024;
/// Rows that the other side has to look at are sent in so many bytes at once, or one by one where they are larger...
pub const VERIFY_SENT_BYTES: usize = 4 * 1024 * 1024;
/// ...and so many rows.
pub const VERIFY_SENT_ROWS: usize = 20_000;
/// Rows that differ are looked at so often again; those that change all the time are given up as busy.
pub const VERIFY_LOOKS: usize = 8;
/// So many rows that differ are named.
pub const VERIFY_NAMED: usize = 1_000;
/// Of so many rows a repair shows the statement: their values are held in memory.
pub const REPAIR_SHOWN: usize = 10_000;
/// A conflict that somebody has taken note of is kept so long: until after the next quarter's accounts...
pub const CONFLICTS_SEEN_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// ...and one that nobody has looked at a year: both images of a row are personal data that has no purpose for ever.
pub const CONFLICTS_KEPT: Duration = Duration::from_secs(365 * 86_400);
/// How often it is asked whether the first session streams, so that older ones may be looked for.
pub const CONFLICTS_BEGIN: Duration = Duration::from_secs(1);
/// How often older ones are looked for: a day more or less doesn't matter, and the whole log is read for it.
pub const CONFLICTS_EVERY: Duration = Duration::from_secs(86_400);
/// Behind a start, or a comparison that failed, so long until the next; whoever wants them more often gets that.
pub const VERIFY_FIRST: Duration = Duration::from_secs(300);
/// The longest that a comparison waits for the other side between two looks.
pub const VERIFY_WAIT_MAX: Duration = Duration::from_secs(60);

/// A server's statement time-out for our user that is shorter than this ends what has to take its time.
pub const ROLE_TIMEOUT_MIN: Duration = Duration::from_secs(60);
/// A transaction that changes nothing is answered within this, also behind another one.
pub const PIPE_PATIENCE: Duration = Duration::from_secs(10);
/// A WAL sender's time-out below this takes our pauses for our end.
pub const SENDER_TIMEOUT_MIN: Duration = Duration::from_secs(5);

/// Clocks that are further apart are worth a word.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// A look at the cloud's catalogs takes no longer; when all of the cloud is silent the stream notices before.
pub const LOOK_MAX: Duration = Duration::from_secs(60);
/// A table that the cloud refuses although both sides fit is tried again so often: only the cloud knows what is missing.
pub const REFUSED_AGAIN_EVERY: Duration = Duration::from_secs(600);
/// A table that no longer fits is looked at again so often: somebody mends it and sees it go on.
pub const MISFITS_EVERY: Duration = Duration::from_secs(5);

/// A slot that was just left is looked at this often: nothing tells when the server's process is gone.
pub const SLOT_LOOK_EVERY: Duration = Duration::from_millis(100);

/// A stopping session waits this long for the server's goodbye.
pub const GOODBYE_MAX: Duration = Duration::from_secs(3);

/// A batch's messages go out in pieces of about this size, so that they aren't held twice.
pub const WRITE_BYTES: usize = 256 * 1024;

/// Statements that a session of the cloud keeps parsed for us: each takes some 100 kB there, with a plan that is kept twice that.
pub const TOLD_MAX: usize = 32;
/// Longer ones are sent whole each time: their texts are kept on our side, too.
pub const TOLD_BYTES_MAX: usize = 32 * 1024;
/// A server makes a plan of its own for each of the first so many runs of a statement; then it may keep one.
/// Source: `choose_custom_plan` in PostgreSQL's `plancache.c`.
pub const RUNS_WITH_OWN_PLANS: u32 = 5;
/// What writes one row, whose key is looked for in an index, keeps its plan for so many: only a table that was tiny outgrows it...
pub const RUNS_WITH_KEPT_PLAN: u32 = 200;
/// ...and all are planned for anew once so much has come in other statements, some hundred rows, in bytes.
pub const GROWN_BYTES_MAX: u64 = 64 * 1024;

/// A statement with so many rows is told to look for them by index.
pub const PROBED_ROWS_MIN: usize = 200;
/// A batch with so many changes may take long, and renews the lease once more at its end.
pub const RENEWING_CHANGES: usize = 1_000;

/// Rows of one statement, in bytes: they are encoded together.
pub const STATEMENT_BYTES: usize = 2 * 1024 * 1024;

/// Batches that are read ahead while the cloud is busy.
pub const BATCHES_AHEAD: usize = 2;

/// Cloud transactions that may be outstanding at once: at 80 ms round trips sixteen keep the cloud busy.
pub const IN_FLIGHT_MAX: usize = 16;
/// While the cloud works, batches go out at least this far apart, so that few rows don't become many transactions.
pub const BATCH_PAUSE_MIN: Duration = Duration::from_millis(1);

/// So many reads without a pause between them say that there is a backlog: then the socket is let fill...
pub const BACKLOG_READS: u32 = 16;
/// ...for so long before each. A server that stops and goes for each message sends half as fast.
pub const BACKLOG_PAUSE: Duration = Duration::from_millis(1);
/// A pause that brings so many bytes says that they have waited in the log: nobody writes so much for long...
pub const BACKLOG_BYTES: usize = 8 * 1024;
/// ...and so a batch may gather for so long: large ones cost less.
pub const BACKLOG_GATHER: Duration = Duration::from_millis(10);

/// The longest stall that set-up causes for the office program, per table and try (P10).
pub const SETUP_LOCK_TIMEOUT: Duration = Duration::from_millis(300);
/// The pause between two such tries, so that the office program's queue drains.
pub const SETUP_LOCK_PAUSE: Duration = Duration::from_millis(700);
/// Tries for one table before set-up gives up and says who holds it.
pub const SETUP_LOCK_TRIES: u32 = 60;
/// A statement of a migration: our tables are small, and what takes longer would hold the phones' triggers up.
pub const MIGRATION_STATEMENT_MAX: Duration = Duration::from_secs(30);

/// Lock waits of a cloud transaction; far below the 8 s after which phones see errors.
pub const CLOUD_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// The cloud ends a transaction of ours that has lost its client after this long.
pub const CLOUD_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Added to the statement time-out before an unanswered batch is given up.
pub const ANSWER_SLACK: Duration = Duration::from_secs(15);

/// The lease outlives its last renewal by this many heartbeats.
pub const LEASE_HEARTBEATS: u32 = 3;
/// The shortest term of a lease: shorter heartbeats don't make a slow network a lost lease.
pub const LEASE_TERM_MIN: Duration = Duration::from_secs(15);

/// While rows are staged, which may take long, the lease is renewed so often.
pub const RENEW_EVERY: Duration = Duration::from_secs(4);

/// Bytes of one COPY message when tables are filled.
pub const COPY_BYTES: usize = 64 * 1024;
/// Bytes of one staging transaction when tables are filled.
pub const STAGE_BYTES: usize = 16 * 1024 * 1024;

/// The first pause before a retry...
pub const RETRY_FIRST: Duration = Duration::from_millis(200);
/// ...and the longest.
pub const RETRY_MAX: Duration = Duration::from_secs(10);
/// A session that lived this long was healthy: the pauses start small again.
pub const RETRY_RESET_AFTER: Duration = Duration::from_secs(20);

/// While the service is down, onlookers read the desktop's log themselves where no more than so many bytes are kept...
pub const PEEK_BYTES: i64 = 32 * 1024 * 1024;
/// ...so many changes of it...
pub const PEEK_CHANGES: i32 = 1_000;
/// ...and for so long.
pub const PEEK_MAX: Duration = Duration::from_secs(2);

/// How fast WAL grows is said of no shorter time than this.
pub const RATE_AFTER: Duration = Duration::from_secs(60);

/// With nothing committed for this long, and something waiting, it is stalled; that it is only slow is told before.
pub const STALLED_AFTER: Duration = Duration::from_secs(20);

/// What has waited longer than this for the cloud is told to onlookers.
pub const TELL_EVERY: Duration = Duration::from_millis(250);

/// How long a marker may take before the sample says that the cloud is behind.
pub const PROBE_MAX: Duration = Duration::from_secs(2);
/// How often the cloud is asked whether it has come.
pub const PROBE_EVERY: Duration = Duration::from_millis(10);
/// How long `wait` gives a service that isn't there: one just started takes some twenty round trips to a far cloud until it has the lease.
pub const STARTING_MAX: Duration = Duration::from_secs(10);
/// How often `wait` asks.
pub const WAIT_EVERY: Duration = Duration::from_millis(50);

/// How long the cloud may try a step's rows by halves to find those that it refuses. Its row locks last
/// as long, and phones see errors after 8 s. What takes longer is copied anew.
pub const TRY_MAX: Duration = Duration::from_secs(5);
/// The same while a table is copied, whose rows are new, or a large transaction is written, which takes its time anyway.
pub const TRY_LONG_MAX: Duration = Duration::from_secs(60);
/// From so many new rows on it is cheaper to ask what could keep one out without an error, which takes 0.3 ms, than to count
/// those that were written, which takes a tenth of the time that they do.
pub const UNCOUNTED_ROWS_MIN: usize = 2000;
/// Rows whose parents came that are written in one go before those that are refused are looked for by halves: few enough that
/// one bad row doesn't cost the others much.
pub const HEALED_PIECE: u32 = 1024;
/// Rows of one table that may wait in the quarantine: beyond it the table is broken, not its rows. Their names are in memory.
pub const PARKED_ROWS_MAX: u64 = 10_000;
/// Bytes that they may have together.
pub const PARKED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of their values that are kept in memory: a later version that lacks some of one that isn't is parked for its size.
pub const PARKED_KEPT_BYTES: usize = 8 * 1024 * 1024;
/// How often the rows of a copy are compared, by halves around those that can't be read, to say how many were equal: each
/// time may read the whole table of the cloud.
pub const WEIGH_TRIES_MAX: u64 = 40;
/// Parked rows of one table that are tried again at once.
pub const RETRY_ROWS: u64 = 1_000;
/// How soon after a batch parked rows are tried again: its rows may be what they wait for.
pub const PARKED_RETRY_SOON: Duration = Duration::from_secs(1);
/// The next table's parked rows are tried so much later: batches go on between.
pub const PARKED_RETRY_NEXT: Duration = Duration::from_millis(200);
/// How soon they are tried again when nothing comes...
pub const PARKED_RETRY_EVERY: Duration = Duration::from_secs(60);
/// ...and, after more and more such tries in vain, how seldom.
pub const PARKED_RETRY_MAX: Duration = Duration::from_secs(600);
/// Mass deletes are measured from here on (`max_shrink`).
pub const SHRINK_ROWS_MIN: u64 = 100;

/// Names of rows that the stream changes while their tables are copied, in bytes: beyond it the copy is made anew.
pub const TOUCHED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What keeping one costs beside its bytes.
pub const TOUCHED_OVERHEAD: usize = 96;
/// The last transactions that came are remembered: a copy's snapshot that doesn't see one of them is taken anew. One
/// that is in the log and not yet seen is about to be, or waits for a synchronous standby.
pub const RECENT_TRANSACTIONS: usize = 16 * 1024;
/// How long after that the next snapshot is taken.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// A swap whose table changed too much meanwhile is tried again so often...
pub const SWAP_TRIES: u32 = 5;
/// ...and so much later each time.
pub const SWAP_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// A swap that a person asked for so long ago is no longer waited for.
pub const SWAP_ASKED_MAX: Duration = Duration::from_secs(3600);

/// Rows that are fetched at once to be compared...
pub const COMPARED_ROWS: usize = 2_000;
/// ...and bytes that are compared at once: each time the cloud reads the whole table.
pub const COMPARED_BYTES: usize = 8 * 1024 * 1024;

/// A table of fewer pages than this (8 MB) is read whole when it is copied once more: that costs less than looking for what differs.
pub const SIEVE_PAGES_MIN: u64 = 1_024;
/// Pages whose rows are compared by one sum, about, when a table is copied once more: a sum costs some 50 bytes on either side, and
/// where it differs all these rows (32 KB) are read.
pub const RANGE_PAGES: u64 = 4;
/// The fewest sums of a table, however small: with one of them all its rows would be read for one that differs.
pub const RANGES_MIN: u64 = 64;
/// The most sums of a table: they are in memory, and those that differ stand in the statements.
pub const RANGES_MAX: u64 = 65_536;
/// Where more than one of so many ranges differs, the table is read whole.
pub const RANGES_SHARE: usize = 4;

/// A table is filled by several COPYs at once where each has at least so many of its pages (4 MB).
pub const PIECE_PAGES_MIN: u64 = 512;
/// A piece has at most so many (8 MB): each is a transaction, and what of it an interrupted copy has sent is sent again.
pub const PIECE_PAGES_MAX: u64 = 1_024;
/// Small tables of a first fill go to the cloud together, about so many bytes at once: seconds on a slow line, and in memory.
pub const TOGETHER_BYTES: usize = 1024 * 1024;
/// Values of foreign keys that one transaction of a first fill keeps in memory to check together; of more, the cloud checks each row.
pub const REFERENCE_BYTES: usize = 8 * 1024 * 1024;
/// What each of them takes beside its own bytes.
pub const REFERENCE_OVERHEAD: usize = 48;
/// Tables that a first fill reads at once, where nobody says how many.
pub const FILL_JOBS: usize = 4;

/// A refill may take as long as its period, but at least so long.
pub const REFILL_MIN: Duration = Duration::from_secs(60);
/// How often the counters of what a refill reads are looked at: one statement. A server reports a session's changes at most
/// once a second, so looking more often would hardly see more.
pub const WATCH_EVERY: Duration = Duration::from_secs(1);
/// After so many looks it is found out anew what the refill reads: a minute.
pub const WATCH_FINDS_EVERY: u32 = 60;
/// So long the counters of a refill's own session are waited for once it has ended...
pub const WATCH_SETTLES_MAX: Duration = Duration::from_secs(60);
/// ...and so often it is asked whether that is gone: a part that is due waits for it.
pub const WATCH_SETTLES_EVERY: Duration = Duration::from_millis(20);
/// So many bytes of what a refill reads are looked at row by row, the smallest tables first: a tenth of a second.
pub const SIGHT_BYTES: u64 = 64 * 1024 * 1024;
/// That rests so many times as long as it took.
pub const SIGHT_SHARE: u32 = 20;
/// Where the desktop refused it, it is asked again so much later.
pub const SIGHT_AGAIN: Duration = Duration::from_secs(30);
/// It waits so long for a table that somebody has locked.
pub const SIGHT_LOCK: Duration = Duration::from_millis(100);
/// A failed refill is tried again after twice the time each time, so often; then by the clock.
pub const REFILL_DOUBLES: u32 = 10;
/// Functions call functions: so deep their text is read...
pub const TEXTS_DEEP: usize = 8;
/// ...and of so many.
pub const TEXTS_MAX: usize = 1_000;

/// A table that was filled with at least so many rows gets statistics at once.
pub const ANALYZE_ROWS_MIN: u64 = 100;

/// What folding costs for each key that a transaction touches, beside the rows' bytes: its place in the index and the steps (measured).
pub const NET_OVERHEAD: usize = 400;

/// This share of `memory_max` is kept for the message that waits until there is room.
pub const WAITING_SHARE: u64 = 6;
/// A transaction is put on disk by key once it holds this share of `memory_max`...
pub const SPILL_SHARE: usize = 3;
/// ...or, where it goes to the cloud as it comes, in pieces of so many bytes each: some thousand rows, which fold in a few megabytes...
pub const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// ...and of no more than this share of what may be open...
pub const CHUNK_SHARE: usize = 2;
/// ...of which so many are on their way at once: one that the cloud works on, and two that wait there.
pub const CHUNKS_IN_FLIGHT: usize = 3;
/// Where that came to nothing for several transactions in a row, up to so many go over the disk before it is tried again: a refill
/// that ends in a delete does so each time, and would be read twice.
pub const ONE_PASS_SPARED_MAX: u64 = 15;
/// On disk it is in this many parts...
pub const SPILL_PARTS: usize = 64;
/// ...which stay in memory up to so many bytes each, and are written in pieces of as many.
pub const SPILL_BUFFER_BYTES: usize = 16 * 1024;
/// A part that costs more to fold than this is split again...
pub const FOLD_BYTES_MAX: usize = 12 * 1024 * 1024;
/// ...but not more often than this: rows of one key can't be parted.
pub const SPILL_DEPTH_MAX: u32 = 4;
/// While a transaction goes over disk, longer names of rows are known by their hash.
pub const NAME_BYTES_MAX: usize = 4 * 1024;
/// Rows that took a new key while a column was not sent, in one transaction: each is remembered.
pub const MOVED_ROWS_MAX: usize = 200_000;

/// In a batch with more changes than this no table is tried in source order, one statement for each change.
pub const IN_ORDER_MAX: usize = 20_000;

/// How often rows that wait for one another on the desktop are tried together, each time without one more of them.
pub const REVERSE_TIED_TRIES: u32 = 50;

/// Entries of the outbox that are read at once: what names them is in the desktop's log, and held in memory.
pub const REVERSE_ENTRIES: usize = 1_000;
/// While nothing waits in the outbox the tables are looked at so often all the same: whether they can still be read.
pub const REVERSE_WHOLE_EVERY: Duration = Duration::from_secs(10);
/// A look into the outbox is noted at most so often, in milliseconds: a note is a write.
pub const REVERSE_NOTED_EVERY_MS: u32 = 900;
/// Rows that are known to have been refused, so that each is said once; then all may be said again.
pub const REVERSE_TOLD: usize = 1_000;
/// So few rows are looked for one by one on the desktop, by an index where it has one.
pub const REVERSE_PROBED_MAX: usize = 10;
/// Bytes of their rows.
pub const REVERSE_BYTES: u64 = 4 * 1024 * 1024;
/// A statement of the way home may take so long, on either side.
pub const REVERSE_STATEMENT_MAX: Duration = Duration::from_secs(30);
/// It waits so long for a row that the office program has; meanwhile the program may wait for another one.
pub const REVERSE_LOCK_TIMEOUT: Duration = Duration::from_millis(300);
/// How soon the office's statement behind a poll is tried again when it failed.
pub const THEN_AGAIN: Duration = Duration::from_secs(10);
/// For so long it waits for a burst of what comes home to end.
pub const THEN_WAITS_MAX: Duration = Duration::from_secs(5);

/// Values of a row too large to be kept that stay all the same: its key is among them.
pub const KEPT_VALUE_BYTES: usize = 8 * 1024;

/// Rows of a table without an encoding that are looked at to see whether they are UTF-8.
pub const SAMPLE_ROWS: usize = 1_000;
/// Bytes of each.
pub const SAMPLE_BYTES: usize = 2_000;

/// Names that stand in a line about many tables; of the others it says how many there are.
pub const NAMES_SHOWN: usize = 10;
/// Tables without trouble that the summary of a first copy names one by one.
pub const TABLES_SHOWN: usize = 20;
/// How often a line says how far a first copy is, where nobody watches.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// How often it is drawn where somebody does.
pub const PROGRESS_DRAWN_EVERY: Duration = Duration::from_millis(200);
/// Columns of a terminal that has no room for bars.
pub const NARROW: u16 = 50;

/// Letters of a statement that a message shows.
pub const STATEMENT_SHOWN: usize = 80;
/// The largest file that the demo takes as a schema: it is held whole.
pub const SCHEMA_FILE_MAX: u64 = 256 * 1024 * 1024;
/// Rows that the demo adds to a table in one round.
pub const DEMO_ROWS: u64 = 3;
/// Between two rounds of changes of the demo.
pub const DEMO_ROUND: Duration = Duration::from_millis(500);

/// A service that is stopping says so often that it goes on; Windows takes it for hung after four times this.
pub const SERVICE_TICK: Duration = Duration::from_secs(5);
/// Windows starts a service that crashed again after these: soon, then with time for what ails to pass.
pub const SERVICE_RESTARTS: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(60),
    Duration::from_secs(300),
];
/// Windows waits so long for our last words before it switches the computer off.
pub const SERVICE_PRESHUTDOWN: Duration = Duration::from_secs(30);
/// Who starts or stops the service looks so often whether it has done so...
pub const SERVICE_POLL: Duration = Duration::from_millis(100);
/// ...and gives up after this: a batch that is being written is finished first.
pub const SERVICE_CHANGE_MAX: Duration = Duration::from_secs(120);
/// How often the cloud is asked whether somebody wants the settings to be read again, while no session streams that hears of it.
pub const RELOAD_LOOK_EVERY: Duration = Duration::from_secs(5);
/// While one streams and is behind, every so many times: the message that somebody asks waits behind all else.
pub const RELOAD_LOOKS_BEHIND: u32 = 6;
/// Both sides may take so long to say whether a session can begin with other settings: keys of new tables are measured.
pub const RELOAD_CHECK_MAX: Duration = Duration::from_secs(600);
/// The session that takes them up may take so long until it streams; then whoever asks is told that it takes longer.
pub const RELOAD_PROOF_MAX: Duration = Duration::from_secs(30);
/// Whoever asks waits so long until the service has heard of it...
pub const RELOAD_HEARD_MAX: Duration = Duration::from_secs(60);
/// ...and then so long for the answer: longer than the service takes for it.
pub const RELOAD_ANSWER_MAX: Duration = Duration::from_secs(660);
