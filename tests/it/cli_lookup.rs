//! `xuncha lookup`: usage, files, and what stays untouched when it refuses.

use crate::support::folder;
use crate::toy_city;
use clap::Parser;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use xuncha::cli::lookup::{LookupArgs, run};
use xuncha::error::{Fault, Language, Result};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: LookupArgs,
}

fn parse(args: &[&str]) -> Result<LookupArgs, clap::Error> {
    Cli::try_parse_from(["lookup"].iter().chain(args)).map(|cli| cli.args)
}

fn lookup(args: &[&str]) -> Result<()> {
    let load = || Ok((Arc::new(toy_city::atlas()), Arc::new(toy_city::roster())));
    run(&parse(args).expect("usage"), Language::English, load)
}

#[test]
fn arguments_that_make_no_sense_are_usage_errors() {
    for args in [
        &["119.05"][..],
        &["119.05", "east"],
        &["119.05", "25.05", "--nature", "theft"],
        &["119.05", "25.05", "--lon", "x"],
        &["--batch", "in.csv"],
        &["119.05", "25.05", "--batch", "in.csv", "--out", "out.csv"],
    ] {
        assert_eq!(parse(args).expect_err("refused").exit_code(), 2, "{args:?}");
    }
    assert!(parse(&["-119.05", "-25.05", "--json"]).is_ok());
}

#[test]
fn nonsense_is_refused_before_the_store_is_opened() {
    let closed = || Err(Fault::internal("the store was opened"));
    for (args, code) in [
        (&["119.05", "25.05", "--crs", "mars"][..], "crs_unknown"),
        (&["NaN", "25.05"], "out_of_range"),
        (&["119.05", "95"], "out_of_range"),
        (&["119.05", "25.05", "--accuracy=-3"], "invalid"),
        (&["--batch", "/nonexistent.csv", "--out", "/nonexistent/out.csv"], "file_unusable"),
    ] {
        let fault = run(&parse(args).expect("usage"), Language::English, closed).unwrap_err();
        assert_eq!(fault.code, code, "{args:?}: {fault}");
    }
    assert!(lookup(&["119.05", "25.05", "--crs", "EPSG:4610"]).is_ok(), "naming it is consent");
}

#[test]
fn a_file_is_answered_whole_or_not_at_all() {
    let folder = folder::fresh();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (input, out) = (path("in.csv"), path("out.csv"));
    fs::write(&input, "E,N\n119.05,25.05\n118,25\n").unwrap();
    let named = ["--batch", &input, "--out", &out, "--lon", "e", "--lat", "n"];
    lookup(&named).unwrap();
    let answer = fs::read_to_string(&out).unwrap();
    assert!(answer.starts_with("E,N,inside,city,"));
    assert!(answer.contains(&format!(",{},basic_farmland,10005940001,\n", toy_city::cell(0, 0))));
    assert!(answer.ends_with("118,25,false,,,,,,,,\n"));

    // A refusal leaves an earlier answer as it was, and nothing beside it.
    let fault = lookup(&["--batch", &input, "--out", &out]).unwrap_err();
    assert_eq!(fault.code, "column_unknown");
    assert_eq!(fs::read_to_string(&out).unwrap(), answer);
    let link = path("link.csv");
    fs::hard_link(&input, &link).unwrap();
    for same in [&input, &link] {
        let fault = lookup(&["--batch", &input, "--out", same]).unwrap_err();
        assert_eq!(fault.code, "same_file");
    }
    assert_eq!(fs::read_to_string(&input).unwrap(), "E,N\n119.05,25.05\n118,25\n");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    // What is no ordinary file is written straight away.
    lookup(&["--batch", &input, "--out", "/dev/null", "--lon", "E", "--lat", "N"]).unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}
