//! `xuncha lookup --batch`: a file of points, whatever its size.

use crate::atlas::lookup::Atlas;
use crate::enforcement::dispatch::Roster;
use crate::enforcement::lookup::answer::shift_warning;
use crate::enforcement::lookup::batch::{
    BatchCounts, BatchFormat, BatchOptions, BatchSummary, lookup_batch,
};
use crate::enforcement::nature::Nature;
use crate::error::{Fault, FaultKind, Language, Result};
use crate::geometry::crs::{Crs, ToCgcs2000};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tempfile::NamedTempFile;

/// What the command line asks.
pub(super) struct BatchArgs<'a> {
    pub input: &'a Path,
    pub out: &'a Path,
    pub lon: Option<String>,
    pub lat: Option<String>,
    pub crs: Crs,
    pub nature: Option<Nature>,
    pub json: bool,
    pub language: Language,
}

/// Runs the batch; the output file appears whole or not at all.
pub(super) fn run(
    args: BatchArgs,
    load: impl FnOnce() -> Result<(Arc<Atlas>, Arc<Roster>)>,
) -> Result<()> {
    ToCgcs2000::cached(&args.crs)?;
    if let Some(shift) = args.crs.unknown_shift() {
        let warning = shift_warning(shift);
        eprintln!("{}", if args.language == Language::English { warning.en } else { warning.zh });
    }
    let input = File::open(args.input).map_err(|error| file_fault(args.input, &error))?;
    let length = input.metadata().map_or(0, |m| m.len());
    refuse_same_file(&input, args.out)?;
    let output = Output::create(args.out)?;
    let (atlas, roster) = load()?;

    let bar = ProgressBar::new(length);
    let template = "{bar:40} {percent}% {bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template).map_err(Fault::internal)?);
    let options = BatchOptions {
        lon: args.lon,
        lat: args.lat,
        crs: args.crs,
        nature: args.nature,
        language: args.language,
        ..BatchOptions::default()
    };
    let started = Instant::now();
    let counts = BatchCounts::default();
    let reader = bar.wrap_read(input);
    let mut output = output;
    let writer = output.writer();
    let summary =
        lookup_batch(&atlas, &roster, reader, writer, BatchFormat::Csv, &options, &counts)?;
    output.finish(args.out)?;
    bar.finish_and_clear();
    report(summary, started.elapsed().as_secs_f64(), args.json, args.language);
    Ok(())
}

fn report(summary: BatchSummary, seconds: f64, json: bool, language: Language) {
    let BatchSummary { points, outside, errors } = summary;
    let rate = points as f64 / seconds.max(1e-9);
    if json {
        let report = serde_json::json!({
            "points": points, "outside": outside, "errors": errors,
            "seconds": seconds, "points_per_second": rate.round(),
        });
        println!("{report}");
    } else if language == Language::English {
        eprintln!(
            "{points} points, {outside} outside, {errors} with errors; {seconds:.1} s, {rate:.0} points/s"
        );
    } else {
        eprintln!(
            "共 {points} 个点，{outside} 个在范围之外，{errors} 个有错误；用时 {seconds:.1} 秒，每秒 {rate:.0} 点"
        );
    }
}

/// Where the answers go: beside the output's name until they are complete, or straight into what
/// is no ordinary file.
enum Output {
    Whole(NamedTempFile),
    Stream(File),
}

impl Output {
    fn create(out: &Path) -> Result<Self> {
        let fault = |error: std::io::Error| file_fault(out, &error);
        if std::fs::metadata(out).is_ok_and(|m| !m.is_file()) {
            return Ok(Self::Stream(OpenOptions::new().write(true).open(out).map_err(fault)?));
        }
        let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".xuncha-")
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(fault)?;
        Ok(Self::Whole(file))
    }

    fn writer(&mut self) -> &mut (dyn Write + Send) {
        match self {
            Self::Whole(file) => file.as_file_mut(),
            Self::Stream(file) => file,
        }
    }

    fn finish(self, out: &Path) -> Result<()> {
        let Self::Whole(file) = self else { return Ok(()) };
        file.persist(out).map(|_| ()).map_err(|error| file_fault(out, &error.error))
    }
}

fn refuse_same_file(input: &File, out: &Path) -> Result<()> {
    let (Ok(input), Ok(out)) = (input.metadata(), std::fs::metadata(out)) else { return Ok(()) };
    if input.is_file() && (input.dev(), input.ino()) == (out.dev(), out.ino()) {
        return Err(Fault::new(
            FaultKind::Invalid,
            "same_file",
            "输出文件就是输入文件，请另取名称",
            "the output is the input file; please name another",
        ));
    }
    Ok(())
}

fn file_fault(path: &Path, error: &std::io::Error) -> Fault {
    let path = path.display();
    Fault::new(
        FaultKind::Invalid,
        "file_unusable",
        format!("无法使用文件 {path}：{error}"),
        format!("cannot use {path}: {error}"),
    )
}
