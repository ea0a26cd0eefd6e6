//! Reports that Baton itself reads: dotenv when it is uploaded, JUnit when somebody looks.
//!
//! What must stay true: a report is hostile, and may unpack to much more than it is. No more of it is read than a person
//! would; an upload's reading costs nothing that its sending does not.

use super::Coordinator;
use crate::artifacts::Received;
use crate::domain::build::BuildId;
use crate::domain::dotenv;
use crate::domain::junit::Summary;
use crate::domain::spec::ArtifactKind;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::gzip::{UnpackLimits, for_each_member, members};
use crate::store::dotenv::Variables;
use std::io::{self, BufReader, Read};

/// Longest dotenv report as it is sent, in bytes: what the longest one takes that does not pack, in a file a variable.
const DOTENV_PACKED_BYTES_MAX: u64 = 32 << 10;
/// What is unpacked of one: enough to see that it is too long.
const DOTENV_UNPACKED: UnpackLimits =
    UnpackLimits { bytes_max: dotenv::BYTES_MAX as u64 + 1, members_max: 2 * dotenv::VARIABLES_MAX };
/// What is unpacked of a JUnit report; it is held in memory where one text is so long.
const JUNIT_UNPACKED: UnpackLimits = UnpackLimits { bytes_max: 32 << 20, members_max: 10_000 };

/// The variables in a dotenv report that was received.
///
/// # Errors
/// [`Kind::Invalid`] says in which line it is none; the file system's.
pub fn read_dotenv(received: &Received) -> Result<Variables> {
    if received.size > DOTENV_PACKED_BYTES_MAX {
        return Err(Error::invalid(format!("the dotenv report has more than {DOTENV_PACKED_BYTES_MAX} bytes, packed")));
    }
    let mut packed = Vec::new();
    received.open()?.take(DOTENV_PACKED_BYTES_MAX).read_to_end(&mut packed)?;
    let (files, is_whole) = members(packed.as_slice(), DOTENV_UNPACKED)
        .map_err(|_| Error::invalid("the dotenv report is not packed with gzip"))?;
    let variables = dotenv::parse(&files).map_err(Error::invalid)?;
    if !is_whole {
        return Err(Error::invalid("the dotenv report has too many files"));
    }
    Ok(variables)
}

impl Coordinator {
    /// A build's JUnit report in short; `None` if it has none, or it has expired.
    ///
    /// # Errors
    /// The database's and the file system's.
    pub fn junit_summary(&self, id: BuildId, now: Timestamp) -> Result<Option<Summary>> {
        let found = match self.operator_artifacts(id, &ArtifactKind("junit".to_owned()), now) {
            Err(error) if error.kind == Kind::NotFound => return Ok(None),
            found => found?,
        };
        let mut summary = Summary { is_whole: true, ..Summary::default() };
        let mut each = |member: &mut dyn Read| {
            summary.is_whole &= summary.add(BufReader::new(member));
            Ok(())
        };
        // What is no gzip counts as a report that is malformed.
        let unpacked: io::Result<bool> = for_each_member(BufReader::new(found.file), JUNIT_UNPACKED, &mut each);
        summary.is_whole &= unpacked.unwrap_or(false);
        Ok(Some(summary))
    }
}
