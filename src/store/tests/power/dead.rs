//! A power cut after one process died and another went on from what it had left.

use super::super::reopened::{Files, Reader, shown};
use super::options;
use super::oracle::id;
use crate::store::testing::disk::{Dice, Disk, Event, Loss};
use crate::store::*;

/// A process dies over each change of a seal, and another seals: nothing of what the other then makes durable rests on
/// something that the dead one left unsynced.
#[tokio::test]
async fn what_a_dead_sealer_left_unsynced_is_not_built_on() {
    // The first seal of a store makes all the folders, too.
    let fresh = Disk::new();
    Store::create_at(fresh.io(), "s".into()).unwrap();
    log_and_die(&fresh, &[0, 1]);
    let before = shown(&fresh).await;
    let mut dice = Dice::new(3);
    let (mut states, mut deaths) = (0, 0);
    loop {
        let disk = fresh.branch();
        let first = disk.process();
        first.dies_after(deaths);
        let done = ops::seal(&delta::Tables::new(first.io())).await;
        assert!(done.is_ok() || first.is_dead(), "{done:?}");
        let replayed = disk.copy();
        disk.record();
        ops::seal(&delta::Tables::new(disk.io())).await.unwrap();
        let mut reader = Reader::default();
        for (at, event) in disk.recorded().iter().enumerate() {
            replayed.replay(event);
            let place = format!("dead before change {deaths}, power cut after {at} ({event:?})");
            let syncs = matches!(event, Event::Sync(_) | Event::SyncDir(_));
            let all = syncs.then(|| replayed.after_power_cut(Loss::All));
            for image in all.into_iter().chain([replayed.after_power_cut(Loss::Some(&mut dice))]) {
                let files: Files = image.files("").into_iter().collect();
                assert_eq!(reader.read(&image, &files).await, before, "{place}");
                states += 1;
                if dice.one_in(60) {
                    log_and_die(&image, &[2]);
                    let live = shown(&image).await;
                    let sealed = ops::seal(&delta::Tables::new(image.io())).await;
                    sealed.unwrap_or_else(|e| panic!("{place}: sealing: {e}"));
                    assert_eq!(shown(&image).await, live, "{place}: more was logged and sealed");
                }
            }
        }
        if !first.is_dead() {
            break;
        }
        deaths += 1;
    }
    println!("{states} states after {deaths} deaths");
    assert!(deaths > 100 && states > 5000);
}

/// A process that logs runs, each into a segment of its own, and dies when all is durable.
fn log_and_die(disk: &Disk, runs: &[usize]) {
    let process = disk.process();
    let store = Store::open_at(process.io(), "s".into(), options()).unwrap();
    for n in runs {
        let run = store.start_run(RunOptions::new("e").id(id(*n))).unwrap();
        run.log_metric_at("loss", 0.5, 1).unwrap();
        run.finish(crate::model::Status::Finished).unwrap();
        store.close_segment().unwrap();
    }
    process.kill();
}
