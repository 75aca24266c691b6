//! The bytes of evidence by their sha256, untouched: in a folder, or in an S3 bucket.
//!
//! What has the same bytes is kept once. Nothing is ever overwritten or deleted here.

use crate::config::StoreConfig;
use crate::error::{Fault, FaultKind, Result};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{
    Error as ObjectError, GetOptions, GetRange, ObjectStore, ObjectStoreExt, WriteMultipart,
};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

/// Parts of a large upload; S3 takes none below 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts on their way at once.
const PARTS_AHEAD: usize = 2;

/// Where the bytes lie: cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
}

/// The event loop of the transfers, also for commands that have none of their own.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("blobs")
            .enable_all()
            .build()
            .expect("the system gives a thread")
    })
}

fn away(error: ObjectError) -> Fault {
    if let ObjectError::NotFound { path, .. } = &error {
        return Fault::internal(format!("the bytes of an attachment are missing: {path}"));
    }
    let mut fault = Fault::new(
        FaultKind::Unavailable,
        "blobs_unavailable",
        "附件存储暂时不可用，请稍后再试",
        "The store of attachments is away for the moment. Please try again",
    );
    fault.cause = Some(error.to_string());
    fault
}

/// `ab/abcdef…`
fn path_of(sha256: &[u8]) -> ObjectPath {
    let name = hex::encode(sha256);
    ObjectPath::from_iter([&name[..2.min(name.len())], name.as_str()])
}

impl Blobs {
    /// As configured; the folder `attachments` in the data folder where nothing is.
    pub fn open(config: &StoreConfig) -> Result<Self> {
        let Some(url) = &config.blob_url else {
            return Self::in_folder(&config.data_dir.join("attachments"));
        };
        let unusable = |reason: String| {
            Fault::invalid(
                format!("附件存储地址无法使用：{url}：{reason}"),
                format!("The store of attachments cannot be used: {url}: {reason}"),
            )
        };
        if let Some(folder) = url.strip_prefix("file://") {
            return Self::in_folder(Path::new(folder));
        }
        let Some(rest) = url.strip_prefix("s3://") else {
            return Err(unusable("file:///folder, s3://bucket/prefix".into()));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Self::in_bucket(AmazonS3Builder::from_env(), bucket, prefix)
            .map_err(|error| unusable(error.to_string()))
    }

    fn in_bucket(
        builder: AmazonS3Builder,
        bucket: &str,
        prefix: &str,
    ) -> object_store::Result<Self> {
        // Fails where somebody has installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = |endpoint: String| endpoint.starts_with("http://");
        let allow_http = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(plain);
        let bucket = builder.with_bucket_name(bucket).with_allow_http(allow_http).build()?;
        let store: Arc<dyn ObjectStore> = match prefix.trim_matches('/') {
            "" => Arc::new(bucket),
            prefix => Arc::new(PrefixStore::new(bucket, prefix)),
        };
        Ok(Self { store })
    }

    /// In a folder, which is made where it is missing.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Fault::internal)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(Fault::internal)?;
        // On disk before the store speaks of it.
        Ok(Self { store: Arc::new(store.with_fsync(true)) })
    }

    /// Keeps the bytes of a file under their hash, unless they are there already. Blocks.
    pub fn put(&self, sha256: &[u8], file: &mut File, bytes: u64) -> Result<()> {
        if self.size(sha256)? == Some(bytes) {
            return Ok(());
        }
        file.rewind().map_err(Fault::internal)?;
        let path = path_of(sha256);
        if bytes <= PART_BYTES as u64 {
            let mut whole = Vec::new();
            file.read_to_end(&mut whole).map_err(Fault::internal)?;
            let put = async { self.store.put(&path, Bytes::from(whole).into()).await };
            runtime().block_on(put).map_err(away)?;
            return Ok(());
        }
        let begun = runtime().block_on(async { self.store.put_multipart(&path).await });
        let mut writer = WriteMultipart::new_with_chunk_size(begun.map_err(away)?, PART_BYTES);
        let mut part = vec![0; PART_BYTES];
        loop {
            let read = match file.read(&mut part) {
                Ok(read) => read,
                Err(error) => {
                    let _ = runtime().block_on(writer.abort());
                    return Err(Fault::internal(error));
                }
            };
            if read == 0 {
                break;
            }
            runtime()
                .block_on(async {
                    writer.wait_for_capacity(PARTS_AHEAD).await?;
                    writer.write(&part[..read]);
                    Ok(())
                })
                .map_err(away)?;
        }
        runtime().block_on(writer.finish()).map_err(away)?;
        Ok(())
    }

    /// How many bytes are kept under a hash; none where nothing is. Blocks.
    pub fn size(&self, sha256: &[u8]) -> Result<Option<u64>> {
        match runtime().block_on(async { self.store.head(&path_of(sha256)).await }) {
            Ok(found) => Ok(Some(found.size)),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(away(error)),
        }
    }

    /// All the bytes. Blocks.
    pub fn read(&self, sha256: &[u8]) -> Result<Vec<u8>> {
        let read = async { self.store.get(&path_of(sha256)).await?.bytes().await };
        Ok(runtime().block_on(read).map_err(away)?.to_vec())
    }

    /// Copies all the bytes to a writer, in pieces. Blocks.
    pub fn copy_to(&self, sha256: &[u8], writer: &mut dyn std::io::Write) -> Result<()> {
        let found = runtime().block_on(async { self.store.get(&path_of(sha256)).await });
        let mut stream = found.map_err(away)?.into_stream();
        while let Some(part) = runtime().block_on(stream.next()) {
            writer.write_all(&part.map_err(away)?).map_err(Fault::internal)?;
        }
        Ok(())
    }

    /// Whether the bytes are there and hash to their name. Blocks.
    pub fn is_sound(&self, sha256: &[u8]) -> Result<bool> {
        if self.size(sha256)?.is_none() {
            return Ok(false);
        }
        let mut hash = Hash(Sha256::new());
        self.copy_to(sha256, &mut hash)?;
        Ok(hash.0.finalize()[..] == *sha256)
    }

    /// A part of the bytes, as it comes.
    pub async fn stream(
        &self,
        sha256: &[u8],
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>> {
        let (store, path) = (Arc::clone(&self.store), path_of(sha256));
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        // Connections belong to the event loop that opened them.
        let found = runtime().spawn(async move { store.get_opts(&path, options).await });
        let found = found.await.map_err(Fault::internal)?.map_err(away)?;
        Ok(found.into_stream().map_err(std::io::Error::other).boxed())
    }
}

struct Hash(Sha256);

impl std::io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "blobs_tests.rs"]
mod tests;
