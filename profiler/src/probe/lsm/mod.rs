//! `lsm`: two programs at every function of the security layer that is measured.
//!
//! In: hooks, modules, the loaded object. Out: [`Lsm`]: the sites that were attached, each by the best way
//! its function allows (fentry/fexit, then kprobe/kretprobe), and why the others were not.

mod code;
pub mod site;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Result, bail};
use aya::Ebpf;
use profiler_common::lsm::{ASKS_CONTEXT, SITES};

use super::raw::{self, KProbes, Kind};
use super::{btf, object, offsets};
use crate::profile::LsmSite;
use code::Code;
use site::Candidate;

/// How a site is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// fentry and fexit.
    Trampoline,
    /// kprobe and kretprobe.
    KProbe,
}

impl Mechanism {
    /// The backend's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trampoline => "fentry/fexit",
            Self::KProbe => "kprobe/kretprobe",
        }
    }
}

/// What to measure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LsmRequest {
    /// Hooks without `security_`.
    pub hooks: Vec<String>,
    /// Active modules.
    pub modules: Vec<String>,
    /// Only this way, for comparisons; `None`: the best that works.
    pub only: Option<Mechanism>,
}

/// The attached probe; dropping it detaches.
#[derive(Debug, Default)]
pub struct Lsm {
    /// What rows call by position.
    pub sites: Vec<LsmSite>,
    /// How many sites are attached in which way.
    pub ways: BTreeMap<Mechanism, usize>,
    /// Functions the kernel has and that could not be attached, with the reason.
    pub refused: Vec<String>,
    /// Hooks the kernel does not have.
    pub absent: Vec<String>,
    attached: Vec<Attached>,
}

/// The programs of one site. Links first: they are closed first.
#[derive(Debug)]
struct Attached {
    _links: [OwnedFd; 2],
    names: [String; 2],
    programs: [OwnedFd; 2],
}

impl Lsm {
    /// Attaches to every function that can be.
    ///
    /// # Errors
    /// None could be; the reason is that of the first.
    pub fn attach(request: &LsmRequest, ebpf: &Ebpf, verbose: bool) -> Result<Self> {
        let candidates = site::candidates(&request.hooks, &request.modules);
        let mut attacher = Attacher::new(request, ebpf, &candidates, verbose)?;
        let mut lsm = Self::default();
        for candidate in &candidates {
            if lsm.sites.len() == SITES {
                lsm.refused
                    .push(format!("{} and what follows: over {SITES} functions", candidate.functions[0]));
                break;
            }
            lsm.add(&mut attacher, candidate);
        }
        if lsm.sites.is_empty() {
            let none = || "the kernel has none of these hooks".to_owned();
            bail!("{}", lsm.refused.first().cloned().unwrap_or_else(none));
        }
        Ok(lsm)
    }

    fn add(&mut self, attacher: &mut Attacher<'_>, candidate: &Candidate) {
        let flags = if candidate.asks_context { ASKS_CONTEXT } else { 0 };
        let word = self.sites.len() as u32 | flags;
        for function in &candidate.functions {
            match attacher.attach(function, word) {
                Ok((mechanism, attached)) => {
                    tracing::debug!("{function}: {}", mechanism.name());
                    let (hook, module) = (candidate.hook.clone(), candidate.module.clone());
                    self.sites.push(LsmSite { hook, module, function: function.clone() });
                    self.attached.push(attached);
                    *self.ways.entry(mechanism).or_default() += 1;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.refused.push(format!("{function}: {error}"));
                    return;
                }
            }
        }
        if candidate.module.is_empty() {
            self.absent.push(candidate.functions[0].clone());
        }
    }

    /// The programs, named after their functions, for the cost's account.
    pub fn programs(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        self.attached.iter().flat_map(|attached| {
            attached.names.iter().zip(&attached.programs).map(|(name, fd)| (name.as_str(), fd.as_fd()))
        })
    }

    /// The backend's name: its ways, the better first.
    pub fn backend(&self) -> String {
        let names: Vec<_> = self.ways.keys().map(|way| way.name()).collect();
        names.join(" + ")
    }

    /// What is not seen, one sentence each.
    pub fn misses(&self) -> Vec<String> {
        let mut misses = Vec::new();
        if !self.absent.is_empty() {
            misses.push(format!("This kernel has no function {}.", self.absent.join(", ")));
        }
        if !self.refused.is_empty() {
            misses.push(format!("Not attached: {}.", self.refused.join("; ")));
        }
        misses
    }
}

/// Attaches one function after the other, and stops trying what never works.
struct Attacher<'a> {
    code: Code,
    request: &'a LsmRequest,
    ids: HashMap<String, u32>,
    kprobes: Option<KProbes>,
    verbose: bool,
    /// Why trampolines are not tried any more.
    no_trampolines: Option<io::Error>,
    trampolines: usize,
}

impl<'a> Attacher<'a> {
    fn new(request: &'a LsmRequest, ebpf: &Ebpf, candidates: &[Candidate], verbose: bool) -> Result<Self> {
        let names = candidates.iter().flat_map(|candidate| candidate.functions.iter().map(String::as_str));
        let names: HashSet<&str> = names.collect();
        Ok(Self {
            code: Code::new(object::bytes()?, ebpf)?,
            request,
            ids: offsets::with_btf(|bytes| btf::functions(bytes, &names)).unwrap_or_default(),
            kprobes: KProbes::read(),
            verbose,
            no_trampolines: None,
            trampolines: 0,
        })
    }

    /// Attaches both programs; the return first, so that what is open at that moment looks like returns
    /// without enters, which are counted, and not like enters that never return.
    fn attach(&mut self, function: &str, word: u32) -> io::Result<(Mechanism, Attached)> {
        let mut refusal = None;
        if self.request.only != Some(Mechanism::KProbe)
            && let Some(id) = self.ids.get(function).copied()
        {
            match self.trampoline(function, id, word) {
                Ok(attached) => return Ok((Mechanism::Trampoline, attached)),
                Err(error) => refusal = Some(error),
            }
        }
        if self.request.only != Some(Mechanism::Trampoline) {
            match self.kprobe(function, word) {
                Ok(attached) => return Ok((Mechanism::KProbe, attached)),
                // The kernel has no kprobes, or no such function: what was said before is the reason.
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn trampoline(&mut self, function: &str, id: u32, word: u32) -> io::Result<Attached> {
        if let Some(error) = &self.no_trampolines {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let attached = self.pair(function, word, [Kind::FExit(id), Kind::FEntry(id)], |program, _| {
            raw::attach_trampoline(program)
        });
        let attached = attached.map_err(|error| named(Mechanism::Trampoline, &error));
        match &attached {
            Ok(_) => self.trampolines += 1,
            // The first one failed: so will all.
            Err(error) if self.trampolines == 0 => {
                self.no_trampolines = Some(io::Error::new(error.kind(), error.to_string()));
            }
            Err(_) => {}
        }
        attached
    }

    fn kprobe(&self, function: &str, word: u32) -> io::Result<Attached> {
        let Some(kprobes) = self.kprobes else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel is built without kprobes"));
        };
        self.pair(function, word, [Kind::KProbe; 2], |program, at_return| {
            kprobes.attach(program, function, at_return)
        })
        .map_err(|error| named(Mechanism::KProbe, &error))
    }

    fn pair(
        &self,
        function: &str,
        word: u32,
        kinds: [Kind; 2],
        attach: impl Fn(BorrowedFd<'_>, bool) -> io::Result<OwnedFd>,
    ) -> io::Result<Attached> {
        let btf = self.code.btf();
        let exit = raw::load(kinds[0], "lsm_exit", &self.code.exit(word), btf, self.verbose)?;
        let enter = raw::load(kinds[1], "lsm_enter", &self.code.enter(word), btf, self.verbose)?;
        let links = [attach(exit.as_fd(), true)?, attach(enter.as_fd(), false)?];
        let names = [format!("lsm_exit {function}"), format!("lsm_enter {function}")];
        Ok(Attached { _links: links, names, programs: [exit, enter] })
    }
}

fn named(mechanism: Mechanism, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", mechanism.name()))
}
