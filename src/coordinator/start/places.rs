//! Places for those who have commits fetched and configurations compiled: so many in all, and so many for one project.

use crate::domain::build::ProjectId;
use crate::error::{Error, Kind, Result};
use crate::limits::Limits;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The places. Nobody waits for one.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    most: usize,
    most_per_project: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_project: HashMap<Option<ProjectId>, usize>,
}

/// One that is taken.
pub struct Place {
    places: Places,
    project: Option<ProjectId>,
}

impl Places {
    /// As many as the limits say.
    #[must_use]
    pub fn new(limits: &Limits) -> Places {
        let (most, most_per_project) = (limits.starts_max, limits.starts_per_project_max);
        Places { taken: Arc::default(), most, most_per_project }
    }

    /// Takes a place for this project, or for what is of none.
    ///
    /// # Errors
    /// [`Kind::Busy`] if there is none.
    pub fn take(&self, project: Option<ProjectId>) -> Result<Place> {
        let mut taken = lock(&self.taken);
        let own = taken.by_project.get(&project).copied().unwrap_or_default();
        if taken.all >= self.most || own >= self.most_per_project {
            return Err(Error::new(Kind::Busy, "too many commits are fetched at once"));
        }
        taken.all += 1;
        taken.by_project.insert(project, own + 1);
        Ok(Place { places: self.clone(), project })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        taken.all = taken.all.saturating_sub(1);
        let own = taken.by_project.remove(&self.project).unwrap_or_default();
        if own > 1 {
            taken.by_project.insert(self.project, own - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_project_does_not_take_all_places_and_what_is_given_back_is_free() {
        let places = Places::new(&Limits { starts_max: 3, starts_per_project_max: 2, ..Limits::default() });
        let take = |id| places.take(Some(ProjectId(id)));
        let own = [take(1).ok().unwrap(), take(1).ok().unwrap()];
        assert_eq!(take(1).err().unwrap().kind, Kind::Busy);
        let other = take(2).ok().unwrap();
        assert_eq!(take(3).err().unwrap().kind, Kind::Busy);
        drop(own);
        let again = [take(1).ok().unwrap(), take(3).ok().unwrap()];
        assert_eq!(take(1).err().unwrap().kind, Kind::Busy);
        drop((other, again));
        let taken = lock(&places.taken);
        assert_eq!((taken.all, taken.by_project.len()), (0, 0));
    }
}
