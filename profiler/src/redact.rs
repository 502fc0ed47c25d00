//! Redaction: a profile that may be shown to others.
//!
//! In: a profile. Out: the same, with paths, arguments, addresses and host names replaced by `path-1`, `host-1` …, the same one everywhere. Names of
//! containers, processes, threads and functions stay, since without them nothing could be read. What is replaced is said in the recording's limits.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::profile::peer::{Host, Peer};
use crate::profile::rows::{PeerKey, Place, Received};
use crate::profile::{FrameSpace, Profile, Resolution};

/// What every output says.
const SAID: &str = "redacted: paths, arguments, addresses and host names are replaced, each by the same word everywhere; names of containers, processes and functions are not";
/// Call arguments from here on may be addresses; below are descriptors, flags and sizes.
const ADDRESS: u64 = 1 << 16;

/// Replaces what must not be shown.
pub fn redact(profile: &mut Profile) {
    let mut words = Words { hostname: profile.header.environment.hostname.clone(), ..Words::default() };
    header(profile, &mut words);
    let processes: Vec<_> = profile.processes.iter().cloned().collect();
    for mut process in processes {
        process.cgroup = words.path(&process.cgroup);
        process.container = words.text(&process.container);
        profile.processes.see(process);
    }
    profile.block.cgroups.values_mut().for_each(|name| *name = words.text(name));
    for call in &mut profile.slowest {
        call.object = words.object(&call.object);
        call.peer = call.peer.map(|peer| words.peer(peer));
        if !call.path.is_empty() {
            call.path = words.word("path", &call.path);
            call.path_is_cut = false;
        }
        call.arguments = call.arguments.map(|argument| words.number(argument));
    }
    for subject in profile.in_flight.iter_mut().filter_map(|call| call.subject.as_deref_mut()) {
        subject.object = words.object(&subject.object);
        subject.path = words.word("path", &subject.path);
        subject.mount = words.mount(&subject.mount);
    }
    profile.waits.blame.rewrite_locks(&mut |lock| words.number(lock));
    peers(profile, &mut words);
    for fault in &mut profile.crash.faults {
        fault.received = fault.received.map(|last| Received { peer: words.peer(last.peer), ..last });
        fault.container = words.text(&fault.container);
        fault.registers.iter_mut().for_each(|register| *register = words.number(*register));
        fault.address = fault.address.map(|address| words.number(address));
        for place in [&mut fault.code_in, &mut fault.address_in] {
            if let Place::In(area) = place {
                area.name = words.word("file", &area.name);
                (area.start, area.end) = (words.number(area.start), words.number(area.end));
            }
        }
        fault.core.pattern = fault.core.pattern.take().map(|pattern| words.text(&pattern));
    }
    profile.stacks.rewrite(&mut |module| module.path = words.path(&module.path), &mut |frame, resolution| {
        if frame.space == FrameSpace::Kernel && matches!(resolution, Resolution::Unnamed(_)) {
            frame.address = 0;
        }
    });
    let mut more = words;
    profile.stacks.rename(&mut |name| Arc::from(more.text(name)));
    profile.missing_tail = profile.missing_tail.take().map(|tail| more.text(&tail));
    profile.header.limits.push(SAID.to_owned());
}

fn peers(profile: &mut Profile, words: &mut Words) {
    let mut numbers = BTreeMap::new();
    for (key, row) in std::mem::take(&mut profile.peer.rows) {
        let peer = words.peer(key.peer);
        if let (Host::Ip(ip), Host::Redacted(number)) = (key.peer.host, peer.host) {
            numbers.insert(ip, number);
        }
        profile.peer.rows.entry(PeerKey { peer, ..key }).or_default().merge(&row);
    }
    for (host, rows) in std::mem::take(&mut profile.peer.samples) {
        let shown = words.peer(Peer { host, port: 0 }).host;
        if let (Host::Ip(ip), Host::Redacted(number)) = (host, shown) {
            numbers.insert(ip, number);
        }
        rows.into_iter().for_each(|(key, samples)| profile.peer.sampled(shown, key, samples));
    }
    profile.axis.rewrite_hosts(&mut |host| words.peer(Peer { host, port: 0 }).host);
    profile.peer.redacted = Some(numbers);
}

fn header(profile: &mut Profile, words: &mut Words) {
    let header = &mut profile.header;
    header.arguments = header.arguments.iter().map(|argument| words.argument(argument)).collect();
    let target = &mut header.target;
    target.label = words.text(&target.label);
    target.way = words.text(&target.way);
    for (key, value) in &mut target.details {
        *value = if key == "image" { words.word("image", value) } else { words.text(value) };
    }
    let texts = header.limits.iter_mut().chain(header.probes.iter_mut().flat_map(|plan| &mut plan.misses));
    texts.for_each(|text| *text = words.text(text));
    let machine = &mut header.environment;
    machine.hostname = words.word("host", &machine.hostname);
    machine.kernel_build = words.text(&machine.kernel_build);
    let parameters = machine.command_line.split_whitespace();
    machine.command_line =
        parameters.map(|parameter| words.argument(parameter)).collect::<Vec<_>>().join(" ");
    machine.cgroups.iter_mut().for_each(|cgroup| cgroup.path = words.path(&cgroup.path));
    let lists = [&mut machine.other_kprobes, &mut machine.other_bpf_programs, &mut machine.traced_functions];
    lists.into_iter().flatten().for_each(|entry| *entry = words.text(entry));
    machine.not_told.values_mut().for_each(|why| *why = words.text(why));
}

/// Words in the place of others, by kind.
#[derive(Default)]
struct Words {
    hostname: String,
    known: HashMap<(&'static str, String), usize>,
    counts: HashMap<&'static str, usize>,
}

impl Words {
    /// The word for a text; nothing stays nothing.
    fn word(&mut self, kind: &'static str, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        format!("{kind}-{}", self.place(kind, text))
    }

    fn place(&mut self, kind: &'static str, text: &str) -> usize {
        if let Some(place) = self.known.get(&(kind, text.to_owned())) {
            return *place;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        self.known.insert((kind, text.to_owned()), *count);
        *count
    }

    /// A port tells of a service, not of a machine.
    fn peer(&mut self, peer: Peer) -> Peer {
        match peer.host {
            Host::Ip(ip) => {
                let number = self.place("address", &ip.to_string());
                Peer { host: Host::Redacted(u32::try_from(number).unwrap_or(u32::MAX)), ..peer }
            }
            Host::Redacted(_) | Host::Others => peer,
        }
    }

    /// `KIND at PLACE, of SOURCE`: the source may be a machine's name.
    fn mount(&mut self, mount: &str) -> String {
        match mount.split_once(", of ") {
            Some((place, source)) => format!("{}, of {}", self.text(place), self.word("source", source)),
            None => self.text(mount),
        }
    }

    fn path(&mut self, path: &str) -> String {
        match path {
            // Nothing is told by the root, and by what is no path.
            "" | "/" => path.to_owned(),
            path if path.starts_with('[') => path.to_owned(),
            path => self.word("path", path),
        }
    }

    /// `--flag` stays, `--flag=value` and `value` lose their value.
    fn argument(&mut self, argument: &str) -> String {
        const COMMANDS: [&str; 4] = ["record", "crash", "report", "--"];
        match argument.split_once('=') {
            Some((name, value)) => format!("{name}={}", self.word("argument", value)),
            None if argument.starts_with('-') || COMMANDS.contains(&argument) => argument.to_owned(),
            None => self.word("argument", argument),
        }
    }

    /// A number that may be an address: a small one in its place.
    fn number(&mut self, number: u64) -> u64 {
        if number < ADDRESS { number } else { self.place("number", &number.to_string()) as u64 }
    }

    /// A file or socket. What its owner has called it is one word, whatever is in it.
    fn object(&mut self, object: &str) -> String {
        for socket in ["unix → ", "unix "] {
            if let Some(name) = object.strip_prefix(socket).filter(|name| !is_number(name)) {
                return format!("{socket}{}", self.word("path", name));
            }
        }
        let is_file = object.starts_with('/') && !is_system(object);
        if is_file { self.word("path", object) } else { self.text(object) }
    }

    /// A text word by word.
    fn text(&mut self, text: &str) -> String {
        let mut redacted = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '"' | ';'));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            redacted.push_str(&self.one(word));
            let mark = after.chars().next().map_or(0, char::len_utf8);
            redacted.push_str(&after[..mark]);
            rest = &after[mark..];
        }
        redacted
    }

    fn one(&mut self, word: &str) -> String {
        if let Ok(socket) = word.parse::<SocketAddr>() {
            let address = self.word("address", &socket.ip().to_string());
            return format!("{address}:{}", socket.port());
        }
        if let Ok(address) = word.parse::<IpAddr>() {
            return self.word("address", &address.to_string());
        }
        if word.len() > 1 && word.starts_with('/') && !is_system(word) {
            return self.word("path", word);
        }
        if word.contains('@') && word.contains('.') {
            return self.word("host", word);
        }
        if !self.hostname.is_empty() && word.contains(&self.hostname) {
            let host = self.hostname.clone();
            let instead = self.word("host", &host);
            return word.replace(&host, &instead);
        }
        word.to_owned()
    }
}

/// Whether the kernel made it up: `socket:[7]`.
fn is_number(name: &str) -> bool {
    let number = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
    number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Whether the kernel calls it so on every machine.
fn is_system(path: &str) -> bool {
    ["/proc/", "/sys/"].iter().any(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_the_same_everywhere_and_names_stay() {
        let mut words = Words { hostname: "db1".into(), ..Words::default() };
        assert_eq!(words.text("tcp 10.0.0.1:80 → 10.0.0.2:9003"), "tcp address-1:80 → address-2:9003");
        assert_eq!(words.text("udp [fe80::1]:53"), "udp address-3:53");
        assert_eq!(words.text("10.0.0.2, again"), "address-2, again");
        let peer = Peer { host: Host::Ip(IpAddr::from([10, 0, 0, 2])), port: 5432 };
        assert_eq!(words.peer(peer).to_string(), "address-2:5432");
        assert_eq!(words.object("unix /run/secret.sock"), "unix path-1");
        assert_eq!(words.path("/run/secret.sock"), "path-1");
        assert_eq!(words.text("LazyCompile:~f /app/x.js:10"), "LazyCompile:~f path-2");
        assert_eq!(
            words.text("std::map<a, b>::find(int) [db1.corp]"),
            "std::map<a, b>::find(int) [host-1.corp]"
        );
        assert_eq!(words.text("gcc (root@build.corp) /proc/sys/kernel"), "gcc (host-2) /proc/sys/kernel");
        assert_eq!(words.object("unix → /run/secret.sock"), "unix → path-1");
        assert_eq!(words.object("unix → @joe smith"), "unix → path-3");
        assert_eq!(words.object("/home/joe smith/x (deleted)"), "path-4");
        assert_eq!(words.object("unix socket:[7]"), "unix socket:[7]");
        assert_eq!(words.object("unix → socket:[joe smith"), "unix → path-5");
        assert_eq!(words.object("tcp 10.0.0.1:80 → 10.0.0.2:9003"), "tcp address-1:80 → address-2:9003");
        assert_eq!(words.object("/proc/self/status"), "/proc/self/status");
        assert_eq!(words.argument("--container"), "--container");
        assert_eq!(
            (words.argument("web"), words.argument("--pod=shop/x")),
            ("argument-1".into(), "--pod=argument-2".into())
        );
        assert_eq!(
            (words.number(3), words.number(0x7f00_0000_1000), words.number(0x7f00_0000_1000)),
            (3, 1, 1)
        );
    }
}
