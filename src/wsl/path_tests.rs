use proptest::prelude::*;

use super::*;
use crate::error::Explain;

fn linux(text: &str) -> Result<String, PathError> {
    to_linux(text, &Mounts::default(), Some("Ubuntu"))
}

#[test]
fn drives_and_the_own_distribution_have_their_places() {
    for (windows, want) in [
        (r"D:\models\glm-4.7", "/mnt/d/models/glm-4.7"),
        ("d:/models/glm-4.7/", "/mnt/d/models/glm-4.7"),
        (r"C:\", "/mnt/c"),
        ("C:", "/mnt/c"),
        (r"C:\Users\Грета 模型\it's $x", "/mnt/c/Users/Грета 模型/it's $x"),
        (r"\\?\D:\models", "/mnt/d/models"),
        (r"D:\a\\b\.\c\..\d\..\..\..\..\e", "/mnt/d/e"),
        (r"\\wsl$\Ubuntu\home\me\glm", "/home/me/glm"),
        (r"\\WSL.LocalHost\ubuntu", "/"),
        (r"\\?\UNC\wsl.localhost\Ubuntu\srv", "/srv"),
        ("//wsl.localhost/Ubuntu/srv/x", "/srv/x"),
    ] {
        assert_eq!(linux(windows).as_deref(), Ok(want), "{windows}");
    }
}

#[test]
fn what_linux_has_no_name_for_says_what_to_do() {
    let hint = |error: &PathError| error.hints().join("\n");
    let share = linux(r"\\nas\models\glm").unwrap_err();
    assert!(hint(&share).contains(r"sudo mount -t drvfs '\\nas\models' /mnt/models"), "{}", hint(&share));
    let other = linux(r"\\wsl$\Debian\home\me").unwrap_err();
    assert!(hint(&other).contains("`wsl -d Debian llmup start"), "{}", hint(&other));
    assert!(to_linux(r"\\wsl$\Debian\home\me", &Mounts::default(), None).is_ok());
    let eaten = linux("D:modelsglm").unwrap_err();
    assert!(hint(&eaten).contains(r"'D:\modelsglm'"), "{}", hint(&eaten));
    for odd in [r"\\.\PhysicalDrive0", r"\\?\Volume{1234}\x", r"\\nas", r"\\", "models", "/mnt/d"] {
        assert!(matches!(linux(odd), Err(PathError::Form { .. })), "{odd}");
    }
    for error in [share, other, eaten] {
        assert_eq!(error.exit(), crate::exit::Exit::Config);
        assert!(error.hints()[0].contains('`'), "{error}");
    }
}

#[test]
fn only_what_windows_would_write_counts() {
    for text in ["qwen3:8b", "/mnt/d/x", "//nas/x", "./m", "models", "", "ab:\\c", "é:\\c", "1:\\c", "a"] {
        assert_eq!(kind(text), Kind::None, "{text}");
    }
    assert_eq!(kind("d:latest"), Kind::DriveRelative);
}

#[test]
fn windows_sees_files_of_linux_by_the_distribution_and_drives_by_their_letters() {
    let windows = |text: &str| to_windows(text, &Mounts::default(), "Ubuntu");
    assert_eq!(windows("/home/me/venv").as_deref(), Some(r"\\wsl$\Ubuntu\home\me\venv"));
    assert_eq!(windows("/").as_deref(), Some(r"\\wsl$\Ubuntu"));
    assert_eq!(windows("/mnt/d").as_deref(), Some(r"D:\"));
    assert_eq!(windows("/mnt/d/models/x").as_deref(), Some(r"D:\models\x"));
    assert_eq!(windows("/mnt/wsl/x").as_deref(), Some(r"\\wsl$\Ubuntu\mnt\wsl\x"));
    assert_eq!(windows("models"), None);
}

/// A name that both systems allow.
fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9 _$'éж模.-]{1,12}".prop_filter("dots go", |name| name != "." && name != "..")
}

proptest! {
    #[test]
    fn a_path_survives_the_way_there_and_back(
        drive in proptest::char::range('A', 'Z'),
        names in proptest::collection::vec(name(), 0..6),
        root in proptest::sample::select(vec!["/mnt/", "/", "/windir/", "/a/b"]),
        mounted: bool,
    ) {
        let windows = format!("{drive}:\\{}", names.join("\\"));
        let mounts = if mounted { format!("{drive}:\\134 /srv/own 9p rw,aname=drvfs;path={drive}:\\;uid=0 0 0") } else { String::new() };
        let mounts = Mounts::read(&mounts, &format!("[automount]\nroot = {root}\n"));
        let linux = to_linux(&windows, &mounts, Some("Ubuntu")).unwrap();
        prop_assert!(linux.starts_with('/') && !linux.contains("//") && !linux.contains('\\'), "{}", linux);
        prop_assert_eq!(to_windows(&linux, &mounts, "Ubuntu").unwrap(), windows);
    }

    #[test]
    fn so_does_a_path_of_the_distribution(names in proptest::collection::vec(name(), 1..6)) {
        let linux = format!("/home/{}", names.join("/"));
        let windows = to_windows(&linux, &Mounts::default(), "Ubuntu").unwrap();
        prop_assert_eq!(to_linux(&windows, &Mounts::default(), Some("Ubuntu")).unwrap(), linux);
    }

    #[test]
    fn any_text_is_a_path_or_a_reason(text in r"(\\|/|[a-d]|:|\.|\?|wsl\$|[^a]){0,12}", mounts in ".{0,60}") {
        let mounts = Mounts::read(&mounts, &text);
        match (kind(&text), to_linux(&text, &mounts, Some("Ubuntu"))) {
            (Kind::Whole(_), Ok(linux)) => prop_assert!(linux.starts_with('/'), "{}", linux),
            (Kind::Whole(WindowsPath::Drive { .. }), Err(error)) => prop_assert!(false, "{}", error),
            (_, Err(error)) => prop_assert!(!error.hints().is_empty()),
            (kind, Ok(linux)) => prop_assert!(false, "{:?} is {}", kind, linux),
        }
    }
}
