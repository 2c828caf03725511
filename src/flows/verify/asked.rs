//! Both sides asked at one moment each, and rows that one of them can't look at itself sent to the other.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::super::compare::{Encoded, look_at};
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::sqlstate;
use crate::plan::verify::{Abroad, Comparison, Look, Reading, Sort};

/// The parameters of a reading.
pub(super) type Params<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// What a server says that lacks a function, a type, a schema, or a cast between two types.
const LACKS: [&str; 4] = [
    sqlstate::UNDEFINED_FUNCTION,
    sqlstate::UNDEFINED_OBJECT,
    sqlstate::INVALID_SCHEMA_NAME,
    sqlstate::CANNOT_COERCE,
];

/// Who looks at the sender's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The sender: only hashes cross the network.
    InReverse,
    /// The receiver, to which they are sent once for each reading. A comparison reads ranges once, then the rows of those that
    /// differ, [`limits::VERIFY_RANGES_SENT`] at a time, then those that differ at most [`limits::VERIFY_LOOKS`] times, then
    /// their values twice at most: so often does the table cross the network, once where both sides are equal. In memory are
    /// at most [`limits::VERIFY_SENT_BYTES`] of it, and the hashes of one reading.
    ///
    /// Where the sender can tell which row has which key (`named`), the whole table is sent but once, and then only the rows of
    /// the ranges that differ.
    Abroad {
        /// It can.
        named: bool,
    },
}

/// Both sides of a comparison.
pub(super) struct Both<'a> {
    pub(super) desktop: &'a Client,
    pub(super) cloud: &'a Client,
    pub(super) what: &'a Comparison,
    pub(super) way: Way,
}

impl<'a> Both<'a> {
    /// Finds out who looks at the sender's rows.
    pub(super) async fn new(
        desktop: &'a Client,
        cloud: &'a Client,
        what: &'a Comparison,
    ) -> Result<Both<'a>, Fault> {
        // What the parents say stands in the cloud, too.
        let desktop = match what.sort {
            Sort::LookedUp => cloud,
            _ => desktop,
        };
        let mut both = Both {
            desktop,
            cloud,
            what,
            way: Way::InReverse,
        };
        if what.abroad.is_some() && both.lacks(true).await? {
            both.way = Way::Abroad {
                named: !both.lacks(false).await?,
            };
        }
        Ok(both)
    }

    /// Whether the sender lacks what all that is compared is made of, or what names a row.
    async fn lacks(&self, all: bool) -> Result<bool, Fault> {
        let (client, side, look) = self.sender();
        match client.query_typed(&look.trial(all), &[]).await {
            Ok(_) => Ok(false),
            Err(error) => match error.code() {
                Some(state) if LACKS.contains(&state.code()) => Ok(true),
                // The reading says what is wrong.
                Some(_) => Ok(false),
                None => Err(Fault::at(side)(error)),
            },
        }
    }

    fn sender(&self) -> (&Client, Side, &Look) {
        match self.what.homeward() {
            true => (self.cloud, Side::Cloud, &self.what.cloud),
            false => (self.desktop, self.first(), &self.what.desktop),
        }
    }

    fn receiver(&self) -> (&Client, Side, &Look) {
        match self.what.homeward() {
            true => (self.desktop, Side::Desktop, &self.what.desktop),
            false => (self.cloud, Side::Cloud, &self.what.cloud),
        }
    }

    /// The side that the first look is of.
    pub(super) fn first(&self) -> Side {
        match self.what.sort {
            Sort::LookedUp => Side::Cloud,
            Sort::Out | Sort::ReverseTable | Sort::Owned => Side::Desktop,
        }
    }

    /// Asks both sides, each as it is at one moment; `each` takes rows of the desktop's look (true) and of the cloud's.
    pub(super) async fn ask(
        &self,
        reading: Reading,
        params: &Params<'_>,
        each: &mut impl FnMut(bool, Row),
    ) -> Result<(), Fault> {
        let sides = [(self.desktop, self.first()), (self.cloud, Side::Cloud)];
        // One transaction where both looks are the cloud's.
        let sides = match self.first() {
            Side::Desktop => &sides[..],
            Side::Cloud => &sides[1..],
        };
        for (client, side) in sides {
            look_at(client, *side).await?;
        }
        let asked = match (self.way, &self.what.abroad) {
            (Way::Abroad { named }, Some(abroad)) => {
                let asked = named.then_some(reading);
                self.ask_abroad(abroad, asked, (reading, params), each)
                    .await
            }
            _ => self.ask_at_home((reading, params), each).await,
        };
        for (client, side) in sides {
            let ended = client.batch_execute("rollback").await;
            ended.map_err(Fault::at(*side))?;
        }
        asked
    }

    async fn ask_at_home(
        &self,
        (reading, params): (Reading, &Params<'_>),
        each: &mut impl FnMut(bool, Row),
    ) -> Result<(), Fault> {
        let of_desktop = self.what.desktop.read(reading);
        let of_cloud = self.what.cloud.read(reading);
        let (desktop, cloud) = tokio::join!(
            self.desktop.query_typed(&of_desktop, params),
            self.cloud.query_typed(&of_cloud, params)
        );
        let desktop = desktop.map_err(Fault::at(self.first()))?;
        let cloud = cloud.map_err(Fault::at(Side::Cloud))?;
        desktop.into_iter().for_each(|row| each(true, row));
        cloud.into_iter().for_each(|row| each(false, row));
        Ok(())
    }

    async fn ask_abroad(
        &self,
        abroad: &Abroad,
        asked: Option<Reading>,
        (reading, params): (Reading, &Params<'_>),
        each: &mut impl FnMut(bool, Row),
    ) -> Result<(), Fault> {
        let (sender, sends, of_sender) = self.sender();
        let (receiver, receives, of_receiver) = self.receiver();
        let of_desktop = receives == Side::Desktop;
        let of_receiver = of_receiver.read(reading);
        let stored = receives.query(receiver, &of_receiver, params).await?;
        stored.into_iter().for_each(|row| each(of_desktop, row));
        let sent = abroad.rows(of_sender, asked);
        let named = asked.is_some() && !matches!(reading, Reading::Ranges(_));
        let those = params.iter().filter(|_| named).cloned();
        let sent = sender.query_typed_raw(&sent, those).await;
        // The connection reads no further than it is asked.
        let mut sent = pin!(sent.map_err(Fault::at(sends))?);
        let look = abroad.look.read(reading);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            let row = sent.try_next().await.map_err(Fault::at(sends))?;
            let ended = row.is_none();
            if let Some(row) = row {
                let mut cells: Vec<Option<String>> = row.get(0);
                if let Some(charset) = abroad.charset {
                    let read = |text: &mut String| *text = charset.read_digits(text);
                    cells.iter_mut().flatten().for_each(read);
                }
                bytes += cells.iter().flatten().map(String::len).sum::<usize>();
                rows.push(cells);
            }
            let full = bytes >= limits::VERIFY_SENT_BYTES || rows.len() >= limits::VERIFY_SENT_ROWS;
            if (ended || full) && !rows.is_empty() {
                let values = abroad.params(&rows);
                (rows, bytes) = (Vec::new(), 0);
                let values: Vec<_> = values.iter().map(Encoded).collect();
                let values =
                    { values.iter() }.map(|value| (value as &(dyn ToSql + Sync), Type::TEXT_ARRAY));
                let all: Vec<_> = values.chain(params.iter().cloned()).collect();
                let looked = receives.query(receiver, &look, &all).await?;
                looked.into_iter().for_each(|row| each(!of_desktop, row));
            }
            if ended {
                return Ok(());
            }
        }
    }
}
