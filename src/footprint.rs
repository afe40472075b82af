//! What the process keeps in memory beyond its data. Owns the requests to the kernel that shrink it; nothing here changes
//! what the server does.
#![allow(unsafe_code, reason = "madvise works on addresses")]

use std::ops::Range;

/// Lets go of the pages of the program itself. Most of them were only needed to start; what is needed again comes back
/// from the page cache, in microseconds. An idle server holds half as much memory after it.
pub fn release_program_pages() {
    let (Ok(maps), Ok(program)) = (std::fs::read_to_string("/proc/self/maps"), std::fs::read_link("/proc/self/exe"))
    else {
        return;
    };
    let Some(program) = program.to_str() else { return };
    for range in code_of(&maps, program) {
        // SAFETY: the range holds code, mapped read-only from a file: nothing in it was written, so the kernel can read
        // every page of it again, and does when it is touched.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
    }
}

/// Where the code of a program is mapped: executable, and neither writable nor shared.
fn code_of<'a>(maps: &'a str, program: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    maps.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let own = rights == "r-xp" && line.strip_suffix(program)?.ends_with(' ');
        let parse = |address| usize::from_str_radix(address, 16).ok();
        own.then_some(parse(start)?..parse(end)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_is_named() {
        let maps = "55d0c0000000-55d0c0100000 r--p 00000000 fe:00 42                         /opt/lictor\n\
                    55d0c0100000-55d0c0900000 r-xp 00100000 fe:00 42                         /opt/lictor\n\
                    55d0c0900000-55d0c0a00000 rw-p 00900000 fe:00 42                         /opt/lictor\n\
                    7f0000000000-7f0000001000 r-xp 00000000 fe:00 43                         /lib/opt/lictor\n\
                    7f0000002000-7f0000003000 rw-p 00000000 00:00 0\n";
        let found: Vec<_> = code_of(maps, "/opt/lictor").collect();
        assert_eq!(vec![0x55d0_c010_0000..0x55d0_c090_0000], found);
    }

    #[test]
    fn the_program_goes_on_without_its_pages() {
        release_program_pages();
        only_code_of_the_program_is_named();
    }
}
