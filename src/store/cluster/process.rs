//! Which server processes of a data folder are alive, and the end of those without a postmaster.

use super::os::{self, OsUser};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// The postmaster of a data folder, when it is alive.
///
/// The process id alone proves nothing: it may have gone to another program, or be a zombie that
/// nobody reaps (PostgreSQL takes both for a running server and refuses to start).
pub fn postmaster(data: &Path) -> Option<i32> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    (pid > 0 && is_server_of(pid, data)).then_some(pid)
}

fn is_server_of(pid: i32, data: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    if !is_live_postgres(&process) {
        return false;
    }
    match fs::read_link(process.join("cwd")) {
        Ok(folder) => folder == data,
        // Root without CAP_SYS_PTRACE (as in many containers) may not look; the command line is open.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => fs::read(process.join("cmdline"))
            .is_ok_and(|line| {
                line.split(|&b| b == 0).any(|arg| arg == data.as_os_str().as_encoded_bytes())
            }),
        Err(_) => false,
    }
}

/// Whether a process that we started is still there: before it has become PostgreSQL, too.
pub fn is_live(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, tail)| tail.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Whether the process runs PostgreSQL and is no zombie, from `/proc/<pid>/stat`.
fn is_live_postgres(process: &Path) -> bool {
    let Ok(stat) = fs::read_to_string(process.join("stat")) else { return false };
    let Some((head, tail)) = stat.rsplit_once(')') else { return false };
    let name = head.split_once('(').map_or("", |(_, name)| name);
    let state = tail.trim_start().chars().next();
    (name == "postgres" || name == "postmaster") && !matches!(state, None | Some('Z' | 'X'))
}

/// Ends what a killed postmaster left behind: back ends that still work in the data folder, then
/// the lock files. Only to be called when [`postmaster`] finds none and nobody else starts one.
pub fn clear_leftovers(data: &Path, run: &Path, user: Option<OsUser>) {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let orphans = orphans(data, user);
        if orphans.is_empty() {
            break;
        }
        for &pid in &orphans {
            tracing::warn!(pid, "ending a database process whose server is gone");
            match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(e) => tracing::warn!(pid, "cannot end it: {e}"),
            }
        }
        if Instant::now() > give_up {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for file in
        [data.join("postmaster.pid"), run.join(".s.PGSQL.5432"), run.join(".s.PGSQL.5432.lock")]
    {
        match fs::remove_file(&file) {
            Err(e) if e.kind() != ErrorKind::NotFound => tracing::warn!("{}: {e}", file.display()),
            _ => {}
        }
    }
}

/// PostgreSQL processes whose working folder is the data folder; every back end keeps it there.
fn orphans(data: &Path, user: Option<OsUser>) -> Vec<i32> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let process = Path::new("/proc").join(pid.to_string());
            is_live_postgres(&process)
                && match fs::read_link(process.join("cwd")) {
                    Ok(folder) => folder == data,
                    Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                        working_folder_as(&process, user)
                            .is_some_and(|folder| folder == data.as_os_str().as_encoded_bytes())
                    }
                    Err(_) => false,
                }
        })
        .collect()
}

/// The working folder, asked as the process's own user, who may always look.
fn working_folder_as(process: &Path, user: Option<OsUser>) -> Option<Vec<u8>> {
    let output = os::command(Path::new("/usr/bin/readlink"), Some(user?))
        .arg("-n")
        .arg(process.join("cwd"))
        .output();
    Some(output.ok()?.stdout)
}
