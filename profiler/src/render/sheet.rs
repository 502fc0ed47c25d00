//! How `summary.json` keeps its size: lists with a quota of bytes, and each stack and name only once.
//!
//! In: rows, and what spells their stacks. Out: [`Sheet`]: lists that are cut at their lightest rows, and the stacks and
//! names that the rows refer to by their numbers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::fold::Folder;
use super::name::NameId;
use super::quota::Quotas;
use crate::profile::Profile;

/// A document as it is written.
#[derive(Debug)]
pub struct Summary {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Rows that had no room.
    pub left_out: u64,
}

/// What all rows of one document share.
#[derive(Clone)]
pub struct Sheet<'p>(Rc<Parts<'p>>);

struct Parts<'p> {
    folder: RefCell<Folder<'p>>,
    stacks: RefCell<Stacks>,
    written: RefCell<Written>,
    quotas: Quotas,
}

/// Distinct stacks.
#[derive(Default)]
struct Stacks {
    list: Vec<Rc<[NameId]>>,
    index: HashMap<Rc<[NameId]>, u32>,
}

/// What the rows that are written refer to, in the order in which they first do.
#[derive(Default)]
struct Written {
    stacks: Numbers,
    names: Numbers,
}

/// Old number → new number, and back.
#[derive(Default)]
struct Numbers {
    new: HashMap<u32, u32>,
    order: Vec<u32>,
}

impl Numbers {
    /// The new number, and whether it was given just now.
    fn of(&mut self, old: u32) -> (u32, bool) {
        if let Some(new) = self.new.get(&old) {
            return (*new, false);
        }
        let new = self.order.len() as u32;
        self.new.insert(old, new);
        self.order.push(old);
        (new, true)
    }
}

impl<'p> Sheet<'p> {
    /// An empty one.
    pub fn new(profile: &'p Profile) -> Self {
        Self(Rc::new(Parts {
            folder: RefCell::new(Folder::new(profile)),
            stacks: RefCell::default(),
            written: RefCell::default(),
            quotas: Quotas::default(),
        }))
    }

    /// The sizes of its lists.
    pub fn quotas(&self) -> &Quotas {
        &self.0.quotas
    }

    /// Begins to write: nothing is referred to yet.
    pub fn begin(&self) {
        *self.0.written.borrow_mut() = Written::default();
        self.0.quotas.begin();
    }

    /// The stack that `push` pushes.
    pub fn stack(&self, push: impl FnOnce(&mut Folder<'p>)) -> StackRef<'p> {
        let mut folder = self.0.folder.borrow_mut();
        push(&mut folder);
        let mut stacks = self.0.stacks.borrow_mut();
        let known = stacks.index.get(folder.pushed()).copied();
        let id = known.unwrap_or_else(|| {
            let (id, path) = (stacks.list.len() as u32, Rc::<[NameId]>::from(folder.pushed()));
            stacks.list.push(Rc::clone(&path));
            stacks.index.insert(path, id);
            id
        });
        folder.discard();
        StackRef { sheet: self.clone(), id }
    }

    /// A list of rows, the heaviest first.
    pub fn list<R>(&self, name: &'static str, rows: Vec<R>) -> List<'p, R> {
        List { sheet: self.clone(), name, rows }
    }

    /// Writes as many rows as the list may hold; `all` is how many there are.
    pub fn rows<S: Serializer, R: Serialize>(
        &self,
        (name, all): (&'static str, usize),
        rows: impl Iterator<Item = R>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        let mut list = self.0.quotas.open(name);
        for row in rows {
            if !list.has_room(&self.0.quotas) {
                break;
            }
            seq.serialize_element(&row)?;
            list.kept += 1;
        }
        self.0.quotas.close(&list, all);
        seq.end()
    }

    /// The number of a stack that a row refers to.
    fn number(&self, id: u32) -> u32 {
        let mut written = self.0.written.borrow_mut();
        let (number, first) = written.stacks.of(id);
        if first {
            let (stacks, folder) = (self.0.stacks.borrow(), self.0.folder.borrow());
            let path = stacks.list.get(id as usize).map_or(&[][..], |path| path);
            let mut bytes = 4;
            for name in path {
                let (number, first) = written.names.of(*name);
                bytes += 2 + u64::from(number.checked_ilog10().unwrap_or(0));
                bytes += if first { folder.name(*name).len() as u64 + 5 } else { 0 };
            }
            // They are written at the end, and belong to this row.
            self.0.quotas.owe(bytes);
        }
        number
    }
}

/// A stack that a row refers to.
#[derive(Clone)]
pub struct StackRef<'p> {
    sheet: Sheet<'p>,
    id: u32,
}

impl Serialize for StackRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.sheet.number(self.id))
    }
}

/// A list of rows that is cut where it has no room.
pub struct List<'p, R> {
    sheet: Sheet<'p>,
    name: &'static str,
    rows: Vec<R>,
}

impl<R: Serialize> Serialize for List<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sheet.rows((self.name, self.rows.len()), self.rows.iter(), serializer)
    }
}

/// The stacks that rows refer to, each a list of numbers of names, the root first.
pub struct StackList<'p>(pub Sheet<'p>);

impl Serialize for StackList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = &self.0.0;
        let (stacks, mut written) = (parts.stacks.borrow(), parts.written.borrow_mut());
        let Written { stacks: order, names } = &mut *written;
        serializer.collect_seq(order.order.iter().map(|id| {
            let path = stacks.list.get(*id as usize).map_or(&[][..], |path| path);
            path.iter().map(|name| names.of(*name).0).collect::<Vec<_>>()
        }))
    }
}

/// The names that stacks refer to.
pub struct NameList<'p>(pub Sheet<'p>);

impl Serialize for NameList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = &self.0.0;
        let (folder, written) = (parts.folder.borrow(), parts.written.borrow());
        serializer.collect_seq(written.names.order.iter().map(|name| folder.name(*name)))
    }
}
