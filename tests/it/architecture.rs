//! Dependencies run one way, and the pure modules know neither HTTP nor SQL nor an event loop.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up; a module may use those before it, and its own.
const LAYERS: [&[&str]; 6] = [
    &["geometry"],
    &["atlas"],
    &["tiles", "statistics", "enforcement", "evidence"],
    &["boundaries", "store"],
    &["web"],
    &["cli"],
];
const PURE: usize = 3;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file, without comments and without its tests, which may use what they like.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn dependencies_run_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut files = 0;
    for (level, modules) in LAYERS.iter().enumerate() {
        for module in *modules {
            for path in sources(&root.join(module)) {
                if path.to_string_lossy().contains("test") {
                    continue;
                }
                files += 1;
                let code = code(&path);
                let above = LAYERS[level + 1..].iter().copied().flatten();
                for other in above.filter(|other| code.contains(&format!("crate::{other}::"))) {
                    wrong.push(format!("{} uses {other}", path.display()));
                }
                let foreign = ["diesel::", "actix_web::", "tokio::"];
                for crate_name in
                    foreign.iter().filter(|name| level < PURE && code.contains(**name))
                {
                    wrong.push(format!("{} uses {crate_name}", path.display()));
                }
            }
        }
    }
    assert!(files > 60, "only {files} files were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
