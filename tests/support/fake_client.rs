//! A coding client that tells what it was started with. By the name it is called by it also plays `npm` and `uv`.
//!
//! As a client it writes one line of JSON: its pid, its arguments after the program, its environment, the folder it is in,
//! and with `FAKE_READ` what comes on standard input.
//!
//! | variable | effect |
//! |---|---|
//! | `FAKE_CODE=n` | ends with it |
//! | `FAKE_READ=1` | reads standard input to its end first |
//! | `FAKE_WAIT=1` | then waits for a signal; a minute at most |
//! | `FAKE_VERSION=v` | what it says to a lone `--version` |
//! | `FAKE_PREFIX=dir` | npm: the global prefix |
//! | `FAKE_INSTALLS=file` | npm and uv: appends the arguments of each installation as a line of JSON |
//! | `FAKE_REFUSE=1` | npm and uv: say why not and end with 1 |

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let name = words.next().map(|path| Path::new(&path).file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    let arguments: Vec<String> = words.collect();
    match name.flatten().as_deref() {
        Some("npm") => npm(&arguments),
        Some("uv") => uv(&arguments),
        _ => client(&arguments),
    }
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn client(arguments: &[String]) -> ExitCode {
    if let (Some(version), ["--version"]) =
        (var("FAKE_VERSION"), &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..])
    {
        say(&version);
        return ExitCode::SUCCESS;
    }
    let mut input = String::new();
    if var("FAKE_READ").is_some() {
        let _ = std::io::stdin().lock().read_to_string(&mut input);
    }
    let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    };
    let env: BTreeMap<String, String> = std::env::vars_os().map(pair).collect();
    let folder = std::env::current_dir().unwrap_or_default();
    let told = serde_json::json!({
        "pid": std::process::id(), "arguments": arguments, "env": env, "input": input, "folder": folder,
    });
    say(&told.to_string());
    if var("FAKE_WAIT").is_some() {
        std::thread::sleep(Duration::from_secs(60));
    }
    ExitCode::from(var("FAKE_CODE").and_then(|code| code.parse().ok()).unwrap_or(0))
}

fn npm(arguments: &[String]) -> ExitCode {
    if arguments.first().is_some_and(|word| word == "prefix") {
        say(&var("FAKE_PREFIX").unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    if let Some(refused) = installing(arguments) {
        return refused;
    }
    let named = arguments.iter().position(|word| word == "--prefix").and_then(|at| arguments.get(at + 1)).cloned();
    let prefix = PathBuf::from(named.or(var("FAKE_PREFIX")).unwrap_or_default());
    let Some((package, version)) = arguments.last().and_then(|word| word.rsplit_once('@')) else {
        return ExitCode::FAILURE;
    };
    // The packages of the clients that the tests install.
    let program = if package.ends_with("claude-code") { "claude" } else { "client" };
    let (bin, modules) = match cfg!(windows) {
        true => (prefix.clone(), prefix.join("node_modules")),
        false => (prefix.join("bin"), prefix.join("lib/node_modules")),
    };
    let manifest = serde_json::json!({ "name": package, "version": version, "bin": { program: "x" } });
    let made = std::fs::create_dir_all(&bin)
        .and_then(|()| std::fs::create_dir_all(modules.join(package)))
        .and_then(|()| std::fs::write(modules.join(package).join("package.json"), manifest.to_string()))
        .and_then(|()| std::env::current_exe())
        .and_then(|own| std::fs::copy(own, bin.join(format!("{program}{}", std::env::consts::EXE_SUFFIX))));
    if made.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn uv(arguments: &[String]) -> ExitCode {
    installing(arguments).unwrap_or(ExitCode::SUCCESS)
}

/// Notes the installation; the exit code, where it is to fail.
fn installing(arguments: &[String]) -> Option<ExitCode> {
    if let Some(file) = var("FAKE_INSTALLS") {
        let line = format!("{}\n", serde_json::json!(arguments));
        let open = std::fs::File::options().create(true).append(true).open(file);
        let _ = open.and_then(|mut file| file.write_all(line.as_bytes()));
    }
    say("this is what an installer says");
    var("FAKE_REFUSE").map(|_| ExitCode::FAILURE)
}
