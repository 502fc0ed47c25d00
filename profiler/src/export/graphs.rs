//! The pictures of a profile as exports take them.
//!
//! In: a rendering, and perhaps one picture; without one, all pictures whose probe ran. Out: folded paths
//! with unit and title, of at least one picture.

use std::rc::Rc;

use crate::probe::Picture;
use crate::render::Made;
use crate::render::Rendering;
use crate::render::fold::Folded;
use crate::render::pictures::drawing;

/// One picture.
pub struct Graph {
    /// Which.
    pub picture: Picture,
    /// Unit of its weights: `ns` or `samples`.
    pub unit: &'static str,
    /// What it shows, without the target.
    pub title: String,
    made: Rc<Made>,
}

impl Graph {
    /// Its paths.
    pub fn folded(&self) -> &Folded {
        &self.made.folded
    }
}

/// The picture that was chosen, else all that were measured, else the first, which is empty then.
pub fn graphs(rendering: &Rendering<'_>, chosen: Option<Picture>) -> Vec<Graph> {
    let header = &rendering.profile().header;
    let ran = |picture: &Picture| {
        let probe = picture.probe().name();
        let active = header.probes.iter().any(|plan| plan.active && plan.probe == probe);
        active || !rendering.made(*picture).folded.paths().is_empty()
    };
    let mut pictures: Vec<Picture> = match chosen {
        Some(picture) => vec![picture],
        None => Picture::ALL.iter().copied().filter(ran).collect(),
    };
    if pictures.is_empty() {
        pictures.extend(Picture::ALL.first());
    }
    let graph = |picture: Picture| {
        let row = drawing(picture);
        Graph { picture, unit: row.unit, title: (row.title)(header), made: rendering.made(picture) }
    };
    pictures.into_iter().map(graph).collect()
}
