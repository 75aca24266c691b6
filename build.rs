//! Puts the PROJ database of the bundled PROJ where the binary can embed it, and keeps that PROJ's
//! symbols to ourselves.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=migrations");
    // libgdal.so loads its own, older libproj.so. Exported symbols of our static copy would be
    // bound in its place, since a linker exports what a shared library asks for.
    println!("cargo:rustc-link-arg=-Wl,--exclude-libs,ALL");

    let root = env::var("DEP_PROJ_ROOT").expect("proj-sys tells where it was built");
    let database = PathBuf::from(root).join("share/proj/proj.db");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("proj.db");
    fs::copy(&database, &out).unwrap_or_else(|e| panic!("{}: {e}", database.display()));

    // The web app is built by npm; without it the binary still builds and serves the API.
    fs::create_dir_all("map-ui/dist").expect("map-ui/dist can be made");
}
