//! The n-th call to the disk fails, for every n, while a script logs one of everything: what it was told is there is there, once,
//! and after a power cut too; what it was told of an error may be there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::power::oracle::{Op, World, id};
use super::reopened::{EXPERIMENT, Lines, open, shown};
use crate::store::testing::disk::{Disk, Fault, Loss};
use crate::store::*;

/// One of everything, on two runs. The name of the experiment changes last, since what comes after it would depend on that.
fn script() -> Vec<Op> {
    vec![
        Op::Start(1),
        Op::Param(1, 2),
        Op::Point(1, "loss", 0, 3.5),
        Op::Tag(1, 4),
        Op::Untag(1),
        Op::Tag(1, 5),
        Op::Text(1, 6),
        Op::Rows(1, 7),
        Op::File(1, 8),
        Op::Start(9),
        Op::Point(9, "loss", 1, 10.5),
        Op::Finish(1),
        Op::Delete(1),
        Op::Restore(1),
        Op::File(9, 11),
        Op::Finish(9),
        Op::Point(9, "auc", 1, 12.5),
        Op::Delete(9),
        Op::Param(1, 13),
        Op::Rename(14),
    ]
}

/// What there may be.
#[derive(Debug)]
struct Worlds(Vec<World>);

impl Worlds {
    fn apply(&mut self, op: &Op, sure: bool) {
        let without = if sure { Vec::new() } else { self.0.clone() };
        self.0.iter_mut().for_each(|world| world.apply(op));
        self.0.extend(without);
    }

    fn hold(&self, shown: &Lines, disk: &Disk) -> bool {
        self.0.iter().any(|world| {
            let runs = [1, 9].into_iter().map(|run| (id(run).to_string(), world.lines(run)));
            let named = (EXPERIMENT.to_string(), vec![world.experiment()]);
            let all = runs.filter(|(_, lines)| !lines.is_empty());
            // An experiment is there once a run of it is.
            let some = world.runs().next().is_some();
            let lines: Lines = all.chain(Some(named).filter(|_| some)).collect();
            let files: BTreeMap<_, _> = disk.files(layout::ARTIFACTS).into_iter().collect();
            lines == *shown && world.files().all(|(path, len)| files.get(&path).is_some_and(|id| id.is_whole(len)))
        })
    }
}

/// Runs the script, `more` calls after the n-th fail too; gives what there may be then, and how many failures nothing met.
fn log(disk: &Disk, fault: Fault, n: u64, more: u64) -> (Worlds, usize) {
    let process = disk.process();
    let options =
        WriterOptions { segment_bytes: 600, sync_within: Duration::from_secs(3600), ..WriterOptions::default() };
    let store = Store::open_at(process.io(), "s".into(), options).unwrap();
    (n..=n + more).for_each(|n| process.fail(n, fault));
    let mut worlds = Worlds(vec![World::default()]);
    let (mut runs, mut lost) = (BTreeMap::new(), Vec::new());
    for op in script() {
        // A script does not get on without its run.
        if op.run().is_some_and(|run| lost.contains(&run)) {
            continue;
        }
        let done = op.log(&store, &worlds.0[0], &mut runs);
        if let (Op::Start(run), Err(_)) = (&op, &done) {
            lost.push(*run);
        }
        let told = store.flush();
        // What is durable when it returns has no need of anybody else's word.
        worlds.apply(&op, done.is_ok() && (op.syncs() || told.is_ok()));
    }
    let unused = process.heal();
    process.kill();
    (worlds, unused)
}

#[tokio::test]
async fn a_script_gets_over_any_failing_call_whatever_it_logs() {
    for (fault, more) in [(Fault::Error, 0), (Fault::NoSpace, 1), (Fault::Short, 0), (Fault::Error, 4)] {
        let mut unsure = 0;
        for n in 0.. {
            let place = format!("{fault:?} of call {n} and {more} more");
            let disk = Disk::new();
            Store::create_at(disk.io(), "s".into()).unwrap();
            let (worlds, unused) = log(&disk, fault, n, more);
            let found = shown(&disk).await;
            assert!(worlds.hold(&found, &disk), "{place}: {found:#?}\nis not among {worlds:#?}");
            let image = disk.after_power_cut(Loss::All);
            let mut found = (*shown(&image).await).clone();
            if worlds.0.len() > 1 {
                // Where the disk said that it has not got the beginning of a run, the rest of it is in no experiment.
                found.entry(EXPERIMENT.to_string()).or_default().retain(|name| name != "default");
            }
            assert!(worlds.hold(&found, &image), "{place}, power cut: {found:#?}\nis not among {worlds:#?}");
            if n % 8 == 0 {
                open(&disk).seal().await.unwrap_or_else(|e| panic!("{place}: sealing: {e}"));
                let found = shown(&disk).await;
                assert!(worlds.hold(&found, &disk), "{place}, sealed: {found:#?}\nis not among {worlds:#?}");
            }
            unsure += usize::from(worlds.0.len() > 1);
            if unused as u64 == more + 1 {
                assert_eq!(worlds.0.len(), 1, "{place}: nothing failed");
                assert!(n > 60, "{n} calls");
                break;
            }
        }
        assert!(unsure > 20, "the failures were to hurt: {unsure}");
    }
}
