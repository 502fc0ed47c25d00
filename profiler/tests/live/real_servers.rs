//! Incidents of real servers, each recorded by its container's name alone: the right process, call and wait must be in the
//! first three sentences, and nothing untrue above them.
//!
//! In: PostgreSQL, nginx and Java from packages, in runc containers, and root. Out: the sentences on top.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up must fail")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::server::{Client, Server, Shared, USER, can_serve, throttled, unique, watch};
use crate::support::{output, wait_for};
use serde_json::{Value, json};

/// As the user that servers run as.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={USER}")).arg(format!("--regid={USER}")).arg("--clear-groups").arg(program);
    command
}

// PostgreSQL

/// A PostgreSQL with a table of two rows.
struct Database {
    shared: Shared,
    server: Server,
    programs: PathBuf,
}

impl Database {
    fn start(test: &str, name: &str) -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let programs =
            versions.map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists());
        let programs = programs.unwrap_or_default();
        if !can_serve(test, "postgresql", &[&programs.join("postgres"), Path::new("psql")]) {
            return None;
        }
        let shared = Shared::new();
        let data = shared.directory("data");
        let mut initdb = as_user(&programs.join("initdb"));
        output(
            initdb
                .args(["--no-sync", "--auth=trust", "--username=postgres", "-E", "UTF8", "--locale=C", "-D"])
                .arg(&data),
        );
        let postgres = programs.join("postgres");
        let words =
            ["-D", data.to_str().unwrap(), "-k", shared.text(), "-c", "listen_addresses=", "-c", "fsync=off"];
        let words = [&[postgres.to_str().unwrap()], &words[..]].concat();
        let server = Server::run(name, &shared, &words, &json!({}));
        let database = Self { shared, server, programs };
        wait_for("PostgreSQL", || {
            database.psql().args(["-c", "SELECT 1"]).output().unwrap().status.success().then_some(())
        });
        output(database.psql().args(["-c", "CREATE TABLE stock (id int PRIMARY KEY, left_over int); INSERT INTO stock VALUES (1, 10), (2, 10)"]));
        Some(database)
    }

    fn psql(&self) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-h", self.shared.text(), "-U", "postgres", "-qAt"]);
        psql
    }

    /// A session whose backend's pid is the second.
    fn session(&self) -> Client {
        let mut client = Client::start(&mut self.psql());
        client.ask("SELECT 'there';", "there");
        client
    }

    /// Waits until so many backends wait for a lock.
    fn wait_for_waiters(&self, waiters: usize) {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        wait_for("who waits for a lock", || {
            (output(self.psql().args(["-c", query])) == waiters.to_string()).then_some(())
        });
    }
}

#[test]
fn a_row_lock_of_postgresql_is_told_with_who_released_it() {
    let name = unique("rowlock");
    let Some(database) = Database::start("a_row_lock_of_postgresql_is_told_with_who_released_it", &name)
    else {
        return;
    };
    let (mut holder, mut waiter) = (database.session(), database.session());
    let (told, ()) = database.server.record(&[], || {
        holder.ask("BEGIN; UPDATE stock SET left_over = 9 WHERE id = 1; SELECT 'held';", "held");
        waiter.say("UPDATE stock SET left_over = 8 WHERE id = 1; SELECT 'sold';");
        database.wait_for_waiters(1);
        watch();
        holder.say("COMMIT;");
        waiter.wait("sold");
    });
    told.assert_leads(&["epoll_wait", "postgres", "ProcSleep"], &["No system call at work"]);
}

#[test]
fn a_table_lock_of_an_idle_transaction_is_told_while_it_hangs() {
    let name = unique("tablelock");
    let Some(database) = Database::start("a_table_lock_of_an_idle_transaction_is_told_while_it_hangs", &name)
    else {
        return;
    };
    let (mut holder, mut waiter) = (database.session(), database.session());
    holder.ask("BEGIN; LOCK TABLE stock; SELECT 'held';", "held");
    waiter.say("SELECT sum(left_over) FROM stock;");
    database.wait_for_waiters(1);
    watch();
    let (told, ()) = database.server.record(&[], watch);
    told.assert_leads(&["had not returned", "postgres", "ProcSleep"], &["No system call at work"]);
}

// nginx

/// An nginx that serves one file.
struct Web {
    shared: Shared,
    server: Server,
    bytes: u64,
}

impl Web {
    fn start(test: &str, name: &str, bytes: u64, limits: impl FnOnce(&Shared) -> Value) -> Option<Self> {
        let nginx = Path::new("/usr/sbin/nginx");
        if !can_serve(test, "nginx-light", &[nginx]) {
            return None;
        }
        let shared = Shared::new();
        let www = shared.directory("www");
        let mut file = fs::File::create(www.join("film")).unwrap();
        let block = vec![7_u8; 1 << 20];
        (0..bytes >> 20).for_each(|_| file.write_all(&block).unwrap());
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let dir = shared.text();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String = paths.iter().map(|path| format!("{path}_temp_path {dir}/temp;")).collect();
        let configuration = format!(
            "daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/errors; events {{ }}\n\
             http {{ access_log off; sendfile on; {paths}\n\
             server {{ listen unix:{dir}/socket; root {dir}/www; }} }}\n"
        );
        fs::write(shared.at("conf"), configuration).unwrap();
        let conf = shared.at("conf");
        let errors = format!("{dir}/errors");
        let words = ["/usr/sbin/nginx", "-e", &errors, "-c", conf.to_str().unwrap()];
        let server = Server::run(name, &shared, &words, &limits(&shared));
        wait_for("nginx", || UnixStream::connect(shared.at("socket")).ok());
        Some(Self { shared, server, bytes })
    }

    /// Fetches the file, whole.
    fn fetch(&self) {
        let mut stream = UnixStream::connect(self.shared.at("socket")).unwrap();
        stream.write_all(b"GET /film HTTP/1.0\r\nHost: film\r\n\r\n").unwrap();
        let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                more => read += more as u64,
            }
        }
        assert!(read >= self.bytes, "{read} of {} bytes: {}", self.bytes, self.shared.log());
    }
}

#[test]
fn nginx_on_a_slow_disk_is_told() {
    let slow = |shared: &Shared| throttled(Path::new(shared.text()), "throttleReadBpsDevice", 4 << 20);
    let Some(web) = Web::start("nginx_on_a_slow_disk_is_told", &unique("film"), 6 << 20, slow) else {
        return;
    };
    let (told, ()) = web.server.record(&[], || web.fetch());
    told.assert_leads(&["sendfile", "nginx", "disk"], &[]);
}

// Java

const CONVOY: &str = r#"
public class Convoy {
    static int left = 1_000_000;
    static synchronized void sell() throws InterruptedException {
        left--;
        Thread.sleep(3);
    }
    public static void main(String[] words) throws Exception {
        for (int number = 1; number <= 8; number++) {
            Thread till = new Thread(() -> {
                try {
                    while (left > 0) { sell(); }
                } catch (InterruptedException end) { }
            }, "till-" + number);
            till.start();
        }
        java.nio.file.Files.writeString(java.nio.file.Path.of(words[0]), "open");
    }
}
"#;

/// One thread keeps the monitor, all others stand behind it since before anybody looked.
const HANG: &str = r#"
public class Hang {
    static final Object monitor = new Object();
    static void sell() {
        synchronized (monitor) { System.out.print(""); }
    }
    public static void main(String[] words) throws Exception {
        synchronized (monitor) {
            Thread[] tills = new Thread[8];
            for (int number = 0; number < tills.length; number++) {
                tills[number] = new Thread(Hang::sell, "till-" + number);
                tills[number].start();
            }
            for (Thread till : tills) {
                while (till.getState() != Thread.State.BLOCKED) { Thread.sleep(1); }
            }
            java.nio.file.Files.writeString(java.nio.file.Path.of(words[0]), "open");
            Thread.sleep(600_000);
        }
    }
}
"#;

/// A class of that name runs, and has said so.
fn java(shared: &Shared, name: &str, source: &str) -> Server {
    let file = shared.at(&format!("{name}.java"));
    fs::write(&file, source).unwrap();
    output(Command::new("javac").arg("-d").arg(shared.text()).arg(file));
    let open = shared.at("open");
    let (options, open_text) = (["-XX:TieredStopAtLevel=1", "-Xshare:auto"], open.to_str().unwrap());
    let words = [&["java"], &options[..], &["-cp", shared.text(), name, open_text]].concat();
    let server = Server::run(&unique("shop"), shared, &words, &json!({}));
    wait_for("the shop", || open.exists().then_some(()));
    server
}

#[test]
fn a_convoy_of_java_threads_is_told_with_their_names() {
    let test = "a_convoy_of_java_threads_is_told_with_their_names";
    if !can_serve(test, "openjdk-17-jdk-headless", &["java", "javac"].map(Path::new)) {
        return;
    }
    let shared = Shared::new();
    let (told, ()) = java(&shared, "Convoy", CONVOY).record(&[], watch);
    told.assert_leads(&["User locks", "java", "contended", "till-"], &[]);
}

#[test]
fn java_threads_behind_a_monitor_since_before_the_recording_are_told_with_their_function() {
    let test = "java_threads_behind_a_monitor_since_before_the_recording_are_told_with_their_function";
    if !can_serve(test, "openjdk-17-jdk-headless", &["java", "javac"].map(Path::new)) {
        return;
    }
    let shared = Shared::new();
    let (told, ()) = java(&shared, "Hang", HANG).record(&[], watch);
    told.assert_leads(&["User locks", "java", "contended locks", "till-", "monitorenter"], &[]);
}
