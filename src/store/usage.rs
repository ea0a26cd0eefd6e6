//! What projects take, by looking at all builds: a page of them at a time, so that no snapshot lasts.

use crate::domain::build::{BuildId, ProjectId};
use crate::error::Result;
use rusqlite::{Connection, named_params};

/// Builds of a page.
const PAGE_ROWS: usize = 10_000;

/// What some builds of one project take.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Builds.
    pub builds: u64,
    /// Bytes of their logs.
    pub log_bytes: u64,
    /// Bytes of their artifacts, without the metadata beside them.
    pub artifact_bytes: u64,
}

impl Taken {
    /// Bytes of all.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.log_bytes.saturating_add(self.artifact_bytes)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Taken) -> Taken {
        Taken {
            builds: self.builds + other.builds,
            log_bytes: self.log_bytes + other.log_bytes,
            artifact_bytes: self.artifact_bytes + other.artifact_bytes,
        }
    }
}

/// Some consecutive builds.
#[derive(Default)]
pub struct Page {
    /// What they take, by project.
    pub taken: Vec<(ProjectId, Taken)>,
    /// The last of them; `None`: there was none left.
    pub last: Option<BuildId>,
}

/// The next builds after `after`.
pub fn page(c: &Connection, after: BuildId) -> Result<Page> {
    let mut statement = c.prepare_cached(
        "SELECT b.project_id, count(*), coalesce(sum(t.size), 0),
             coalesce(sum((SELECT sum(size) FROM artifacts WHERE build_id = b.id)), 0), max(b.id)
         FROM (SELECT id, project_id FROM builds WHERE id > :after ORDER BY id LIMIT :rows) b
         LEFT JOIN traces t ON t.build_id = b.id
         GROUP BY b.project_id",
    )?;
    let mut rows = statement.query(named_params! {":after": after.0, ":rows": PAGE_ROWS})?;
    let mut page = Page::default();
    while let Some(row) = rows.next()? {
        let taken = Taken { builds: row.get(1)?, log_bytes: row.get(2)?, artifact_bytes: row.get(3)? };
        page.taken.push((ProjectId(row.get(0)?), taken));
        page.last = page.last.max(Some(BuildId(row.get(4)?)));
    }
    Ok(page)
}

/// Bytes of the database, and how many of them are in free pages.
pub fn database(c: &Connection) -> Result<(u64, u64)> {
    let pragma = |name| c.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let page_bytes = pragma("page_size")?;
    Ok((pragma("page_count")? * page_bytes, pragma("freelist_count")? * page_bytes))
}
