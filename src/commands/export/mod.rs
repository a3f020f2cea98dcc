//! `llmup export systemd|launchd|windows-task`: what a service manager needs to run llmup, on standard output; how to
//! install it, on standard error. No key is ever in it: a unit is readable for everybody, and so is `ps`.

mod launchd;
mod systemd;
mod windows_task;

use std::path::PathBuf;

use clap::Parser;

use super::start::{file_name, given};
use crate::cli::{Cli, Command, ExportCommand, ServiceArgs, StartArgs};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::output;
use crate::paths::Paths;

/// Longer than llmup's own end ever takes: 5 s for requests, 8 s for the engine, 20 s for the system to remove it.
const STOP_SECONDS: u32 = 60;

/// Variables that decide what llmup finds and where it puts things. None of them is a secret; proxies are not among
/// them, because their addresses often hold a password.
const CARRIED: &[&str] = &[
    "PATH",
    "LLMUP_DATA_DIR",
    "LLMUP_CONFIG_DIR",
    "LLMUP_LOG_MIB",
    "LLMUP_LOG_KEEP",
    "LLMUP_VLLM_VENV",
    "LLMUP_OFFLINE",
    "LD_LIBRARY_PATH",
    "HF_HOME",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "MODELSCOPE_ENDPOINT",
    "OLLAMA_HOST",
    "OLLAMA_MODELS",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ASCEND_RT_VISIBLE_DEVICES",
];

/// Variables that hold keys; they belong into a file only the service's user may read.
const SECRET: &[&str] = &["LLMUP_API_KEY", "LLMUP_ENGINE_KEY", "LLMUP_BACKEND_KEY", "HF_TOKEN", "MODELSCOPE_API_TOKEN"];

/// What shall run.
#[derive(Debug)]
struct Service {
    /// This very program.
    program: PathBuf,
    /// Its arguments.
    args: Vec<String>,
    /// `llmup-glm-4.7`.
    name: String,
    /// For people.
    description: String,
    /// Paths in the arguments may be relative to it.
    dir: PathBuf,
    /// Variables, none of them secret.
    env: Vec<(String, String)>,
    /// A file with those that are.
    environment_file: Option<PathBuf>,
    /// Folders llmup writes into.
    writes: Vec<PathBuf>,
    /// It has a configuration that can be read again.
    reloads: bool,
}

/// Runs the subcommand; gives the exit code.
pub fn run(command: &ExportCommand, paths: &Paths) -> Result<u8> {
    let args = match command {
        ExportCommand::Systemd { service, .. }
        | ExportCommand::Launchd { service }
        | ExportCommand::WindowsTask { service } => service,
    };
    let mut service = service(args, paths)?;
    let notes = match command {
        ExportCommand::Systemd { system, environment_file, .. } => {
            service.environment_file = environment_file.as_ref().map(|file| service.dir.join(file));
            let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
            output::data(&systemd::unit(&service, *system, user.as_deref()));
            systemd::notes(&service, *system, user.as_deref())
        }
        ExportCommand::Launchd { .. } => {
            let log = paths.logs().join(format!("{}.service.log", service.name));
            output::data(&launchd::property_list(&service, &log));
            launchd::notes(&service, &log)
        }
        ExportCommand::WindowsTask { .. } => {
            output::data(&windows_task::task(&service));
            windows_task::notes(&service)
        }
    };
    for note in notes.into_iter().chain(warnings(&service)) {
        output::note(&note);
    }
    Ok(Exit::Ok.code())
}

/// The service for the words of the command line, which must be ones llmup understands.
fn service(args: &ServiceArgs, paths: &Paths) -> Result<Service> {
    let usage = |message: String, hint: &str| Plain::new(Exit::Usage, message, hint);
    let mut words = args.words.clone();
    if !matches!(words.first().map(String::as_str), Some("start" | "serve")) {
        words.insert(0, "start".to_owned());
    }
    secrets(&words)?;
    let all = std::iter::once("llmup".to_owned()).chain(words.iter().cloned());
    let parsed = Cli::try_parse_from(all).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        usage(first, "give what would run it: `llmup export systemd glm-4.7 --port 4000`")
    })?;
    let (name, description, reloads) = match parsed.command {
        Command::Start(start) if start.detach || start.dry_run => {
            let message = "a service runs in the foreground: --detach and --dry-run are not for it".to_owned();
            return Err(usage(message, "leave them out: `llmup export systemd MODEL`").into());
        }
        Command::Start(StartArgs { config: Some(file), .. }) => {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            (file_name(&stem), format!("llmup with the models of {}", file.display()), false)
        }
        Command::Start(start) => {
            let short = start.model.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
            (file_name(short), format!("llmup with {}", start.models().collect::<Vec<_>>().join(", ")), false)
        }
        Command::Serve(serve) => ("serve".to_owned(), "llmup's gateway".to_owned(), serve.config.is_some()),
        _ => return Err(usage("only start and serve can be services".to_owned(), "see `llmup export --help`").into()),
    };
    let bug = |error: std::io::Error| Plain::new(Exit::Bug, error.to_string(), "run it in a folder that exists");
    let dir = std::env::current_dir().map_err(bug)?;
    Ok(Service {
        program: std::env::current_exe().map_err(bug)?,
        args: words,
        name: format!("llmup-{}", name.replace(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c), "_")),
        description,
        env: CARRIED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), given(std::env::var(name).ok().as_deref())?)))
            .collect(),
        environment_file: None,
        writes: [&paths.data, &paths.config].map(|path| dir.join(path)).to_vec(),
        dir,
        reloads,
    })
}

/// Refuses keys on the command line: it would be in the unit, and in `ps`.
fn secrets(words: &[String]) -> Result<()> {
    const FLAGS: &[&str] = &["--api-key", "--engine-key", "--backend-key", "--hf-token", "--master-key"];
    let flag = |word: &String| FLAGS.iter().find(|flag| word.strip_prefix(**flag).is_some_and(begins_value)).copied();
    let with_password = |word: &&String| {
        word.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')))
    };
    let what = words.iter().find_map(flag).map(str::to_owned);
    let Some(what) = what.or_else(|| words.iter().find(with_password).map(|_| "a password in a URL".to_owned())) else {
        return Ok(());
    };
    let message = format!("{what} would stand in a file that everybody on this machine may read, and in `ps`");
    let hints = vec![
        "leave it out: the key that llmup made is kept in its data folder".to_owned(),
        "or put `LLMUP_API_KEY=…` (LLMUP_ENGINE_KEY, LLMUP_BACKEND_KEY) into a file of mode 600 and name it: \
         `llmup export systemd --environment-file FILE …`"
            .to_owned(),
    ];
    Err(Plain { message, exit: Exit::Usage, hints }.into())
}

fn begins_value(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('=')
}

/// What will be different in a service.
fn warnings(service: &Service) -> Vec<String> {
    let mut all = Vec::new();
    let kept: Vec<&str> =
        SECRET.iter().copied().filter(|name| given(std::env::var(name).ok().as_deref()).is_some()).collect();
    if !kept.is_empty() && service.environment_file.is_none() {
        all.push(output::warned(format!("{} is set here and not for the service: it is a secret", kept.join(", "))));
    }
    let own = service.args.split(|word| word == "--").next().unwrap_or_default();
    if own.first().is_some_and(|verb| verb == "start") && !own.iter().any(|word| word == "--yes" || word == "-y") {
        all.push(output::warned(
            "a service answers no questions: start it once by hand, so that engine and weights are there, or add --yes"
                .to_owned(),
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn of(args: &[&str]) -> Service {
        Service {
            program: "/opt/my tools/llmup".into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            name: "llmup-glm".to_owned(),
            description: "llmup with 100% glm".to_owned(),
            dir: "/home/ann/我的 models".into(),
            env: vec![("PATH".to_owned(), "/usr/bin:/opt/a b/$x%h\"q".to_owned())],
            environment_file: None,
            writes: vec!["/home/ann/.local/share/llmup".into()],
            reloads: false,
        }
    }

    fn made(words: &[&str]) -> Result<Service> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        service(&ServiceArgs { words }, &Paths { data: "/d".into(), config: "/c".into() })
    }

    #[test]
    fn what_llmup_would_refuse_is_refused_before_it_is_a_service() {
        let service = made(&["./models/My Model.gguf", "--port", "7", "--", "--enforce-eager"]).unwrap();
        assert_eq!(service.args, ["start", "./models/My Model.gguf", "--port", "7", "--", "--enforce-eager"]);
        assert_eq!(service.name, "llmup-My_Model.gguf");
        let serve = made(&["serve", "--config", "c.yaml"]).unwrap();
        assert!(serve.reloads && serve.name == "llmup-serve");
        let several = made(&["a", "org/b", "--ttl", "10m"]).unwrap();
        assert_eq!((several.name.as_str(), several.description.as_str()), ("llmup-a", "llmup with a, org/b"));
        let file = made(&["start", "--config", "/etc/llmup/my models.yaml"]).unwrap();
        // `start` reads its file once, as `reload` says when it is asked.
        assert!(!file.reloads && file.name == "llmup-my_models");
        assert_eq!(file.description, "llmup with the models of /etc/llmup/my models.yaml");
        for bad in [
            &["m", "--prot", "7"][..],
            &["m", "--config", "c.yaml"],
            &["m", "--detach"],
            &["m", "--api-key", "sesame"],
            &["m", "--api-key=sesame"],
            &["m", "--", "--api-key", "sesame"],
            &["m", "--engine-url", "http://ann:sesame@h:1/v1"],
            &["serve", "--backend", "http://h:1", "--model", "m", "--backend-key", "sesame"],
            &["serve"],
        ] {
            let error = made(bad).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{bad:?}");
            assert!(!format!("{:?}", error.lines()).contains("sesame"), "{bad:?}");
        }
    }
}
