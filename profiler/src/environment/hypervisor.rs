//! What the machine runs under.
//!
//! In: CPUID, DMI, /sys/hypervisor. Out: one line; `none` on bare metal.

use crate::machine::{self, Told};

/// Signatures of CPUID leaf 0x40000000 and what people call them.
const SIGNATURES: [(&str, &str); 10] = [
    ("KVMKVMKVM", "KVM"),
    ("Linux KVM Hv", "KVM"),
    ("TCGTCGTCGTCG", "QEMU TCG"),
    ("VMwareVMware", "VMware"),
    ("Microsoft Hv", "Hyper-V"),
    ("XenVMMXenVMM", "Xen"),
    ("VBoxVBoxVBox", "VirtualBox"),
    ("bhyve bhyve ", "bhyve"),
    ("ACRNACRNACRN", "ACRN"),
    (" prl hyperv ", "Parallels"),
];

/// The hypervisor, with the machine's product where firmware names one.
pub fn hypervisor() -> Told<String> {
    let kind = match signature() {
        Some(bytes) => name(&bytes),
        None => match machine::fact("/sys/hypervisor/type") {
            Told::Is(kind) => kind,
            Told::Not(_) if cfg!(target_arch = "x86_64") => return Told::Is("none".to_owned()),
            Told::Not(why) => return Told::Not(why),
        },
    };
    let dmi = |file: &str| machine::fact(&format!("/sys/class/dmi/id/{file}")).known().cloned();
    let words: Vec<String> =
        ["sys_vendor", "product_name"].into_iter().filter_map(dmi).filter(|word| !word.is_empty()).collect();
    let product = machine::line(&words.join(" "), 96);
    Told::Is(if product.is_empty() { kind } else { format!("{kind}, {product}") })
}

fn name(signature: &[u8; 12]) -> String {
    let text = String::from_utf8_lossy(signature);
    let text = text.trim_end_matches('\0');
    let known = SIGNATURES.iter().find(|(own, _)| *own == text).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| format!("unknown ({})", machine::line(text, 16)))
}

/// The hypervisor's signature; none on bare metal.
#[cfg(target_arch = "x86_64")]
fn signature() -> Option<[u8; 12]> {
    use std::arch::x86_64::__cpuid;
    const PRESENT: u32 = 1 << 31;
    if __cpuid(1).ecx & PRESENT == 0 {
        return None;
    }
    let leaf = __cpuid(0x4000_0000);
    let mut bytes = [0; 12];
    for (word, register) in bytes.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        word.copy_from_slice(&register.to_le_bytes());
    }
    Some(bytes)
}

#[cfg(not(target_arch = "x86_64"))]
fn signature() -> Option<[u8; 12]> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_have_names_and_others_are_cleaned() {
        assert_eq!(name(b"KVMKVMKVM\0\0\0"), "KVM");
        assert_eq!(name(b"Microsoft Hv"), "Hyper-V");
        assert_eq!(name(b"a\x1b[31mbcdefg"), "unknown (a?[31mbcdefg)");
    }

    #[test]
    fn the_flag_in_cpuinfo_agrees() {
        let cpuinfo = machine::read("/proc/cpuinfo", 16 << 10).unwrap();
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let virtual_machine = flags.split_whitespace().any(|flag| flag == "hypervisor");
        assert_eq!(hypervisor().known().is_some_and(|name| name != "none"), virtual_machine);
    }
}
