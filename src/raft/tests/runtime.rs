//! The runtime of openraft's tasks in tests: tokio, but what is random in it comes from a seed when a simulation has set
//! one, and those who wait for the same thing are woken in the order in which they came. (tokio's watch channel wakes
//! them in a random order, which cannot be seeded.)

use crate::clock::{Clock, Generator};
use futures::FutureExt;
use openraft::AsyncRuntime;
use openraft::impls::TokioRuntime;
use openraft::type_config::async_runtime::watch::{self, RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft::{OptionalSend, OptionalSync};
use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::watch as tokio_watch;

thread_local! {
    static DICE: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

/// From now on, what openraft draws on this thread is determined by the seed.
pub(in crate::raft) fn seed(seed: u64) {
    DICE.with_borrow_mut(|dice| *dice = Some(Clock::manual(0, seed)));
}

#[derive(Debug)]
pub(in crate::raft) struct Seeded(TokioRuntime);

impl AsyncRuntime for Seeded {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = Generator;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = InOrder;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> Generator {
        DICE.with_borrow(|dice| dice.as_ref().map_or_else(|| Clock::system().generator(), Clock::generator))
    }

    fn new(threads: usize) -> Seeded {
        Seeded(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// A watch channel that wakes in order.
pub(in crate::raft) struct InOrder;

pub(in crate::raft) struct Sender<T> {
    /// `None` while it is dropped.
    values: Option<tokio_watch::Sender<T>>,
    moved: Arc<Notify>,
}

pub(in crate::raft) struct Receiver<T> {
    values: tokio_watch::Receiver<T>,
    moved: Arc<Notify>,
}

impl<T> Sender<T> {
    fn values(&self) -> &tokio_watch::Sender<T> {
        self.values.as_ref().expect("is there until it is dropped")
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { values: self.values.clone(), moved: self.moved.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        drop(self.values.take());
        self.moved.notify_waiters();
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver { values: self.values.clone(), moved: self.moved.clone() }
    }
}

impl Watch for InOrder {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = tokio_watch::Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = tokio_watch::channel(init);
        let moved = Arc::new(Notify::new());
        (Sender { values: Some(sender), moved: moved.clone() }, Receiver { values: receiver, moved })
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<InOrder, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.values().send(value).map_err(|e| SendError(e.0))?;
        self.moved.notify_waiters();
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = self.values().send_if_modified(modify);
        if modified {
            self.moved.notify_waiters();
        }
        modified
    }

    fn borrow_watched(&self) -> <InOrder as watch::Watch>::Ref<'_, T> {
        self.values().borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        Receiver { values: self.values().subscribe(), moved: self.moved.clone() }
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<InOrder, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        let moved = self.moved.clone();
        loop {
            // Before the look: a change after it wakes this one.
            let woken = moved.notified();
            if let Some(changed) = self.values.changed().now_or_never() {
                return changed.map_err(|_| RecvError(()));
            }
            woken.await;
        }
    }

    fn borrow_watched(&self) -> <InOrder as watch::Watch>::Ref<'_, T> {
        self.values.borrow()
    }

    fn borrow_and_update(&mut self) -> <InOrder as watch::Watch>::Ref<'_, T> {
        self.values.borrow_and_update()
    }
}
