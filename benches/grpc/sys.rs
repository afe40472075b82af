//! What the kernel tells about this machine and the processes under measurement.
//!
//! Must never fail a run: a number that cannot be read is absent, and the table says so.

pub(crate) use crate::process::{cpu_us, raise_open_files, rss_bytes, terminate};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;

/// Restricts the calling thread, and what it starts later, to one core. A core that does not exist changes nothing.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    if core < CpuSet::MAX_CPU {
        set.set(core);
        let _ = sched_setaffinity(None, &set);
    }
}

/// Runs `f` with the calling thread on `core` (a child started by it stays there), then goes back.
pub(crate) fn pinned<T>(core: Option<usize>, f: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None);
    if let Some(core) = core {
        pin(core);
    }
    let result = f();
    if let Ok(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    result
}

/// The process on this machine that listens on a TCP port, if we may see it.
pub(crate) fn listener(port: u16) -> Option<u32> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| {
            let f: Vec<&str> = line.split_whitespace().collect();
            let listens = f.get(3) == Some(&"0A");
            let here = f.get(1)?.rsplit_once(':')?.1 == format!("{port:04X}");
            (listens && here).then(|| f.get(9).map(|inode| format!("socket:[{inode}]")))?
        })
    })?;
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let open = fs::read_dir(process.path().join("fd")).ok()?;
        open.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == inode.as_str()))
            .then_some(pid)
    })
}
