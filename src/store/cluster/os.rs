//! Programs of PostgreSQL and the operating-system user they run as.

use crate::error::{Fault, FaultKind, Result};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The account PostgreSQL runs as where we are root: it refuses to run as root itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsUser {
    pub uid: u32,
    pub gid: u32,
}

/// `None`: run as ourselves. `Some`: we are root and step down to the `postgres` account.
pub fn cluster_user() -> Result<Option<OsUser>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    match nix::unistd::User::from_name("postgres") {
        Ok(Some(user)) => Ok(Some(OsUser { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
        Ok(None) => Err(not_installed("no operating-system user `postgres`")),
        Err(e) => Err(Fault::internal(format!("cannot look up the user `postgres`: {e}"))),
    }
}

/// What to tell a user whose machine lacks PostgreSQL or PostGIS.
pub fn not_installed(cause: impl Into<String>) -> Fault {
    let mut fault = Fault::new(
        FaultKind::Unavailable,
        "postgresql_missing",
        "未找到 PostgreSQL 与 PostGIS：请安装 postgresql-15-postgis-3（运行 scripts/setup.sh），或用 --database-url 指定已有数据库",
        "PostgreSQL with PostGIS was not found: install postgresql-15-postgis-3 (scripts/setup.sh does), or name a server by --database-url",
    );
    fault.cause = Some(cause.into());
    fault
}

/// A failure to set up, start or stop the private cluster.
pub fn cluster_fault(cause: impl Into<String>) -> Fault {
    let mut fault = Fault::new(
        FaultKind::Unavailable,
        "cluster_failed",
        "内置数据库无法启动",
        "The private database cluster does not start",
    );
    fault.cause = Some(cause.into());
    fault
}

/// The folder of `initdb`, `pg_ctl` and `postgres`: of the given major version where a cluster
/// already exists, else of the newest version that has PostGIS.
pub fn find_programs(major: Option<&str>) -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs.join("initdb").is_file().then_some((version, programs))
        })
        .collect();
    versions.sort();
    let wanted = |version: u32| match major {
        Some(major) => version.to_string() == major,
        None => Path::new(&format!("/usr/share/postgresql/{version}/extension/postgis.control"))
            .is_file(),
    };
    if let Some((_, programs)) = versions.into_iter().rev().find(|&(version, _)| wanted(version)) {
        return Ok(programs);
    }
    // Not Debian's layout: what the search path has.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
        .ok_or_else(|| not_installed("no initdb under /usr/lib/postgresql or on PATH"))?;
    if let Some(major) = major {
        let output = Command::new(programs.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|e| not_installed(format!("postgres --version: {e}")))?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        if !version.contains(&format!(" {major}.")) {
            return Err(not_installed(format!(
                "the cluster is of version {major}, installed is {version}"
            )));
        }
    }
    Ok(programs)
}

/// A command that runs as the cluster's user, with nothing of our environment: `PGPORT`,
/// `PGOPTIONS` and their like would change what the server does.
pub fn command(program: &Path, user: Option<OsUser>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some(user) = user {
        command.gid(user.gid).uid(user.uid);
    }
    command
}

/// Runs to the end; a failure carries what the program said.
pub fn run(command: &mut Command) -> Result<Output> {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or(OsStr::new("program"))
        .to_string_lossy()
        .into_owned();
    let output = command.output().map_err(|e| cluster_fault(format!("{name}: {e}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(cluster_fault(format!(
        "{name}: {}: {}",
        output.status,
        String::from_utf8_lossy(&said).trim()
    )))
}

/// Whether the user can go into a folder.
pub fn can_enter(folder: &Path, user: OsUser) -> bool {
    command(Path::new("/usr/bin/test"), Some(user))
        .arg("-x")
        .arg(folder)
        .status()
        .is_ok_and(|status| status.success())
}

/// Makes a folder that only the cluster's user may enter.
pub fn make_private_folder(folder: &Path, user: Option<OsUser>) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, chown};
    let failed = |e: std::io::Error| cluster_fault(format!("{}: {e}", folder.display()));
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(e)),
        _ => {}
    }
    if let Some(user) = user {
        chown(folder, Some(user.uid), Some(user.gid)).map_err(failed)?;
    }
    Ok(())
}
