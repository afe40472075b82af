//! The timer for request heads. hyper asks for a new one before every request and drops it when the head is there; this
//! one keeps what the connection had before, which then needs no more than a later deadline.

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
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    home: Slot,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let sleep = match kept {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline.into());
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline.into())),
        };
        Box::pin(Deadline { sleep: Some(sleep), home: self.kept.clone() })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // It is there until the drop.
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context))
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
            // One that has come, on the timer of one that was far away; and then again the other way round.
            timer.sleep_until(timer.now()).await;
            assert!(timer.kept.lock().unwrap().is_some());
        }
        // Two at a time do not share it.
        let (mut first, mut second) = (timer.sleep(far), timer.sleep_until(timer.now()));
        second.as_mut().await;
        assert!(first.as_mut().now_or_never().is_none());
    }
}
