//! The errors of the store: always with the file they are about and what mends them.

/// Why the store cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed; the message names the file and the mend.
    #[error("{file}: cannot {what}: {reason}; {mend}")]
    Io {
        /// The file.
        file: String,
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// The cause, as the operating system or redb says it.
        reason: String,
        /// What the operator can do.
        mend: &'static str,
    },
    /// Another process holds the file.
    #[error("{file}: in use by another process; stop it, or choose another data directory")]
    InUse {
        /// The file.
        file: String,
    },
    /// The file was written by a newer version.
    #[error("{file}: format {found} is newer than {supported}, the newest this version reads; run a newer version")]
    NewerFormat {
        /// The file.
        file: String,
        /// The format of the file.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// The file's content contradicts itself or its neighbour.
    #[error("{file}: {reason}; restore the data directory from a snapshot, or remove it and join the cluster anew")]
    Corrupt {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] super::SnapshotError),
}

const FREE_SPACE: &str = "free space on that disk, then start the node again";
const CHECK_DISK: &str = "check the disk and the permissions of the data directory, then start the node again";

impl StoreError {
    /// A failed read or write, with the mend that fits its cause.
    pub(super) fn io(file: &str, what: &'static str, cause: impl Into<redb::Error>) -> StoreError {
        match cause.into() {
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse { file: file.to_owned() },
            redb::Error::Corrupted(reason) => StoreError::Corrupt { file: file.to_owned(), reason },
            redb::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                StoreError::Corrupt { file: file.to_owned(), reason: e.to_string() }
            }
            redb::Error::Io(e) => {
                let mend = match e.kind() {
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FREE_SPACE,
                    _ => CHECK_DISK,
                };
                StoreError::Io { file: file.to_owned(), what, reason: e.to_string(), mend }
            }
            other => StoreError::Io { file: file.to_owned(), what, reason: other.to_string(), mend: CHECK_DISK },
        }
    }

    pub(super) fn corrupt(file: &str, reason: impl Into<String>) -> StoreError {
        StoreError::Corrupt { file: file.to_owned(), reason: reason.into() }
    }
}

impl From<StoreError> for std::io::Error {
    fn from(e: StoreError) -> std::io::Error {
        std::io::Error::other(e)
    }
}
