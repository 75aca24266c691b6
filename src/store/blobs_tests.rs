//! A folder and a bucket keep the same promises. The bucket is a small server that speaks as much
//! of S3 as is used.

use super::*;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

/// What the bucket holds, and the parts of uploads in work.
#[derive(Default)]
struct Bucket {
    objects: HashMap<String, Vec<u8>>,
    parts: BTreeMap<u32, Vec<u8>>,
    unsigned: usize,
}

/// Serves a bucket on a free port; gives its address.
fn bucket() -> (String, Arc<Mutex<Bucket>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    let shared = Arc::clone(&bucket);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || while answer(&stream, &shared).is_some() {});
        }
    });
    (address, bucket)
}

/// Answers one request; none when the connection ends.
fn answer(stream: &TcpStream, bucket: &Mutex<Bucket>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?.to_string(), words.next()?.to_string());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;

    let mut bucket = bucket.lock().unwrap();
    let signed = headers.get("authorization").is_some_and(|a| a.starts_with("AWS4-HMAC-SHA256"));
    bucket.unsigned += usize::from(!signed);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.to_string();
    let xml = |name: &str, inside: &str| format!("<{name}>{inside}</{name}>").into_bytes();
    let (status, more, content) = match (method.as_str(), query) {
        ("POST", query) if query.starts_with("uploads") => {
            let id = "<UploadId>1</UploadId>";
            (200, String::new(), xml("InitiateMultipartUploadResult", id))
        }
        ("PUT", query) if query.contains("partNumber=") => {
            let number = query.split("partNumber=").nth(1)?.split('&').next()?.parse().unwrap();
            bucket.parts.insert(number, body);
            (200, format!("ETag: \"{number}\"\r\n"), Vec::new())
        }
        ("POST", _) => {
            let whole: Vec<u8> =
                std::mem::take(&mut bucket.parts).into_values().flatten().collect();
            bucket.objects.insert(path, whole);
            let inside = "<ETag>\"w\"</ETag>";
            (200, String::new(), xml("CompleteMultipartUploadResult", inside))
        }
        ("PUT", _) => {
            bucket.objects.insert(path, body);
            (200, "ETag: \"w\"\r\n".into(), Vec::new())
        }
        _ => match bucket.objects.get(&path) {
            None => (404, String::new(), xml("Error", "<Code>NoSuchKey</Code>")),
            Some(object) => {
                let all = object.len();
                let range = headers.get("range").and_then(|range| {
                    let (a, b) = range.strip_prefix("bytes=")?.split_once('-')?;
                    Some(a.parse::<usize>().ok()?..b.parse::<usize>().ok()? + 1)
                });
                let said = "ETag: \"w\"\r\nLast-Modified: Mon, 23 Nov 2026 01:00:00 GMT\r\n";
                match range {
                    None => (200, said.to_string(), object.clone()),
                    Some(range) => {
                        let range = range.start..range.end.min(all);
                        let about = format!(
                            "Content-Range: bytes {}-{}/{all}\r\n",
                            range.start,
                            range.end - 1
                        );
                        (206, format!("{said}{about}"), object[range].to_vec())
                    }
                }
            }
        },
    };
    drop(bucket);
    let length = content.len();
    let mut out = stream;
    write!(out, "HTTP/1.1 {status} X\r\n{more}Content-Length: {length}\r\n\r\n").ok()?;
    if method != "HEAD" {
        out.write_all(&content).ok()?;
    }
    out.flush().ok()
}

fn content(bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let content: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
    let sha256 = Sha256::digest(&content).to_vec();
    (content, sha256)
}

/// Puts and gets bytes that fit into one request, and such as do not.
fn holds(blobs: &Blobs) {
    for bytes in [1, 1000, PART_BYTES, PART_BYTES * 2 + 77] {
        let (content, sha256) = content(bytes);
        assert_eq!(blobs.size(&sha256).unwrap(), None);
        assert!(!blobs.is_sound(&sha256).unwrap());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        for _ in 0..2 {
            blobs.put(&sha256, &mut file, bytes as u64).unwrap();
        }
        assert!(blobs.read(&sha256).unwrap() == content);
        assert!(blobs.is_sound(&sha256).unwrap());
        let half = bytes / 2 + 1;
        let part = runtime().block_on(async {
            let parts = blobs.stream(&sha256, 0..half as u64).await.unwrap();
            parts.try_collect::<Vec<_>>().await.unwrap().concat()
        });
        assert!(part == content[..half]);
    }
}

#[test]
fn a_folder_gives_back_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::in_folder(folder.path()).unwrap();
    holds(&blobs);
    let (_, sha256) = content(1000);
    std::fs::write(folder.path().join(path_of(&sha256).to_string()), b"altered").unwrap();
    assert!(!blobs.is_sound(&sha256).unwrap());
}

#[test]
fn a_bucket_gives_back_what_it_was_given() {
    let (address, bucket) = bucket();
    let builder = AmazonS3Builder::new()
        .with_endpoint(address)
        .with_region("cn-east-1")
        .with_access_key_id("key")
        .with_secret_access_key("secret");
    let blobs = Blobs::in_bucket(builder, "evidence", "putian/").unwrap();
    holds(&blobs);
    let bucket = bucket.lock().unwrap();
    assert_eq!(bucket.unsigned, 0);
    assert_eq!(bucket.objects.len(), 4);
    let (_, sha256) = content(1000);
    let name = hex::encode(sha256);
    let path = format!("/evidence/putian/{}/{name}", &name[..2]);
    assert!(bucket.objects.contains_key(&path), "{:?}", bucket.objects.keys());
}

#[test]
fn an_address_that_is_none_is_refused() {
    let config = StoreConfig { blob_url: Some("ftp://x".into()), ..StoreConfig::default() };
    assert_eq!(Blobs::open(&config).err().unwrap().code, "invalid");
}
