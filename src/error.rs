//! What can go wrong, as a kind for machines and a sentence for people. `api/mod.rs` and the command
//! line each have one table from kinds to statuses.

use std::fmt;

/// A refused or failed deed.
#[derive(Clone, Debug)]
pub struct Error {
    /// What to do about it, for machines.
    pub kind: Kind,
    /// One sentence for the person who asked: what went wrong, with what. Holds no token and no secret.
    pub message: String,
}

/// The kinds of refusals and failures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The request is malformed or asks for something impossible.
    Invalid,
    /// No valid token, or none for this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It contradicts the present state.
    Conflict,
    /// Over a limit of size.
    TooLarge,
    /// The client was too slow.
    TooSlow,
    /// The server is at a limit, or the database is locked: try again later.
    Busy,
    /// The disk is full.
    DiskFull,
    /// A fault of ours; the message is for the log, not for clients.
    Internal,
    /// What is stored is not what it is to be; the message is for the log, not for clients.
    Damaged,
}

/// The result of a deed.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    /// [`Kind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, message)
    }

    /// [`Kind::Forbidden`], without a word on why: a stranger learns nothing.
    #[must_use]
    pub fn forbidden() -> Error {
        Error::new(Kind::Forbidden, "")
    }

    /// [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, message)
    }

    /// [`Kind::Internal`].
    pub fn internal(message: impl fmt::Display) -> Error {
        Error::new(Kind::Internal, message.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// A database error is never "not found" and never "forbidden": old runners give a build up on those.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, NotADatabase, ReadOnly};
        let is_damaged =
            matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..));
        let kind = match error.sqlite_error_code() {
            _ if is_damaged => Kind::Damaged,
            Some(NotADatabase) => return Error::internal("the file is not an SQLite database; it was left as it is"),
            Some(ReadOnly) => {
                let why = "the data directory cannot be written: its file system is read-only, or its files are";
                return Error::internal(format!("{why}; name a copy of it elsewhere"));
            }
            Some(DatabaseBusy | DatabaseLocked) => Kind::Busy,
            Some(DiskFull) => Kind::DiskFull,
            _ => Kind::Internal,
        };
        Error::new(kind, format!("database: {error}"))
    }
}

impl Error {
    /// What the file system says of a file.
    #[must_use]
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Error {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let kind = if matches!(error.kind(), StorageFull | QuotaExceeded) { Kind::DiskFull } else { Kind::Internal };
        let advice = if error.kind() == PermissionDenied {
            "; run baton as the user whom the data belongs to, or choose another directory with --data"
        } else if error.kind() == ReadOnlyFilesystem {
            "; name a copy of the data elsewhere"
        } else {
            ""
        };
        Error::new(kind, format!("{}: {error}{advice}", path.display()))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let kind = if matches!(error.kind(), StorageFull | QuotaExceeded) { Kind::DiskFull } else { Kind::Internal };
        Error::new(kind, format!("file system: {error}"))
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Error {
        Error::internal(format!("no random bytes: {error}"))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        Error::new(Kind::Damaged, format!("stored JSON: {error}"))
    }
}
