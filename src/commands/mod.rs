//! One file per subcommand; orchestration only. This is the only place that joins the pillars.

pub mod columns;
pub mod config;
pub mod connect;
pub mod doctor;
pub mod engine;
pub mod env;
pub mod explain;
pub mod export;
pub mod gateway_choice;
pub mod hardware;
pub mod held;
pub mod interrupted;
pub mod log_files;
pub mod logs;
pub mod manual;
pub mod models;
pub mod plan;
pub mod pull;
pub mod question;
pub mod reach;
pub mod reload;
pub mod request_log;
pub mod run;
pub mod running;
pub mod serve;
pub mod service;
pub mod start;
pub mod status;
pub mod stop;
pub mod top;

use crate::cli::{Cli, Command, DoctorArgs};
use crate::error::Result;
use crate::fs;
use crate::host::RealHost;
use crate::paths::Paths;
use crate::supervisor::process;

/// Runs the subcommand and gives the process's exit code.
pub fn dispatch(cli: Cli) -> Result<u8> {
    let paths = Paths::of_user();
    for folder in [paths.state(), paths.logs(), paths.data.join("cache"), paths.data.clone()] {
        fs::sweep(&folder, |pid| process::birth(pid).is_some());
    }
    match cli.command {
        Command::Start(args) => start::run(args, &paths),
        Command::Plan(args) => plan::run(args, &paths),
        Command::Serve(args) => serve::run(&args, &paths),
        Command::Config(command) => config::run(&command),
        Command::Status(args) => status::run(&args, &paths),
        Command::Top(args) => top::run(&args, &paths),
        Command::Stop(args) => stop::stop(&args, &paths),
        Command::Restart(args) => stop::restart(&args, &paths),
        Command::Reload(args) => reload::run(&args, &paths),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
        Command::Export(command) => export::run(&command, &paths),
        Command::Logs(args) => logs::run(&args, &paths),
        Command::Run(args) => run::run(args, &paths),
        Command::Env(args) => running::env(args, &paths),
        Command::Connect(args) => connect::connect(&args, &paths, &RealHost),
        Command::Disconnect(args) => connect::disconnect::run(&args, &paths),
        Command::Pull(args) => pull::run(&args, &paths),
        Command::Models(args) => models::run(&args, &paths),
        Command::Doctor(DoctorArgs { record: Some(dir), json, .. }) => doctor::record::run(&dir, json, &paths),
        Command::Doctor(args) => Ok(running::doctor(&args, &paths)?.code()),
        Command::Explain(args) => explain::run(&args),
        Command::Hardware(args) => hardware::run(&args, &RealHost),
        Command::Engine(command) => engine::run(command, &RealHost, &paths),
    }
}
