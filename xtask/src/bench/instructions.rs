//! In: an operation that the lab's driver has a price for, files it wants in the guest. Out: what each way to trace it adds, in
//! instructions, by a guest whose clock counts them: rows of tables.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::place::Place;
use crate::{
    statics::Binaries,
    vm::{self, image::Job},
};

pub const KERNEL: &str = "6.1";
/// An instruction takes `2^SHIFT` ns of the guest's clock.
const SHIFT: u32 = 1;

/// What a guest is told to measure.
pub struct Order {
    /// As the driver calls it.
    pub operation: &'static str,
    /// Files of this machine and their place in the guest.
    pub files: Vec<(PathBuf, String)>,
    /// As QEMU spells it.
    pub memory: &'static str,
    pub limit: Duration,
}

/// One line of the guest's driver: what a way adds, in instructions, or why it could not be measured.
struct Price {
    way: String,
    found: std::result::Result<(f64, f64), String>,
}

/// What the driver said.
pub struct Prices {
    /// The guest's kernel.
    pub kernel: String,
    list: Vec<Price>,
}

/// # Errors
/// When the guest cannot be had, or says nothing.
pub fn measure(place: &Place<'_>, order: Order) -> Result<Prices> {
    let mut files = vm::files(&Binaries::build(place.workspace)?);
    files.extend(order.files);
    let job = Job { command: ["lab", "price", order.operation].map(str::to_owned).to_vec(), files };
    let mut guest =
        vm::prepare(place.workspace, (KERNEL, false), &job, &vm::directory(place.workspace, KERNEL))?;
    guest.smp = "1".to_owned();
    guest.memory = order.memory.to_owned();
    guest.arguments = vec!["-icount".to_owned(), format!("shift={SHIFT}")];
    guest.limit = Some(order.limit);
    let mut output = Vec::new();
    let ending = guest.run(&mut |bytes| {
        vm::show_bytes(bytes);
        output.extend_from_slice(bytes);
    });
    let _ = fs::remove_file(&guest.initrd);
    let code = ending?.code(&guest)?;
    let text = String::from_utf8_lossy(&output);
    ensure!(code == 0, "the driver ended with {code}");
    let list: Vec<Price> = text.lines().filter_map(price).collect();
    if list.is_empty() {
        bail!("the driver said nothing");
    }
    Ok(Prices { kernel: guest.name, list })
}

impl Prices {
    /// All ways.
    pub fn table(&self) -> String {
        let mut text = "| Way | instructions, the middle | the mean |\n|---|---|---|\n".to_owned();
        for Price { way, found } in &self.list {
            let _ = match found {
                Ok((middle, mean)) => writeln!(text, "| {way} | {middle:.0} | {mean:.0} |"),
                Err(why) => writeln!(text, "| {way} | not measured: {why} | |"),
            };
        }
        text
    }

    /// Pairs of ways, of which the first may add so much of what the second does.
    ///
    /// # Errors
    /// When one was not measured.
    pub fn ratios(&self, pairs: &[(&str, &str)], bound: f64) -> Result<String> {
        let mut text = "| Ratio | middle | mean | bound | kept |\n|---|---|---|---|---|\n".to_owned();
        for (above, below) in pairs {
            let (above_found, below_found) = (self.found(above)?, self.found(below)?);
            let (middle, mean) = (above_found.0 / below_found.0, above_found.1 / below_found.1);
            let kept = if middle <= bound { "yes" } else { "**no**" };
            let _ = writeln!(text, "| {above} / {below} | {middle:.3} | {mean:.3} | ≤ {bound:.2} | {kept} |");
        }
        Ok(text)
    }

    fn found(&self, way: &str) -> Result<(f64, f64)> {
        let price =
            self.list.iter().find(|price| price.way == way).with_context(|| format!("no line of {way}"))?;
        price.found.clone().map_err(|why| anyhow::anyhow!("{way}: {why}"))
    }
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
