//! Whether the service itself works, which is another thing than whether both sides are there: the supervisor's own task gets
//! its turns, and the threads under it carry out what they are given. `/healthz` and the service manager's watchdog ask this.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::limits;

/// When it was last seen to work.
#[derive(Debug)]
pub struct Alive {
    born: Instant,
    /// Milliseconds since then.
    seen: AtomicU64,
}

impl Default for Alive {
    fn default() -> Alive {
        Alive {
            born: Instant::now(),
            seen: AtomicU64::new(0),
        }
    }
}

impl Alive {
    /// Shows again and again that it works, and says so by `tell`. It has to be polled in the task that is looked after: a task
    /// that is stuck shows nothing.
    pub async fn show(&self, every: Duration, tell: impl Fn()) -> Infallible {
        loop {
            // Done by the other threads; when all of them are stuck it never comes back.
            let _ = tokio::spawn(async {}).await;
            let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.seen.store(now, Ordering::Relaxed);
            tell();
            sleep(every).await;
        }
    }

    /// For how long it hasn't shown that it works.
    pub fn silent_for(&self) -> Duration {
        let seen = Duration::from_millis(self.seen.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(seen)
    }

    /// It has been silent for too long.
    pub fn is_stuck(&self) -> bool {
        self.silent_for() > limits::ALIVE_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};

    use super::*;

    const EVERY: Duration = Duration::from_millis(5);

    /// So many more are told.
    fn hear(told: &Receiver<()>, times: usize) {
        for _ in 0..times {
            told.recv_timeout(Duration::from_secs(60)).unwrap();
        }
    }

    /// None is told any more, once what was on its way has come.
    fn is_silent(told: &Receiver<()>) -> bool {
        (0..1_000).any(|_| told.recv_timeout(EVERY * 40).is_err())
    }

    #[test]
    fn a_supervisor_that_is_stuck_says_nothing_and_one_that_waits_does() {
        for in_its_own_task in [true, false] {
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
            let (tell, told) = channel();
            let (release, released) = channel::<()>();
            let (block, blocked) = tokio::sync::oneshot::channel::<()>();
            let released = Arc::new(Mutex::new(released));
            std::thread::spawn(move || {
                runtime.block_on(async {
                    let alive = Alive::default();
                    let stuck = async {
                        // As one that waits for the other side, which is no fault.
                        blocked.await.unwrap();
                        let hold = {
                            let released = released.clone();
                            move || released.lock().unwrap().recv().unwrap()
                        };
                        if in_its_own_task {
                            hold();
                        } else {
                            let both = [0, 1].map(|_| {
                                let hold = hold.clone();
                                tokio::spawn(async move { hold() })
                            });
                            for one in both {
                                one.await.unwrap();
                            }
                        }
                        std::future::pending::<()>().await;
                    };
                    tokio::select! {
                        never = alive.show(EVERY, || tell.send(()).unwrap()) => match never {},
                        () = stuck => {}
                    }
                });
            });
            hear(&told, 3);
            block.send(()).unwrap();
            assert!(is_silent(&told), "stuck in its own task: {in_its_own_task}");
            release.send(()).unwrap();
            release.send(()).unwrap();
            hear(&told, 3);
        }
    }

    #[test]
    fn silence_is_measured_from_the_last_sign() {
        let alive = Alive::default();
        assert!(!alive.is_stuck());
        let long_ago = Alive {
            born: Instant::now() - limits::ALIVE_MAX * 2,
            seen: AtomicU64::new(0),
        };
        assert!(long_ago.is_stuck());
    }
}
