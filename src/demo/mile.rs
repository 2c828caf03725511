//! The last mile, as the demo shows it: from a table of the office's program to the phones, and from a phone to such a table.

use std::time::{Duration, Instant};

use crate::fault::{Fault, Side};
use crate::wire::control::Control;

/// What an office sets for it: the part of the refill that fills the clients runs when their parents have changed, and what
/// comes home goes on to the program's own table.
pub(super) const SETTINGS: &str = r#"
[reverse]
then = "select sync_mobile_to_parent()"

[[refill]]
sql = """
select refill_quietly(
  'public.climaster',
  $q$
    select org_id, billfirm_id as con_id, loc_id, client_id, client_name as clientname,
      email as clientmail, cell_no as clientphone, 'D' as source
    from v_climaster
  $q$,
  '{created_at,updated_at}',
  $s$ source = 'D' or source is null $s$
)"""
when = "changed"
watch = ["v_climaster"]
tables = ["climaster"]
"#;
/// Between two of one direction.
const APART: Duration = Duration::from_secs(3);

/// A way between the two, measured again and again while all else goes on.
struct Way {
    name: &'static str,
    change: fn(usize) -> String,
    seen: fn(usize) -> String,
    /// The change that is on its way.
    since: Option<Instant>,
    next: Instant,
    took: Vec<Duration>,
}

/// Both ways.
pub(super) struct Mile {
    out: Way,
    home: Way,
}

impl Mile {
    pub(super) fn new() -> Mile {
        let now = Instant::now();
        Mile {
            out: Way {
                name: "a client renamed in the office's program: on the phones",
                change: |n| {
                    format!(
                        "update app.client
                         set name = 'demo {n}'
                         where client_id = (select min(client_id) from app.client)"
                    )
                },
                seen: |n| {
                    format!("select exists (select from climaster where clientname = 'demo {n}')")
                },
                since: None,
                next: now + APART / 2,
                took: Vec::new(),
            },
            home: Way {
                name: "a diary entry made on a phone: in the office's program",
                change: |n| {
                    format!(
                        "insert into workdiary (
                           org_id, loc_id, staff_id, date, minutes, tasknotes, source
                         )
                         select org_id, loc_id, staff_id, current_date, 15, 'demo {n}', 'M'
                         from mbstaff
                         order by staff_id
                         limit 1"
                    )
                },
                seen: |n| {
                    format!("select exists (select from app.daily_work where notes = 'demo {n}')")
                },
                since: None,
                next: now + APART,
                took: Vec::new(),
            },
        }
    }

    /// Makes what is due, and says what has arrived.
    pub(super) async fn step(
        &mut self,
        (desktop, cloud): (&Control, &Control),
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(), Fault> {
        let (office, phones) = ((desktop, Side::Desktop), (cloud, Side::Cloud));
        self.out.step(office, phones, say).await?;
        self.home.step(phones, office, say).await
    }

    /// The median of each way.
    pub(super) fn sums(&self) -> Vec<String> {
        [&self.out, &self.home]
            .iter()
            .filter_map(|way| way.sum())
            .collect()
    }
}

impl Way {
    async fn step(
        &mut self,
        (from, here): (&Control, Side),
        (to, there): (&Control, Side),
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(), Fault> {
        let n = self.took.len() + 1;
        if let Some(since) = self.since {
            let rows = there.query(&to.client, &(self.seen)(n), &[]).await?;
            if rows.first().is_some_and(|row| row.get(0)) {
                let took = since.elapsed();
                say(&format!(
                    "    {} after {:.1} s",
                    self.name,
                    took.as_secs_f64()
                ));
                self.took.push(took);
                (self.since, self.next) = (None, Instant::now() + APART);
            }
        } else if Instant::now() >= self.next {
            let done = from.client.batch_execute(&(self.change)(n)).await;
            done.map_err(Fault::at(here))?;
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    fn sum(&self) -> Option<String> {
        let mut took = self.took.clone();
        took.sort();
        let median = took.get(took.len() / 2)?;
        let (name, times) = (self.name, took.len());
        Some(format!(
            "{name} after {:.1} s at the median of {times}",
            median.as_secs_f64()
        ))
    }
}
