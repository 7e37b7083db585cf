//! Pages of a listing that cannot be: in circles, without end.

use super::Failure;
use super::explain;
use super::http::Answer;
use super::wire::Listed;
use std::collections::HashSet;
use uuid::Uuid;

/// The most entries of a listing, as a bound for pages that never end.
const MOST: usize = 16_000_000;

/// What is known of the listing of all ports so far: enough to see that it goes in circles.
#[derive(Default)]
pub(super) struct Listing {
    markers: HashSet<Uuid>,
    count: usize,
}

impl Listing {
    /// Whether a page can be the one behind this marker: none of it may end a page before.
    pub(super) fn check<T>(
        &mut self,
        answer: &Answer,
        marker: Option<Uuid>,
        listed: &Listed<T>,
    ) -> Result<(), Failure> {
        self.markers.extend(marker);
        self.count += listed.count;
        if let Some(again) = listed.uuids.iter().find(|uuid| self.markers.contains(uuid)) {
            let why =
                format!("the listing goes in circles: {again} again; look for a cache or proxy that ignores marker=");
            return Err(explain::nonsense(answer, &why));
        }
        if self.count > MOST {
            return Err(explain::nonsense(answer, &format!("the listing does not end, after {} entries", self.count)));
        }
        if listed.count == 0 && listed.goes_on {
            return Err(explain::nonsense(
                answer,
                "an empty page that is not the last; look for a proxy that loses entries",
            ));
        }
        if listed.count > 0 && listed.last.is_none() {
            return Err(explain::nonsense(
                answer,
                "the last entry has no UUID, so that nobody knows where the next page begins",
            ));
        }
        Ok(())
    }
}
