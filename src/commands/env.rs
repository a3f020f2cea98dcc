//! `llmup env CLIENT`: the exports that make a plain start of the client use the gateway. Standard output holds them
//! and nothing else, so that it can be evaluated.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::gateway_choice::{self, ASSUMED_CONTEXT, Chosen};
use crate::cli::GatewayArgs;
use crate::client::shell::Shell;
use crate::client::{Client, Export, Session, shell};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::paths::Paths;
use crate::{fs, output};

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct EnvArgs {
    /// The client's name.
    pub client: String,
    /// The shell to write for; found out when absent.
    pub shell: Option<Shell>,
    /// Which gateway.
    pub gateway: GatewayArgs,
    /// JSON instead of shell statements.
    pub json: bool,
}

/// Prints the exports.
pub fn run(args: EnvArgs, running: Option<Session>, paths: &Paths, host: &dyn Host) -> Result {
    let client = gateway_choice::client(&args.client, "env")?;
    let shell = args.shell.unwrap_or_else(|| shell::detect(host, &shell::ancestors()));
    let chosen = gateway_choice::choose(&args.gateway, running, &format!("env {}", client.id()))?;
    let exports = exports(client, &chosen, paths, host);
    // Everything is checked before the first file is written or the first line printed.
    let text = if args.json { json_text(&exports)? } else { shell::render(&exports, shell)? };
    write_files(client, &chosen.session, &own_dir(paths, client))?;
    output::data(&text);
    if std::io::stdout().is_terminal() && !args.json {
        let how = shell.how_to_load(&format!("llmup env {}", client.id()));
        output::note("");
        output::note(&format!("To use it in {}, run:", shell.name()));
        output::note(&format!("  {}", output::on_stderr(output::Style::Strong, &how)));
    }
    Ok(())
}

/// Where llmup keeps the files of that client.
pub fn own_dir(paths: &Paths, client: &dyn Client) -> PathBuf {
    paths.data.join("clients").join(client.id())
}

/// Writes the files the client needs below llmup's own data folder, private to the user.
fn write_files(client: &dyn Client, session: &Session, own: &Path) -> Result {
    for file in client.files(session, own, &|path| std::fs::read_to_string(path).ok()) {
        fs::write_private(&file.path, file.text.as_bytes())?;
    }
    Ok(())
}

/// The environment of one start.
fn exports(client: &dyn Client, chosen: &Chosen, paths: &Paths, host: &dyn Host) -> Vec<Export> {
    let mut exports = client.session(&chosen.session, &own_dir(paths, client));
    if chosen.assumed {
        exports.insert(0, Export::Comment(format!("context assumed: {ASSUMED_CONTEXT} tokens; --context says it")));
    }
    exports.extend(client.machine(host));
    exports.extend(gateway_choice::around_proxy(&chosen.session.base_url, host));
    exports
}

fn json_text(exports: &[Export]) -> Result<String> {
    let mut set = serde_json::Map::new();
    let mut unset = Vec::new();
    for export in exports {
        match export {
            Export::Set { name, value } => {
                // Where the values go is unknown; the rules of the plainest shell hold for every use.
                shell::check(name, value, Shell::Posix)?;
                set.insert(name.clone(), value.clone().into());
            }
            Export::Unset { name } => unset.push(name.clone()),
            Export::Comment(_) => {}
        }
    }
    let text = serde_json::to_string_pretty(&serde_json::json!({ "set": set, "unset": unset }))
        .map_err(|error| Plain { message: error.to_string(), exit: Exit::Bug, hints: Vec::new() })?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::find;
    use crate::client::tests::{Recorded, gateway};
    use crate::host::Os;

    fn paths() -> Paths {
        Paths { data: "/data".into(), config: "/config".into() }
    }

    fn args(client: &str) -> EnvArgs {
        EnvArgs { client: client.into(), ..EnvArgs::default() }
    }

    fn at(client: &str, gateway: GatewayArgs) -> EnvArgs {
        EnvArgs { gateway, ..args(client) }
    }

    fn to(url: &str) -> GatewayArgs {
        GatewayArgs { base_url: Some(url.into()), ..GatewayArgs::default() }
    }

    fn text(args: &EnvArgs, running: Option<Session>, host: &Recorded) -> String {
        let client = find(&args.client).unwrap();
        let chosen = gateway_choice::choose(&args.gateway, running, "env").unwrap();
        shell::render(&exports(client, &chosen, &paths(), host), Shell::Posix).unwrap()
    }

    #[test]
    fn without_a_gateway_it_ends_with_4_and_the_way_to_one() {
        let host = Recorded::new(Os::Linux);
        let error = run(args("claude"), None, &paths(), &host).unwrap_err();
        assert_eq!(error.exit(), Exit::Missing);
        assert!(error.lines().iter().any(|(_, line)| line == "start one: `llmup start demo --yes`"));
    }

    #[test]
    fn an_unknown_client_is_answered_with_the_nearest_and_the_list() {
        let error = run(args("cluade"), None, &paths(), &Recorded::new(Os::Linux)).unwrap_err();
        let lines = error.lines();
        assert_eq!(error.exit(), Exit::Usage);
        assert_eq!(lines[1].1, "did you mean `llmup env claude`?");
        assert!(lines[2].1.starts_with("clients: claude, codex, gemini, "), "{}", lines[2].1);
        let error = run(args("zzz"), None, &paths(), &Recorded::new(Os::Linux)).unwrap_err();
        assert_eq!(error.lines().len(), 2, "{:?}", error.lines());
    }

    #[test]
    fn what_is_said_beats_what_runs() {
        let host = Recorded::new(Os::Linux);
        let named = GatewayArgs {
            model: Some("other".into()),
            small_model: Some("tiny".into()),
            context: Some(65_536),
            api_key: Some("k".into()),
            base_url: None,
        };
        let asked = at("claude", named);
        let text = text(&asked, Some(gateway(32_768)), &host);
        assert!(text.contains("HAIKU_MODEL='tiny'") && text.contains("OPUS_MODEL='other'"), "{text}");
        assert!(text.contains("ANTHROPIC_MODEL='other'") && text.contains("ANTHROPIC_AUTH_TOKEN='k'"));
        assert!(text.contains("MAX_CONTEXT_TOKENS='65536'") && text.contains("MAX_OUTPUT_TOKENS='8192'"), "{text}");
        let small = at("claude", GatewayArgs { context: Some(10), ..GatewayArgs::default() });
        assert!(run(small, Some(gateway(32_768)), &paths(), &host).is_err());
    }

    #[test]
    fn a_gateway_that_is_only_named_never_gets_the_running_ones_key() {
        let host = Recorded::new(Os::Linux);
        let asked = at("claude", to("http://127.0.0.1:9999"));
        let other = text(&asked, Some(gateway(65_536)), &host);
        assert!(other.contains("ANTHROPIC_AUTH_TOKEN='none'") && other.starts_with("# context assumed"), "{other}");
        let asked = at("claude", to("http://127.0.0.1:4242/v1"));
        assert!(text(&asked, Some(gateway(65_536)), &host).contains("ANTHROPIC_AUTH_TOKEN='sk-test'"));
    }

    #[test]
    fn a_proxy_is_kept_away_from_loopback_only() {
        let host = Recorded::new(Os::Linux).var("HTTP_PROXY", "http://proxy:3128").var("NO_PROXY", "corp.example");
        assert!(
            text(&args("claude"), Some(gateway(65_536)), &host).contains("NO_PROXY='corp.example,127.0.0.1,localhost'")
        );
        let far = at("claude", to("https://gateway.example"));
        assert!(!text(&far, None, &host).contains("NO_PROXY"));
        let good = host.var("NO_PROXY", "localhost,127.0.0.1");
        assert!(!text(&args("claude"), Some(gateway(65_536)), &good).contains("NO_PROXY"));
    }

    #[test]
    fn what_the_machine_hides_is_named_too() {
        let bash = r"D:\Git\bin\bash.exe";
        let host = Recorded::new(Os::Windows).file(bash, "").program("git", r"D:\Git\mingw64\bin\git.exe", None);
        let claude = text(&args("claude"), Some(gateway(65_536)), &host);
        assert!(claude.ends_with("\nexport CLAUDE_CODE_GIT_BASH_PATH='D:\\Git\\bin\\bash.exe'\n"), "{claude}");
        assert!(!text(&args("gemini"), Some(gateway(65_536)), &host).contains("BASH"));
        assert!(!text(&args("claude"), Some(gateway(65_536)), &Recorded::new(Os::Linux)).contains("BASH"));
    }

    #[test]
    fn json_holds_what_to_set_and_what_to_unset() {
        let chosen = Chosen { session: gateway(65_536), assumed: false };
        let exports = exports(find("gemini").unwrap(), &chosen, &paths(), &Recorded::new(Os::Linux));
        let value: serde_json::Value = serde_json::from_str(&json_text(&exports).unwrap()).unwrap();
        assert_eq!(value["set"]["GOOGLE_VERTEX_BASE_URL"], "http://127.0.0.1:4242");
        assert!(value["unset"].as_array().unwrap().contains(&"GEMINI_API_KEY".into()));
        assert_eq!(value.as_object().unwrap().len(), 2);
    }

    #[test]
    fn what_codex_learned_keeps_the_line_ends_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let client = find("codex").unwrap();
        write_files(client, &gateway(65_536), dir.path()).unwrap();
        let config = dir.path().join("config.toml");
        // Editors on Windows turn every line end, and put a mark in front.
        let learned = "[projects.'C:\\Users\\Грета']\r\ntrust_level = \"trusted\"\r\n";
        let first = std::fs::read_to_string(&config).unwrap().replace('\n', "\r\n");
        std::fs::write(&config, format!("\u{feff}{first}\r\n{learned}")).unwrap();
        write_files(client, &gateway(131_072), dir.path()).unwrap();
        let second = std::fs::read_to_string(&config).unwrap();
        assert!(second.ends_with(learned) && second.matches("model_context_window").count() == 1, "{second:?}");
    }

    #[test]
    fn codex_files_are_private_and_keep_what_codex_learned() {
        let dir = tempfile::tempdir().unwrap();
        let client = find("codex").unwrap();
        write_files(client, &gateway(65_536), dir.path()).unwrap();
        let config = dir.path().join("config.toml");
        let learned = "[projects.\"/work\"]\ntrust_level = \"trusted\"\n";
        let first = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{first}\n{learned}")).unwrap();
        write_files(client, &gateway(131_072), dir.path()).unwrap();
        let second = std::fs::read_to_string(&config).unwrap();
        assert!(second.contains("model_context_window = 131072") && !second.contains("65536"), "{second}");
        assert!(second.ends_with(learned), "{second}");
        write_files(client, &gateway(131_072), dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&config).unwrap(), second, "writing again changes nothing");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            for file in ["config.toml", "llmup-models.json"] {
                let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{file}");
            }
        }
    }
}
