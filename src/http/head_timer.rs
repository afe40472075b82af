//! The timer for request heads. hyper asks for a new one before every request and drops it when the head is there; this
//! one keeps what the connection had before, and moves it only when it has come too early: once in two minutes instead of
//! at every request.

use hyper::rt::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

type Slot = Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>;

/// The timer of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadTimer {
    kept: Slot,
}

/// A deadline; its inner timer goes back to the connection.
struct Deadline {
    /// Comes at the deadline or before it.
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    at: tokio::time::Instant,
    home: Slot,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let at = deadline.into();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let sleep =
            kept.filter(|sleep| sleep.deadline() <= at).unwrap_or_else(|| Box::pin(tokio::time::sleep_until(at)));
        Box::pin(Deadline { sleep: Some(sleep), at, home: self.kept.clone() })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        // It is there until the drop.
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

impl Sleep for Deadline {}

impl Drop for Deadline {
    fn drop(&mut self) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = self.sleep.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn each_deadline_counts_for_itself() {
        let timer = HeadTimer::default();
        let far = Duration::from_secs(3600);
        for _ in 0..3 {
            let mut pending = timer.sleep(far);
            assert!(pending.as_mut().now_or_never().is_none());
            drop(pending);
            // One that has come, after one that was far away; and then again the other way round.
            timer.sleep_until(timer.now()).await;
            assert!(timer.kept.lock().unwrap().is_some());
        }
        // Two at a time do not share it.
        let (mut first, mut second) = (timer.sleep(far), timer.sleep_until(timer.now()));
        second.as_mut().await;
        assert!(first.as_mut().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_does_not_end_a_later_one() {
        let (timer, minute) = (HeadTimer::default(), Duration::from_secs(60));
        let begin = timer.now();
        assert!(timer.sleep(minute).as_mut().now_or_never().is_none());
        tokio::time::advance(minute / 2).await;
        // On the timer of the first, which comes before it.
        timer.sleep(minute).await;
        assert!(timer.now() - begin >= minute * 3 / 2, "{:?}", timer.now() - begin);
    }
}
