//! The programs of PostgreSQL that write and read a dump.

use crate::error::{Fault, FaultKind, Result};
use crate::store::Store;
use std::io::Read;
use std::process::Command;

/// Reads what a program complains of, beside its output.
pub fn last_words(stderr: Option<std::process::ChildStderr>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            // The end of a long complaint says no more than its beginning.
            let _ = stderr.take(64 << 10).read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).trim().replace('\n', "; ")
    })
}

/// A program that is missing or has failed, with what it said.
pub fn tool_failed(tool: &str, cause: impl std::fmt::Display) -> Fault {
    let mut fault = Fault::new(
        FaultKind::Unavailable,
        "backup_tool_failed",
        format!("{tool} 运行失败：{cause}"),
        format!("{tool} has failed: {cause}"),
    );
    fault.cause = Some(cause.to_string());
    fault
}

/// A program of PostgreSQL that connects to our database. The password goes by the environment:
/// every user of the machine sees a command line.
pub fn program(store: &Store, name: &str) -> Result<Command> {
    let mut command = store.postgres_program(name)?;
    let (url, password) = without_password(store.owner_url());
    command.arg(format!("--dbname={url}"));
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    Ok(command)
}

/// Splits the password off a connection string, URL or `key=value`.
fn without_password(url: &str) -> (String, Option<String>) {
    if let Some((scheme, rest)) = url.split_once("://") {
        let end = rest.find('/').unwrap_or(rest.len());
        let Some(at) = rest[..end].rfind('@') else { return (url.into(), None) };
        let Some((user, password)) = rest[..at].split_once(':') else { return (url.into(), None) };
        return (format!("{scheme}://{user}{}", &rest[at..]), Some(percent_decoded(password)));
    }
    let mut kept = Vec::new();
    let mut password = None;
    for (key, value) in pairs(url) {
        if key == "password" {
            password = Some(value);
        } else {
            kept.push(format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")));
        }
    }
    (kept.join(" "), password)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]),
            None => (bytes.push(first), rest = tail),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The pairs of a libpq connection string: `key = value`, values quoted by `'`, `\` escapes.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut signs = text.chars().peekable();
    loop {
        while signs.next_if(|c| c.is_whitespace()).is_some() {}
        let mut key = String::new();
        while let Some(sign) = signs.next_if(|c| *c != '=') {
            key.push(sign);
        }
        if signs.next().is_none() {
            return found;
        }
        while signs.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = signs.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        while let Some(sign) = signs.next() {
            match sign {
                '\\' => value.extend(signs.next()),
                '\'' if quoted => break,
                sign if !quoted && sign.is_whitespace() => break,
                sign => value.push(sign),
            }
        }
        found.push((key.trim().to_string(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_the_connection_string() {
        let url = without_password("postgres://me:p%40ss%3a@host:5432/db?sslmode=require");
        assert_eq!(
            url,
            ("postgres://me@host:5432/db?sslmode=require".into(), Some("p@ss:".into()))
        );
        let plain = "postgres://me@host/db";
        assert_eq!(without_password(plain), (plain.into(), None));
        let (kept, password) = without_password(r"host='/a b' password = 'it\'s' dbname=x");
        assert_eq!((kept.as_str(), password.as_deref()), (r"host='/a b' dbname='x'", Some("it's")));
    }
}
