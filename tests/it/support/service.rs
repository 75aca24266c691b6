//! The program itself, serving: a process that a test may kill.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use xuncha::config::StoreConfig;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_xuncha");

/// Starts the program and kills it once the pipe to the test process closes: so also after a
/// panic, an abort or `kill -9` of the tests.
const KEEPER: &str = r#""$0" "$@" & echo "$!"; exec >/dev/null 2>&1; cat; kill -9 $!"#;

/// A service that is expected to be up within this, also on a busy machine without optimisation.
const START: Duration = Duration::from_secs(180);

/// A running `xuncha serve`.
pub struct Service {
    keeper: Child,
    pid: i32,
    /// `127.0.0.1:port`
    pub address: String,
    pub data_dir: PathBuf,
    database_url: Option<String>,
    blob_url: Option<String>,
    tls: Option<(PathBuf, PathBuf)>,
    /// Settings of the process besides.
    environment: Vec<(String, String)>,
}

impl Service {
    /// Serves a store on a free port.
    pub fn start(config: &StoreConfig) -> Self {
        Self::spawn(config, "127.0.0.1:0", None, Vec::new())
    }

    /// The same with environment variables.
    pub fn start_with(config: &StoreConfig, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        Self::spawn(config, "127.0.0.1:0", None, environment.collect())
    }

    /// The same over HTTPS, with a certificate and its key.
    pub fn start_tls(config: &StoreConfig, certificate: &Path, key: &Path) -> Self {
        Self::spawn(config, "127.0.0.1:0", Some((certificate.into(), key.into())), Vec::new())
    }

    fn spawn(
        config: &StoreConfig,
        bind: &str,
        tls: Option<(PathBuf, PathBuf)>,
        environment: Vec<(String, String)>,
    ) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, PROGRAM, "--data-dir"]).arg(&config.data_dir);
        command.args(["serve", "--bind", bind]);
        if let Some((certificate, key)) = &tls {
            command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        }
        // Not on the command line, where every user of the machine would see it.
        match &config.database_url {
            Some(url) => command.env("DATABASE_URL", url),
            None => command.env_remove("DATABASE_URL"),
        };
        command.envs(environment.iter().cloned());
        match &config.blob_url {
            Some(url) => command.env("XUNCHA_BLOB_URL", url),
            None => command.env_remove("XUNCHA_BLOB_URL"),
        };
        command.env("RUST_LOG", "warn,xuncha=info").env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = command.spawn().expect("the service starts");

        let mut first = String::new();
        let mut stdout = BufReader::new(keeper.stdout.take().expect("its output"));
        stdout.read_line(&mut first).expect("the process id");
        let (sender, ready) = mpsc::channel();
        let stderr = BufReader::new(keeper.stderr.take().expect("its log"));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // Shown with the test that fails, as far as the harness can tell.
                println!("  service: {line}");
                let address = line.split_once("://").filter(|_| line.contains("ready in"));
                if let Some((_, address)) = address {
                    let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
                    let _ = sender.send(address[..end.unwrap_or(address.len())].to_string());
                }
            }
        });
        let address = ready.recv_timeout(START).expect("the service says that it is ready");
        Self {
            keeper,
            pid: first.trim().parse().expect("a process id"),
            address,
            data_dir: config.data_dir.clone(),
            database_url: config.database_url.clone(),
            blob_url: config.blob_url.clone(),
            tls,
            environment,
        }
    }

    /// `http://…/path`, or `https`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// `kill -9`; returns when the process is gone.
    pub fn kill(&self) {
        use nix::sys::signal::{Signal, kill};
        // Gone already is as good.
        let _ = kill(nix::unistd::Pid::from_raw(self.pid), Signal::SIGKILL);
        let start = Instant::now();
        while is_alive(self.pid) {
            assert!(start.elapsed() < Duration::from_secs(60), "a killed service goes on");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `kill -9`, and the same service again on the same port.
    pub fn kill_and_start_again(&mut self) {
        self.kill();
        let config = StoreConfig {
            data_dir: self.data_dir.clone(),
            database_url: self.database_url.clone(),
            blob_url: self.blob_url.clone(),
        };
        // Assigned last: the drop of the old one finds its process gone.
        let environment = std::mem::take(&mut self.environment);
        *self = Self::spawn(&config, &self.address.clone(), self.tls.take(), environment);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
