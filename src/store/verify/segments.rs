//! Segments, record by record.

use std::collections::{BTreeMap, BTreeSet};

use super::{VerifyReport, aside, plural, some};
use crate::model::WriterId;
use crate::store::cut::Cut;
use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::live::{self, Found, Live, Reading};
use crate::store::segment::Content;
use crate::store::{layout, segment};

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
            if (expected..found.number).any(|n| set_aside.contains(&(writer, n))) {
                sequence = None;
            }
            for missing in (expected..found.number).filter(|n| !set_aside.contains(&(writer, *n))) {
                let holds = "records that no table has yet, if any".to_string();
                report.find(layout::segment(writer, missing), "is missing", holds);
            }
            expected = found.number + 1;
            let last = i + 1 == segments.len();
            let next = one(io, found, last, sequence, repair, &mut live, report)?;
            // What a repair could not keep was told of when it was done.
            sequence = next.filter(|_| !set_aside.contains(&(writer, found.number)));
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
        Ok(bytes) => Content::whole(bytes),
        // Its writer, or nobody, knows why.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(&found.path)(e)),
    };
    report.read(content.len() as usize);
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
    let sealed = if found.from == u64::MAX { content.len() } else { found.from };
    let problem = if let Some(damage) = &scan.damage {
        Some(damage.to_string())
    } else if content.len() < sealed {
        Some(format!("is cut short: it has {} bytes, and {sealed} were sealed of it", content.len()))
    } else if !last && scan.end < content.len() {
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
fn set_aside(io: &dyn Io, found: &Found, content: &Content, scan: &segment::Scan) -> Result<String> {
    let aside = aside::copy(io, &found.path, content.range(0..content.len()))?;
    if scan.records > 0 {
        io.replace(&found.path, content.range(0..scan.end)).map_err(StoreError::io(&found.path))?;
        Ok(format!("{} kept, the damaged file is {aside}", plural(scan.records, "record")))
    } else {
        io.remove(&found.path).map_err(StoreError::io(&found.path))?;
        Ok(format!("no record could be kept, the damaged file is {aside}"))
    }
}
