//! A listener on the event stream.

use super::caller::Caller;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than any event may take on a machine this busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// An event: name, data, and when it came.
#[derive(Debug, Clone)]
pub struct Event {
    pub name: String,
    pub data: Value,
    pub at: Instant,
}

/// An open stream, read by a thread of its own.
pub struct Events {
    came: Receiver<Event>,
}

impl Events {
    /// Listens; returns once the service has said that it does.
    pub fn open(caller: &Caller) -> Self {
        let mut lines = BufReader::new(caller.listen("/events")).lines();
        let hello = lines.next().expect("a line").expect("text");
        assert!(hello.starts_with(':'), "{hello}");
        let (sender, came) = channel();
        std::thread::spawn(move || {
            let mut name = String::new();
            for line in lines.map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("event:") {
                    name = event.trim().to_string();
                } else if let Some(data) = line.strip_prefix("data:") {
                    let data = serde_json::from_str(data.trim()).expect("JSON");
                    let event = Event { name: name.clone(), data, at: Instant::now() };
                    if sender.send(event).is_err() {
                        return;
                    }
                }
            }
        });
        Self { came }
    }

    /// The next event with this name; others are passed over.
    #[track_caller]
    pub fn next(&self, name: &str) -> Event {
        let start = Instant::now();
        loop {
            match self.came.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(event) if event.name == name => return event,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no event {name}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the stream has ended"),
            }
        }
    }
}
