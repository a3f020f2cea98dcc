//! Where people keep their models and programs: folders with blanks, other scripts and drives, on every system.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Home, finish};

/// A home whose data is in `data`, with the demo model written there; gives its GGUF.
fn with_demo(home: &Home) -> PathBuf {
    let kind = llmup::model::Format::Gguf;
    let models = home.data.join("models");
    llmup::model::demo::ensure(&models, kind).unwrap();
    let path = llmup::model::demo::path(&models, kind);
    assert!(path.exists());
    path
}

/// The plan for a model at `path`, as data and as text.
fn planned(home: &Home, path: &str) -> (Value, String) {
    let mut args = vec!["start", path, "--engine", "llama-cpp", "--dry-run"];
    let text = finish(home.faked(&["llama-server"], &args));
    assert_eq!(text.code, Some(0), "{path}: {}{}", text.out, text.err);
    args.push("--json");
    let json = finish(home.faked(&["llama-server"], &args));
    assert_eq!(json.code, Some(0), "{path}: {}", json.err);
    for said in [&text.out, &text.err, &json.out, &json.err] {
        assert!(!said.contains(r"\\?\") && !said.contains(r"\\\\?\\"), "a path in the system's own form: {said}");
    }
    (serde_json::from_str(&json.out).unwrap(), text.out)
}

/// Plans for this file and looks for it, as it was given, in the engine's command.
fn is_planned_as_given(home: &Home, path: &str, name: &str) {
    let (plan, text) = planned(home, path);
    assert_eq!(plan["model"], name, "{plan}");
    let command: Vec<&str> = plan["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let at = command.iter().position(|word| *word == "-m").unwrap();
    assert_eq!(command[at + 1], path);
    let shown = llmup::error::paste::word(path, llmup::host::Os::current());
    assert!(text.contains(&format!(" -m {shown} ")), "{text}");
}

#[test]
fn a_model_may_lie_anywhere() {
    let home = Home::new();
    let demo = with_demo(&home);
    for folder in ["models", "my models (new)", "Грета's 模型"] {
        let dir = home.path().join(folder);
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("glm-4.7.gguf");
        std::fs::copy(&demo, &path).unwrap();
        is_planned_as_given(&home, path.to_str().unwrap(), "glm-4.7");
    }
}

#[test]
#[cfg(windows)]
fn drives_slashes_and_shares_are_places_like_others() {
    let home = Home::new();
    let demo = with_demo(&home);
    let plain = home.path().join("glm-4.7.gguf");
    std::fs::copy(&demo, &plain).unwrap();
    is_planned_as_given(&home, &plain.to_str().unwrap().replace('\\', "/"), "glm-4.7");
    // A drive that some machines have; scripts/wine-run gives one to Wine.
    let other = std::path::Path::new(r"D:\llmup-test\models");
    if std::fs::create_dir_all(other).is_ok() {
        let path = other.join("glm-4.7.gguf");
        std::fs::copy(&demo, &path).unwrap();
        is_planned_as_given(&home, path.to_str().unwrap(), "glm-4.7");
        std::fs::remove_dir_all(r"D:\llmup-test").unwrap();
    } else {
        llmup::output::note("skipped: no drive D:");
    }
    // A share that scripts/windows gives to Wine, or the administrative one of the drive that holds the home.
    let text = plain.to_str().unwrap();
    let share = match std::env::var("LLMUP_TEST_SHARE") {
        Ok(share) => {
            let path = format!(r"{share}\Грета's models {}.gguf", std::process::id());
            std::fs::copy(&demo, &path).unwrap();
            path
        }
        Err(_) => format!(r"\\localhost\{}${}", &text[..1], &text[2..]),
    };
    if std::path::Path::new(&share).exists() {
        let name = std::path::Path::new(&share).file_stem().unwrap().to_str().unwrap().to_owned();
        is_planned_as_given(&home, &share, &name);
        if share != text {
            std::fs::remove_file(&share).unwrap();
        }
    } else {
        llmup::output::note("skipped: no administrative share");
    }
}

/// Longer than what a Windows program opens that does not take care: 260 characters.
#[test]
fn a_path_may_be_long() {
    let home = Home::new();
    let demo = with_demo(&home);
    let deep = (0..12).fold(home.path().join("Грета's models"), |path, _| path.join("folder ".repeat(4) + "x"));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("glm-4.7.gguf");
    std::fs::copy(&demo, &path).unwrap();
    let path = path.to_str().unwrap();
    assert!(path.len() > 300);
    if !cfg!(windows) {
        return is_planned_as_given(&home, path, "glm-4.7");
    }
    let json = finish(home.faked(&["llama-server"], &["start", path, "--engine", "llama-cpp", "--dry-run", "--json"]));
    assert_eq!(json.code, Some(0), "{}", json.err);
    let plan: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(plan["model"], "glm-4.7", "{plan}");
    // llama.cpp opens it in this form only.
    assert!(plan["command"].as_array().unwrap().contains(&format!(r"\\?\{path}").into()), "{plan}");
}

/// A whole run by a user whose name is not of this alphabet: home, data, model and programs lie below it.
#[test]
fn a_user_may_have_any_name() {
    let mut home = Home::new();
    home.data = home.path().join("Users/Грета Müller (模型)/AppData/llmup");
    let demo = with_demo(&home);
    let path = home.data.join("my models").join("glm-4.7.gguf");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::copy(&demo, &path).unwrap();
    let port = crate::support::free_port().to_string();
    let args = ["start", path.to_str().unwrap(), "--engine", "llama-cpp", "--json", "--port", &port, "--api-key", "k"];
    let mut running = home.start(home.faked(&["llama-server"], &args));
    let ready = running.ready(std::time::Duration::from_secs(180));
    assert_eq!(ready["model"], "glm-4.7", "{ready}");
    let status = home.run(&["status", "--json"]);
    assert!(status.code == Some(0) && status.out.contains("glm-4.7"), "{}{}", status.out, status.err);
    let logs = home.run(&["logs"]);
    assert!(logs.code == Some(0) && !logs.out.is_empty(), "{}{}", logs.out, logs.err);
    for (client, mark) in [("claude", "ANTHROPIC_BASE_URL"), ("codex", "CODEX_HOME")] {
        let env = home.run(&["env", client, "--json"]);
        assert!(env.code == Some(0) && env.out.contains(mark), "{}{}", env.out, env.err);
    }
    assert!(home.data.join("clients/codex/config.toml").is_file());
    assert_eq!(home.run(&["stop", "--all"]).code, Some(0));
    running.wait(std::time::Duration::from_secs(180));
    assert_eq!(home.instances(), 0, "a state file is left");
}

/// Types a line into cmd; exit code, then what it said.
#[cfg(windows)]
fn cmd(home: &Home, line: &str) -> (Option<i32>, String) {
    use std::os::windows::process::CommandExt;
    let clean = home.llmup(&[]);
    let mut cmd = std::process::Command::new("cmd");
    cmd.env_clear().envs(clean.get_envs().filter_map(|(name, value)| Some((name, value?))));
    cmd.raw_arg("/d /s /c").raw_arg(format!("\"{line}\"")).current_dir(home.path());
    let ran = finish(cmd);
    (ran.code, format!("{line}\n{}{}", ran.out, ran.err))
}

/// Lines for cmd that load the settings, with llmup where it is and in a folder with blanks and parentheses.
#[cfg(windows)]
fn loading(home: &Home) -> Vec<String> {
    use llmup::client::shell::Shell;
    let bin = home.path().join("my tools (x86)");
    std::fs::create_dir(&bin).unwrap();
    let copy = bin.join("llmup.exe");
    std::fs::copy(env!("CARGO_BIN_EXE_llmup"), &copy).unwrap();
    let line = |program: &str| {
        let program = Shell::Cmd.program(program);
        Shell::Cmd
            .how_to_load(&format!("{program} env claude --shell cmd --base-url http://127.0.0.1:7777 --api-key k"))
    };
    vec![line(env!("CARGO_BIN_EXE_llmup")), line(copy.to_str().unwrap())]
}

#[test]
#[cfg(windows)]
fn cmd_starts_llmup_from_any_folder_and_reads_its_lines() {
    let home = Home::new();
    for line in loading(&home) {
        let shown = line.replace("do @%i", "do @echo %i");
        assert_ne!(line, shown);
        let (code, said) = cmd(&home, &llmup::client::shell::Shell::Cmd.then(&shown, "echo after"));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("\"ANTHROPIC_BASE_URL=http://127.0.0.1:7777\""), "{said}");
        let after = said.lines().filter(|line| line.trim() == "after").count();
        assert_eq!(after, 1, "what comes next is done once, not per line: {said}");
    }
}

/// What the box after a start tells a user of cmd.
#[test]
#[cfg(windows)]
fn what_is_to_be_typed_into_cmd_sets_the_variables() {
    let home = Home::new();
    for line in loading(&home) {
        let (code, said) = cmd(&home, &llmup::client::shell::Shell::Cmd.then(&line, "set ANTHROPIC_"));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("\nANTHROPIC_BASE_URL=http://127.0.0.1:7777"), "{said}");
    }
}
