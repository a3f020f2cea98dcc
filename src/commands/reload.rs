//! `llmup reload`: a running `serve --config` reads its file again, and this one tells how it went.

use super::{running, stop};
use crate::cli::ReloadArgs;
use crate::control::{self, Told};
use crate::error::{Error, Explain, Plain, Result};
use crate::exit::Exit;
use crate::output;
use crate::paths::Paths;

/// The file cannot be used. What was served is served on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    message: String,
    hints: Vec<String>,
}

impl Explain for Refused {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}

/// Runs the subcommand; gives the exit code.
pub fn run(args: &ReloadArgs, paths: &Paths) -> Result<u8> {
    let instance = stop::meant(args.name.as_deref(), &running::all(paths)?).map_err(nobody)?;
    let (model, pid) = (instance.model.name.clone(), instance.process.pid);
    let deaf = |source| stop::NobodyError::Deaf { model, pid, source };
    let told = match &instance.control {
        Some(endpoint) => control::reload(endpoint).map_err(|unanswered| deaf(Some(unanswered)))?,
        None => return Err(deaf(None).into()),
    };
    match told {
        Told::Done(said) => {
            said.iter().for_each(|line| output::note(line));
            Ok(Exit::Ok.code())
        }
        Told::Refused(lines) => {
            output::note("nothing has changed; what was served is served on");
            let of = |wanted: bool| {
                lines.iter().filter(move |(label, _)| (label == "hint") == wanted).map(|(_, text)| text.clone())
            };
            Err(Refused { message: of(false).collect::<Vec<_>>().join(": "), hints: of(true).collect() }.into())
        }
    }
}

/// Nobody, or several: then a name helps here, and ending them all does not.
fn nobody(nobody: stop::NobodyError) -> Error {
    let stop::NobodyError::Several { running } = &nobody else { return nobody.into() };
    let name = running.first().map_or("NAME", String::as_str);
    let hints = vec![format!("name one: `llmup reload {name}`")];
    Plain { message: nobody.to_string(), exit: nobody.exit(), hints }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_hint_names_one_to_reload() {
        let several = nobody(stop::NobodyError::Several { running: vec!["glm".to_owned(), "qwen".to_owned()] });
        let lines = several.lines();
        let lines: Vec<_> = lines.iter().map(|(label, text)| (*label, text.as_str())).collect();
        assert_eq!(
            lines,
            [("error", "several models are running: glm, qwen"), ("hint", "name one: `llmup reload glm`")]
        );
        assert_eq!(several.exit(), Exit::Usage);
        assert_eq!(nobody(stop::NobodyError::Nothing).exit(), Exit::Missing);
    }
}
