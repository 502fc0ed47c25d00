//! In: a guest whose clock counts instructions. Out: how many the `lsm` probe adds to a `sendmsg` by each of its
//! backends, and how many bpftrace does.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::{machine, page, place::Place};
use crate::{
    command,
    vm::{self, image::Job},
};

const KERNEL: &str = "6.1";
/// An instruction takes `2^SHIFT` ns of the guest's clock.
const SHIFT: u32 = 1;
const LIMIT: Duration = Duration::from_secs(180);
/// Of what kprobes add.
const BOUND: f64 = 0.5;
const RATIOS: [(&str, &str); 2] = [
    ("fentry/fexit", "kprobe/kretprobe"),
    ("fentry/fexit, receiving too", "kprobe/kretprobe, receiving too"),
];

/// One line of the guest's driver: what a way adds, in instructions, or why it could not be measured.
struct Price {
    way: String,
    found: std::result::Result<(f64, f64), String>,
}

/// # Errors
/// When the guest cannot be had, says nothing, or the page cannot be written.
pub fn run(place: &Place<'_>) -> Result<()> {
    let (name, prices) = measure(place)?;
    let mut text = format!(
        "Instructions added per `sendto` of a datagram over loopback, of {KERNEL} in an emulated guest ({name}, one CPU, QEMU \
         `-icount`): its clock counts instructions, and two runs of the same agree. `security_socket_sendmsg` and what AppArmor and \
         TOMOYO have below it (three functions) are timed; \"receiving too\" adds `security_sock_rcv_skb` and AppArmor's (two), which \
         run in the softirq of the same call. {}.\n\n| Way | instructions, the middle | the mean |\n|---|---|---|\n",
        machine::today()
    );
    for Price { way, found } in &prices {
        let _ = match found {
            Ok((middle, mean)) => writeln!(text, "| {way} | {middle:.0} | {mean:.0} |"),
            Err(why) => writeln!(text, "| {way} | not measured: {why} | |"),
        };
    }
    let _ = write!(text, "\n| Ratio | middle | mean | bound | kept |\n|---|---|---|---|---|\n");
    for (above, below) in RATIOS {
        let (above_found, below_found) = (found(&prices, above)?, found(&prices, below)?);
        let (middle, mean) = (above_found.0 / below_found.0, above_found.1 / below_found.1);
        let kept = if middle <= BOUND { "yes" } else { "**no**" };
        let _ = writeln!(text, "| {above} / {below} | {middle:.3} | {mean:.3} | ≤ {BOUND:.2} | {kept} |");
    }
    page::write_block(place, "security", &text)
}

fn found(prices: &[Price], way: &str) -> Result<(f64, f64)> {
    let price = prices.iter().find(|price| price.way == way).with_context(|| format!("no line of {way}"))?;
    price.found.clone().map_err(|why| anyhow::anyhow!("{way}: {why}"))
}

fn measure(place: &Place<'_>) -> Result<(String, Vec<Price>)> {
    let mut files = vm::binaries(place.workspace)?;
    match bpftrace() {
        Ok(peer) => files.extend(peer),
        Err(error) => println!("xtask: {error:#}; going on without bpftrace"),
    }
    let job = Job { command: ["lab", "price"].map(str::to_owned).to_vec(), files };
    let mut guest = vm::prepare(place.workspace, KERNEL, false, &job)?;
    guest.smp = "1".to_owned();
    guest.memory = "3G".to_owned();
    guest.arguments = vec!["-icount".to_owned(), format!("shift={SHIFT}")];
    guest.limit = Some(LIMIT);
    let mut output = Vec::new();
    let ending = guest.run(&mut |bytes| output.extend_from_slice(bytes));
    let _ = fs::remove_file(&guest.initrd);
    let code = ending?.code(&guest)?;
    let text = String::from_utf8_lossy(&output);
    print!("{text}");
    ensure!(code == 0, "the driver ended with {code}");
    let prices: Vec<Price> = text.lines().filter_map(price).collect();
    if prices.is_empty() {
        bail!("the driver said nothing");
    }
    Ok((guest.name, prices))
}

fn price(line: &str) -> Option<Price> {
    let fields: Vec<&str> = line.trim_end().split('\t').collect();
    let instructions = |ns: &str| ns.parse::<f64>().ok().map(|ns| ns / f64::from(1 << SHIFT));
    match fields[..] {
        ["@price", way, middle, mean] => {
            Some(Price { way: way.to_owned(), found: Ok((instructions(middle)?, instructions(mean)?)) })
        }
        ["@price", way, why] => Some(Price { way: way.to_owned(), found: Err(why.replace('|', " ")) }),
        _ => None,
    }
}

/// bpftrace and the libraries it wants, as the guest's loader finds them.
fn bpftrace() -> Result<Vec<(PathBuf, String)>> {
    let program = command::on_path("bpftrace").context("there is no bpftrace on this machine")?;
    let libraries = command::read(Command::new("ldd").arg(&program))?;
    let mut files = vec![(program, "job/bpftrace".to_owned())];
    let paths =
        libraries.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    for path in paths {
        let whole = fs::canonicalize(path).with_context(|| format!("reading {path}"))?;
        files.push((whole, Path::new(path).strip_prefix("/")?.display().to_string()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::price;

    #[test]
    fn nanoseconds_become_instructions_and_reasons_stay() {
        let found = price("@price\tfentry/fexit\t3126\t3200\n").unwrap();
        assert_eq!((found.way.as_str(), found.found), ("fentry/fexit", Ok((1563.0, 1600.0))));
        assert_eq!(price("@price\tbpftrace\tnone | here").unwrap().found, Err("none   here".to_owned()));
        assert!(price("something else").is_none());
    }
}
