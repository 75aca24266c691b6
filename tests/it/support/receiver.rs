//! Somebody outside who takes HTTP requests: a gateway, a push service.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

#[derive(Default)]
struct Shared {
    came: Mutex<Vec<Request>>,
    changed: Condvar,
}

/// The server; it goes with the test process.
pub struct Receiver {
    pub origin: String,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Answers the n-th request (from 0) with a status; 0 is no answer at all: the connection stays
    /// open until the other side gives up.
    pub fn start(status: impl Fn(usize, &Request) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        let (status, kept) = (Arc::new(status), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, kept) = (Arc::clone(&status), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, &kept, &*status));
            }
        });
        Self { origin, shared }
    }

    /// Waits until so many requests have come; gives all that have.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        let start = Instant::now();
        let mut came = self.shared.came.lock().expect("no panic");
        while came.len() < count {
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "{} of {count} requests came", came.len());
            came = self.shared.changed.wait_timeout(came, left).expect("no panic").0;
        }
        came.clone()
    }
}

fn serve(stream: TcpStream, shared: &Shared, status: &dyn Fn(usize, &Request) -> u16) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut writer = stream;
    // Several requests may come on one connection.
    while let Some(request) = read(&mut reader) {
        let n = {
            let mut came = shared.came.lock().expect("no panic");
            came.push(request.clone());
            shared.changed.notify_all();
            came.len() - 1
        };
        let status = status(n, &request);
        if status == 0 {
            let _ = reader.read(&mut [0]);
            return;
        }
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|&n| n > 0)?;
    let path = first.split(' ').nth(1)?.to_string();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body })
}
