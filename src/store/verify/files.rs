//! Cuts, batches, segments and logged files.

use std::collections::{BTreeMap, BTreeSet};

use super::{VerifyReport, plural, problem, some};
use crate::model::WriterId;
use crate::store::artifact::digest_of;
use crate::store::cut::{Batch, Cut, Work};
use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::live::{self, Found, Live, Reading};
use crate::store::{layout, segment};

/// Checks the cuts; gives the newest that can be read.
pub fn cuts(io: &dyn Io, report: &mut VerifyReport) -> Result<Cut> {
    let numbers = Cut::numbers(io)?;
    let mut newest = Cut::empty();
    let mut expected = numbers.first().copied().unwrap_or(0);
    for n in numbers {
        for missing in expected..n {
            report.find(layout::cut(missing), "is missing", format!("state {missing} of the store"));
        }
        expected = n + 1;
        match Cut::read(io, n) {
            Ok(cut) => {
                if cut.time <= newest.time {
                    let problem = format!("is of {}, not later than cut {}", cut.time, newest.n);
                    report.find(layout::cut(n), problem, format!("state {n} of the store"));
                }
                report.read(io.stat(&layout::cut(n)).map_or(0, |stat| stat.len as usize));
                newest = cut;
            }
            Err(e) if is_file_problem(&e) => {
                report.find(
                    layout::cut(n),
                    problem(&e),
                    format!("state {n} of the store: which version of each table"),
                );
            }
            Err(e) => return Err(e),
        }
    }
    Ok(newest)
}

fn is_file_problem(e: &StoreError) -> bool {
    e.is_not_found() || matches!(e, StoreError::Damaged { .. } | StoreError::NewerFormat { .. })
}

/// Checks the batches: one for each cut, and at most one beyond, whose segments are there.
pub fn batches(io: &dyn Io, cut: &Cut, report: &mut VerifyReport) -> Result<()> {
    let entries = io.list(layout::LIVE).map_err(StoreError::io(layout::LIVE))?;
    let found: BTreeSet<u64> = entries.iter().filter_map(|e| layout::batch_number(&e.name)).collect();
    let numbers = Cut::numbers(io)?;
    // The oldest cut may lack its batch, since `gc` removes that first.
    for n in numbers.iter().skip(1).filter(|n| !found.contains(n)) {
        report.find(layout::batch(*n), "is missing", format!("what operation {n} was to do"));
    }
    for n in found {
        let path = layout::batch(n);
        if numbers.first().is_some_and(|first| n < *first) {
            report.find(layout::cut(n), "is missing, and its batch is there", format!("state {n} of the store"));
        }
        match Batch::read(io, n) {
            Ok(Some(batch)) => {
                report.read(io.stat(&path).map_or(0, |stat| stat.len as usize));
                if batch.n != n {
                    report.find(&path, format!("holds batch {}", batch.n), format!("what operation {n} was to do"));
                } else if n > cut.n {
                    pending(io, cut, &batch, report);
                }
            }
            Ok(None) => {}
            Err(e) if is_file_problem(&e) => report.find(&path, problem(&e), format!("what operation {n} was to do")),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// An operation that was begun and has no cut: it can be finished while the segments it absorbs are there.
fn pending(io: &dyn Io, cut: &Cut, batch: &Batch, report: &mut VerifyReport) {
    if batch.n > cut.n + 1 {
        let problem = format!("is of an operation beyond the next one, {}", cut.n + 1);
        return report.find(layout::batch(batch.n), problem, format!("a {}", batch.work.name()));
    }
    let Work::Seal { segments, .. } = &batch.work else { return };
    for s in segments {
        let same = s.path().and_then(|path| {
            let content = io.read_range(&path, s.from..s.to).map_err(StoreError::io(path))?;
            Ok(blake3::hash(&content).to_hex().as_str() == s.digest)
        });
        if !same.unwrap_or(false) {
            let problem = format!("is missing: operation {} was done and its segments are gone or changed", batch.n);
            return report.find(layout::cut(batch.n), problem, format!("state {} of the store", batch.n));
        }
    }
}

/// Reads every segment record by record; gives what the live ones hold.
pub fn segments(io: &dyn Io, cut: &Cut, repair: bool, report: &mut VerifyReport) -> Result<Live> {
    let names = live::names(io)?;
    let found = live::find(io, cut, &names)?;
    let set_aside = io.list(layout::DAMAGED).map_err(StoreError::io(layout::DAMAGED))?;
    let set_aside: BTreeSet<_> = set_aside.iter().filter_map(|e| layout::segment_name(&e.name)).collect();
    let mut live = Reading::default();
    let mut by_writer: BTreeMap<WriterId, Vec<&Found>> = BTreeMap::new();
    for segment in &found {
        by_writer.entry(segment.writer).or_default().push(segment);
    }
    for (writer, mut segments) in by_writer {
        segments.sort_by_key(|s| s.number);
        // Absorbed segments are gone; the one that the mark names may be too.
        let mut expected = cut.marks.get(&writer.to_string()).map_or(0, |mark| mark.segment);
        if segments[0].number > expected && cut.marks.contains_key(&writer.to_string()) {
            expected += 1;
        }
        let mut sequence = None;
        for (i, found) in segments.iter().enumerate() {
            for missing in (expected..found.number).filter(|n| !set_aside.contains(&(writer, *n))) {
                let holds = "records that no table has yet, if any".to_string();
                report.find(layout::segment(writer, missing), "is missing", holds);
            }
            expected = found.number + 1;
            let last = i + 1 == segments.len();
            sequence = one(io, found, last, sequence, repair, &mut live, report)?;
        }
    }
    report.records = live.records();
    Ok(live.finish(&BTreeSet::new()))
}

/// Checks one segment; gives the sequence that the writer's next one should begin with at the latest.
fn one(
    io: &dyn Io,
    found: &Found,
    last: bool,
    expected: Option<u64>,
    repair: bool,
    live: &mut Reading,
    report: &mut VerifyReport,
) -> Result<Option<u64>> {
    let content = match io.read(&found.path) {
        Ok(content) => content,
        // Its writer, or nobody, knows why.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(&found.path)(e)),
    };
    report.read(content.len());
    let mut runs = BTreeSet::new();
    let mut next = None;
    let scan = segment::scan(&content, 0, |record| {
        runs.extend(record.record.run().cloned());
        next = Some(record.version.sequence + 1);
    });
    segment::scan(&content, found.from, |record| live.add(record));
    if let (Some(expected), Ok(Ok((header, _)))) = (expected, segment::read_header(io, &found.path))
        && header.first_sequence > expected
    {
        let lost = plural(header.first_sequence - expected, "record");
        let problem = format!("begins with record {}, and {lost} before it are nowhere", header.first_sequence);
        report.find(&found.path, problem, plural(scan.records, "record"));
    }
    let sealed = if found.from == u64::MAX { content.len() as u64 } else { found.from };
    let problem = if let Some(damage) = &scan.damage {
        Some(damage.to_string())
    } else if (content.len() as u64) < sealed {
        Some(format!("is cut short: it has {} bytes, and {sealed} were sealed of it", content.len()))
    } else if !last && scan.end < content.len() as u64 {
        Some(format!("ends within a record at byte {}, though its writer went on to the next segment", scan.end))
    } else {
        None
    };
    let Some(problem) = problem else { return Ok(next) };
    let mut holds = format!("{} that can be read", plural(scan.records, "record"));
    if !runs.is_empty() {
        holds.push_str(&format!(
            " of {} ({})",
            plural(runs.len() as u64, "run"),
            some(runs.iter().map(|r| r.as_str()))
        ));
    }
    report.find(&found.path, problem, holds);
    if repair {
        let newer = scan.damage.as_ref().is_some_and(|damage| damage.newer);
        let done = if found.alive || newer { None } else { Some(set_aside(io, found, &content, &scan)?) };
        report.findings.last_mut().expect("one was just added").repaired = done;
    }
    // What lies behind the damage is lost; that was told of.
    Ok(None)
}

/// Keeps the intact part of a segment under its name and the whole of it under another. Repeatable at any point: the
/// copy is made before the original changes, and that changes at once.
fn set_aside(io: &dyn Io, found: &Found, content: &[u8], scan: &segment::Scan) -> Result<String> {
    let name = found.path.rsplit('/').next().unwrap_or(&found.path);
    let mut aside = format!("{}/{name}", layout::DAMAGED);
    for again in 2.. {
        match io.create(&aside, &[content]) {
            Ok(()) => break,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                if io.read(&aside).is_ok_and(|there| there[..] == *content) {
                    break;
                }
                aside = format!("{}/{name}.{again}", layout::DAMAGED);
            }
            Err(e) => return Err(StoreError::io(aside)(e)),
        }
    }
    if scan.records > 0 {
        io.replace(&found.path, &content[..scan.end as usize]).map_err(StoreError::io(&found.path))?;
        Ok(format!("{} kept, the damaged file is {aside}", plural(scan.records, "record")))
    } else {
        io.remove(&found.path).map_err(StoreError::io(&found.path))?;
        Ok(format!("no record could be kept, the damaged file is {aside}"))
    }
}

/// A logged file, as a table or a live record has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logged {
    /// Where it is, relative to the store.
    pub uri: String,
    /// Size in bytes.
    pub size: u64,
    /// blake3 of the content.
    pub digest: String,
    /// Whose it is.
    pub run: String,
    /// Its name in the run.
    pub path: String,
}

/// Checks the logged files by size and digest.
pub fn artifacts(io: &dyn Io, live: &Live, sealed: BTreeSet<Logged>, report: &mut VerifyReport) -> Result<()> {
    let mut all = sealed;
    for state in live.states.values() {
        all.extend(state.artifacts().map(|a| Logged {
            uri: a.uri.clone(),
            size: a.size as u64,
            digest: a.digest.clone(),
            run: state.run().to_string(),
            path: a.path.clone(),
        }));
    }
    for file in all {
        let holds = format!("the file '{}' of run '{}', {} bytes", file.path, file.run, file.size);
        let size = match io.stat(&file.uri) {
            Ok(stat) => stat.len,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                report.find(&file.uri, "is missing", holds);
                continue;
            }
            Err(e) => return Err(StoreError::io(file.uri)(e)),
        };
        if size != file.size {
            report.find(&file.uri, format!("has {size} bytes, not {}", file.size), holds);
            continue;
        }
        let digest = digest_of(io, &file.uri)?;
        if digest != file.digest {
            report.find(&file.uri, format!("is damaged: digest {} logged, {digest} computed", file.digest), holds);
        }
        report.read(size as usize);
    }
    Ok(())
}
