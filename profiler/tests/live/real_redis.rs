//! Incidents of real servers, each recorded by its container's name alone: the right process, call and wait must be in the
//! first three sentences, and nothing untrue above them.
//!
//! In: Redis from packages, in runc containers, and root. Out: the sentences on top.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up must fail")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::support::server::{Server, Shared, WATCHED, can_serve, throttled, unique};
use crate::support::{output, wait_for};
use serde_json::{Value, json};

/// A Redis with these options.
struct Cache {
    shared: Shared,
    server: Server,
}

impl Cache {
    fn start(
        test: &str,
        name: &str,
        options: &[&str],
        limits: impl FnOnce(&Shared) -> Value,
    ) -> Option<Self> {
        let programs = ["redis-server", "redis-cli", "redis-benchmark"].map(Path::new);
        if !can_serve(test, "redis-server", &programs) {
            return None;
        }
        let shared = Shared::new();
        let socket = shared.at("socket");
        let words =
            ["redis-server", "--port", "0", "--unixsocketperm", "777", "--save", "", "--dir", shared.text()];
        let words = [&words[..], &["--unixsocket", socket.to_str().unwrap()], options].concat();
        let server = Server::run(name, &shared, &words, &limits(&shared));
        let cache = Self { shared, server };
        wait_for("Redis", || (cache.try_ask(&["PING"]).trim() == "PONG").then_some(()));
        Some(cache)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-s").arg(self.shared.at("socket"));
        command
    }

    fn try_ask(&self, words: &[&str]) -> String {
        String::from_utf8_lossy(&self.command("redis-cli").args(words).output().unwrap().stdout).into_owned()
    }

    /// Sets keys until the time is over.
    fn set_keys(&self) {
        let end = Instant::now() + WATCHED;
        while Instant::now() < end {
            output(self.command("redis-benchmark").args(["-t", "set", "-n", "50", "-c", "5", "-q"]));
        }
    }
}

#[test]
fn redis_that_sleeps_in_a_command_is_told() {
    let name = unique("sleeper");
    let options = ["--enable-debug-command", "yes"];
    let Some(cache) = Cache::start("redis_that_sleeps_in_a_command_is_told", &name, &options, |_| json!({}))
    else {
        return;
    };
    let (told, ()) = cache.server.record(&[], || {
        for _ in 0..2 {
            output(cache.command("redis-cli").args(["DEBUG", "SLEEP", "0.6"]));
            output(cache.command("redis-benchmark").args(["-t", "ping", "-n", "200", "-c", "5", "-q"]));
        }
    });
    told.assert_leads(&["nanosleep", "redis-server"], &["No system call at work"]);
}

#[test]
fn redis_that_lists_all_keys_is_told() {
    let name = unique("keys");
    let options = ["--enable-debug-command", "yes"];
    let Some(cache) = Cache::start("redis_that_lists_all_keys_is_told", &name, &options, |_| json!({}))
    else {
        return;
    };
    output(cache.command("redis-cli").args(["DEBUG", "POPULATE", "200000"]));
    let (told, ()) = cache.server.record(&[], || {
        let end = Instant::now() + WATCHED;
        while Instant::now() < end {
            output(cache.command("redis-cli").args(["EVAL", "return #redis.call('KEYS', '*nothing*')", "0"]));
        }
    });
    told.assert_leads(&["CPU", "redis-server"], &[]);
}

#[test]
fn redis_that_syncs_each_write_to_a_slow_disk_is_told() {
    let name = unique("aof");
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let slow = |shared: &Shared| throttled(Path::new(shared.text()), "throttleWriteIOPSDevice", 20);
    let Some(cache) =
        Cache::start("redis_that_syncs_each_write_to_a_slow_disk_is_told", &name, &options, slow)
    else {
        return;
    };
    let (told, ()) = cache.server.record(&[], || cache.set_keys());
    told.assert_leads(&["fdatasync", "redis-server"], &[]);
}

#[test]
fn a_neighbour_that_syncs_all_the_time_slows_redis_and_redis_is_told() {
    let name = unique("victim");
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let test = "a_neighbour_that_syncs_all_the_time_slows_redis_and_redis_is_told";
    let Some(cache) = Cache::start(test, &name, &options, |_| json!({})) else { return };
    let other = Shared::new();
    let storm =
        "while :; do dd if=/dev/zero of=storm bs=256k count=8 oflag=dsync conv=notrunc 2>/dev/null; done";
    let neighbour = Server::run(&unique("storm"), &other, &["sh", "-c", storm], &json!({}));
    wait_for("the storm", || other.at("storm").exists().then_some(()));
    let (told, ()) = cache.server.record(&[], || cache.set_keys());
    drop(neighbour);
    told.assert_leads(&["fdatasync", "redis-server"], &[]);
}

#[test]
fn a_quota_of_a_fifth_of_a_cpu_is_told() {
    let name = unique("quota");
    let quota = |_: &Shared| json!({ "cpu": { "quota": 20_000, "period": 100_000 } });
    let Some(cache) = Cache::start("a_quota_of_a_fifth_of_a_cpu_is_told", &name, &[], quota) else { return };
    // Longer than the 20 ms that it may run at a time, on any machine, however slowly it is asked.
    let script = "local sum = 0; for number = 1, 10000000 do sum = sum + number end; return sum";
    let (told, ()) = cache.server.record(&[], || {
        let end = Instant::now() + WATCHED;
        while Instant::now() < end {
            output(cache.command("redis-cli").args(["EVAL", script, "0"]));
        }
    });
    told.assert_leads(&["stopped by its CPU quota"], &["No system call at work"]);
}

#[test]
fn a_memory_limit_of_64_megabytes_is_told() {
    let name = unique("small");
    let limit = |_: &Shared| json!({ "memory": { "limit": 64 << 20 } });
    let options = ["--enable-debug-command", "yes"];
    let Some(cache) = Cache::start("a_memory_limit_of_64_megabytes_is_told", &name, &options, limit) else {
        return;
    };
    let (told, ()) = cache.server.record(&[], || {
        // The kernel kills it before it can answer.
        let _ = cache.try_ask(&["DEBUG", "POPULATE", "2000000"]);
        wait_for("its end", || (!Path::new(&format!("/proc/{}", cache.server.pid)).exists()).then_some(()));
    });
    told.assert_leads(
        &["At its memory limit", "killed 1 process of the target"],
        &["No system call at work"],
    );
}
