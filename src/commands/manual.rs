//! `llmup completions` and `llmup man`: both are made of the command line's own types, so they cannot fall behind it.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::fs::FileError;
use crate::output;

/// `llmup completions`.
pub fn completions(args: &CompletionsArgs) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::aot::generate(args.shell, &mut Cli::command(), "llmup", &mut script);
    output::data(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok.code())
}

/// `llmup man`.
pub fn man(args: &ManArgs) -> Result<u8> {
    match &args.dir {
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            rendered.map_err(|error| FileError::new("write", "llmup.1".as_ref(), error))?;
            output::data(&String::from_utf8_lossy(&page));
        }
        Some(dir) => {
            crate::fs::create_dir(dir)?;
            let written = clap_mangen::generate_to(Cli::command(), dir);
            written.map_err(|error| FileError::new("write", dir, error))?;
            output::note(&format!(
                "the manual pages are in {}; to read one: `man -l {}/llmup.1`",
                dir.display(),
                dir.display()
            ));
        }
    }
    Ok(Exit::Ok.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        man(&ManArgs { dir: Some(dir.path().to_owned()) }).unwrap();
        for subcommand in Cli::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            let page = std::fs::read_to_string(dir.path().join(format!("llmup-{}.1", subcommand.get_name()))).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{page}");
        }
        assert!(std::fs::read_to_string(dir.path().join("llmup.1")).unwrap().contains("Exit codes"));
    }
}
