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

/// How often an area is looked at again that could not be read.
const LOOKS: usize = 8;

/// Reads the memory of the process `pid`, a child of this one, which should stand still: of an area that
/// changes meanwhile, what is there when it is read.
///
/// # Errors
/// Where the process is gone, or the system does not let this one read it.
pub fn process_memory(pid: u32) -> io::Result<Vec<MemoryArea>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mappings = || Ok(readable_mappings(&fs::read_to_string(format!("/proc/{pid}/smaps"))?));
    let mut areas = Vec::new();
    for area in mappings()? {
        read_area(&memory, &mappings, area, LOOKS, &mut areas)?;
    }
    Ok(areas)
}

/// Reads `area`, or whatever is left of it: what is gone when looked at again is no longer memory, and what
/// is there and cannot be read is an error.
fn read_area(
    memory: &File,
    mappings: &impl Fn() -> io::Result<Vec<MemoryArea>>,
    mut area: MemoryArea,
    looks: usize,
    read: &mut Vec<MemoryArea>,
) -> io::Result<()> {
    let Err(error) = memory.read_exact_at(&mut area.bytes, area.start as u64) else {
        read.push(area);
        return Ok(());
    };
    // What the kernel shows to nobody (`[vvar]`) it does not dump either.
    if area.name.starts_with('[') {
        return Ok(());
    }
    let looks = looks.checked_sub(1).ok_or(error)?;
    for left in mappings()?.into_iter().filter_map(|now| now.within(&area)) {
        read_area(memory, mappings, left, looks, read)?;
    }
    Ok(())
}

impl MemoryArea {
    /// The part of it that lies in `area`.
    fn within(mut self, area: &Self) -> Option<Self> {
        let end = self.end().min(area.end());
        self.start = self.start.max(area.start);
        self.bytes.resize(end.checked_sub(self.start)?, 0);
        (!self.bytes.is_empty()).then_some(self)
    }

    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    fn area(start: usize, len: usize) -> MemoryArea {
        MemoryArea { name: String::new(), start, left_out: false, bytes: vec![0; len] }
    }

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

    /// Areas come and go while a process reads itself.
    #[test]
    fn what_is_unmapped_meanwhile_is_no_longer_memory() {
        let (done, own) = (AtomicBool::new(false), std::process::id());
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Longer than any that the allocator keeps.
                    drop(std::hint::black_box(vec![0_u8; 48 << 20]));
                }
            });
            let outcomes: Vec<_> = (0..10).map(|_| process_memory(own).map(drop)).collect();
            done.store(true, Ordering::Relaxed);
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        });
    }

    #[test]
    fn what_is_there_and_cannot_be_read_is_an_error() {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut read = Vec::new();
        // Nothing is ever mapped at the first page.
        let there = || Ok(vec![area(0, 8), area(8, 8), area(64, 8)]);
        read_area(&memory, &there, area(0, 16), LOOKS, &mut read).unwrap_err();
        let gone = || Ok(vec![area(64, 8)]);
        read_area(&memory, &gone, area(0, 16), LOOKS, &mut read).unwrap();
        assert!(read.is_empty());
    }

    #[test]
    fn of_an_area_that_shrank_the_rest_is_read() {
        let left =
            |now: MemoryArea| now.within(&area(100, 50)).map(|area| (area.start, area.bytes.len()));
        assert_eq!(left(area(100, 20)), Some((100, 20)));
        assert_eq!(left(area(90, 20)), Some((100, 10)));
        assert_eq!(left(area(140, 90)), Some((140, 10)));
        assert_eq!(left(area(90, 90)), Some((100, 50)));
        assert_eq!((left(area(150, 9)), left(area(90, 10))), (None, None));
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
