//! In: what the tools wrote of CPU samples: ours as folded lines, perf's as the text of `perf script`. Out: how many user
//! stacks reach their root and how many user frames are named, by weight of samples, by one rule for all tools.

use std::collections::BTreeMap;

use super::share::{Share, Sums};

/// Where user stacks begin.
const STARTS: [&str; 17] = [
    "_start",
    "_dl_start_user",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
    "start_thread",
    "runtime.goexit",
    "runtime.rt0_go",
    "_rt0_amd64_linux",
    "runtime.mstart",
    // On the scheduler's stack. What they call does not return: Go's own traceback ends there, too.
    "runtime.mcall",
    "runtime.morestack",
    "_start_c",
    "libc_start_main_stage2",
    "start",
    "start_c11",
];
/// What a start code calls that has lost its own name.
const LIBC: &str = "__libc_start_main";

/// The list, for people.
pub fn starts() -> String {
    STARTS.map(|start| format!("`{start}`")).join(", ")
}

/// A user frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame<'t> {
    name: Option<&'t str>,
    /// What it is called instead.
    shown: &'t str,
    is_in_file: bool,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    roots: Sums,
    names: Sums,
    /// What stands before stacks without a root, by samples.
    pub ends: BTreeMap<String, u64>,
    /// What stands for frames without a name, by samples.
    pub nameless: BTreeMap<String, u64>,
}

impl Tally {
    /// Of a folded file with `_[k]` behind functions of the kernel.
    pub fn of_folded(text: &str) -> Self {
        let mut tally = Self::default();
        for line in text.lines() {
            let Some((stack, weight)) = line.rsplit_once(' ') else { continue };
            let Ok(weight) = weight.parse() else { continue };
            let user =
                stack.split(';').skip(1).filter(|name| !name.ends_with("_[k]") && !name.ends_with("_[i]"));
            let (marks, frames): (Vec<&str>, Vec<&str>) = user.partition(|name| is_mark(name));
            let frames: Vec<Frame<'_>> = frames.into_iter().map(of_ours).collect();
            tally.add(&frames, weight, marks.last().copied());
        }
        tally
    }

    /// Of the text of `perf script -F ip,sym,dso`: a sample's frames leaf first, then an empty line.
    pub fn of_script(text: &str) -> Self {
        let mut tally = Self::default();
        let mut frames = Vec::new();
        for line in text.lines().chain([""]) {
            if line.trim().is_empty() {
                frames.reverse();
                tally.add(&frames, 1, None);
                frames.clear();
            } else {
                frames.extend(of_perf(line));
            }
        }
        tally
    }

    pub fn samples(&self) -> u64 {
        self.roots.samples()
    }

    /// Stacks that reach their root.
    pub fn roots(&self) -> Share {
        self.roots.share()
    }

    /// Frames that have a name.
    pub fn names(&self) -> Share {
        self.names.share()
    }

    /// Frames of one stack that have a name, in the mean.
    pub fn named_frames(&self) -> f64 {
        self.names.mean_part()
    }

    /// A stack, root first. Samples of the kernel alone have neither frames nor a mark.
    fn add(&mut self, frames: &[Frame<'_>], weight: u64, mark: Option<&str>) {
        if frames.is_empty() && mark.is_none() {
            return;
        }
        let rooted = is_rooted(frames);
        self.roots.add(u64::from(rooted), 1, weight);
        if !rooted {
            let first = frames.first().map_or("nothing", |frame| place(frame));
            let end = mark
                .map_or_else(|| format!("begins at `{first}`"), |mark| format!("`{mark}` before `{first}`"));
            *self.ends.entry(end).or_default() += weight;
        }
        let kept = without_repetitions(frames);
        let named = kept.iter().filter(|frame| frame.name.is_some()).count();
        self.names.add(named as u64, kept.len() as u64, weight);
        for frame in kept.iter().filter(|frame| frame.name.is_none()) {
            *self.nameless.entry(place(frame).to_owned()).or_default() += weight;
        }
    }
}

/// A frame's name, or the file of one that has none.
fn place<'t>(frame: &Frame<'t>) -> &'t str {
    frame.name.unwrap_or(frame.shown)
}

/// Frames without name and file, one after another, count once: a walk that has lost its way repeats them.
fn without_repetitions<'f, 't>(frames: &'f [Frame<'t>]) -> Vec<&'f Frame<'t>> {
    let faceless = |frame: &Frame<'_>| frame.name.is_none() && !frame.is_in_file;
    let mut kept: Vec<&Frame<'_>> = Vec::new();
    for frame in frames {
        if !(faceless(frame) && kept.last().is_some_and(|last| faceless(last))) {
            kept.push(frame);
        }
    }
    kept
}

/// Whether the outermost frame is where a thread begins: by its name or, in a file without names, by what it calls.
fn is_rooted(frames: &[Frame<'_>]) -> bool {
    let Some(outermost) = frames.first() else { return false };
    match outermost.name {
        Some(name) => STARTS.contains(&name) || name.starts_with(LIBC),
        None => {
            let next = frames.get(1).and_then(|next| next.name);
            outermost.is_in_file && next.is_some_and(|name| name.starts_with(LIBC))
        }
    }
}

fn is_mark(name: &str) -> bool {
    name.starts_with("[cut: ") || name == "[deeper frames cut]"
}

fn of_ours(text: &str) -> Frame<'_> {
    if text.starts_with("[unknown") || text == "[frame missing]" {
        return Frame { name: None, shown: text, is_in_file: false };
    }
    match text.split_once("+0x").filter(|_| text.ends_with(']') && text.contains(" [")) {
        Some((file, _)) => Frame { name: None, shown: file, is_in_file: true },
        None => Frame { name: Some(text), shown: text, is_in_file: true },
    }
}

/// A frame of the user: `7f00 name (file)`. perf gives names a version (`@@GLIBC_2.34`), Go's own an ABI.
fn of_perf(line: &str) -> Option<Frame<'_>> {
    let (address, rest) = line.trim().split_once(' ')?;
    let (name, file) = rest.rsplit_once(" (")?;
    let file = file.trim_end_matches(')');
    let of_kernel = file.starts_with("[kernel") || file.starts_with("[bpf") || file.starts_with("bpf_prog");
    if of_kernel || (file == "[unknown]" && address.len() == 16 && address.starts_with("ffffffff8")) {
        return None;
    }
    let is_in_file = file.starts_with('/') && !file.starts_with("/tmp/perf-") && !file.starts_with("//anon");
    let shown = if is_in_file { file.rsplit('/').next().unwrap_or(file) } else { file };
    let name = name.trim();
    let name = name.split_once('@').map_or(name, |(name, _)| name).trim_end_matches(".abi0");
    let is_named = !name.is_empty() && name != "[unknown]" && !name.starts_with("0x");
    Some(Frame { name: is_named.then_some(name), shown, is_in_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(share: &Share) -> i64 {
        share.value.round() as i64
    }

    #[test]
    fn folded_lines_are_counted_by_their_samples() {
        let tally = Tally::of_folded(
            "web (7);_start;main;f;g_[i] 60\n\
             web (7);web+0x12 [no symbol];__libc_start_main;main;read;do_syscall_64_[k] 20\n\
             web (7);[cut: copied part of the stack ends];f;[unknown: generated code] 20\n\
             web (7);do_syscall_64_[k];ret_from_fork_[k] 1000\n",
        );
        assert_eq!(tally.samples(), 100);
        assert_eq!(percent(&tally.roots()), 80);
        // 60 × 3 of 3, 20 × 3 of 4, 20 × 1 of 2.
        assert_eq!(percent(&tally.names()), 87);
        assert!((tally.named_frames() - 2.6).abs() < 1e-9, "{}", tally.named_frames());
        assert_eq!(tally.ends.get("`[cut: copied part of the stack ends]` before `f`"), Some(&20));
        let nameless: Vec<_> =
            tally.nameless.iter().map(|(what, samples)| (what.as_str(), *samples)).collect();
        assert_eq!(nameless, [("[unknown: generated code]", 20), ("web", 20)]);
    }

    #[test]
    fn a_script_of_perf_is_counted_by_the_same_rule() {
        let tally = Tally::of_script(
            "\tffffffff813a2313 schedule ([kernel.kallsyms])\n\
             \t          108f36 epoll_wait (/usr/lib/libc.so.6)\n\
             \t           27304 __libc_start_main@@GLIBC_2.34 (/usr/lib/libc.so.6)\n\
             \t           61930 [unknown] (/usr/bin/web)\n\n\n\
             \t           f838f std::map<int, (anonymous)>::at(int) (/usr/bin/web)\n\
             \t    7fcdc703d008 [unknown] ([unknown])\n\
             \t696e752072657672 [unknown] ([unknown])\n\n\
             \tffffffff813a2313 schedule ([kernel.kallsyms])\n\n\
             \t           f838f main.main (/usr/bin/go)\n\
             \t           27304 runtime.goexit.abi0 (/usr/bin/go)\n",
        );
        assert_eq!(tally.samples(), 3);
        assert_eq!(percent(&tally.roots()), 67);
        // 2 of 3; 1 of 2, since two faceless frames are one; 2 of 2.
        assert_eq!(percent(&tally.names()), 71);
        assert_eq!(tally.ends.get("begins at `[unknown]`"), Some(&1));
        assert_eq!(tally.nameless.get("web"), Some(&1));
    }

    #[test]
    fn both_tools_stacks_of_one_kind_count_alike() {
        let ours = Tally::of_folded(
            "go (1);runtime.mstart;runtime.schedule 3\ngo (1);runtime.systemstack;runtime.gc 1\n",
        );
        let script = "\t1 runtime.schedule (/go)\n\t2 runtime.mstart.abi0 (/go)\n\n".repeat(3)
            + "\t1 runtime.gc (/go)\n\t2 runtime.systemstack.abi0 (/go)\n";
        let theirs = Tally::of_script(&script);
        assert_eq!((ours.samples(), percent(&ours.roots()), percent(&ours.names())), (4, 75, 100));
        assert_eq!(ours.roots(), theirs.roots());
        assert_eq!(ours.names(), theirs.names());
    }
}
