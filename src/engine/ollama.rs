//! Ollama: `ollama serve` when none is running. One that runs already is used as it is and never ended.
//! Facts: API of v0.33.

use std::ffi::OsString;

use super::{CommandLine, Diagnosis, Engine, EngineId, Launch, Phase, diagnose};

pub(super) struct Ollama;

impl Engine for Ollama {
    fn id(&self) -> EngineId {
        EngineId::Ollama
    }

    fn command(&self, launch: &Launch<'_>) -> CommandLine {
        let mut args: Vec<OsString> = launch.prefix_args.iter().map(OsString::from).collect();
        args.push("serve".into());
        args.extend(launch.extra.iter().map(OsString::from));
        let mut env: Vec<(String, OsString)> = vec![
            ("OLLAMA_HOST".into(), format!("127.0.0.1:{}", launch.port).into()),
            // Its own default is 4096 on small GPUs, less than any coding client's first prompt.
            ("OLLAMA_CONTEXT_LENGTH".into(), launch.context.to_string().into()),
            ("OLLAMA_NUM_PARALLEL".into(), "1".into()),
            ("OLLAMA_KEEP_ALIVE".into(), "-1".into()),
        ];
        env.extend(launch.recipe.env.iter().map(|(name, value)| (name.clone(), value.into())));
        CommandLine { program: launch.program.clone(), args, env }
    }

    fn health_path(&self) -> &'static str {
        "/api/version"
    }

    fn phase(&self, line: &str) -> Option<Phase> {
        line.contains("Listening on").then(|| Phase::new("opening the port")).flatten()
    }

    fn diagnose(&self, log: &str) -> Option<Diagnosis> {
        diagnose::ollama(log)
    }
}
