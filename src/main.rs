//! The `xuncha` program.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    xuncha::cli::run(xuncha::cli::Cli::parse())
}
