//! The page's curves go on while nobody looks at it.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::serve::HttpState;
use crate::flows::Reloads;
use crate::limits;

/// Looks where a point of the curves would otherwise be missing, as long as it is polled. Who is scraped is looked at anyway; where
/// nothing is served, both sides aren't asked for it.
pub(crate) async fn remember(reloads: &Reloads, office: Arc<HttpState>) {
    let mut news = reloads.news();
    let mut settings = news.next().await;
    loop {
        let looks = async {
            if settings.listen.http.is_none() {
                return pending().await;
            }
            let mut ticks = interval(limits::CURVE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let unseen = office.unseen_for().await;
                if unseen.is_none_or(|unseen| unseen >= limits::CURVE_EVERY * 2 / 3) {
                    office.look().await;
                }
            }
        };
        tokio::select! {
            () = looks => {}
            now = news.next() => settings = now,
        }
    }
}
