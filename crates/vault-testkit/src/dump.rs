//! The memory of another process, read as a core dump would have it (Linux).
//!
//! Read are all mappings that can be read; each says whether the kernel was told to leave it out of
//! dumps (`dd` in `smaps`). Without those it is more than a dump has with the usual filter, and less in
//! one thing: the threads' registers. Left to others: what to look for.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

/// One mapping of a process.
#[non_exhaustive]
pub struct MemoryArea {
    /// The file it maps, or what the kernel calls it; empty for anonymous memory.
    pub name: String,
    /// Its first address.
    pub start: usize,
    /// Whether a core dump leaves it out.
    pub left_out: bool,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Reads the memory of the process `pid`, a child of this one, which should stand still.
///
/// # Errors
/// Where the process is gone, or the system does not let this one read it.
pub fn process_memory(pid: u32) -> io::Result<Vec<MemoryArea>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut areas = readable_mappings(&fs::read_to_string(format!("/proc/{pid}/smaps"))?);
    let mut unreadable = None;
    areas.retain_mut(|area| match memory.read_exact_at(&mut area.bytes, area.start as u64) {
        Ok(()) => true,
        // What the kernel shows to nobody (`[vvar]`) it does not dump either.
        Err(error) => {
            if !area.name.starts_with('[') {
                unreadable = Some(error);
            }
            false
        }
    });
    unreadable.map_or(Ok(areas), Err)
}

/// The mappings that `smaps` lists as readable, with room for their bytes.
fn readable_mappings(smaps: &str) -> Vec<MemoryArea> {
    let mut areas: Vec<MemoryArea> = Vec::new();
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let has = |wanted| flags.split_whitespace().any(|flag| flag == wanted);
            match areas.last_mut() {
                Some(area) if has("rd") => area.left_out = has("dd"),
                _ => drop(areas.pop()), // a guard, or reserved
            }
        } else if let Some((range, rest)) = line.split_once(' ')
            && let Some((start, end)) = range.split_once('-')
            && let (Ok(start), Ok(end)) =
                (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            let name = rest.split_whitespace().nth(4).unwrap_or_default().to_owned();
            let bytes = vec![0; end.saturating_sub(start)];
            areas.push(MemoryArea { name, start, left_out: false, bytes });
        }
    }
    areas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_finds_its_own_heap() {
        let secret = std::hint::black_box(vec![0x5e_u8; 64]);
        let areas = process_memory(std::process::id()).unwrap();
        let address = secret.as_ptr().addr();
        let holds = |area: &&MemoryArea| {
            address.checked_sub(area.start).is_some_and(|at| at + 64 <= area.bytes.len())
        };
        let area = areas.iter().find(holds).unwrap();
        assert_eq!(area.bytes[address - area.start..][..64], secret);
        assert!(!area.left_out);
    }

    #[test]
    fn guards_are_no_areas_and_what_dumps_leave_out_is_told() {
        let smaps = "\
1000-2000 ---p 00000000 00:00 0 \nRss: 0 kB\nVmFlags: mr mw me\n\
2000-4000 rw-p 00000000 00:00 0 \nVmFlags: rd wr lo dd wf\n\
4000-5000 r--p 00000000 08:01 42 /bin/program\nVmFlags: rd\n";
        let areas = readable_mappings(smaps);
        let told: Vec<_> =
            areas.iter().map(|a| (a.start, a.bytes.len(), a.left_out, a.name.as_str())).collect();
        assert_eq!(told, [(0x2000, 0x2000, true, ""), (0x4000, 0x1000, false, "/bin/program")]);
    }
}
