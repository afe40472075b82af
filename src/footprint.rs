//! What the process keeps in memory beyond its data. Owns the requests to the kernel that shrink it; nothing here changes
//! what the server does.
#![allow(unsafe_code, reason = "madvise works on addresses, and the allocator is a foreign library")]

use std::ops::Range;

/// Lets go of the pages of the program itself. Most of them were only needed to start; what is needed again comes back
/// from the page cache, in microseconds. An idle server holds half as much memory after it.
pub fn release_program_pages() {
    let (Ok(maps), Ok(program)) = (std::fs::read_to_string("/proc/self/maps"), std::fs::read_link("/proc/self/exe"))
    else {
        return;
    };
    let Some(program) = program.to_str() else { return };
    for range in unwritten(&maps, program) {
        // SAFETY: the range is mapped from a file and was never written to, so the kernel can read every page of it
        // again, and does when it is touched.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
    }
}

/// Gives memory back that was freed. The allocator does so on its own only while it is busy, and keeps what the last burst
/// needed. Costs some system calls: to be called after such a burst, not in one.
pub fn release_freed_memory() {
    // SAFETY: it may be called from any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// What the process holds in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Everything that is resident.
    pub resident_bytes: u64,
    /// What of it the process has written: its data.
    pub written_bytes: u64,
}

/// What the process holds now; `None` where the kernel does not tell.
pub fn memory() -> Option<Memory> {
    memory_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn memory_in(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let row = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(row.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { resident_bytes: bytes("VmRSS")?, written_bytes: bytes("RssAnon")? })
}

/// Where files are mapped that nobody has written to since: code of the program and its libraries, and the constants of
/// the program. Those are at its beginning; what is read-only further on was written while it was loaded.
fn unwritten<'a>(maps: &'a str, program: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    maps.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
        let file = words.nth(2).filter(|file| file.starts_with('/'))?;
        let constants = || rights == "r--p" && offset.bytes().all(|digit| digit == b'0') && file == program;
        if rights != "r-xp" && !constants() {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let parse = |address| usize::from_str_radix(address, 16).ok();
        Some(parse(start)?..parse(end)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tlictor\nVmRSS:\t   12 kB\nRssAnon:\t    7 kB\nRssFile:\t    5 kB\n";
        assert_eq!(Some(Memory { resident_bytes: 12_288, written_bytes: 7_168 }), memory_in(status));
        assert_eq!(None, memory_in("Name:\tlictor\n"));
    }

    #[test]
    fn only_what_was_never_written_is_named() {
        let maps = "55d0c0000000-55d0c0100000 r--p 00000000 fe:00 42                         /opt/lictor\n\
                    55d0c0100000-55d0c0900000 r-xp 00100000 fe:00 42                         /opt/lictor\n\
                    55d0c0900000-55d0c0980000 r--p 00900000 fe:00 42                         /opt/lictor\n\
                    55d0c0980000-55d0c0a00000 rw-p 00980000 fe:00 42                         /opt/lictor\n\
                    7f0000000000-7f0000001000 r--p 00000000 fe:00 43                         /lib/libc.so.6\n\
                    7f0000001000-7f0000002000 r-xp 00001000 fe:00 43                         /lib/libc.so.6\n\
                    7f0000002000-7f0000003000 rw-p 00000000 00:00 0\n\
                    7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]\n";
        let found: Vec<_> = unwritten(maps, "/opt/lictor").collect();
        let expected = [
            0x55d0_c000_0000..0x55d0_c010_0000,
            0x55d0_c010_0000..0x55d0_c090_0000,
            0x7f00_0000_1000..0x7f00_0000_2000,
        ];
        assert_eq!(expected.as_slice(), found);
    }

    #[test]
    fn the_program_goes_on_without_its_pages() {
        release_program_pages();
        only_what_was_never_written_is_named();
    }
}
