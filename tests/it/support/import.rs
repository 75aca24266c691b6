//! Boundary files over HTTP, as the import page sends them.

use super::caller::Caller;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A form with one file for a layer.
pub fn form(layer: &str, bytes: impl Into<Vec<u8>>, name: &str) -> Form {
    let file = Part::bytes(bytes.into()).file_name(name.to_string());
    Form::new().text("layer", layer.to_string()).part("file", file)
}

/// Uploads; gives the import's id.
pub fn begin(caller: &Caller, form: Form) -> String {
    let begun = caller.upload("/imports", form).with(202);
    begun["import_id"].as_str().expect("an id").to_string()
}

/// Asks until the import is read; gives its report.
pub fn wait(caller: &Caller, id: &str) -> Value {
    let start = Instant::now();
    loop {
        let report = caller.get(&format!("/imports/{id}")).with(200);
        if report["state"] != "reading" {
            return report;
        }
        assert!(start.elapsed() < Duration::from_secs(300), "still reading: {report}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Uploads a file and waits for the draft, which must be ready.
pub fn draft(caller: &Caller, form: Form) -> Value {
    let report = wait(caller, &begin(caller, form));
    assert_eq!(report["state"], "ready", "{report}");
    report
}

/// Publishes a draft; gives the answer.
pub fn publish(caller: &Caller, report: &Value) -> Value {
    caller.post(&path(report, "publish"), &json!({})).with(200)
}

/// Where something is done to an import.
pub fn path(report: &Value, action: &str) -> String {
    format!("/imports/{}/{action}", report["import_id"].as_str().expect("an id"))
}
