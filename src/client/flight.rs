//! Equal questions that are asked at the same time share one answer.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

type Map<K, V> = Arc<Mutex<HashMap<K, Weak<Flight<K, V>>>>>;

/// Questions that are under way, each for as long as somebody waits for its answer.
pub(super) struct Flights<K: Hash + Eq, V> {
    map: Map<K, V>,
}

struct Flight<K: Hash + Eq, V> {
    key: K,
    map: Map<K, V>,
    answer: watch::Receiver<Option<V>>,
    /// Ends with the last one who waits.
    _asking: AbortOnDropHandle<()>,
}

impl<K: Hash + Eq, V> Default for Flights<K, V> {
    fn default() -> Flights<K, V> {
        Flights { map: Arc::default() }
    }
}

fn locked<K, V>(map: &Mutex<HashMap<K, V>>) -> MutexGuard<'_, HashMap<K, V>> {
    // Every change of it is a single call.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer to this question; `ask` is only used if nobody asks it already. `None`: asking has failed.
    pub(super) async fn join<F>(&self, key: K, ask: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight = {
            let mut map = locked(&self.map);
            match map.get(&key).and_then(Weak::upgrade) {
                // One that has its answer would give what may be long past.
                Some(flight) if flight.answer.borrow().is_none() => {
                    metrics::counter!("lictor_client_polls_shared_total").increment(1);
                    flight
                }
                _ => {
                    let flight = self.start(key.clone(), ask());
                    map.insert(key, Arc::downgrade(&flight));
                    flight
                }
            }
        };
        let mut answer = flight.answer.clone();
        // Cloned before the borrow ends with the statement.
        answer.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn start(&self, key: K, asking: impl Future<Output = V> + Send + 'static) -> Arc<Flight<K, V>> {
        let (sender, answer) = watch::channel(None);
        let asking = tokio::spawn(async move {
            let value = asking.await;
            sender.send_replace(Some(value));
        });
        Arc::new(Flight { key, map: self.map.clone(), answer, _asking: AbortOnDropHandle::new(asking) })
    }
}

impl<K: Hash + Eq, V> Drop for Flight<K, V> {
    fn drop(&mut self) {
        let mut map = locked(&self.map);
        // A later one may have the place.
        if map.get(&self.key).is_some_and(|known| known.strong_count() == 0) {
            map.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn equal_questions_share_an_answer_and_end_with_the_last_who_waits() {
        let (flights, asked, go) = (Flights::default(), AtomicUsize::new(0), Arc::new(Notify::new()));
        let ask = || {
            asked.fetch_add(1, Ordering::Relaxed);
            let go = go.clone();
            async move {
                go.notified().await;
                7
            }
        };
        let waiting = async {
            tokio::task::yield_now().await;
            go.notify_one();
        };
        let (a, b, ()) = tokio::join!(flights.join("q", ask), flights.join("q", ask), waiting);
        assert_eq!((a, b, asked.load(Ordering::Relaxed)), (Some(7), Some(7), 1));
        {
            let mut given_up = std::pin::pin!(flights.join("q", ask));
            assert!(futures::poll!(given_up.as_mut()).is_pending());
            assert_eq!(locked(&flights.map).len(), 1);
        }
        assert_eq!((locked(&flights.map).len(), asked.load(Ordering::Relaxed)), (0, 2));
    }
}
