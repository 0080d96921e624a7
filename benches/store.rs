//! The cost of finding an entry in the store, by where it is found, and of saving an instance's state.
//! Most optimizations of `src/store/` cite a figure of this benchmark. `cargo bench --bench store`.

#![allow(clippy::unwrap_used)]

use std::{fs, hint::black_box, io::Write, sync::Arc, time::Duration};

use divan::Bencher;
use faceplate::{
    avatar::{Answer, Entry, Key, Picture, Policy, Report, absorb},
    clock::{Clock, Timestamp},
    in_flight::InFlight,
    store::{self, MaintenanceSettings, Owner, Store},
};
use image::{DynamicImage, ImageFormat};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp::from_secs(1_795_200_000);

/// Whether the index in memory can know that a face has no entry.
#[derive(Clone, Copy, PartialEq)]
enum Index {
    Complete,
    Incomplete,
}

fn main() {
    divan::main();
}

/// A store with `faces` entries of one picture of 4 KiB, in which `memory` bytes of pictures are kept.
struct Scene {
    runtime: Runtime,
    store: Store,
    keys: Vec<Key>,
    _folder: TempDir,
}

impl Scene {
    fn new(faces: usize, memory: u64, index: Index) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if index == Index::Incomplete {
            let shard = folder.path().join("index-v5/00/00");
            fs::create_dir_all(&shard).unwrap();
            fs::write(shard.join("of-no-key"), "\nnot a line of an index").unwrap();
        }
        let limits = MaintenanceSettings {
            max_bytes: 1 << 40,
            max_entries: 1 << 20,
            min_free: 0,
            gc_grace: Duration::from_secs(3600),
            files_per_second: 1,
        };
        let settings = store::Settings {
            dir: folder.path().to_path_buf(),
            memory,
            max_picture: 1 << 20,
            archive: false,
            in_flight: InFlight::new(32 << 20),
        };
        let runtime = Runtime::new().unwrap();
        let store = Store::open(&settings, limits, Clock::manual(NOW)).unwrap();
        runtime.block_on(store.run_maintenance());
        let entry = Arc::new(entry());
        let keys = (0..faces).map(|number| {
            let owner = Owner {
                instance: "sales".into(),
                subject: format!("62812{number:07}").parse().unwrap(),
            };
            let key = Key::new(&owner.instance, &owner.subject);
            assert!(runtime.block_on(store.put(&key, &owner, entry.clone())));
            key
        });
        Self {
            keys: keys.collect(),
            runtime,
            store,
            _folder: folder,
        }
    }

    /// The keys, one after the other, again and again.
    fn keys(&self) -> impl FnMut() -> Key {
        let mut keys = self.keys.iter().cycle();
        move || *keys.next().unwrap()
    }
}

fn entry() -> Entry {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    DynamicImage::new_rgb8(640, 640)
        .write_to(&mut jpeg, ImageFormat::Jpeg)
        .unwrap();
    let mut jpeg = jpeg.into_inner();
    // Bytes behind the end of a JPEG are padding.
    jpeg.resize(jpeg.len().max(4096), 0);
    let report = Report {
        asked_at: NOW,
        answered_at: NOW,
        answer: Answer::Picture(Picture::validate(jpeg.into()).unwrap(), None),
        jitter: 0.0,
        spellings: Default::default(),
    };
    absorb(None, report, &Policy::default()).unwrap()
}

fn absent_key() -> Key {
    Key::new("sales", &"628129999999".parse().unwrap())
}

#[divan::bench]
fn hit_in_memory(bencher: Bencher) {
    let scene = Scene::new(1, 64 << 20, Index::Complete);
    bencher.bench_local(|| scene.store.get_cached(black_box(&scene.keys[0])));
}

/// With up to 16,384 faces, the metadata cache saves opening and parsing the index file.
#[divan::bench(args = [1, 8_192, 32_768])]
fn hit_in_the_page_cache(bencher: Bencher, faces: usize) {
    let scene = Scene::new(faces, 0, Index::Complete);
    let mut next = scene.keys();
    // The caches take an entry at its second read.
    for _ in 0..2 * faces {
        scene.store.get_cached(&next());
    }
    bencher.bench_local(|| scene.store.get_cached(&next()));
}

/// Without the read that does not wait: a disk thread reads.
#[divan::bench(args = [1, 8_192, 32_768])]
fn hit_by_a_disk_thread(bencher: Bencher, faces: usize) {
    let scene = Scene::new(faces, 0, Index::Complete);
    let mut next = scene.keys();
    bencher.bench_local(|| {
        scene
            .runtime
            .block_on(scene.store.find_uncached(&next()))
            .entry()
            .cloned()
            .unwrap()
    });
}

#[divan::bench]
fn absent_by_the_index(bencher: Bencher) {
    let scene = Scene::new(1, 0, Index::Complete);
    bencher.bench_local(|| scene.store.get_cached(black_box(&absent_key())));
}

#[divan::bench]
fn absent_by_the_kernel(bencher: Bencher) {
    let scene = Scene::new(1, 0, Index::Incomplete);
    let key = absent_key();
    scene.runtime.block_on(scene.store.find(&key));
    bencher.bench_local(|| scene.store.get_cached(black_box(&absent_key())));
}

#[divan::bench]
fn absent_by_a_disk_thread(bencher: Bencher) {
    let scene = Scene::new(1, 0, Index::Incomplete);
    bencher.bench_local(|| {
        scene
            .runtime
            .block_on(scene.store.find_uncached(&absent_key()))
    });
}

const STATE: &str = r#"{"minute":{"tat":1795200000000},"day":{"count":17,"since":1795190400000}}"#;

/// As the store does: one write over the file that is there.
#[divan::bench]
fn save_state(bencher: Bencher) {
    let scene = Scene::new(0, 0, Index::Complete);
    bencher.bench_local(|| {
        let saved = scene.store.save_state("sales".into(), || STATE.into());
        scene.runtime.block_on(saved);
    });
}

/// The usual way: a temporary file, renamed over the file that is there.
#[divan::bench]
fn save_state_by_renaming(bencher: Bencher) {
    let scene = Scene::new(0, 0, Index::Complete);
    let dir = scene._folder.path().to_path_buf();
    bencher.bench_local(|| {
        let dir = dir.clone();
        let saved = scene.runtime.spawn_blocking(move || {
            let mut file = tempfile::NamedTempFile::new_in(&dir).unwrap();
            file.write_all(STATE.as_bytes()).unwrap();
            file.persist(dir.join("sales.json")).unwrap();
        });
        scene.runtime.block_on(saved).unwrap();
    });
}

#[divan::bench]
fn read_the_clock(bencher: Bencher) {
    let clock = Clock::system();
    bencher.bench_local(|| clock.now());
}

#[divan::bench]
fn read_the_precise_clock(bencher: Bencher) {
    bencher.bench_local(|| rustix::time::clock_gettime(rustix::time::ClockId::Realtime));
}
