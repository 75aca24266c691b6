//! `xuncha check`.

use crate::error::{Fault, Result};
use crate::store::Store;
use crate::store::audit::Head;
use crate::store::blobs::Blobs;
use crate::store::check::{self, CheckReport};
use std::io::Write;

/// Verifies the store while the service runs, and changes nothing.
///
/// Every case has an owner, or says that nobody is named; its history is numbered 1 to n and agrees
/// with its version; all evidence has its bytes; the audit chain is whole; every reference leads
/// somewhere. Exit status 1, and one line for each class of faults, where anything is wrong.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// A head of the audit chain that an earlier check printed: the chain must still hold it
    #[arg(long, value_name = "SEQ:HASH")]
    audit_head: Option<Head>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Checks and prints.
pub fn run(args: &CheckArgs, store: &Store, blobs: &Blobs) -> Result<()> {
    let report = check::check(store, blobs, args.audit_head.as_ref())?;
    let mut out = std::io::stdout().lock();
    let text = match args.json {
        true => serde_json::to_string(&report).map_err(Fault::internal)? + "\n",
        false => for_readers(&report),
    };
    out.write_all(text.as_bytes()).map_err(Fault::internal)?;
    if report.is_clean() { Ok(()) } else { Err(check::failed(&report)) }
}

fn for_readers(report: &CheckReport) -> String {
    let mut text = format!(
        "{} cases with {} events; {} open ones without owner by rule\n\
         {} attachments, {} bytes\n\
         {} rows of audit, head {}\n\
         {} kinds of references\n",
        report.cases,
        report.events,
        report.without_owner_by_rule,
        report.attachments,
        report.attachment_bytes,
        report.audit_rows,
        report.audit_head,
        report.foreign_keys,
    );
    for fault in &report.faults {
        let examples = fault.examples.join(", ");
        text +=
            &format!("{} × {}: {} / {}: {examples}\n", fault.count, fault.code, fault.zh, fault.en);
    }
    if report.is_clean() {
        text += "clean\n";
    }
    text
}
