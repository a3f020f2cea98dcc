//! What people get wrong: every mistake ends with its own exit code, what was found, and what to type instead, before
//! anything is started.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Home, Ran, finish, free_port, spawned};

/// A plan-only start, which must be refused.
fn refused(home: &Home, args: &[&str], code: i32) -> String {
    let ran = home.run(args);
    expect(home, &ran, code, args)
}

fn expect(home: &Home, ran: &Ran, code: i32, args: &[&str]) -> String {
    assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
    assert!(ran.err.starts_with("error: ") || ran.err.contains("\nerror: "), "{args:?}: {}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    assert_eq!(ran.out, "", "{args:?}: only data goes to standard output");
    assert_eq!(home.pids(), [], "{args:?}: an engine was started");
    ran.err.clone()
}

/// A refusal of a model at `path`, with an engine on PATH that must not be started.
fn bad_model(home: &Home, path: &Path) -> String {
    let port = free_port().to_string();
    let by_path = ["start", path.to_str().unwrap(), "--port", &port];
    let said = expect(home, &finish(home.faked(&["vllm", "llama-server"], &by_path)), 3, &by_path);
    let by_flag = ["start", "mine", "--model-dir", path.to_str().unwrap(), "--port", &port];
    let again = expect(home, &finish(home.faked(&["vllm", "llama-server"], &by_flag)), 3, &by_flag);
    assert_eq!(said, again);
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    said
}

#[test]
fn an_unknown_model_is_answered_with_the_nearest_names() {
    let home = Home::new();
    let said = refused(&home, &["start", "glm-4.6x"], 3);
    assert!(said.contains("\"glm-4.6x\""), "{said}");
    assert!(said.contains("did you mean glm-4."), "{said}");
    assert!(said.contains("`llmup start glm-4.6x --model-dir DIR`"), "{said}");
}

#[test]
fn a_path_that_is_no_model_is_told_what_it_is_instead() {
    let home = Home::new();
    let at = |name: &str| home.path().join(name);
    std::fs::create_dir(at("models")).unwrap();
    std::fs::create_dir(at("models/qwen3-8b")).unwrap();

    let said = bad_model(&home, &at("models/qwen3-8"));
    assert!(said.contains("there is no ") && said.contains("did you mean `"), "{said}");
    assert!(said.contains("qwen3-8b`?"), "{said}");

    let said = bad_model(&home, &at("models/qwen3-8b"));
    assert!(said.contains("is empty") && said.contains("config.json"), "{said}");

    std::fs::write(at("models/qwen3-8b/notes.txt"), "hello").unwrap();
    let said = bad_model(&home, &at("models/qwen3-8b"));
    assert!(said.contains("has no config.json") && said.contains("holds notes.txt"), "{said}");

    std::fs::write(at("page.gguf"), "<!DOCTYPE html><html><title>Not found</title></html>").unwrap();
    let said = bad_model(&home, &at("page.gguf"));
    let look = if cfg!(windows) { "Get-Content" } else { "head -c 200" };
    assert!(said.contains("is a web page, not a model's file") && said.contains(look), "{said}");
    std::fs::write(at("page.gguf"), "PK\x03\x04 an archive").unwrap();
    let said = bad_model(&home, &at("page.gguf"));
    assert!(said.contains("is not a GGUF file") && said.contains("expected \"GGUF\""), "{said}");

    std::fs::write(at("page.txt"), "hello").unwrap();
    let said = bad_model(&home, &at("page.txt"));
    assert!(said.contains("is no model file"), "{said}");
}

#[test]
fn weights_that_were_cut_short_or_damaged_are_refused_with_both_sizes() {
    let home = Home::new();
    let dir = home.path().join("cut");
    llmup::model::demo::ensure(&home.path().join("made"), llmup::model::Format::Safetensors).unwrap();
    let made = llmup::model::demo::path(&home.path().join("made"), llmup::model::Format::Safetensors);
    std::fs::create_dir(&dir).unwrap();
    for entry in std::fs::read_dir(made).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
    let weights = dir.join("model.safetensors");
    let whole = std::fs::metadata(&weights).unwrap().len();
    std::fs::File::options().write(true).open(&weights).unwrap().set_len(whole / 2).unwrap();
    let said = bad_model(&home, &dir);
    assert!(said.contains("is truncated") && said.contains(&format!("expected {whole} bytes")), "{said}");
    assert!(said.contains(&format!("found {}", whole / 2)) && said.contains("download it again"), "{said}");

    // A header that lies about its length must not be believed.
    for bytes in [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", b"\x02\0\0\0\0\0\0\0[]", b"abc"] {
        std::fs::write(&weights, bytes).unwrap();
        bad_model(&home, &dir);
    }
    std::fs::write(dir.join("config.json"), "{\"architectures\": [\n  oops").unwrap();
    let said = bad_model(&home, &dir);
    assert!(said.contains("line 2, column 3"), "{said}");
}

#[test]
fn a_profile_that_is_no_yaml_is_refused_with_line_and_column() {
    let home = Home::new();
    let profiles = home.path().join("config").join("profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    let file = profiles.join("glm-4.7.yaml");
    for (text, place) in [("name: glm-4.7\ntitle: [a, b]\n", ":2:8"), ("name: glm-4.7\ntitle: \"a\n", ":3:1")] {
        std::fs::write(&file, text).unwrap();
        let said = refused(&home, &["start", "glm-4.7"], 3);
        assert!(said.contains(&format!("{}{place}", file.display())), "{said}");
    }
    // Somebody else's broken profile does not stand in the way of the demo.
    let ran = home.run(&["start", "demo", "--dry-run", "--engine", "llama-cpp"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.starts_with(&format!("note   {}:", file.display())), "{}", ran.err);
}

#[test]
fn without_an_engine_and_nobody_to_ask_the_command_that_installs_it_is_said() {
    let home = Home::new();
    let mut command = home.llmup(&["start", "demo", "--port", &free_port().to_string()]);
    // Nothing on PATH at all.
    command.env("PATH", home.path().join("nothing"));
    let said = expect(&home, &finish(command), 4, &["start", "demo"]);
    assert!(said.contains("llama-cpp is not installed"), "{said}");
    assert!(said.contains("`llmup engine install llama-cpp`") && said.contains("`--yes`"), "{said}");
    assert!(!home.data.join("models").exists(), "the model was written before the refusal");
}

#[test]
fn a_context_nothing_can_hold_is_refused_with_the_one_that_fits() {
    let home = Home::new();
    let args = ["start", "demo", "--context", "999999999"];
    let said = expect(&home, &finish(home.faked(&["llama-server"], &args)), 5, &args);
    assert!(said.contains("999999999") && said.contains("`--context 131072`"), "{said}");
    for args in [["start", "demo", "--context", "12"], ["start", "demo", "--context", "many"]] {
        refused(&home, &args, 2);
    }
}

#[test]
fn env_says_what_to_start_and_which_clients_there_are() {
    let home = Home::new();
    let said = refused(&home, &["env", "claude"], 4);
    assert!(said.contains("no gateway is running") && said.contains("`llmup start demo --yes`"), "{said}");
    let said = refused(&home, &["env", "nosuch"], 2);
    assert!(said.contains("\"nosuch\"") && said.contains("clients: claude, codex, gemini"), "{said}");
    let said = refused(&home, &["env", "claude", "--shell", "nosuch"], 2);
    assert!(said.contains("\"nosuch\"") && said.contains("fish"), "{said}");
    let said = refused(&home, &["env", "claude", "--base-url", "localhost:80"], 2);
    assert!(said.contains("`--base-url http://"), "{said}");
}

#[test]
fn a_flag_the_engine_refuses_is_told_in_its_own_words() {
    for (program, engine, words) in [
        ("llama-server", "llama-cpp", "error: invalid argument: --no-such-flag"),
        ("vllm", "vllm", "unrecognized arguments: --no-such-flag"),
    ] {
        if cfg!(windows) && engine == "vllm" {
            // It does not run there.
            continue;
        }
        let home = Home::new();
        let port = free_port().to_string();
        let args = ["start", "demo", "--engine", engine, "--port", &port, "--", "--no-such-flag"];
        let ran = finish(home.faked(&[program], &args));
        assert_eq!(ran.code, Some(6), "{}", ran.err);
        assert!(ran.err.contains(words), "{}", ran.err);
        assert!(ran.err.contains("hint: this ") && ran.err.contains("does not know that flag"), "{}", ran.err);
        assert_eq!(home.instances(), 0);
    }
}

#[test]
fn a_port_somebody_else_holds_is_named_with_its_holder_and_the_next_free_one() {
    let home = Home::new();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let args = ["start", "demo", "--port", &port.to_string()];
    let said = expect(&home, &finish(home.faked(&["llama-server"], &args)), 7, &args);
    assert!(said.contains(&format!("port {port} is taken by ")), "{said}");
    #[cfg(target_os = "linux")]
    assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
    let free = said
        .split("hint: the next free one: `llmup start demo --port ")
        .nth(1)
        .and_then(|rest| rest.split('`').next())
        .expect("a free port");
    assert!(free.parse::<u16>().unwrap() > port, "{said}");
    // The engine's own port, likewise.
    let args = ["start", "demo", "--port", &free_port().to_string(), "--engine-port", &port.to_string()];
    let said = expect(&home, &finish(home.faked(&["llama-server"], &args)), 7, &args);
    assert!(said.contains(&format!("the engine's port {port} is taken by ")), "{said}");
}

#[test]
fn an_engine_url_that_is_none_is_refused() {
    let home = Home::new();
    for url in ["localhost:8000", "ftp://example.invalid/v1", "http://", ""] {
        let said = refused(&home, &["start", "mine", "--engine-url", url], 2);
        assert!(said.contains("`--engine-url http://127.0.0.1:8000/v1`"), "{said}");
    }
    // Nobody listens there.
    let url = format!("http://127.0.0.1:{}", free_port());
    let said = refused(&home, &["start", "mine", "--engine-url", &url, "--port", &free_port().to_string()], 4);
    assert!(said.contains(&url), "{said}");
}

#[test]
fn a_reader_that_closes_its_pipe_is_no_panic() {
    let home = Home::new();
    for args in [&["start", "demo", "--dry-run"][..], &["start", "demo", "--dry-run", "--json"], &["doctor", "--json"]]
    {
        let mut command = home.faked(&["llama-server"], args);
        let (reader, writer) = std::io::pipe().unwrap();
        // Closed before anything is written: the worst case of `| head -c 1`.
        drop(reader);
        let output = spawned(command.stdout(writer).stderr(Stdio::piped())).wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!err.contains("panicked") && !err.contains("error:"), "{args:?}: {err}");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
    }
}

#[test]
#[cfg(unix)]
fn a_data_folder_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    // A file where the folder should be stops everybody, root too.
    std::fs::write(&home.data, "not a folder").unwrap();
    let args = ["start", "demo", "--port", &free_port().to_string()];
    let said = expect(&home, &finish(home.faked(&["llama-server"], &args)), 3, &args);
    assert!(said.contains(home.data.to_str().unwrap()), "{said}");
    std::fs::remove_file(&home.data).unwrap();
    if nix::unistd::geteuid().is_root() {
        // Root may write everywhere.
        return;
    }
    std::fs::create_dir(&home.data).unwrap();
    std::fs::set_permissions(&home.data, std::fs::Permissions::from_mode(0o500)).unwrap();
    let said = expect(&home, &finish(home.faked(&["llama-server"], &args)), 3, &args);
    assert!(said.contains(home.data.to_str().unwrap()) && said.contains("hint: "), "{said}");
    std::fs::set_permissions(&home.data, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// The contract with scripts stands in two places; they must not drift apart.
#[test]
fn the_readmes_exit_codes_are_the_programs() {
    let Ok(readme) = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")) else {
        llmup::output::note("skipped: no README.md yet");
        return;
    };
    let mut rows: Vec<(u8, String)> = Vec::new();
    for line in readme.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        // `| 0 | ok |`; the row for signals (128 + n) has no number of its own.
        if let [code, words] = cells[..]
            && line.trim().starts_with('|')
            && let Ok(code) = code.trim_matches('`').parse()
        {
            rows.push((code, words.to_owned()));
        }
    }
    let table: Vec<(u8, String)> =
        llmup::exit::Exit::TABLE.iter().map(|(exit, words)| (exit.code(), (*words).to_owned())).collect();
    assert_eq!(rows, table);
}

#[test]
fn a_name_that_is_none_is_refused_at_once() {
    let home = Home::new();
    // A command line of Windows holds 32,767 characters.
    let long = if cfg!(windows) { 30_000 } else { 100_000 };
    let (no_name, no_path) = ("a".repeat(4000), "a".repeat(long));
    for command in ["start", "plan", "pull"] {
        for empty in ["", " "] {
            assert!(refused(&home, &[command, empty], 2).contains("`llmup models`"), "{command}");
        }
        assert!(refused(&home, &[command, &no_path], 2).contains(&format!("longer ({long} bytes)")), "{command}");
        // Not compared with every name there is, which would take minutes.
        assert!(refused(&home, &[command, &no_name], 3).contains("`llmup models`"), "{command}");
    }
    refused(&home, &["env", &no_path], 2);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_no_success() {
    let home = Home::new();
    for args in [&["models"][..], &["hardware", "--json"]] {
        let mut command = home.llmup(args);
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && err.contains("cannot write the output"), "{args:?} {err}");
    }
}

#[test]
fn a_machine_is_not_read_without_end() {
    let home = Home::new();
    if Path::new("/dev/zero").exists() {
        let said = refused(&home, &["plan", "glm-4.7-flash", "--machine", "/dev/zero"], 3);
        assert!(said.contains("too long"), "{said}");
    }
}
