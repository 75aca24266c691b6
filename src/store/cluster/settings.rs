//! The server's settings, after the machine it runs on.

use std::fmt::Write;
use std::fs;
use std::path::Path;

const MIB: u64 = 1 << 20;

/// The text of `postgresql.conf`. Written anew at every start; an administrator's own settings go
/// into `local.conf` beside it, which is read last.
pub fn postgresql_conf(run: &Path) -> String {
    let memory = memory_bytes();
    let shared = (memory / 8).clamp(64 * MIB, 1024 * MIB) / MIB;
    let cache = (memory / 2).max(128 * MIB) / MIB;
    let work = (memory / 256).clamp(8 * MIB, 64 * MIB) / MIB;
    let maintenance = (memory / 32).clamp(64 * MIB, 512 * MIB) / MIB;
    // Parallel queries keep their memory in /dev/shm, which is tiny in many containers.
    let small_shm = nix::sys::statvfs::statvfs("/dev/shm")
        .map_or(true, |s| s.blocks() * s.fragment_size() < 256 * MIB);
    let dynamic = if small_shm { "mmap" } else { "posix" };
    let run = quoted(&run.to_string_lossy());

    let mut text = String::from(
        "# Written by xuncha at every start. Put your own settings into local.conf.\n",
    );
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(text, "{name} = {value}");
    };
    set("listen_addresses", "''");
    set("port", "5432"); // no TCP: it only names the socket file
    set("unix_socket_directories", &run);
    set("unix_socket_permissions", "0700");
    set("max_connections", "100");
    set("shared_buffers", &format!("{shared}MB"));
    set("effective_cache_size", &format!("{cache}MB"));
    set("work_mem", &format!("{work}MB"));
    set("maintenance_work_mem", &format!("{maintenance}MB"));
    set("dynamic_shared_memory_type", dynamic);
    set("random_page_cost", "1.1");
    set("jit", "off"); // short queries: compiling costs more than it saves
    set("fsync", "on");
    set("full_page_writes", "on");
    set("synchronous_commit", "on"); // an answered write is on the disk
    set("max_wal_size", "2GB");
    set("min_wal_size", "128MB");
    set("timezone", "'UTC'");
    set("log_timezone", "'UTC'");
    set("datestyle", "'iso, ymd'");
    set("lc_messages", "'C'");
    set("default_text_search_config", "'pg_catalog.simple'");
    set("logging_collector", "on");
    set("log_directory", "'log'");
    set("log_filename", "'postgresql-%a.log'"); // a week, then overwritten
    set("log_truncate_on_rotation", "on");
    set("log_rotation_size", "0");
    set("include_if_exists", "'local.conf'");
    text
}

/// A value in single quotes.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// Memory of the machine, or of the container where that is less, bytes.
fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(1024 * MIB, |kib| kib * 1024);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    limits
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .fold(machine, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_the_socket_folder_stays_inside_its_setting() {
        let text = postgresql_conf(Path::new("/tmp/it's\\here"));
        assert!(text.contains("unix_socket_directories = '/tmp/it''s\\\\here'\n"), "{text}");
    }

    #[test]
    fn durability_is_never_traded_away() {
        let text = postgresql_conf(Path::new("/run"));
        for setting in ["fsync = on", "synchronous_commit = on", "full_page_writes = on"] {
            assert!(text.lines().any(|line| line == setting), "{setting}");
        }
    }
}
