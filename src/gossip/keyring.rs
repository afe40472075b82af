//! The keys of a pool: one to encrypt with, and others that are still or already accepted, so that keys can be changed
//! without losing a packet. Kept in a file of Consul's form: a JSON list in base64, the first one encrypts.

use super::envelope::{OpenError, Seal};
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// Keys that may be installed at once.
pub const KEYS_MAX: usize = 64;

/// Why a key is refused. The texts are those of Consul.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Neither 16, 24 nor 32 bytes.
    #[error("key size must be 16, 24 or 32 bytes")]
    Size,
    /// It would have to be installed first.
    #[error("Requested key is not in the keyring")]
    Unknown,
    /// Another one has to be used first.
    #[error("Removing the primary key is not allowed")]
    Primary,
    /// The pool was started without a key.
    #[error("{0}")]
    Off(&'static str),
    /// There are [`KEYS_MAX`] of them.
    #[error("no more than {KEYS_MAX} keys can be installed")]
    Full,
    /// The file cannot be written; nothing has changed.
    #[error("cannot write {path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyVerb {
    /// Show all.
    List,
    /// Accept what is encrypted with it.
    Install,
    /// Encrypt with it.
    Use,
    /// No longer accept it.
    Remove,
}

impl KeyVerb {
    pub(super) fn number(self) -> u32 {
        match self {
            KeyVerb::List => 1,
            KeyVerb::Install => 2,
            KeyVerb::Use => 3,
            KeyVerb::Remove => 4,
        }
    }

    pub(super) fn of(number: u32) -> Option<KeyVerb> {
        [KeyVerb::List, KeyVerb::Install, KeyVerb::Use, KeyVerb::Remove].into_iter().find(|v| v.number() == number)
    }
}

/// How packets are protected.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    /// The keys, the first one encrypts. None: packets are plain.
    pub keys: Vec<Vec<u8>>,
    /// Also accept plain packets.
    pub accept_plain: bool,
    /// Send plain packets, as long as not all nodes can decrypt.
    pub send_plain: bool,
    /// Where changes of the keys are kept.
    pub file: Option<PathBuf>,
    /// A name of the pool in every packet; packets of other pools are refused.
    pub label: String,
}

/// The keys that are in use. Cheap to read, changed one at a time.
#[derive(Debug)]
pub(super) struct Keyring {
    seals: ArcSwap<Vec<Arc<Seal>>>,
    label: String,
    accept_plain: bool,
    send_plain: bool,
    file: Option<PathBuf>,
    change: Mutex<()>,
}

impl Keyring {
    pub(super) fn new(protection: Protection) -> Result<Keyring, KeyError> {
        let Protection { keys, accept_plain, send_plain, file, label } = protection;
        if keys.len() > KEYS_MAX {
            return Err(KeyError::Full);
        }
        let seals: Result<Vec<_>, _> = keys.iter().map(|key| Seal::new(key).map(Arc::new)).collect();
        Ok(Keyring {
            seals: ArcSwap::from_pointee(seals?),
            label,
            accept_plain,
            send_plain,
            file,
            change: Mutex::new(()),
        })
    }

    pub(super) fn encrypts(&self) -> bool {
        !self.seals.load().is_empty()
    }

    /// A packet for the network.
    pub(super) fn seal(&self, body: &[u8], nonce: [u8; 16]) -> Vec<u8> {
        let seals = self.seals.load();
        let seal = seals.first().filter(|_| !self.send_plain);
        super::envelope::seal(&self.label, seal.map(Arc::as_ref), body, nonce)
    }

    /// What a packet from the network holds.
    pub(super) fn open(&self, packet: &mut [u8]) -> Result<std::ops::Range<usize>, OpenError> {
        let seals = self.seals.load();
        let accept_plain = self.accept_plain || seals.is_empty();
        super::envelope::open(&self.label, &seals, accept_plain, packet)
    }

    /// All keys, the one that encrypts first.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        self.seals.load().iter().map(|seal| seal.key().to_vec()).collect()
    }

    /// Does what was asked on this node. Returns all keys.
    pub(super) fn apply(&self, verb: KeyVerb, key: &[u8]) -> Result<Vec<Vec<u8>>, KeyError> {
        // Nothing is guarded but the order of changes.
        let _changing = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seals = Vec::clone(&self.seals.load());
        if seals.is_empty() {
            return Err(KeyError::Off(match verb {
                KeyVerb::List => "Keyring is empty (encryption not enabled)",
                _ => "No keyring to modify (encryption not enabled)",
            }));
        }
        let at = seals.iter().position(|seal| seal.key() == key);
        match (verb, at) {
            (KeyVerb::List, _) | (KeyVerb::Install, Some(_)) | (KeyVerb::Remove, None) => return Ok(self.keys()),
            (KeyVerb::Install, None) if seals.len() >= KEYS_MAX => return Err(KeyError::Full),
            (KeyVerb::Install, None) => seals.push(Arc::new(Seal::new(key)?)),
            (KeyVerb::Use, None) => return Err(KeyError::Unknown),
            (KeyVerb::Use, Some(at)) => seals[..=at].rotate_right(1),
            (KeyVerb::Remove, Some(0)) => return Err(KeyError::Primary),
            (KeyVerb::Remove, Some(at)) => drop(seals.remove(at)),
        }
        if let Some(path) = &self.file {
            let keys: Vec<&[u8]> = seals.iter().map(|seal| seal.key()).collect();
            write_keys(path, &keys).map_err(|source| KeyError::File { path: path.clone(), source })?;
        }
        self.seals.store(Arc::new(seals));
        Ok(self.keys())
    }
}

/// The keys of a file; `None` if there is no such file.
///
/// # Errors
/// It cannot be read, or is no list of keys.
pub fn read_keys(path: &Path) -> io::Result<Option<Vec<Vec<u8>>>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let list: Vec<String> = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
    let keys: Result<Vec<_>, _> = list.iter().map(|key| STANDARD.decode(key)).collect();
    let keys = keys.map_err(|e| bad(e.to_string()))?;
    if keys.is_empty() || keys.len() > KEYS_MAX || keys.iter().any(|key| !matches!(key.len(), 16 | 24 | 32)) {
        return Err(bad(format!("must hold 1 to {KEYS_MAX} keys of 16, 24 or 32 bytes")));
    }
    Ok(Some(keys))
}

/// Writes a file of keys that only its owner may read. It is whole or the old one, whatever happens.
///
/// # Errors
/// Those of the file system.
pub fn write_keys(path: &Path, keys: &[impl AsRef<[u8]>]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let list: Vec<String> = keys.iter().map(|key| STANDARD.encode(key)).collect();
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let fresh = path.with_extension("keyring.new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(serde_json::to_string(&list)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[u8]) -> Keyring {
        let keys = keys.iter().map(|n| vec![*n; 32]).collect();
        Keyring::new(Protection { keys, label: "pool".into(), ..Protection::default() }).unwrap()
    }

    fn passes(from: &Keyring, to: &Keyring) -> bool {
        let mut packet = from.seal(b"hello", [7; 16]);
        to.open(&mut packet).is_ok_and(|range| &packet[range] == b"hello")
    }

    #[test]
    fn no_packet_is_lost_while_keys_change() {
        let (a, b) = (ring(&[1]), ring(&[1]));
        let both = |a: &Keyring, b: &Keyring| passes(a, b) && passes(b, a);
        let new = [2; 32];
        for (verb, key) in [(KeyVerb::Install, new), (KeyVerb::Use, new), (KeyVerb::Remove, [1; 32])] {
            a.apply(verb, &key).unwrap();
            assert!(both(&a, &b), "{verb:?} on one");
            b.apply(verb, &key).unwrap();
            assert!(both(&a, &b), "{verb:?} on both");
        }
        assert_eq!(a.keys(), [vec![2; 32]]);
        assert!(!passes(&ring(&[1]), &a), "the old key is gone");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let a = ring(&[1]);
        assert!(matches!(a.apply(KeyVerb::Use, &[9; 32]), Err(KeyError::Unknown)));
        assert!(matches!(a.apply(KeyVerb::Remove, &[1; 32]), Err(KeyError::Primary)));
        assert!(matches!(a.apply(KeyVerb::Install, &[1; 5]), Err(KeyError::Size)));
        assert!(matches!(ring(&[]).apply(KeyVerb::List, &[]), Err(KeyError::Off(_))));
        assert_eq!(a.apply(KeyVerb::Remove, &[9; 32]).unwrap().len(), 1, "what is not there need not go");
    }

    #[test]
    fn plain_and_foreign_packets_stay_out() {
        assert!(!passes(&ring(&[]), &ring(&[1])) && !passes(&ring(&[1]), &ring(&[])));
        assert!(passes(&ring(&[]), &ring(&[])));
        let other = Keyring::new(Protection { label: "other".into(), ..Protection::default() }).unwrap();
        assert!(!passes(&ring(&[]), &other));
        let keys = vec![vec![1; 32]];
        let moving = Protection { keys, accept_plain: true, send_plain: true, label: "pool".into(), file: None };
        let moving = Keyring::new(moving).unwrap();
        assert!(passes(&moving, &ring(&[])) && passes(&ring(&[]), &moving) && passes(&ring(&[1]), &moving));
    }

    #[test]
    fn changes_outlive_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("serf/local.keyring");
        assert!(read_keys(&file).unwrap().is_none());
        let protection = Protection { keys: vec![vec![1; 16]], file: Some(file.clone()), ..Protection::default() };
        let ring = Keyring::new(protection).unwrap();
        ring.apply(KeyVerb::Install, &[2; 24]).unwrap();
        ring.apply(KeyVerb::Use, &[2; 24]).unwrap();
        assert_eq!(read_keys(&file).unwrap().unwrap(), [vec![2; 24], vec![1; 16]]);
        for bad in ["", "{}", "[]", "[\"x\"]", "[\"AAAA\"]"] {
            fs::write(&file, bad).unwrap();
            assert!(read_keys(&file).is_err(), "{bad}");
        }
    }
}
