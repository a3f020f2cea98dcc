//! Settings files on a disk: connected, connected again, given back, and ended in the middle.

use super::*;
use crate::client::edit::Change;

struct Place {
    dir: tempfile::TempDir,
    journal: Journal,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::below(&dir.path().join("data"));
        Place { dir, journal }
    }

    fn settings(&self) -> PathBuf {
        self.dir.path().join("home/.tool/settings.json")
    }

    fn file(&self, port: u16) -> SettingsFile {
        let url = format!("http://127.0.0.1:{port}");
        let changes = vec![Change::set(&["env", "BASE"], url), Change::set(&["env", "MODEL"], "m")];
        SettingsFile { path: self.settings(), format: Format::Json, changes }
    }

    fn plan(&self, port: u16) -> Planned {
        self.journal.plan("tool", Scope::User, &self.file(port)).unwrap()
    }

    fn connect(&self, port: u16) {
        self.journal.write(&self.plan(port)).unwrap();
    }

    fn disconnect(&self) -> Vec<String> {
        let entries = self.journal.entries().unwrap();
        assert_eq!(entries.len(), 1);
        let returning = self.journal.plan_return(entries[0].clone()).unwrap();
        self.journal.give_back(&returning).unwrap();
        assert_eq!(self.journal.entries().unwrap(), []);
        returning.kept
    }

    fn put(&self, text: &str) {
        std::fs::create_dir_all(self.settings().parent().unwrap()).unwrap();
        std::fs::write(self.settings(), text).unwrap();
    }

    fn now(&self) -> String {
        std::fs::read_to_string(self.settings()).unwrap()
    }
}

const OLD: &str = "\u{feff}{\r\n\t// mine\r\n\t\"env\": { \"BASE\": \"https://old\", },\n}";

#[test]
fn what_was_there_comes_back_to_the_byte_however_often_it_was_connected() {
    let place = Place::new();
    place.put(OLD);
    for port in [1, 2, 2, 3] {
        place.connect(port);
        assert!(place.now().contains(&format!(":{port}\"")), "{}", place.now());
    }
    assert_eq!(place.disconnect(), Vec::<String>::new());
    assert_eq!(place.now(), OLD);
}

#[test]
fn what_was_not_there_goes_with_the_folders_made_for_it() {
    let place = Place::new();
    place.connect(1);
    place.connect(2);
    place.disconnect();
    assert!(!place.dir.path().join("home").exists());
    // Others use the folder since.
    place.connect(1);
    std::fs::write(place.settings().with_file_name("theirs"), "").unwrap();
    place.disconnect();
    assert!(!place.settings().exists() && place.settings().with_file_name("theirs").exists());
}

#[test]
fn what_others_wrote_since_stays_also_when_it_is_connected_again() {
    let place = Place::new();
    place.put(OLD);
    place.connect(1);
    place.put(&place.now().replace("// mine", "// mine\n\"theirs\": 1,"));
    place.connect(2);
    assert!(place.now().contains(":2\"") && place.now().contains("theirs"), "{}", place.now());
    place.put(&place.now().replace("\"m\"", "\"other\""));
    assert_eq!(place.disconnect(), ["env.MODEL"]);
    let expected = serde_json::json!({"theirs": 1, "env": {"BASE": "https://old", "MODEL": "other"}});
    assert_eq!(crate::client::jsonc::read(&place.now()).unwrap(), expected, "{}", place.now());
}

#[test]
fn whoever_is_ended_between_entry_and_file_leaves_nothing_to_mend() {
    let place = Place::new();
    place.put(OLD);
    // The entry stands, the file is the old one.
    place.journal.keep(&place.plan(1).entry).unwrap();
    assert_eq!(place.disconnect(), Vec::<String>::new());
    assert_eq!(place.now(), OLD);
    // Connected once, ended in the middle of the second time: either text is known.
    place.connect(1);
    let first = place.now();
    let second = place.plan(2);
    place.journal.keep(&second.entry).unwrap();
    place.disconnect();
    assert_eq!(place.now(), OLD);
    place.connect(1);
    place.journal.keep(&place.plan(2).entry).unwrap();
    place.put(&second.new);
    place.disconnect();
    assert_eq!(place.now(), OLD);
    // Also when somebody wrote then.
    for text in [&first, &second.new] {
        place.put(OLD);
        place.connect(1);
        place.journal.keep(&place.plan(2).entry).unwrap();
        place.put(&text.replace("// mine", "// yours"));
        assert_eq!(place.disconnect(), Vec::<String>::new());
        assert!(place.now().contains("// yours") && place.now().contains("https://old"), "{}", place.now());
        assert!(!place.now().contains("127.0.0.1"), "{}", place.now());
    }
    // Given back already, and ended before the entry went.
    place.put(OLD);
    place.connect(1);
    place.put(OLD);
    place.disconnect();
    assert_eq!(place.now(), OLD);
}

#[test]
fn a_file_somebody_removed_stays_removed() {
    let place = Place::new();
    place.put(OLD);
    place.connect(1);
    std::fs::remove_file(place.settings()).unwrap();
    place.disconnect();
    assert!(!place.settings().exists());
}

#[test]
fn what_is_no_file_of_ours_to_write_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir_all(place.settings()).unwrap();
    let said = |place: &Place| place.journal.plan("tool", Scope::User, &place.file(1)).unwrap_err().to_string();
    assert!(said(&place).ends_with("is a folder"), "{}", said(&place));
    std::fs::remove_dir(place.settings()).unwrap();
    place.put("{");
    assert!(said(&place).ends_with("cannot be edited"), "{}", said(&place));
    place.put(OLD);
    let mut closed = std::fs::metadata(place.settings()).unwrap().permissions();
    closed.set_readonly(true);
    std::fs::set_permissions(place.settings(), closed).unwrap();
    assert!(said(&place).ends_with("is read-only"), "{}", said(&place));
    assert_eq!((place.now().as_str(), place.journal.entries().unwrap().len()), (OLD, 0));
}

#[test]
fn a_file_that_changes_after_it_was_read_is_not_written() {
    let place = Place::new();
    place.put(OLD);
    let planned = place.plan(1);
    place.put("{}");
    assert!(matches!(place.journal.write(&planned), Err(JournalError::Changed { .. })));
    assert_eq!(place.now(), "{}");
}

#[test]
#[cfg(unix)]
fn a_link_stays_a_link() {
    let place = Place::new();
    let dotfiles = place.dir.path().join("dotfiles");
    std::fs::create_dir_all(&dotfiles).unwrap();
    let real = dotfiles.join("tool.json");
    std::fs::write(&real, OLD).unwrap();
    std::fs::create_dir_all(place.settings().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&real, place.settings()).unwrap();
    place.connect(1);
    let is_link = |path: &std::path::Path| std::fs::symlink_metadata(path).unwrap().is_symlink();
    assert!(is_link(&place.settings()) && !is_link(&real));
    assert!(std::fs::read_to_string(&real).unwrap().contains(":1\""));
    place.disconnect();
    assert!(is_link(&place.settings()));
    assert_eq!(std::fs::read_to_string(&real).unwrap(), OLD);
    std::fs::remove_file(&real).unwrap();
    let error = place.journal.plan("tool", Scope::User, &place.file(1)).unwrap_err();
    assert!(error.to_string().ends_with("is a link to nowhere"), "{error}");
}

#[test]
fn one_writes_at_a_time_and_entries_are_private() {
    let place = Place::new();
    let held = place.journal.lock().unwrap();
    assert!(matches!(place.journal.lock(), Err(JournalError::Taken)));
    drop(held);
    place.connect(1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(place.journal.file(&place.settings())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(place.journal.file(&place.settings()), "{").unwrap();
    assert!(matches!(place.journal.entries(), Err(JournalError::Broken { .. })));
}
