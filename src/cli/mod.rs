//! The command line, as types. No logic. A file per group of subcommands.

mod clients;
mod config;
mod export;
mod machine;
mod manual;
mod missing;
mod models;
mod running;
mod serve;
mod start;
mod values;

use clap::{Parser, Subcommand};

pub use self::clients::{ConnectArgs, DisconnectArgs, EnvArgs, EnvFormat, GatewayArgs, RunArgs};
pub use self::config::ConfigCommand;
pub use self::export::{ExportCommand, ServiceArgs};
pub use self::machine::{DoctorArgs, EngineCommand, ExplainArgs, HardwareArgs};
pub use self::manual::{CompletionsArgs, ManArgs};
pub use self::missing::next;
pub use self::models::{ModelsArgs, PullArgs, SourceChoice};
pub use self::running::{LogsArgs, RestartArgs, StatusArgs, StopArgs, TopArgs};
pub use self::serve::{LogWhen, ReloadArgs, ServeArgs};
pub use self::start::{EngineChoice, EnginePort, PlanArgs, StartArgs};

/// One command from a bare machine to a coding agent working on your own model.
#[derive(Debug, Parser)]
#[command(name = "llmup", version, about, long_about = None, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  llmup start demo --yes                        try it with a scripted model
  llmup start glm-4.7 --model-dir /models/glm-4.7  your own weights
  llmup serve --config litellm_config.yaml      engines that run already
  llmup run claude                              Claude Code on it
  llmup hardware                                what this machine has
  llmup doctor                                  what is wrong, and the cure

Exit codes: 0 ok, 1 bug (doctor: a problem), 2 usage, 3 configuration,
4 engine or gateway missing, 5 nothing fits this machine, 6 engine failed,
7 port or lock taken, 8 client settings conflict, 128+n signal";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a model: plan, install what is missing, launch, serve.
    #[command(after_help = start::START_EXAMPLES)]
    Start(StartArgs),
    /// Show how a model would be started, here or on other hardware, and start nothing.
    #[command(after_help = start::PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Serve engines and providers that run already, one or those of a LiteLLM configuration.
    #[command(after_help = serve::SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Check a configuration file: what it would serve, and what in it is not used.
    #[command(subcommand, after_help = config::CONFIG_EXAMPLES)]
    Config(ConfigCommand),
    /// Show what runs, and what was planned beside what the engine says it got.
    #[command(after_help = running::STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Watch devices, models and requests in the terminal.
    #[command(after_help = running::TOP_EXAMPLES)]
    Top(TopArgs),
    /// End a running model, its engine and everything it started.
    #[command(after_help = running::STOP_EXAMPLES)]
    Stop(StopArgs),
    /// Start the engine of a running model anew; the gateway stays, and requests wait.
    #[command(after_help = running::RESTART_EXAMPLES)]
    Restart(RestartArgs),
    /// Have a running `serve --config FILE` read its file again; no stream is cut.
    #[command(after_help = serve::RELOAD_EXAMPLES)]
    Reload(ReloadArgs),
    /// Show the end of an engine's log, or with --gateway a line per request.
    #[command(after_help = running::LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Start a coding client on the running model; its own settings are not touched.
    #[command(after_help = clients::RUN_EXAMPLES)]
    Run(RunArgs),
    /// Print what a coding client needs in its environment.
    #[command(after_help = clients::ENV_EXAMPLES)]
    Env(EnvArgs),
    /// Have a coding client use the gateway however it is started, by its own settings files.
    #[command(after_help = clients::CONNECT_EXAMPLES)]
    Connect(ConnectArgs),
    /// Give the settings files of a connected client back as they were.
    #[command(after_help = clients::DISCONNECT_EXAMPLES)]
    Disconnect(DisconnectArgs),
    /// Download the weights of a model, or go on with a download that broke off.
    #[command(after_help = models::PULL_EXAMPLES)]
    Pull(PullArgs),
    /// List the models llmup knows, or with --fits those that would run on this machine.
    #[command(after_help = models::MODELS_EXAMPLES)]
    Models(ModelsArgs),
    /// Check the machine, the engines, ports, clients and their settings.
    #[command(after_help = machine::DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Say what a code means and what cures it, or find the code of an error by its words.
    #[command(after_help = machine::EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Show accelerators, processor and memory, what is wrong with them, and which engine can use what.
    #[command(after_help = machine::HARDWARE_EXAMPLES)]
    Hardware(HardwareArgs),
    /// Install, list or remove engines.
    #[command(subcommand, after_help = machine::ENGINE_EXAMPLES)]
    Engine(EngineCommand),
    /// Print what a service manager needs to run llmup, without any key.
    #[command(subcommand, after_help = export::EXPORT_EXAMPLES)]
    Export(ExportCommand),
    /// Print what a shell needs to complete llmup's commands and options.
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one per subcommand.
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command with the words that lead to it.
    fn each(command: &clap::Command, words: &str, look: &mut impl FnMut(&str, &clap::Command)) {
        look(words, command);
        for below in command.get_subcommands() {
            each(below, &format!("{words} {}", below.get_name()), look);
        }
    }

    /// The words of a line of a shell, up to a comment behind two blanks, a pipe or a file.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted, mut blanks) = (Vec::new(), String::new(), false, 0);
        for c in line.trim_start().chars() {
            blanks = if c == ' ' && !quoted { blanks + 1 } else { 0 };
            match c {
                '"' => quoted = !quoted,
                ' ' if blanks == 2 => break,
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        words.push(word);
        let end = words.iter().position(|word| word == "|" || word == ">").unwrap_or(words.len());
        words[..end].iter().filter(|word| !word.is_empty()).cloned().collect()
    }

    #[test]
    fn every_command_has_examples_that_fit_80_columns_and_are_commands() {
        let mut seen = 0;
        each(&Cli::command(), "llmup", &mut |name, command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n"), "{name} has no examples");
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
            // A recording has to be there to be named.
            let commands = help.lines().filter(|line| line.starts_with("  llmup ") && !line.contains("--from machine"));
            for line in commands {
                let parsed = Cli::try_parse_from(words(line));
                assert!(parsed.is_ok(), "{name}: {line}\n{}", parsed.err().unwrap());
                seen += 1;
            }
        });
        assert!(seen > 80, "{seen}");
    }
}
