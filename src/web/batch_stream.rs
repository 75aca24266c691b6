//! A body of any length on its way to disk, and an answer of any length on its way out of a
//! blocking thread.

use super::state::blocking;
use crate::error::{Fault, FaultKind, Result};
use actix_web::web::{Bytes, Payload};
use futures_util::{Stream, StreamExt};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// A request body on disk; its file has no name and goes with it.
pub struct Spooled(File);

impl Spooled {
    /// Reads it from the beginning. One reader at a time.
    pub fn reader(&self) -> Result<&File> {
        (&self.0).rewind().map_err(Fault::internal)?;
        Ok(&self.0)
    }
}

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// Writes a body to a nameless file in `folder`; fails with `too_large` beyond `most` bytes.
pub async fn spool(folder: &Path, mut body: Payload, most: u64) -> Result<Spooled> {
    let folder = folder.to_path_buf();
    let mut file = blocking(move || {
        tempfile::tempfile_in(&folder)
            .map(|file| BufWriter::with_capacity(WRITE_BYTES, file))
            .map_err(Fault::internal)
    })
    .await?;
    let mut taken = 0;
    let mut waiting = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| {
            let en = format!("the body did not arrive whole: {error}");
            Fault::invalid(format!("请求内容未完整送达：{error}"), en)
        })?;
        taken += part.len() as u64;
        if taken > most {
            return Err(Fault::new(
                FaultKind::TooLarge,
                "too_large",
                format!("请求内容超过 {} MiB", most >> 20),
                format!("the body exceeds {} MiB", most >> 20),
            ));
        }
        waiting.extend_from_slice(&part);
        if waiting.len() >= WRITE_BYTES {
            let block = std::mem::take(&mut waiting);
            file = write(file, block).await?;
        }
    }
    file = write(file, waiting).await?;
    blocking(move || {
        let file = file.into_inner().map_err(|error| full(error.error()))?;
        Ok(Spooled(file))
    })
    .await
}

async fn write(mut file: BufWriter<File>, block: Vec<u8>) -> Result<BufWriter<File>> {
    blocking(move || {
        file.write_all(&block).map_err(|error| full(&error))?;
        Ok(file)
    })
    .await
}

fn full(error: &io::Error) -> Fault {
    let mut fault = Fault::new(
        FaultKind::Unavailable,
        "spool_failed",
        "服务器磁盘暂时无法写入，请稍后再试",
        "The server's disk cannot be written at the moment. Please try again",
    );
    fault.cause = Some(error.to_string());
    fault
}

/// Blocks on their way to the client. A slow client holds back the batch, not the memory.
const BLOCKS_AHEAD: usize = 8;
/// A client that takes nothing for this long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

enum Block {
    Bytes(Bytes),
    End,
    Failed,
}

/// The blocking end: what is written comes out of the [`AnswerStream`].
#[derive(Clone)]
pub struct AnswerWriter {
    blocks: mpsc::Sender<Block>,
    runtime: Handle,
}

impl AnswerWriter {
    fn send(&self, block: Block) -> io::Result<()> {
        let sending = self.blocks.send_timeout(block, PATIENCE);
        self.runtime.block_on(sending).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// The answer is complete. Without it the connection is cut, so that nobody takes a part for
    /// the whole, even if the writer panicked.
    pub fn finish(&self) {
        let _ = self.send(Block::End);
    }

    /// The answer ends here, incomplete.
    pub fn fail(&self, fault: &Fault) {
        tracing::warn!("an answer was cut short: {fault}");
        let _ = self.send(Block::Failed);
    }
}

impl Write for AnswerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.send(Block::Bytes(Bytes::copy_from_slice(bytes)))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The body of the answer.
pub struct AnswerStream {
    blocks: mpsc::Receiver<Block>,
    ended: bool,
}

impl AnswerStream {
    /// Both ends; called within the runtime.
    pub fn pair() -> (AnswerWriter, Self) {
        let (sender, blocks) = mpsc::channel(BLOCKS_AHEAD);
        let writer = AnswerWriter { blocks: sender, runtime: Handle::current() };
        (writer, Self { blocks, ended: false })
    }
}

impl Stream for AnswerStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let block = std::task::ready!(self.blocks.poll_recv(context));
        Poll::Ready(match block {
            Some(Block::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Block::End) => {
                self.ended = true;
                None
            }
            Some(Block::Failed) | None => {
                self.ended = true;
                Some(Err(io::ErrorKind::UnexpectedEof.into()))
            }
        })
    }
}
