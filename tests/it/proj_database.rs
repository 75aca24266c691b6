//! The binary carries the database of its own PROJ and uses no other, wherever it is installed.

use std::fs;
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

#[test]
fn an_installed_binary_brings_and_uses_its_own_database() {
    let elsewhere = tempfile::tempdir().unwrap();
    let binary = elsewhere.path().join("xuncha");
    fs::copy(env!("CARGO_BIN_EXE_xuncha"), &binary).unwrap();
    let data_dir = elsewhere.path().join("data");

    let answer = look_up(&binary, &data_dir);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert!((answer["point"]["lon"].as_f64().unwrap() - 119.0).abs() < 1e-7);
    assert!((answer["point"]["lat"].as_f64().unwrap() - 25.43).abs() < 1e-7);

    // Were another database used, spoiling this one would change nothing.
    let folder = fs::read_dir(data_dir.join("proj")).unwrap().next().unwrap().unwrap().path();
    let database = folder.join("proj.db");
    let length = fs::metadata(&database).unwrap().len();
    fs::write(&database, vec![0u8; usize::try_from(length).unwrap()]).unwrap();
    assert!(!look_up(&binary, &data_dir).status.success());
}
