//! Work that goes on while whoever waits for it is called away.

use std::future::{Future, pending};
use std::pin::Pin;

/// One piece of work at a time, inside of a `select!`: when another arm is faster only the waiting ends; the work stays where
/// it is, and goes on with the next [`Resumable::end`].
pub(super) struct Resumable<'a, T>(Option<Pin<Box<dyn Future<Output = T> + 'a>>>);

impl<'a, T> Resumable<'a, T> {
    /// Nothing has begun.
    pub(super) fn idle() -> Resumable<'a, T> {
        Resumable(None)
    }

    /// Nothing has begun, or what had has ended.
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Begins with the next [`Resumable::end`]; what had begun before is given up.
    pub(super) fn begin(&mut self, work: impl Future<Output = T> + 'a) {
        self.0 = Some(Box::pin(work));
    }

    /// Carries it on to its end; never ends where nothing has begun. Safe to cancel.
    pub(super) async fn end(&mut self) -> T {
        let Some(work) = &mut self.0 else {
            return pending().await;
        };
        let done = work.await;
        self.0 = None;
        done
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_has_begun_goes_on_where_it_was() {
        let (tell, told) = oneshot::channel();
        let mut begun = 0;
        let mut work = Resumable::idle();
        work.begin(async {
            begun += 1;
            told.await
        });
        tokio::select! {
            biased;
            _ = work.end() => unreachable!("nobody has told it anything"),
            () = async {} => {}
        }
        assert!(!work.is_idle());
        tell.send(7).unwrap();
        assert_eq!(work.end().await, Ok(7));
        assert!(work.is_idle());
        drop(work);
        assert_eq!(begun, 1);
    }
}
