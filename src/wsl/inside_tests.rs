use std::collections::BTreeMap;

use super::*;

/// A Linux with these files and variables.
struct Machine(Os, BTreeMap<&'static str, &'static str>);

impl Machine {
    fn wsl(more: &[(&'static str, &'static str)]) -> Machine {
        let files = [
            ("/proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n"),
            ("/proc/mounts", "C:\\134 /mnt/c 9p rw,aname=drvfs;path=C:\\;uid=1000,trans=fd 0 0\n"),
            ("$WSL_DISTRO_NAME", "Ubuntu"),
        ];
        Machine(Os::Linux, files.into_iter().chain(more.iter().copied()).collect())
    }

    fn local(&self, given: &str) -> Result<Option<PathBuf>, PathError> {
        local(self, Path::new(given), false)
    }
}

impl crate::host::StandIn for Machine {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let found = path.to_str().and_then(|path| self.1.get(path));
        found.map(|text| text.as_bytes().to_vec()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
    fn env(&self, name: &str) -> Option<String> {
        self.1.get(format!("${name}").as_str()).map(|value| (*value).to_owned())
    }
    fn os(&self) -> Os {
        self.0
    }
}

#[test]
fn which_wsl_this_is_is_told_by_the_kernel_and_its_name_by_a_variable() {
    let told = |more: &[(&'static str, &'static str)]| here(&Machine::wsl(more)).map(|here| here.to_string());
    assert_eq!(told(&[]).as_deref(), Some("2 (Ubuntu)"));
    assert_eq!(told(&[("$WSL_DISTRO_NAME", "")]).as_deref(), Some("2"));
    assert_eq!(told(&[("/proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n")]).as_deref(), Some("1 (Ubuntu)"));
    // A kernel of the user's own, and the first ones of WSL 2.
    for release in ["6.9.0-mine\n", "4.19.84-microsoft-standard\n"] {
        assert_eq!(told(&[("/proc/sys/kernel/osrelease", release)]).as_deref(), Some("2 (Ubuntu)"), "{release}");
    }
    let elsewhere = [("/proc/sys/kernel/osrelease", "6.8.0-41-generic\n"), ("$WSL_DISTRO_NAME", "")];
    assert_eq!(told(&elsewhere), None);
    assert_eq!(here(&Machine(Os::Windows, [("$WSL_DISTRO_NAME", "Ubuntu")].into())), None);
}

#[test]
fn in_wsl_a_windows_path_is_the_file_it_names() {
    let machine = Machine::wsl(&[("/mnt/d", "")]);
    let is = |given: &str, want: &str| assert_eq!(machine.local(given), Ok(Some(want.into())), "{given}");
    is(r"C:\models\glm", "/mnt/c/models/glm");
    is(r"D:\models\glm", "/mnt/d/models/glm");
    is(r"\\wsl$\Ubuntu\home\me\glm", "/home/me/glm");
    is(r".\models\glm", "./models/glm");
    for other in ["qwen3:8b", "d:latest", "/mnt/c/x", "glm-4.7", "./x", "hf.co/a/b:Q4"] {
        assert_eq!(machine.local(other), Ok(None), "{other}");
    }
    assert!(matches!(local(&machine, Path::new("D:models"), true), Err(PathError::Relative { .. })));
    assert!(matches!(machine.local(r"X:\models"), Err(PathError::NotMounted { drive: 'X', .. })));
    assert!(matches!(machine.local(r"\\nas\models\glm"), Err(PathError::Share { .. })));
    assert!(matches!(machine.local(r"\\wsl$\Debian\x"), Err(PathError::OtherDistribution { .. })));
    let named = Machine::wsl(&[(r"C:\odd", "a file of Linux with this very name")]);
    assert_eq!(named.local(r"C:\odd"), Ok(None));
}

#[test]
fn elsewhere_a_path_says_what_it_says() {
    let plain = Machine(Os::Linux, BTreeMap::from([("/proc/sys/kernel/osrelease", "6.8.0-45-generic\n")]));
    assert!(!is_wsl(&plain));
    assert_eq!(plain.local(r"D:\models"), Ok(None));
    let windows = Machine(Os::Windows, Machine::wsl(&[]).1);
    assert!(!is_wsl(&windows));
    assert_eq!(windows.local(r"D:\models"), Ok(None));
    let own_kernel = Machine(Os::Linux, BTreeMap::from([("$WSL_DISTRO_NAME", "Ubuntu"), ("/mnt/c", "")]));
    assert_eq!(own_kernel.local(r"C:\x"), Ok(Some("/mnt/c/x".into())));
}
