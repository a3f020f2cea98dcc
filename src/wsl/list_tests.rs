use super::*;
use crate::host::Ran;

/// As `wsl.exe` prints it: `%s %-{longest + 4}s%-16s%s`.
fn list(header: [&str; 3], lines: &[(&str, &str, &str, &str)]) -> String {
    let longest = lines.iter().map(|l| l.1.chars().count()).chain([header[0].chars().count()]).max().unwrap() + 4;
    let line =
        |mark: &str, name: &str, state: &str, version: &str| format!("{mark} {name:<longest$}{state:<16}{version}\r\n");
    let head = line(" ", header[0], header[1], header[2]);
    std::iter::once(head).chain(lines.iter().map(|(m, n, s, v)| line(m, n, s, v))).collect()
}

const ENGLISH: [&str; 3] = ["NAME", "STATE", "VERSION"];

fn told(text: &str) -> Vec<(String, u8, bool)> {
    parse(text).into_iter().map(|d| (d.name, d.version, d.default)).collect()
}

#[test]
fn the_list_is_read_whatever_language_it_speaks() {
    let languages = [
        (ENGLISH, ["Running", "Stopped"]),
        (["NAME", "STATUS", "VERSION"], ["Wird ausgeführt", "Beendet"]),
        (["NOM", "ÉTAT", "VERSION"], ["En cours d’exécution", "Arrêté"]),
        (["NOMBRE", "ESTADO", "VERSIÓN"], ["En ejecución", "Detenido"]),
        (["ИМЯ", "СОСТОЯНИЕ", "ВЕРСИЯ"], ["Работает", "Остановлено"]),
        (["名称", "状态", "版本"], ["正在运行", "已停止"]),
        (["名前", "状態", "バージョン"], ["実行中", "停止"]),
    ];
    for (header, [running, stopped]) in languages {
        let text = list(
            header,
            &[
                ("*", "Ubuntu-24.04", running, "2"),
                (" ", "docker-desktop", stopped, "2"),
                (" ", "Legacy", "Uninstalling", "1"),
            ],
        );
        let want = [("Ubuntu-24.04".into(), 2, true), ("docker-desktop".into(), 2, false), ("Legacy".into(), 1, false)];
        assert_eq!(told(&text), want, "{text}");
    }
}

#[test]
fn what_is_no_list_gives_nothing() {
    for text in [
        "",
        "Windows Subsystem for Linux has no installed distributions.\r\n\r\nUse 'wsl.exe --list --online' to see\r\n",
        "The Windows Subsystem for Linux is not installed. You can install by running 'wsl.exe --install'.\r\n",
        "Copyright (c) Microsoft Corporation. All rights reserved.\r\nUsage: wsl.exe [Argument] 2\r\n",
        "*\r\n* \r\n  2\r\n* Ubuntu\r\n",
        "适用于 Linux 的 Windows 子系统没有已安装的分发版。\r\n",
    ] {
        assert_eq!(told(text), [], "{text}");
    }
}

#[test]
fn the_default_is_taken_unless_it_cannot_be() {
    let one = |name: &str, version, default| Distribution { name: name.into(), version, default };
    let usable = |name: &str| Standing::Usable(name.into());
    let all = [one("docker-desktop", 2, true), one("Debian", 1, false), one("Ubuntu", 2, false), one("Arch", 2, false)];
    assert_eq!(choose(&all, None), usable("Ubuntu"));
    assert_eq!(choose(&all, Some("arch")), usable("Arch"));
    assert_eq!(choose(&all, Some("docker-desktop")), usable("docker-desktop"), "who names it, means it");
    assert_eq!(choose(&all, Some("Debian")), Standing::Version1("Debian".into()));
    assert_eq!(choose(&all, Some("Fedora")), Standing::Unknown("Fedora".into()));
    assert_eq!(choose(&[one("Arch", 2, false), one("Ubuntu", 2, true)], None), usable("Ubuntu"));
    assert_eq!(choose(&[one("Ubuntu", 1, true), one("Arch", 2, false)], None), usable("Arch"));
    assert_eq!(choose(&[one("Ubuntu", 1, true)], None), Standing::Version1("Ubuntu".into()));
    let made = [
        one("Docker-Desktop-data", 2, true),
        one("rancher-desktop", 2, false),
        one("podman-machine-default", 2, false),
    ];
    assert_eq!(choose(&made, None), Standing::NoDistribution);
    assert_eq!(choose(&[], None), Standing::NoDistribution);
}

#[test]
fn every_standing_but_one_names_its_cure() {
    let name = || "Ubuntu".to_owned();
    for standing in
        [Standing::NotInstalled, Standing::NoDistribution, Standing::Version1(name()), Standing::Unknown(name())]
    {
        let (why, cure) = standing.missing().unwrap();
        assert!(why.contains("WSL") && cure.contains("`wsl --"), "{why}: {cure}");
        assert_eq!(standing.usable(), None);
    }
    assert_eq!(Standing::Usable(name()).missing(), None);
}

/// A Windows with or without WSL.
struct Machine {
    os: Os,
    wsl: bool,
    list: &'static str,
    status: i32,
}

impl crate::host::StandIn for Machine {
    fn run(&self, program: &std::path::Path, args: &[&str], _: Duration) -> std::io::Result<Ran> {
        assert_eq!(program.file_name().unwrap(), "wsl.exe");
        let (code, stdout) = match args {
            ["--list", "--verbose"] => (if self.list.is_empty() { -1 } else { 0 }, self.list),
            ["--status"] => (self.status, ""),
            other => panic!("{other:?}"),
        };
        Ok(Ran { code: Some(code), stdout: stdout.to_owned(), stderr: String::new() })
    }
    fn which(&self, name: &str) -> Option<PathBuf> {
        (self.wsl && name == "wsl.exe").then(|| PathBuf::from("/bin/wsl.exe"))
    }
    fn os(&self) -> Os {
        self.os
    }
}

#[test]
fn windows_is_asked_and_nobody_else() {
    let ubuntu = "  NAME      STATE           VERSION\r\n* Ubuntu    Stopped         2\r\n";
    let machine = Machine { os: Os::Windows, wsl: true, list: ubuntu, status: 0 };
    assert_eq!(standing(&machine), Some(Standing::Usable("Ubuntu".into())));
    assert_eq!(standing(&Machine { wsl: false, ..machine }), Some(Standing::NotInstalled));
    let empty = Machine { os: Os::Windows, wsl: true, list: "", status: 0 };
    assert_eq!(standing(&empty), Some(Standing::NoDistribution));
    assert_eq!(standing(&Machine { status: 1, ..empty }), Some(Standing::NotInstalled));
    assert_eq!(standing(&Machine { os: Os::Linux, wsl: true, list: ubuntu, status: 0 }), None);
}
