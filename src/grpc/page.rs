//! Pages: all of one revision, however long the reader takes between them.
//!
//! Owns: the states that page tokens refer to, for about a minute and never more than a few. Must never: keep one
//! alive without bound.

use super::convert::selector::hash64;
use super::status::status;
use super::token::{Purpose, Token, cluster_digest};
use crate::model::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::model::names::Invalid;
use crate::service::admission::Permit;
use crate::service::{Core, Error, ReadOptions, View};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

/// How long a revision stays after it was last asked for.
const KEEP: Duration = Duration::from_secs(60);
/// How many revisions stay; the one not asked for the longest goes first.
const PINS_MAX: usize = 128;

/// A page ends at about this many bytes, however few items it has by then.
pub(super) const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

struct Pin {
    view: View,
    used: Instant,
}

/// The states behind page tokens, by revision.
#[derive(Clone, Default)]
pub(super) struct Pins(Arc<Mutex<BTreeMap<u64, Pin>>>);

impl Pins {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Pin>> {
        // Nobody panics while holding it; if somebody did, the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, view: &View) {
        let revision = view.state.revision();
        let mut pins = self.locked();
        let fresh = pins.insert(revision, Pin { view: view.clone(), used: Instant::now() }).is_none();
        if pins.len() > PINS_MAX
            && let Some(oldest) = pins.iter().min_by_key(|(_, pin)| pin.used).map(|(revision, _)| *revision)
        {
            pins.remove(&oldest);
        }
        drop(pins);
        if fresh {
            tokio::spawn(self.clone().forget(revision));
        }
    }

    /// Lets a revision go once nobody has asked for it for [`KEEP`].
    async fn forget(self, revision: u64) {
        loop {
            let Some(used) = self.locked().get(&revision).map(|pin| pin.used) else { return };
            if used.elapsed() >= KEEP {
                self.locked().remove(&revision);
                return;
            }
            tokio::time::sleep_until(used + KEEP).await;
        }
    }

    fn find(&self, revision: u64) -> Option<View> {
        let mut pins = self.locked();
        let pin = pins.get_mut(&revision)?;
        pin.used = Instant::now();
        Some(pin.view.clone())
    }
}

/// One page that is asked for.
pub(super) struct Page {
    /// The state that all pages of this question are of.
    pub(super) view: View,
    /// Items it may hold.
    pub(super) size: usize,
    /// The last item of the page before; `None`: this is the first page.
    pub(super) after: Option<Vec<u8>>,
    purpose: Purpose,
    cluster: u64,
    asked: u64,
    pins: Pins,
}

/// What tells one question from another: the request without its page fields.
pub(super) fn asked(request: &impl Message) -> u64 {
    hash64(&request.encode_to_vec())
}

/// How many items a page may hold.
pub(super) fn size(page_size: i32) -> Result<usize, Invalid> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) if size <= PAGE_SIZE_MAX => Ok(size),
        _ => Err(Invalid::new("page_size", format!("is {page_size}, 1 to {PAGE_SIZE_MAX} is allowed, or 0"))),
    }
}

impl Page {
    /// Checks the page fields of a request and finds its state: the one pinned by the token, or a new one after the
    /// barrier asked for.
    pub(super) async fn open(
        core: &Core,
        pins: &Pins,
        purpose: Purpose,
        asked: u64,
        (page_size, page_token): (i32, &str),
        read: &ReadOptions,
    ) -> Result<Page, Error> {
        let size = size(page_size)?;
        let cluster = cluster_digest(core);
        let (view, after) = if page_token.is_empty() {
            (core.view(read).await?, None)
        } else {
            let token = Token::decode_text(purpose, page_token, cluster, asked)?;
            let local = core.local();
            let current = local.state.revision();
            let view = match pins.find(token.revision) {
                Some(view) => view,
                None if current == token.revision => local,
                None => return Err(Error::Compacted { compact_revision: current }),
            };
            (view, Some(token.last))
        };
        Ok(Page { view, size, after, purpose, cluster, asked, pins: pins.clone() })
    }

    /// The token for the page after the one that ends with `last`; its state stays for a while.
    pub(super) fn next(&self, last: Vec<u8>) -> String {
        self.pins.keep(&self.view);
        let revision = self.view.state.revision();
        Token { purpose: self.purpose, cluster: self.cluster, asked: self.asked, revision, last }.encode_text()
    }
}

/// The turn to look through a table for a page.
pub(super) async fn turn(core: &Core) -> Result<[Permit<'_>; 2], Status> {
    core.admission().list().await.map_err(|busy| status(Error::Overloaded(busy)))
}

/// Takes the items of one page out of the rest, and says whether there are more.
pub(super) fn take<T>(items: impl Iterator<Item = T>, size: usize) -> (Vec<T>, bool) {
    let mut items = items.fuse();
    let page: Vec<T> = items.by_ref().take(size).collect();
    let more = items.next().is_some();
    (page, more)
}
