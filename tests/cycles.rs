//! What can be equal becomes equal, whatever the order of statements that made it (P18): rows that refer to each other in
//! a circle, and unique values that are exchanged, on every road and in both directions.
#![allow(clippy::unwrap_used)]

mod support;

use support::office::{Office, exec, until, value};
use support::servers::newest;

const RETRY: &str = "select pg_logical_emit_message(true, 'tandem.retry', '')";

async fn office(settings: &str, desktop: &str, cloud: &str) -> Office {
    let settings = format!("[heartbeat]\nevery = \"200ms\"\n{settings}");
    Office::with_tables(&newest(), &settings, desktop, cloud).await
}

/// Names of what is parked, one after the other.
async fn parked(office: &Office) -> String {
    let sql = "select coalesce(string_agg(\"table\" || ' ' || key[1], ', ' order by \"table\", key[1]::int), '') from tandem.quarantine";
    value(&office.cloud, sql).await
}

/// Waits until so many rows are parked, and asks for a try now and then: a parked row waits for a while otherwise.
async fn until_parked(office: &Office, rows: u64) {
    exec(&office.desktop, RETRY).await;
    let sql = format!("select count(*) = {rows} from tandem.quarantine");
    until(&office.cloud, &sql).await;
}

/// Departments and their people: each department has a boss, each of its people a department, some of them a mentor.
struct Firm {
    /// How the cloud's foreign keys are declared.
    how: &'static str,
    /// Whether every department needs a boss, and every one of its people a department.
    needs: [&'static str; 2],
}

const FIRMS: [Firm; 5] = [
    Firm { how: "", needs: ["", ""] },
    Firm { how: "", needs: ["", "not null"] },
    Firm { how: "", needs: ["not null", ""] },
    Firm { how: "deferrable initially deferred", needs: ["not null", "not null"] },
    Firm { how: "deferrable", needs: ["not null", "not null"] },
];

/// Children stand before parents in the settings.
const FIRM_TABLES: &str = "[[table]]\nname = \"badge\"\nmax_shrink = 1\n[[table]]\nname = \"emp\"\nmax_shrink = 1\n[[table]]\nname = \"dept\"\nmax_shrink = 1\n";

impl Firm {
    async fn office(&self) -> Office {
        let [boss, dept] = self.needs;
        let ddl = format!(
            "create table dept (id int primary key, name text, boss int {boss}); \
             create table emp (id int primary key, name text, dept int {dept}, mentor int); \
             create table badge (id int primary key, emp int not null)"
        );
        let how = self.how;
        let cloud = format!(
            "{ddl}; alter table dept add constraint led foreign key (boss) references emp {how}; \
             alter table emp add constraint placed foreign key (dept) references dept {how}, add constraint taught foreign key (mentor) references emp {how}, \
                add constraint sane check (name <> 'bad'); \
             alter table badge add constraint worn foreign key (emp) references emp"
        );
        office(FIRM_TABLES, &ddl, &cloud).await
    }
}

const FOUND: &str = "begin; insert into badge select i, i from generate_series(1, 40) i; \
    insert into dept select i, 'd' || i, 10 * i from generate_series(1, 4) i; \
    insert into emp select i, 'e' || i, 1 + (i - 1) / 10, 1 + i % 40 from generate_series(1, 40) i; commit";

#[tokio::test(flavor = "multi_thread")]
async fn p18_departments_and_their_bosses_arrive_change_and_go_together() {
    for firm in FIRMS {
        let office = firm.office().await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.desktop, FOUND).await;
        office.caught_up(&mut service).await;
        assert_eq!(parked(&office).await, "", "{} {:?}", firm.how, firm.needs);
        office.assert_equal().await;
        let stays = "select xmin::text from dept where id = 4";
        let before = value(&office.cloud, stays).await;
        // A new department takes a boss from another one, whose department goes with all that are left there.
        exec(&office.desktop, "begin; update emp set mentor = null; insert into dept values (5, 'new', 50); insert into emp values (50, 'e50', 5, 10); \
            update emp set dept = 5 where id = 10; delete from badge where emp < 10; delete from dept where id = 1; delete from emp where dept = 1; commit").await;
        office.caught_up(&mut service).await;
        assert_eq!(parked(&office).await, "", "{} {:?}", firm.how, firm.needs);
        office.assert_equal().await;
        exec(&office.desktop, "begin; delete from badge; delete from emp where dept = 2; delete from dept where id = 2; commit").await;
        office.caught_up(&mut service).await;
        assert_eq!(parked(&office).await, "", "{} {:?}", firm.how, firm.needs);
        assert_eq!(value(&office.cloud, stays).await, before, "no change, no write");
        office.assert_equal().await;
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_p8_a_bad_row_in_a_circle_keeps_only_what_depends_on_it() {
    for firm in FIRMS {
        let office = firm.office().await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        // The boss of department 2 is bad, and so are, by it, the department, all its people, and whom they teach.
        exec(&office.desktop, &FOUND.replace("1 + i % 40", "null").replace("commit", "update emp set name = 'bad' where id = 20; update emp set mentor = 15 where id = 35; commit")).await;
        office.caught_up(&mut service).await;
        let badges = (11..=20).map(|id| format!("badge {id}"));
        let badges: Vec<_> = badges.chain(["badge 35".to_owned()]).collect();
        let people: Vec<_> = (11..=20).map(|id| format!("emp {id}")).collect();
        let wanted = format!("{}, dept 2, {}, emp 35", badges.join(", "), people.join(", "));
        assert_eq!(parked(&office).await, wanted, "{} {:?}", firm.how, firm.needs);
        exec(&office.cloud, "alter table emp drop constraint sane").await;
        until_parked(&office, 0).await;
        office.assert_equal().await;
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

/// Places with a number that is nobody else's, and how the cloud sees to that.
const PLACES: [(&str, &str); 4] = [
    ("int", "unique"),
    ("int not null", "unique deferrable"),
    ("int not null", "unique deferrable initially deferred"),
    ("int not null", "unique"),
];

#[tokio::test(flavor = "multi_thread")]
async fn p18_a_permutation_of_unique_values_arrives_and_nobody_elses_row_is_touched() {
    for (pos, how) in PLACES {
        let ddl = format!("create table u (id int primary key, pos {pos}, name text)");
        let cloud = format!(
            "create table u (id int primary key, pos {pos} constraint one {how}, name text constraint sane check (name <> 'bad'), source char(1) default 'D'); \
             insert into u values (1000, 1000, 'phone', 'M')"
        );
        let office = office("[[table]]\nname = \"u\"\nmax_shrink = 1\n", &ddl, &cloud).await;
        exec(&office.desktop, "insert into u select i, i, 'n' || i from generate_series(1, 51) i").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let others = "select string_agg(xmin::text || id, ',' order by id) from u where id in (26, 1000)";
        let before = value(&office.cloud, others).await;
        // Nobody's place but that of the one in the middle stays.
        exec(&office.desktop, "update u set pos = 52 - pos").await;
        office.caught_up(&mut service).await;
        assert_eq!(parked(&office).await, "", "{pos} {how}");
        office.assert_equal().await;
        // In a ring, with a new one in it and an old one out of it.
        exec(&office.desktop, "begin; delete from u where pos = 51; update u set pos = pos + 1; insert into u values (60, 1, 'new'); commit").await;
        let before_ring = before;
        office.caught_up(&mut service).await;
        assert_eq!(parked(&office).await, "", "{pos} {how}");
        office.assert_equal().await;
        let phone = "select xmin::text from u where id = 1000";
        assert!(before_ring.ends_with(&format!("{}1000", value(&office.cloud, phone).await)));
        // One of them is bad: it stays where it was, and so does who would take its place.
        exec(&office.desktop, "update u set pos = case id when 2 then 100 else pos end, name = case id when 2 then 'bad' else name end where id = 2; \
            begin; update u set pos = 101 where id = 3; update u set pos = 200 - pos where id > 10 and id < 51; commit").await;
        office.caught_up(&mut service).await;
        assert_eq!(parked(&office).await, "u 2", "{pos} {how}");
        exec(&office.cloud, "alter table u drop constraint sane").await;
        until_parked(&office, 0).await;
        office.assert_equal().await;
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}
