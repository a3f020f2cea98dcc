//! llama.cpp's server, `llama-server` or llmup's launcher of the same command line. Facts: build b11669.

use std::ffi::OsString;
use std::path::Path;

use super::{Accelerator, CommandLine, Diagnosis, Engine, EngineId, Launch, Phase, diagnose};
use crate::host::Os;

pub(super) struct LlamaCpp;

impl Engine for LlamaCpp {
    fn id(&self) -> EngineId {
        EngineId::LlamaCpp
    }

    fn command(&self, launch: &Launch<'_>) -> CommandLine {
        let mut args: Vec<OsString> = launch.prefix_args.iter().map(OsString::from).collect();
        let mut flag = |name: &str, value: OsString| {
            args.push(name.into());
            args.push(value);
        };
        // The user's own flags, and the plan's, take the place of these; none is said twice.
        let given = |names: &[&str]| {
            let mut said = launch.recipe.args.iter().chain(launch.extra).skip_while(|a| !names.contains(&a.as_str()));
            said.next().map(|_| said.next().and_then(|value| value.parse::<u64>().ok()))
        };
        if let Some(path) = &launch.weights.path {
            flag("-m", openable(path, Os::current()));
        }
        flag("--host", "127.0.0.1".into());
        flag("--port", launch.port.to_string().into());
        flag("--alias", launch.served_name.into());
        // `-c` is divided by `-np`, unless the slots share it: one slot gets all of it.
        let slots = given(&["-np", "--parallel"]);
        if given(&["-c", "--ctx-size"]).is_none() {
            let shared = given(&["-kvu", "--kv-unified"]).is_some();
            let parts = if shared { 1 } else { slots.flatten().unwrap_or(1).max(1) };
            flag("-c", launch.context.saturating_mul(parts).to_string().into());
        }
        if slots.is_none() {
            flag("-np", "1".into());
        }
        let layers = given(&["-ngl", "--gpu-layers", "--n-gpu-layers"]);
        if launch.accelerator != Accelerator::Cpu && !launch.cpu_build && layers.is_none() {
            flag("-ngl", "999".into());
        }
        args.push("--jinja".into());
        args.push("--metrics".into());
        args.extend(launch.recipe.args.iter().map(OsString::from));
        args.extend(launch.extra.iter().map(OsString::from));

        let mut env: Vec<(String, OsString)> = Vec::new();
        if !launch.cpu_build {
            let visible = launch.accelerator.visible(launch.visible);
            env.extend(visible.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        }
        if let Some(key) = launch.key {
            env.push(("LLAMA_API_KEY".into(), key.into()));
        }
        env.extend(launch.recipe.env.iter().map(|(name, value)| (name.clone(), value.into())));
        CommandLine { program: launch.program.clone(), args, env }
    }

    fn health_path(&self) -> &'static str {
        "/health"
    }

    fn phase(&self, line: &str) -> Option<Phase> {
        const STEPS: &[(&str, &str)] = &[
            ("loading model", "loading weights"),
            ("initializing, n_slots", "reserving the KV cache"),
            ("warming up", "warming up"),
            ("model loaded", "weights are loaded"),
            ("listening on", "opening the port"),
        ];
        STEPS.iter().find(|(mark, _)| line.contains(mark)).and_then(|(_, text)| Phase::new(*text))
    }

    fn diagnose(&self, log: &str) -> Option<Diagnosis> {
        diagnose::llama_cpp(log)
    }
}

/// The path as llama.cpp can open it. Windows opens paths from 260 characters on only for programs that ask for it in
/// their manifest, on machines where an administrator allowed it; or those that are absolute and begin with `\\?\`
/// (Microsoft, "Maximum Path Length Limitation"). llama.cpp hands its path to `_wfopen`, which passes that on.
fn openable(path: &Path, os: Os) -> OsString {
    if os != Os::Windows {
        return path.into();
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.to_str().and_then(extended).map_or_else(|| path.into(), OsString::from)
}

/// An absolute path of Windows in the form that may be long, when it is long and has another one.
fn extended(absolute: &str) -> Option<String> {
    // 260 with the zero at its end.
    const LONG: usize = 260;
    if absolute.encode_utf16().count() < LONG || absolute.starts_with(r"\\?\") || absolute.starts_with(r"\\.\") {
        return None;
    }
    Some(match absolute.strip_prefix(r"\\") {
        Some(share) => format!(r"\\?\UNC\{share}"),
        None => format!(r"\\?\{absolute}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Format, Weights, ollama_tag};
    use crate::profile::EngineRecipe;

    fn command(recipe: &[&str], extra: &[&str]) -> String {
        let owned = |args: &[&str]| args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
        let (recipe, extra) = (EngineRecipe { args: owned(recipe), ..EngineRecipe::default() }, owned(extra));
        let weights = Weights { path: Some("m.gguf".into()), format: Format::Gguf, ..ollama_tag("") };
        let launch = Launch {
            program: "llama-server".into(),
            prefix_args: Vec::new(),
            cpu_build: false,
            weights: &weights,
            served_name: "m",
            context: 32_768,
            port: 1,
            accelerator: Accelerator::Cuda,
            visible: &["0".to_owned()],
            tensor_parallel: 1,
            utilization: 0.0,
            kv_cache_gib: 0,
            recipe: &recipe,
            extra: &extra,
            cache_dir: "c".into(),
            key: None,
        };
        let args = LlamaCpp.command(&launch).args;
        args.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_a_long_path_of_windows_gets_another_form() {
        let deep = r"folder\".repeat(40) + "glm-4.7.gguf";
        assert_eq!(extended(&format!(r"D:\{deep}")).unwrap(), format!(r"\\?\D:\{deep}"));
        assert_eq!(extended(&format!(r"\\nas\models\{deep}")).unwrap(), format!(r"\\?\UNC\nas\models\{deep}"));
        assert_eq!(extended(&format!(r"\\?\D:\{deep}")), None);
        // The last that is short, and the first that is long, in units of the system.
        let (short, long) = (r"D:\".to_owned() + &"模".repeat(256), r"D:\".to_owned() + &"模".repeat(257));
        assert_eq!((extended(&short), extended(&long)), (None, Some(format!(r"\\?\{long}"))));
        let unix = "/models/".to_owned() + &"x".repeat(300);
        assert_eq!(openable(Path::new(&unix), Os::Linux), OsString::from(&unix));
        assert_eq!(openable(Path::new(r"D:\models\glm-4.7"), Os::Windows), OsString::from(r"D:\models\glm-4.7"));
    }

    /// `/` and `..` have no meaning in that form: they must be gone.
    #[test]
    #[cfg(windows)]
    fn a_long_path_opens_in_the_form_the_engine_gets() {
        let dir = tempfile::tempdir().unwrap();
        let deep = (0..12).fold(dir.path().join("Грета's models"), |path, _| path.join("folder ".repeat(4) + "x"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("glm-4.7.gguf"), "weights").unwrap();
        let typed = deep.to_str().unwrap().replace('\\', "/") + "/../" + &("folder ".repeat(4) + "x") + "/glm-4.7.gguf";
        let given = openable(Path::new(&typed), Os::Windows).into_string().unwrap();
        assert!(given.starts_with(r"\\?\") && !given.contains('/') && !given.contains(".."), "{given}");
        assert_eq!(std::fs::read(&given).unwrap(), b"weights");
    }

    #[test]
    fn no_flag_is_said_twice() {
        assert!(command(&[], &[]).contains("-c 32768 -np 1 -ngl 999"));
        assert!(command(&["-ngl", "20"], &[]).ends_with("-c 32768 -np 1 --jinja --metrics -ngl 20"));
        // Each slot gets what was planned for one.
        assert!(command(&[], &["-np", "4"]).contains("-c 131072 -ngl"));
        assert!(command(&[], &["-np", "4", "-kvu"]).contains("-c 32768 -ngl"));
        let own = command(&[], &["-c", "9000", "--n-gpu-layers", "7"]);
        assert!(own.ends_with("--alias m -np 1 --jinja --metrics -c 9000 --n-gpu-layers 7"), "{own}");
    }
}
