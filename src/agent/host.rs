//! Facts about the machine, under the names that Consul's `agent/host` has, as far as Linux tells them in `/proc`.

use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// Memory, processors, system and disk. What cannot be read is named under `Errors`.
pub fn host(data_dir: Option<&Path>, now_ms: u64) -> Value {
    let mut errors = Vec::new();
    let mut read = |path: &str| {
        fs::read_to_string(path).unwrap_or_else(|error| {
            errors.push(format!("{path}: {error}"));
            String::new()
        })
    };
    let (memory, processors) = (memory(&read("/proc/meminfo")), processors(&read("/proc/cpuinfo")));
    let uptime = read("/proc/uptime").split(['.', ' ']).next().and_then(|s| s.parse().ok()).unwrap_or(0_u64);
    let release = release(&read("/etc/os-release"));
    let uname = rustix::system::uname();
    let host = json!({
        "hostname": uname.nodename().to_string_lossy(),
        "uptime": uptime,
        "bootTime": (now_ms / 1000).saturating_sub(uptime),
        "os": "linux",
        "platform": release.0,
        "platformVersion": release.1,
        "kernelVersion": uname.release().to_string_lossy(),
        "kernelArch": uname.machine().to_string_lossy(),
    });
    let disk = match rustix::fs::statvfs(data_dir.unwrap_or(Path::new("/"))) {
        Ok(found) => {
            let (total, free) = (found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize);
            let used = total.saturating_sub(found.f_bfree * found.f_frsize);
            json!({
                "path": data_dir.unwrap_or(Path::new("/")).display().to_string(),
                "total": total, "free": free, "used": used, "usedPercent": percent(used, used + free),
                "inodesTotal": found.f_files, "inodesFree": found.f_ffree,
            })
        }
        Err(error) => {
            errors.push(format!("disk: {error}"));
            Value::Null
        }
    };
    let errors = if errors.is_empty() { Value::Null } else { json!(errors) };
    json!({
        "Memory": memory, "CPU": processors, "Host": host, "Disk": disk,
        "CollectionTime": now_ms.saturating_mul(1_000_000), "Errors": errors,
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn memory(text: &str) -> Value {
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
        Some((name, kib * 1024))
    });
    let rows: std::collections::BTreeMap<&str, u64> = rows.collect();
    let row = |name: &str| rows.get(name).copied().unwrap_or_default();
    let (total, free) = (row("MemTotal"), row("MemFree"));
    let cached = row("Cached") + row("SReclaimable");
    let used = total.saturating_sub(free + row("Buffers") + cached);
    let mut out = Map::new();
    for (name, value) in [
        ("total", total),
        ("available", row("MemAvailable")),
        ("used", used),
        ("free", free),
        ("active", row("Active")),
        ("inactive", row("Inactive")),
        ("buffers", row("Buffers")),
        ("cached", cached),
        ("shared", row("Shmem")),
        ("slab", row("Slab")),
        ("swaptotal", row("SwapTotal")),
        ("swapfree", row("SwapFree")),
    ] {
        out.insert(name.to_owned(), value.into());
    }
    out.insert("usedPercent".to_owned(), percent(used, total).into());
    Value::Object(out)
}

fn processors(text: &str) -> Vec<Value> {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks
        .enumerate()
        .map(|(index, block)| {
            let row = |name: &str| {
                let found = block.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name));
                found.map_or("", |(_, value)| value.trim())
            };
            json!({
                "cpu": index, "vendorId": row("vendor_id"), "family": row("cpu family"), "model": row("model"),
                "stepping": row("stepping").parse::<i64>().unwrap_or_default(), "physicalId": row("physical id"),
                "coreId": row("core id"), "cores": 1, "modelName": row("model name"),
                "mhz": row("cpu MHz").parse::<f64>().unwrap_or_default(),
                "flags": row("flags").split_whitespace().collect::<Vec<_>>(),
            })
        })
        .collect()
}

/// The name and the version of the distribution.
fn release(text: &str) -> (String, String) {
    let row = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().trim_matches('"').to_owned()
    };
    (row("ID"), row("VERSION_ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let found = host(None, 1_000_000_000_000);
        assert!(found["Memory"]["total"].as_u64().is_some_and(|bytes| bytes > 0), "{found}");
        assert!(found["CPU"].as_array().is_some_and(|list| !list.is_empty()), "{found}");
        assert!(found["Disk"]["total"].as_u64().is_some_and(|bytes| bytes > 0), "{found}");
    }
}
