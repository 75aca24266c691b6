//! Folders of this test run, and their end.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ends every server below the folder and removes it, once the pipe to the test process closes:
/// so also after a panic, an abort or `kill -9`.
const WATCHDOG: &str = r#"
cat >/dev/null
pid_files() { find "$0" -name postmaster.pid; find "$0" -name cluster.location | while read -r f; do echo "$(cat "$f")/data/postmaster.pid"; done; }
for turn in 1 2 3 4 5 6 7 8 9 10; do
    alive=
    for file in $(pid_files); do
        pid=$(head -n 1 "$file" 2>/dev/null) || continue
        if [ "$(cat /proc/"$pid"/comm 2>/dev/null)" = postgres ]; then kill -QUIT "$pid"; alive=1; fi
    done
    [ -n "$alive" ] || break
    sleep 0.2
done
find "$0" -name cluster.location | while read -r f; do
    home=$(cat "$f"); case "$home" in /var/lib/xuncha/?*) rm -rf "$home";; esac
done
rm -rf "$0"
"#;

struct Run {
    folder: PathBuf,
    /// Its standard input stays open as long as this process lives.
    _watchdog: Child,
}

/// The folder of this run; any user may go in, for as root PostgreSQL is another user.
fn run_folder() -> &'static PathBuf {
    static RUN: OnceLock<Run> = OnceLock::new();
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let make = || -> io::Result<Run> {
            let folder = tempfile::Builder::new()
                .prefix("xuncha-test-")
                .permissions(fs::Permissions::from_mode(0o755))
                .tempdir()?
                .keep();
            let watchdog = Command::new("/bin/sh")
                .args(["-c", WATCHDOG])
                .arg(&folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0) // Ctrl-C ends the tests, not the cleaning up
                .spawn()?;
            Ok(Run { folder, _watchdog: watchdog })
        };
        RUN.get_or_init(|| make().expect("a folder for the tests")).folder.clone()
    })
}

/// A new folder of its own, removed at the end of the run.
pub fn fresh() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = run_folder().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    fs::create_dir(&folder).expect("a fresh folder");
    folder
}
