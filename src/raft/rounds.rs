//! Reads that ask the leader together: while one question is on its way, those who come later wait for the next one, which
//! is asked once for all of them. An answer counts only for those who were there before it was asked for, so each read is
//! as fresh as if it had asked alone.

use super::error::ProposeError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Somebody who waits for the index of the log that a read needs.
pub(super) type Waiter = oneshot::Sender<Result<u64, ProposeError>>;

/// The questions of one kind.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<Turn>);

#[derive(Debug, Default)]
struct Turn {
    /// For the next question.
    waiting: Vec<Waiter>,
    /// Somebody asks.
    asking: bool,
}

impl Rounds {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        // Every change of it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: nobody asks, so the caller may at once, and must call [`Rounds::end`] after it. Otherwise what to wait for.
    pub(super) fn join(&self) -> Option<oneshot::Receiver<Result<u64, ProposeError>>> {
        let mut turn = self.turn();
        if !std::mem::replace(&mut turn.asking, true) {
            return None;
        }
        let (waiter, answer) = oneshot::channel();
        turn.waiting.push(waiter);
        Some(answer)
    }

    /// Whoever asked has the answer, or has gone. Returns those who wait, for whom the caller must ask now and call this
    /// again; `None`: nobody waits.
    pub(super) fn end(&self) -> Option<Vec<Waiter>> {
        let mut turn = self.turn();
        turn.asking = !turn.waiting.is_empty();
        turn.asking.then(|| std::mem::take(&mut turn.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_those_who_were_there_before_the_question() {
        let rounds = Rounds::default();
        assert!(rounds.join().is_none(), "nobody asks");
        let (mut first, mut beside) = (rounds.join().expect("waits"), rounds.join().expect("waits"));
        let waiting = rounds.end().expect("two wait");
        let mut late = rounds.join().expect("waits for the next question");
        waiting.into_iter().for_each(|waiter| waiter.send(Ok(7)).expect("is there"));
        assert_eq!((Ok(Ok(7)), Ok(Ok(7))), (first.try_recv(), beside.try_recv()));
        assert!(late.try_recv().is_err());
        assert_eq!(1, rounds.end().expect("one waits").len());
        assert!(rounds.end().is_none() && rounds.join().is_none(), "nobody asks any more");
    }
}
