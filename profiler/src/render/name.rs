//! Names of frames.
//!
//! In: stacks of the profile. Out: interned names root → leaf, ready for a folded line: `f_[k]` is kernel
//! code, `f_[i]` is inlined; a frame without a name is spelled like `libc.so.6+0x1234 [no symbol]`. The
//! profiler's own frames at the leaf of a kernel stack are left out. A stack has at most [`MAX_NAMES`] names.

use std::collections::HashMap;
use std::sync::Arc;

use super::clean;
use crate::profile::{Frame, FrameId, FrameSpace, NAMELESS, Reason, Resolution, StackId, StackTable};

/// Frames of one stack that are looked at; a longer one comes from a hostile capture.
pub const MAX_FRAMES: usize = MAX_NAMES;
/// Names of one stack at most, inlined functions included: those next to the leaf. A frame may have dozens of inlined
/// functions.
pub const MAX_NAMES: usize = 256;
/// Stands at the root where a stack goes on.
const DEEPER: &str = "[deeper frames cut]";

/// Position of a name in [`Names`].
pub type NameId = u32;

/// Interned names.
#[derive(Debug, Default)]
pub struct Names {
    list: Vec<Arc<str>>,
    index: HashMap<Arc<str>, NameId>,
}

impl Names {
    /// The id of a name.
    pub fn intern(&mut self, name: &str) -> NameId {
        if let Some(&id) = self.index.get(name) {
            return id;
        }
        let (id, name) = (self.list.len() as NameId, Arc::<str>::from(name));
        self.list.push(Arc::clone(&name));
        self.index.insert(name, id);
        id
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Sorts the names; returns the new id of each old one. Names are only read afterwards.
    pub fn sort(&mut self) -> Vec<NameId> {
        self.index = HashMap::new();
        let mut order: Vec<NameId> = (0..self.list.len() as NameId).collect();
        order.sort_unstable_by(|a, b| self.list[*a as usize].cmp(&self.list[*b as usize]));
        let mut renamed = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            renamed[old as usize] = new as NameId;
        }
        self.list.sort_unstable();
        renamed
    }

    /// A name.
    pub fn get(&self, id: NameId) -> &str {
        self.list.get(id as usize).map_or(NAMELESS, |name| name)
    }
}

/// What is known of a frame.
#[derive(Clone, Copy)]
struct Spelled {
    /// Its names: a range of all.
    start: u32,
    end: u32,
    /// It is a BPF trampoline.
    trampoline: bool,
    /// It has neither a name nor a file.
    faceless: bool,
}

impl Spelled {
    fn names<'n>(&self, flat: &'n [NameId]) -> &'n [NameId] {
        flat.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// The names of frames, each made once.
pub struct FrameNames<'p> {
    stacks: &'p StackTable,
    /// All names.
    pub names: Names,
    /// By frame.
    known: Vec<Option<Spelled>>,
    missing: Option<Spelled>,
    flat: Vec<NameId>,
}

impl<'p> FrameNames<'p> {
    /// No names yet.
    pub fn new(stacks: &'p StackTable) -> Self {
        Self { stacks, names: Names::default(), known: Vec::new(), missing: None, flat: Vec::new() }
    }

    /// The name next to the leaf of a stack.
    pub fn leaf(&mut self, id: StackId) -> Option<NameId> {
        let stacks = self.stacks;
        let frames = stacks.frames(id)?;
        let leaf = *frames.iter().find(|frame| !is_tracer(stacks, **frame))?;
        self.spelled(leaf).names(&self.flat).last().copied()
    }

    /// Appends the names next to a stack's leaf, at least `count` if it has so many; root → leaf.
    pub fn push_last(&mut self, id: StackId, count: usize, path: &mut Vec<NameId>) -> bool {
        let stacks = self.stacks;
        let Some(frames) = stacks.frames(id) else { return false };
        let own = frames.iter().take_while(|frame| is_tracer(stacks, **frame)).count();
        let begin = path.len();
        // Some frames have no name of their own beside those of their neighbours.
        let near = &frames[own..frames.len().min(own + 4 * count)];
        self.push_frames(near, path);
        if own + near.len() == frames.len() || path.len() - begin < count {
            path.truncate(begin);
            return self.push(id, path);
        }
        true
    }

    /// Appends a stack's names, root → leaf; `false` when there is no such stack.
    pub fn push(&mut self, id: StackId, path: &mut Vec<NameId>) -> bool {
        let stacks = self.stacks;
        let Some(frames) = stacks.frames(id) else { return false };
        let own = frames.iter().take_while(|frame| is_tracer(stacks, **frame)).count();
        let kept = &frames[own..frames.len().min(own + MAX_FRAMES)];
        if stacks.truncated(id) || own + kept.len() < frames.len() {
            path.push(self.names.intern(DEEPER));
        }
        if let Some(cut) = stacks.cut(id) {
            path.push(self.names.intern(cut.text()));
        }
        let begin = path.len();
        self.push_frames(kept, path);
        let over = (path.len() - begin).saturating_sub(MAX_NAMES);
        if over > 0 {
            path.drain(begin..begin + over);
            let deeper = self.names.intern(DEEPER);
            if path[..begin].last() != Some(&deeper) {
                path.insert(begin, deeper);
            }
        }
        true
    }

    fn push_frames(&mut self, kept: &[FrameId], path: &mut Vec<NameId>) {
        let stacks = self.stacks;
        let mut wrapped = false;
        for (index, &frame) in kept.iter().enumerate().rev() {
            // A function that is timed at entry and return appears twice, its trampoline between.
            let leafward = index.checked_sub(1).and_then(|next| kept.get(next));
            let spelled = self.spelled(frame);
            if spelled.trampoline && leafward.is_some_and(|next| !is_tracer(stacks, *next)) {
                wrapped = true;
                continue;
            }
            let names = spelled.names(&self.flat);
            if std::mem::take(&mut wrapped) && path.last() == names.last() {
                continue;
            }
            // A walk that has lost its way says the same nothing over and over: once is enough.
            if spelled.faceless && names.len() == 1 && path.last() == names.last() {
                continue;
            }
            path.extend_from_slice(names);
        }
    }

    /// Of a frame that is in no table: a hostile capture may have millions.
    fn missing(&mut self) -> Spelled {
        if let Some(missing) = self.missing {
            return missing;
        }
        let (start, end) = self.add(&["[frame missing]".to_owned()]);
        *self.missing.insert(Spelled { start, end, trampoline: false, faceless: false })
    }

    fn spelled(&mut self, id: FrameId) -> Spelled {
        let Some(frame) = self.stacks.frame(id) else {
            return self.missing();
        };
        let index = id.0 as usize; // it exists, so the table below is no longer than the frame table
        if self.known.len() <= index {
            self.known.resize(index + 1, None);
        }
        if let Some(spelled) = self.known[index] {
            return spelled;
        }
        let (start, end) = self.add(&frame_names(self.stacks, id, frame));
        let (trampoline, faceless) = (is_trampoline(self.stacks, id), is_faceless(self.stacks, id));
        let spelled = Spelled { start, end, trampoline, faceless };
        self.known[index] = Some(spelled);
        spelled
    }

    fn add(&mut self, names: &[String]) -> (u32, u32) {
        let start = self.flat.len() as u32;
        for name in names {
            let id = self.names.intern(name);
            self.flat.push(id);
        }
        (start, self.flat.len() as u32)
    }
}

/// Whether the frame has neither a name nor a file.
fn is_faceless(stacks: &StackTable, id: FrameId) -> bool {
    let anonymous = stacks.frame(id).is_some_and(|frame| matches!(frame.space, FrameSpace::Anonymous(_)));
    anonymous && matches!(stacks.resolution(id), Resolution::Unnamed(_))
}

/// The names of one frame, root → leaf: the function, then what is inlined in it.
fn frame_names(stacks: &StackTable, id: FrameId, frame: Frame) -> Vec<String> {
    let kernel = frame.space == FrameSpace::Kernel;
    match stacks.resolution(id) {
        Resolution::Named(functions) => {
            let spelled = |(at, function): (usize, &Arc<str>)| {
                let inlined = at + 1 < functions.len();
                let suffix = match (kernel, inlined) {
                    (true, _) => "_[k]",
                    (false, true) => "_[i]",
                    (false, false) => "",
                };
                clean::frame(function) + suffix
            };
            functions.iter().enumerate().rev().map(spelled).collect()
        }
        Resolution::Unnamed(reason) => vec![unnamed(stacks, frame, *reason)],
    }
}

fn unnamed(stacks: &StackTable, frame: Frame, reason: Reason) -> String {
    let why = reason_text(reason);
    match frame.space {
        FrameSpace::Kernel => format!("{:#x} [{why}]_[k]", frame.address),
        FrameSpace::Vdso => format!("[vdso]+{:#x} [{why}]", frame.address),
        FrameSpace::Anonymous(_) => format!("[unknown: {why}]"),
        FrameSpace::Module(module) => {
            let path = stacks.module(module).map_or("", |module| module.path.as_str());
            let file = path.rsplit('/').next().filter(|file| !file.is_empty()).unwrap_or("?");
            format!("{}+{:#x} [{why}]", clean::frame(file), frame.address)
        }
    }
}

/// Why a frame has no name, in words.
pub const fn reason_text(reason: Reason) -> &'static str {
    match reason {
        Reason::NotReached => "names not looked up",
        Reason::ProcessGone => "process gone",
        Reason::Unmapped => "unmapped address",
        Reason::NoSymbol => "no symbol",
        Reason::Unreadable => "file unreadable",
        Reason::NoFileLeft => "not pinned: limit of open files",
        Reason::NoAnswer => "file system does not answer",
        Reason::Jit => "generated code",
        Reason::KernelHidden => "names hidden",
    }
}

/// The raw function names of a kernel stack, leaf first and innermost first, less the tracer's own.
pub fn kernel_functions(stacks: &StackTable, id: StackId) -> impl Iterator<Item = &str> {
    let frames = stacks.frames(id).unwrap_or_default();
    let functions = frames.iter().flat_map(|frame| match stacks.resolution(*frame) {
        Resolution::Named(functions) => functions.as_slice(),
        Resolution::Unnamed(_) => &[],
    });
    let functions = functions.map(|function| &**function).skip_while(|function| is_tracer_name(function));
    // A function that is timed stands on both sides of its trampoline: the caller's side goes.
    let (mut last, mut wrapped) = ("", false);
    let once = functions.filter(move |function| {
        if function.starts_with(TRAMPOLINE) && !is_tracer_name(last) {
            wrapped = true;
            return false;
        }
        let again = std::mem::take(&mut wrapped) && last == *function;
        last = function;
        !again
    });
    once.take(MAX_FRAMES)
}

/// The raw names of the functions of a user stack, leaf first and innermost first; what has no name is left out.
pub fn user_functions(stacks: &StackTable, id: StackId) -> impl Iterator<Item = &str> + Clone {
    let frames = stacks.frames(id).unwrap_or_default().iter().take(MAX_FRAMES);
    let functions = frames.flat_map(|frame| match stacks.resolution(*frame) {
        Resolution::Named(functions) => functions.as_slice(),
        Resolution::Unnamed(_) => &[],
    });
    functions.map(|function| &**function)
}

/// Why a stack that was taken shows no function; `None` when it does, or when there is no stack.
pub fn nameless(stacks: &StackTable, id: StackId) -> Option<&'static str> {
    let mut unnamed = stacks.frames(id)?.iter().map(|frame| match stacks.resolution(*frame) {
        Resolution::Named(_) => None,
        Resolution::Unnamed(reason) => Some(reason_text(*reason)),
    });
    let first = unnamed.next()??;
    unnamed.all(|reason| reason.is_some()).then_some(first)
}

fn is_tracer(stacks: &StackTable, id: FrameId) -> bool {
    stacks.frame(id).is_some_and(|frame| frame.space == FrameSpace::Kernel)
        && matches!(stacks.resolution(id), Resolution::Named(functions)
            if functions.last().is_some_and(|function| is_tracer_name(function)))
}

/// Whether the frame is a BPF trampoline, by which a program traces a function.
fn is_trampoline(stacks: &StackTable, id: FrameId) -> bool {
    stacks.frame(id).is_some_and(|frame| frame.space == FrameSpace::Kernel)
        && matches!(stacks.resolution(id), Resolution::Named(functions)
            if functions.last().is_some_and(|function| function.starts_with(TRAMPOLINE)))
}

const TRAMPOLINE: &str = "bpf_trampoline_";

/// Functions that are on the stack only because of tracing.
fn is_tracer_name(function: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "bpf_prog_",
        TRAMPOLINE,
        "bpf_trace_run",
        "__bpf_trace_",
        "bpf_get_stack",
        "__bpf_get_stack",
        "bpf_get_task_stack",
        "__traceiter_",
        "trace_call_bpf",
        "__bpf_prog_enter",
        "bpf_overflow_handler",
        "get_perf_callchain",
        "perf_callchain",
        "perf_trace_",
        "perf_swevent_",
        "perf_event_overflow",
        "__perf_event_overflow",
        "perf_prepare_sample",
        "__bpf_prog_run",
    ];
    PREFIXES.iter().any(|prefix| function.starts_with(prefix))
}
