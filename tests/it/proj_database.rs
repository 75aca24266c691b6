//! The binary carries the database of its own PROJ, and needs no other wherever it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn look_up(binary: &Path, data_dir: &Path) -> Output {
    Command::new(binary)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["lookup", "399400.84", "2814064.89", "--crs", "EPSG:4549", "--json"])
        .output()
        .unwrap()
}

/// A copy of the program as if on another machine: the folder in which its PROJ was built, whose
/// path PROJ remembers and would search first, is not there.
fn install(to: &Path) {
    let mut program = fs::read(env!("CARGO_BIN_EXE_xuncha")).unwrap();
    let (built, gone) = (b"/out/share/proj", b"/out/share/gone");
    let mut found = 0;
    for at in 0..program.len() - built.len() {
        if program[at..].starts_with(built) {
            program[at..at + gone.len()].copy_from_slice(gone);
            found += 1;
        }
    }
    assert!(found > 0, "the path of the build is not in the program");
    fs::write(to, program).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_installed_binary_brings_its_own_database() {
    let elsewhere = tempfile::tempdir().unwrap();
    let binary = elsewhere.path().join("xuncha");
    install(&binary);
    let data_dir = elsewhere.path().join("data");

    let answer = look_up(&binary, &data_dir);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert!((answer["point"]["lon"].as_f64().unwrap() - 119.0).abs() < 1e-7);
    assert!((answer["point"]["lat"].as_f64().unwrap() - 25.43).abs() < 1e-7);
}
