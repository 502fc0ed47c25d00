//! What a container is called.
//!
//! In: the names that one source has. Out: the same, completed from other sources.

use serde::{Deserialize, Serialize};

/// What is known of a container beyond its id; empty where nothing says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    pub runtime: String,
    pub id: String,
    pub name: String,
    /// Other names it goes by.
    pub other: Vec<String>,
    pub image: String,
    pub pod: String,
    pub namespace: String,
}

impl Names {
    /// Fills what is still empty.
    pub(super) fn fill(&mut self, more: Self) {
        let pairs = [
            (&mut self.runtime, more.runtime),
            (&mut self.id, more.id),
            (&mut self.name, more.name),
            (&mut self.image, more.image),
            (&mut self.pod, more.pod),
            (&mut self.namespace, more.namespace),
        ];
        for (own, new) in pairs {
            if own.is_empty() {
                *own = new;
            }
        }
        self.other.extend(more.other);
    }
}
