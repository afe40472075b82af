//! The only reader of wall time and randomness. Everything else is told the time, so that a seeded simulation can
//! replay it.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng, TryRng};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time and randomness.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Milliseconds since the epoch and the state of a small generator, both set by a test.
    Manual {
        now_ms: Arc<AtomicU64>,
        seed: Arc<AtomicU64>,
    },
}

impl Clock {
    /// The machine's clock and random source.
    pub fn system() -> Clock {
        Clock { source: Source::System }
    }

    /// A clock that moves only by [`Clock::advance`], with seeded randomness.
    pub fn manual(now_ms: u64, seed: u64) -> Clock {
        Clock { source: Source::Manual { now_ms: Arc::new(now_ms.into()), seed: Arc::new(seed.into()) } }
    }

    /// Milliseconds since the Unix epoch.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn now_ms(&self) -> u64 {
        match &self.source {
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64),
            Source::Manual { now_ms, .. } => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since this process first asked; never goes back, whatever happens to the wall clock.
    pub fn monotonic_ms(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.source {
            Source::System => START.get_or_init(Instant::now).elapsed().as_millis() as u64,
            Source::Manual { now_ms, .. } => now_ms.load(Ordering::SeqCst),
        }
    }

    /// The same in microseconds, for measuring; a manual clock has no parts of a millisecond.
    pub fn monotonic_us(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.source {
            Source::System => START.get_or_init(Instant::now).elapsed().as_micros() as u64,
            Source::Manual { now_ms, .. } => now_ms.load(Ordering::SeqCst).saturating_mul(1000),
        }
    }

    /// Moves a manual clock; the machine's clock cannot be moved.
    pub fn advance(&self, ms: u64) {
        if let Source::Manual { now_ms, .. } = &self.source {
            now_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// 16 random bytes.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that draws randomness")]
    pub fn random(&self) -> [u8; 16] {
        match &self.source {
            Source::System => rand::random(),
            Source::Manual { seed, .. } => {
                let mut out = [0; 16];
                for half in out.chunks_mut(8) {
                    // splitmix64: enough for reproducible ids in tests.
                    let mut z = seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
                    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                    half.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes());
                }
                out
            }
        }
    }

    /// A random UUID (version 4).
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.random()).into_uuid()
    }

    /// A generator of its own, seeded here: for choices that need no secrecy, such as whom to ask first.
    pub fn generator(&self) -> Generator {
        let mut seed = [0; 32];
        for half in seed.chunks_mut(16) {
            half.copy_from_slice(&self.random());
        }
        Generator(Xoshiro256PlusPlus::from_seed(seed))
    }
}

/// A fast source of numbers that can be guessed.
#[derive(Clone, Debug)]
pub struct Generator(Xoshiro256PlusPlus);

impl Generator {
    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.random_range(0..limit)
    }
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(dst)
    }
}
