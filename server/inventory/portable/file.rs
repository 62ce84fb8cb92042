//! A backup as a file: a line of JSON for each record and each row, compressed by zstd. `zstd -d`
//! shows it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::sync::mpsc::{Receiver, Sender};

use super::{BATCH, Piece, Record, Row, TransferError, line_of};

/// The level of zstd: its default.
const LEVEL: i32 = 3;
/// The longest line: a row with a whole site in it, in bytes.
const LONGEST: u64 = 1 << 30;

/// Writes a file that only its owner can read: there are password hashes in it. It has its name when
/// it is whole and on the disk. Blocks.
pub fn write(path: &Path, mut source: Receiver<Piece>) -> Result<u64, TransferError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".incoming");
    let incoming = Path::new(&name);
    let written = write_lines(incoming, &mut source);
    match written.and_then(|length| Ok(std::fs::rename(incoming, path).map(|()| length)?)) {
        Ok(length) => Ok(length),
        Err(error) => {
            let _ = std::fs::remove_file(incoming);
            Err(error)
        }
    }
}

fn write_lines(path: &Path, source: &mut Receiver<Piece>) -> Result<u64, TransferError> {
    let mut create = OpenOptions::new();
    let file = create.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut lines = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
    lines.include_checksum(true)?;
    let mut is_whole = false;
    while let Some(piece) = source.blocking_recv() {
        match piece {
            Piece::Record(record) => {
                is_whole = record == Record::End;
                writeln!(
                    lines,
                    "{}",
                    serde_json::to_string(&record).map_err(std::io::Error::from)?
                )?;
            }
            Piece::Rows(rows) => {
                for row in &rows {
                    writeln!(lines, "{}", line_of(row))?;
                }
            }
        }
    }
    if !is_whole {
        return Err(TransferError::Truncated("the end"));
    }
    let mut file = lines.finish()?;
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(file.get_ref().metadata()?.len())
}

/// Reads a file and hands on what is in it. Blocks.
pub fn read(path: &Path, sink: &Sender<Piece>) -> Result<(), TransferError> {
    let mut lines = BufReader::new(zstd::Decoder::new(File::open(path)?)?);
    let mut rows: Vec<Row> = Vec::new();
    let mut text = String::new();
    let mut is_whole = false;
    // Whoever takes the pieces has failed, and says why.
    let send = |piece| sink.blocking_send(piece).is_ok();
    for line in 1.. {
        text.clear();
        if lines.by_ref().take(LONGEST).read_line(&mut text)? == 0 {
            break;
        }
        let wrong =
            |error: serde_json::Error| TransferError::Line { line, reason: error.to_string() };
        if text.starts_with('[') {
            rows.push(serde_json::from_str(&text).map_err(wrong)?);
            if rows.len() == BATCH && !send(Piece::Rows(std::mem::take(&mut rows))) {
                return Ok(());
            }
            continue;
        }
        let record: Record = serde_json::from_str(&text).map_err(wrong)?;
        is_whole = record == Record::End;
        if !rows.is_empty() && !send(Piece::Rows(std::mem::take(&mut rows))) {
            return Ok(());
        }
        if !send(Piece::Record(record)) {
            return Ok(());
        }
    }
    if is_whole { Ok(()) } else { Err(TransferError::Truncated("the end")) }
}
