use proptest::prelude::*;

use super::*;
use crate::fs::FileError;
use crate::progress::Progress;

#[path = "../../tests/support/hub.rs"]
pub(crate) mod hub;

use hub::{Fault, Hub, noise, sha256};

fn settings() -> Settings {
    Settings {
        tries: 4,
        silence: Duration::from_millis(300),
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(50),
        segment_min: 10_000,
        segment_max: 30_000,
        ..Settings::default()
    }
}

struct Place {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    hub: Hub,
}

impl Place {
    fn new(length: usize) -> Place {
        let bytes = noise(length, 7);
        let hub = Hub::start("a/b", &[("f.bin", bytes.clone())]);
        Place { dir: tempfile::tempdir().unwrap(), bytes, hub }
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            url: self.hub.file("f.bin"),
            name: "f.bin".into(),
            target: self.dir.path().join("f.bin"),
            size: Some(self.bytes.len() as u64),
            digest: Digest::sha256(&sha256(&self.bytes)),
            size_tells: false,
            edition: "one".into(),
            authorization: None,
        }
    }

    fn get(&self, wanted: Wanted) -> Result<Outcome, FetchError> {
        self.get_with(wanted, &settings())
    }

    fn get_with(&self, wanted: Wanted, settings: &Settings) -> Result<Outcome, FetchError> {
        let client = client(&self.hub.url, settings.silence)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|e| FileError::new("start", self.dir.path(), e))?;
        runtime.block_on(download(&client, vec![wanted], settings, &Progress::silent()))
    }

    fn assert_whole_and_alone(&self) {
        assert!(std::fs::read(self.dir.path().join("f.bin")).unwrap() == self.bytes, "other bytes");
        assert_eq!(std::fs::read_dir(self.dir.path()).unwrap().count(), 1, "something is left over");
    }

    fn assert_no_file(&self) {
        assert!(!self.dir.path().join("f.bin").exists());
    }
}

#[test]
fn a_large_file_comes_in_ranges_at_once() {
    let place = Place::new(200_001);
    let outcome = place.get(place.wanted()).unwrap();
    assert_eq!(outcome, Outcome { fetched: 200_001, found: 0 });
    place.assert_whole_and_alone();
    let asked = place.hub.asked();
    assert_eq!(asked.len(), 7);
    assert!(asked.iter().all(|a| a.range.is_some()));
    // Again: nothing is asked for.
    assert_eq!(place.get(place.wanted()).unwrap(), Outcome { fetched: 0, found: 200_001 });
    assert_eq!(place.hub.asked().len(), 7);
}

#[test]
fn connections_that_break_are_taken_up_where_they_broke() {
    let place = Place::new(100_000);
    place.hub.faults(|_, n| if n % 2 == 0 { Fault::Drop(7_000) } else { Fault::None });
    place.get(place.wanted()).unwrap();
    place.assert_whole_and_alone();
    // What a broken connection had sent is kept, but for what the system threw away with it.
    assert!(place.hub.sent() < 130_000, "{}", place.hub.sent());
}

#[test]
fn a_server_that_is_busy_silent_or_short_is_asked_again() {
    let place = Place::new(100_000);
    place.hub.faults(|_, n| match n {
        0 => Fault::Status(503, 0),
        1 => Fault::Status(429, 1),
        2 => Fault::Stall(5_000),
        3 => Fault::Short(3_000),
        _ => Fault::None,
    });
    place.get(place.wanted()).unwrap();
    place.assert_whole_and_alone();
}

#[test]
fn a_server_without_ranges_sends_the_file_in_one_piece() {
    let place = Place::new(100_000);
    place.hub.faults(|_, _| Fault::NoRange);
    place.get(place.wanted()).unwrap();
    place.assert_whole_and_alone();
    assert!(place.hub.asked().last().unwrap().range.is_none());
}

#[test]
fn a_damaged_file_is_fetched_once_more_and_then_named() {
    let place = Place::new(100_000);
    place.hub.faults(|_, n| if n < 2 { Fault::Corrupt(15_000) } else { Fault::None });
    place.get(place.wanted()).unwrap();
    place.assert_whole_and_alone();

    let place = Place::new(100_000);
    place.hub.faults(|_, _| Fault::Corrupt(15_000));
    let error = place.get(place.wanted()).unwrap_err();
    assert!(matches!(&error, FetchError::Hash { name, .. } if name == "f.bin"), "{error}");
    assert_eq!(std::fs::read_dir(place.dir.path()).unwrap().count(), 0);
}

#[test]
fn what_an_earlier_run_left_is_taken_up() {
    let place = Place::new(100_000);
    place.hub.faults(|_, n| if n < 4 { Fault::Drop(20_000) } else { Fault::Status(500, 0) });
    place.get(place.wanted()).unwrap_err();
    place.assert_no_file();
    let left = kept(&place.wanted(), &settings());
    assert!(left > 50_000, "{left}");
    place.hub.faults(|_, _| Fault::None);
    let outcome = place.get(place.wanted()).unwrap();
    assert_eq!(outcome, Outcome { fetched: 100_000 - left, found: left });
    place.assert_whole_and_alone();
}

#[test]
fn parts_of_another_edition_and_broken_journals_are_thrown_away() {
    let half = |place: &Place| {
        place.hub.faults(|_, n| if n < 4 { Fault::None } else { Fault::Status(403, 0) });
        place.get(Wanted { size: Some(200_000), ..place.wanted() }).unwrap_err();
        place.hub.faults(|_, _| Fault::None);
    };
    let place = Place::new(200_000);
    half(&place);
    assert!(kept(&place.wanted(), &settings()) > 0);
    let newer = Wanted { edition: "two".into(), ..place.wanted() };
    assert_eq!(kept(&newer, &settings()), 0);
    assert_eq!(place.get(newer).unwrap().found, 0);
    place.assert_whole_and_alone();
    for damage in ["", "x", "{}\n", "\u{0}\u{0}"] {
        let place = Place::new(200_000);
        half(&place);
        std::fs::write(place.dir.path().join("f.bin.journal"), damage).unwrap();
        place.get(place.wanted()).unwrap();
        place.assert_whole_and_alone();
    }
    // A journal that counts bytes which are not there.
    let place = Place::new(200_000);
    half(&place);
    std::fs::write(place.dir.path().join("f.bin.part"), b"short").unwrap();
    assert_eq!(place.get(place.wanted()).unwrap().found, 0);
    place.assert_whole_and_alone();
}

#[test]
fn a_file_of_another_size_than_listed_is_never_taken() {
    for size in [99_999, 100_001, 150_000, 10] {
        let place = Place::new(100_000);
        let error = place.get(Wanted { size: Some(size), digest: None, ..place.wanted() }).unwrap_err();
        assert!(matches!(error, FetchError::Changed { .. } | FetchError::Download { .. }), "{size}: {error}");
        place.assert_no_file();
    }
}

#[test]
fn a_file_of_unknown_size_is_checked_by_its_digest() {
    let place = Place::new(50_000);
    place.hub.faults(|_, n| if n < 2 { Fault::Drop(20_000) } else { Fault::None });
    place.get(Wanted { size: None, ..place.wanted() }).unwrap();
    place.assert_whole_and_alone();
    let ranges: Vec<_> = place.hub.asked().into_iter().map(|a| a.range.map(|r| r.0)).collect();
    assert_eq!(ranges.len(), 3);
    assert!(ranges[0].is_none() && ranges[1] < ranges[2], "{ranges:?}");
}

#[test]
fn a_refusal_and_a_server_that_never_gets_better_end_it() {
    let place = Place::new(50_000);
    place.hub.faults(|_, _| Fault::Status(403, 0));
    assert!(matches!(place.get(place.wanted()).unwrap_err(), FetchError::Denied { status: 403, .. }));
    place.hub.faults(|_, _| Fault::Status(502, 0));
    let error = place.get(place.wanted()).unwrap_err().to_string();
    assert!(error.contains("502"), "{error}");
    place.assert_no_file();
}

#[test]
fn an_empty_file_is_a_file() {
    let place = Place::new(0);
    place.get(place.wanted()).unwrap();
    place.assert_whole_and_alone();
    assert!(place.hub.asked().is_empty());
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::None),
        3 => (0..30_000_usize).prop_map(Fault::Drop),
        1 => (0..30_000_usize).prop_map(Fault::Short),
        1 => Just(Fault::NoRange),
        1 => prop_oneof![Just(Fault::Status(500, 0)), Just(Fault::Status(429, 1)), Just(Fault::Status(404, 0))],
        1 => (0..80_000_usize).prop_map(Fault::Corrupt),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever goes wrong, in whatever order: the same bytes or an error, and after an error the next call, with a
    /// server that behaves, brings the same bytes.
    #[test]
    fn never_other_bytes(faults in prop::collection::vec(fault(), 0..24), length in 1..80_000_usize, connections in 1..5_usize) {
        let place = Place::new(length);
        let mut faults = faults.into_iter();
        place.hub.faults(move |_, _| faults.next().unwrap_or(Fault::None));
        let settings = Settings { connections, ..settings() };
        match place.get_with(place.wanted(), &settings) {
            Ok(_) => place.assert_whole_and_alone(),
            Err(_) => {
                place.assert_no_file();
                place.hub.faults(|_, _| Fault::None);
                place.get_with(place.wanted(), &settings).unwrap();
                place.assert_whole_and_alone();
            }
        }
    }
}
