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
use profiler_common::lsm::SITES;

use super::object::Object;
use super::raw::{self, KProbes, Kind};
use super::{btf, offsets};
use crate::profile::LsmSite;
use crate::sys;
pub use code::Mode;
use code::{Code, Site};
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
}

/// The attached probe; dropping it detaches.
#[derive(Debug, Default)]
pub struct Lsm {
    /// The sites, in the order that rows refer to.
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
    /// Attaches to every function that can be attached to, by `mechanism`. If that is the trampoline, single
    /// functions that refuse it are attached by kprobe.
    ///
    /// # Errors
    /// `mechanism` could attach none of them; the reason is the first one's.
    pub fn attach(
        request: &LsmRequest,
        (mechanism, mode): (Mechanism, Mode),
        loaded: (&Object, &Ebpf),
        verbose: bool,
    ) -> Result<Self> {
        let candidates = site::candidates(&request.hooks, &request.modules);
        let mut attacher = Attacher::new((mechanism, mode), loaded, &candidates, verbose)?;
        let mut lsm = Self::default();
        for candidate in &candidates {
            if lsm.sites.len() == SITES {
                lsm.refused
                    .push(format!("{} and what follows: over {SITES} functions", candidate.functions[0]));
                break;
            }
            lsm.add(&mut attacher, candidate);
            if attacher.gave_up() {
                break;
            }
        }
        if !lsm.ways.contains_key(&mechanism) {
            let none = || "the kernel has none of these hooks".to_owned();
            bail!("{}", lsm.refused.first().cloned().unwrap_or_else(none));
        }
        Ok(lsm)
    }

    fn add(&mut self, attacher: &mut Attacher, candidate: &Candidate) {
        let number = self.sites.len() as u16;
        let site = Site { number, in_interrupts: candidate.in_interrupts, mode: attacher.mode };
        for function in &candidate.functions {
            match attacher.attach(function, site) {
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

    /// What the probe misses, one sentence each.
    pub fn misses(&self) -> Vec<String> {
        let mut misses = Vec::new();
        if let (Some(_), Some(by_kprobe)) =
            (self.ways.get(&Mechanism::Trampoline), self.ways.get(&Mechanism::KProbe))
        {
            misses.push(format!("{by_kprobe} of {} functions are timed by kprobe.", self.sites.len()));
        }
        if !self.absent.is_empty() {
            misses.push(format!("This kernel has no function {}.", self.absent.join(", ")));
        }
        if !self.refused.is_empty() {
            misses.push(format!("Not attached: {}.", self.refused.join("; ")));
        }
        misses
    }
}

/// Attaches one function after the other.
struct Attacher {
    code: Code,
    mechanism: Mechanism,
    mode: Mode,
    ids: HashMap<String, u32>,
    kprobes: Option<KProbes>,
    verbose: bool,
    refused: bool,
    trampolines: usize,
}

impl Attacher {
    fn new(
        (mechanism, mode): (Mechanism, Mode),
        (object, ebpf): (&Object, &Ebpf),
        candidates: &[Candidate],
        verbose: bool,
    ) -> Result<Self> {
        let names = candidates.iter().flat_map(|candidate| candidate.functions.iter().map(String::as_str));
        let names: HashSet<&str> = names.collect();
        Ok(Self {
            code: Code::new(object.bytes(), ebpf)?,
            mechanism,
            mode,
            ids: offsets::with_btf(|bytes| btf::functions(bytes, &names)).unwrap_or_default(),
            kprobes: KProbes::read(),
            verbose,
            refused: false,
            trampolines: 0,
        })
    }

    /// Attaches both programs; the return first, so that what is open at that moment looks like returns
    /// without enters, which are counted, and not like enters that never return.
    fn attach(&mut self, function: &str, site: Site) -> io::Result<(Mechanism, Attached)> {
        let mut refusal = None;
        if self.mechanism == Mechanism::Trampoline
            && let Some(id) = self.ids.get(function).copied()
        {
            match self.trampoline(function, id, site) {
                Ok(attached) => return Ok((Mechanism::Trampoline, attached)),
                Err(error) if self.gave_up() => return Err(error),
                Err(error) => refusal = Some(error),
            }
        }
        match self.kprobe(function, site) {
            Ok(attached) => Ok((Mechanism::KProbe, attached)),
            Err(error) => match refusal {
                // By both ways; or not in the kernel at all.
                Some(refusal) => Err(refusal),
                None if self.kprobes.is_none() && self.mechanism == Mechanism::Trampoline => {
                    Err(io::ErrorKind::NotFound.into())
                }
                None => Err(error),
            },
        }
    }

    /// Whether the very first trampoline was refused: so would all be.
    fn gave_up(&self) -> bool {
        self.refused && self.trampolines == 0
    }

    fn trampoline(&mut self, function: &str, id: u32, site: Site) -> io::Result<Attached> {
        let attached = self.pair(function, site, [Kind::FExit(id), Kind::FEntry(id)], |program, _| {
            sys::attach_trampoline(program)
        });
        match &attached {
            Ok(_) => self.trampolines += 1,
            Err(_) => self.refused = true,
        }
        attached.map_err(|error| named(Mechanism::Trampoline, &error))
    }

    fn kprobe(&self, function: &str, site: Site) -> io::Result<Attached> {
        let Some(kprobes) = self.kprobes else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel is built without kprobes"));
        };
        self.pair(function, site, [Kind::KProbe; 2], |program, at_return| {
            kprobes.attach(program, function, at_return)
        })
        .map_err(|error| named(Mechanism::KProbe, &error))
    }

    fn pair(
        &self,
        function: &str,
        site: Site,
        kinds: [Kind; 2],
        attach: impl Fn(BorrowedFd<'_>, bool) -> io::Result<OwnedFd>,
    ) -> io::Result<Attached> {
        let btf = self.code.btf();
        let exit = raw::load(kinds[0], "lsm_exit", &self.code.exit(site), btf, self.verbose)?;
        let enter = raw::load(kinds[1], "lsm_enter", &self.code.enter(site), btf, self.verbose)?;
        let links = [attach(exit.as_fd(), true)?, attach(enter.as_fd(), false)?];
        let names = [format!("lsm_exit {function}"), format!("lsm_enter {function}")];
        Ok(Attached { _links: links, names, programs: [exit, enter] })
    }
}

fn named(mechanism: Mechanism, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", mechanism.name()))
}
