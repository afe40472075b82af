//! Every redb table of the store, its key and value, and the rows that say who wrote the file and in which format.
//!
//! | file | table | key | value |
//! | --- | --- | --- | --- |
//! | `raft.redb` | `meta` | `format` `identity` `former` `recovering` `superseded` `vote` `purged` `segment` | see the constants |
//! | `state.redb` | `rows` | table number (1 byte), then the row's key | the row's value |
//! | `state.redb` | `meta` | `format` `cluster` `history_floor` `position` | see the constants |

use super::{Medium, StoreError};
use redb::{Database, ReadableDatabase, TableDefinition, TableError};

/// File of what the raft log holds beside its entries.
pub(super) const LOG_FILE: &str = "raft.redb";
/// File of the checkpoint.
pub(super) const STATE_FILE: &str = "state.redb";
/// Where an incoming snapshot is built before it takes the place of [`STATE_FILE`].
pub(super) const INSTALL_FILE: &str = "state.redb.install";

/// State rows: table number and key to value.
pub(super) const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
/// Small facts about the file.
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// u32 little endian: the layout of the file.
pub(super) const META_FORMAT: &str = "format";
/// Cluster id (16 bytes) and raft node id (u64 little endian).
pub(super) const META_IDENTITY: &str = "identity";
/// Ids of clusters that were recovered as the present one, 16 bytes each. Absent: there are none.
pub(super) const META_FORMER: &str = "former";
/// One byte while the recovery of this server is not finished; empty or absent otherwise.
pub(super) const META_RECOVERING: &str = "recovering";
/// UTF-8: why this server must not take part any more; empty or absent: it may.
pub(super) const META_SUPERSEDED: &str = "superseded";
/// Encoded vote.
pub(super) const META_VOTE: &str = "vote";
/// [`Marked`]: the last entry that was purged.
pub(super) const META_PURGED: &str = "purged";
/// u64 little endian: number of the first segment of the journal that counts.
pub(super) const META_SEGMENT: &str = "segment";
/// Cluster id, 16 bytes.
pub(super) const META_CLUSTER: &str = "cluster";
/// u64 little endian: the history is complete after this index. Absent: it was never trimmed.
pub(super) const META_FLOOR: &str = "history_floor";
/// [`super::Position`]: what the checkpoint holds.
pub(super) const META_POSITION: &str = "position";

/// The layout that this version writes, for both files.
pub(super) const FORMAT: u32 = 1;

/// Who this server is; written once, when it is set up. Node ids are never used twice in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster (a UUID).
    pub cluster: [u8; 16],
    /// Raft id of this server.
    pub node: u64,
}

impl Identity {
    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.cluster[..], &self.node.to_le_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Identity> {
        let (cluster, node) = bytes.split_at_checked(16)?;
        Some(Identity { cluster: cluster.try_into().ok()?, node: u64::from_le_bytes(node.try_into().ok()?) })
    }
}

/// An encoded log id with its index in front, so that the store can compare without decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) index: u64,
    pub(super) log_id: Vec<u8>,
}

impl Marked {
    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.index.to_le_bytes()[..], &self.log_id].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Marked> {
        let (index, log_id) = bytes.split_at_checked(8)?;
        Some(Marked { index: u64::from_le_bytes(index.try_into().ok()?), log_id: log_id.to_vec() })
    }
}

/// The value of [`META_FLOOR`].
pub(super) fn floor(row: Option<redb::AccessGuard<'_, &'static [u8]>>) -> u64 {
    row.and_then(|bytes| bytes.value().try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Opens a database file of this store. A new one gets its name only when it is whole: a crash half way through its
/// creation would leave a file that nothing can open.
pub(super) fn open(medium: &Medium, name: &str, cache: usize) -> Result<Database, StoreError> {
    let new = format!("{name}.new");
    medium.remove(&new)?;
    if medium.exists(name) {
        let database = medium.open(name, cache)?;
        check_format(&database, &medium.describe(name))?;
        return Ok(database);
    }
    let database = medium.open(&new, cache)?;
    check_format(&database, &medium.describe(&new))?;
    medium.replace(&new, name)?;
    Ok(database)
}

/// Writes the format row into a new file; refuses a file of a newer format.
pub(super) fn check_format(database: &Database, file: &str) -> Result<(), StoreError> {
    match read_meta(database, file, META_FORMAT)? {
        None => write_meta(database, file, META_FORMAT, &FORMAT.to_le_bytes()),
        Some(bytes) => {
            let found = bytes.as_slice().try_into().map(u32::from_le_bytes);
            let found = found.map_err(|_| StoreError::corrupt(file, "the format row has a wrong length"))?;
            if found > FORMAT {
                return Err(StoreError::NewerFormat { file: file.to_owned(), found, supported: FORMAT });
            }
            Ok(())
        }
    }
}

/// Reads one row of [`META`].
pub(super) fn read_meta(database: &Database, file: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let read = || -> Result<Option<Vec<u8>>, redb::Error> {
        match database.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(key)?.map(|value| value.value().to_vec())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    };
    read().map_err(|e| StoreError::io(file, "read the file's description", e))
}

/// Writes one row of [`META`] durably, in a transaction of its own.
pub(super) fn write_meta(database: &Database, file: &str, key: &str, value: &[u8]) -> Result<(), StoreError> {
    let write = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert(key, value)?;
        Ok(transaction.commit()?)
    };
    write().map_err(|e| StoreError::io(file, "write the file's description", e))
}
