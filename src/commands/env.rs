//! `llmup env CLIENT`: the exports that make a plain start of the client use the gateway. Standard output holds them
//! and nothing else, so that it can be evaluated. Without a client it lists them.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::gateway_choice::{self, ASSUMED_CONTEXT, Chosen};
use crate::cli::{EnvFormat, GatewayArgs};
use crate::client::installed::{self, Installed};
use crate::client::shell::Shell;
use crate::client::{Client, Export, Session, shell, started};
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
    /// What to write.
    pub format: EnvFormat,
}

/// How a container calls the machine it runs on; Docker Desktop knows the name, elsewhere it is given with
/// `--add-host=host.docker.internal:host-gateway`.
const FROM_DOCKER: &str = "host.docker.internal";

/// Prints the exports.
pub fn run(args: EnvArgs, running: Option<Session>, paths: &Paths, host: &dyn Host) -> Result {
    let client = gateway_choice::started(&args.client, "env")?;
    let shell = args.shell.unwrap_or_else(|| shell::detect(host, &shell::ancestors()));
    let chosen = gateway_choice::choose(&args.gateway, running, &format!("env {}", client.id()))?;
    if args.format == EnvFormat::Docker {
        return docker(client, chosen, paths);
    }
    let exports = exports(client, &chosen, paths, host);
    // Everything is checked before the first file is written or the first line printed.
    let text = match args.format {
        EnvFormat::Shell => shell::render(&exports, shell)?,
        EnvFormat::Dotenv => shell::file::dotenv(&exports)?,
        EnvFormat::Json | EnvFormat::Docker => json_text(&exports)?,
    };
    write_files(client, &chosen.session, &own_dir(paths, client))?;
    output::data(&text);
    if std::io::stdout().is_terminal() && args.format == EnvFormat::Shell {
        let how = shell.how_to_load(&format!("llmup env {}", client.id()));
        output::note("");
        output::note(&format!("To use it in {}, run:", shell.name()));
        output::note(&format!("  {}", output::on_stderr(output::Style::Strong, &how)));
    }
    Ok(())
}

/// The clients, and which are here.
pub fn list(host: &dyn Host, json: bool) {
    let clients: Vec<&dyn Client> = started().collect();
    // Some have to be asked for their version, which takes a moment each.
    let all: Vec<Option<Installed>> = std::thread::scope(|scope| {
        let asked: Vec<_> = clients.iter().map(|client| scope.spawn(|| installed::look(host, *client))).collect();
        asked.into_iter().map(|found| found.join().ok().flatten()).collect()
    });
    let all = clients.iter().zip(all);
    if json {
        let found = all.map(|(client, found)| {
            serde_json::json!({
                "client": client.id(), "title": client.title(), "aliases": client.aliases(),
                "tested": client.minimum(), "installed": found.as_ref().map(|found| &found.program),
                "version": found.as_ref().and_then(|found| found.version.as_ref()),
            })
        });
        return output::json(&found.collect::<Vec<_>>());
    }
    let widest = clients.iter().map(|client| client.title().chars().count()).max().unwrap_or(0);
    for (client, found) in all {
        let state = match found {
            Some(found) => found.version.unwrap_or_else(|| "installed".to_owned()),
            None => "not installed".to_owned(),
        };
        output::line(&format!("{:<9} {:<widest$}  {state}", client.id(), client.title()));
    }
    output::note("`llmup run CLIENT` starts one (with --install also a missing one);");
    output::note("`llmup env CLIENT` prints what it needs;");
    output::note("`llmup connect vscode` is for VS Code's own chat");
}

/// For a client in a container: the gateway by the name it has there, and what to do besides on standard error.
fn docker(client: &dyn Client, chosen: Chosen, paths: &Paths) -> Result {
    let Chosen { mut session, .. } = chosen;
    let (local, base_url) = seen_from_docker(&session.base_url);
    session.base_url = base_url;
    // Files name the gateway, too: those for containers are others than those for here.
    let own = paths.data.join("clients").join(format!("{}-docker", client.id()));
    let text = shell::file::docker(&client.session(&session, &own))?;
    let files = write_files(client, &session, &own)?;
    output::data(&text);
    if local {
        output::note(&format!("run it with: docker run --env-file FILE --add-host={FROM_DOCKER}:host-gateway ..."));
        output::warning(
            "the gateway takes nothing from containers while it listens on 127.0.0.1: start it with `--host 0.0.0.0`",
        );
    }
    if files > 0 {
        let shown = own.display();
        output::note(&format!("the client reads files of this folder: add -v '{shown}:{shown}'"));
    }
    Ok(())
}

/// Whether the gateway is on this machine, and its root as a container sees it.
fn seen_from_docker(base_url: &str) -> (bool, String) {
    for name in ["127.0.0.1", "localhost", "[::1]"] {
        if let Some((scheme, rest)) = base_url.split_once("://")
            && let Some(rest) = rest.strip_prefix(name)
            && (rest.is_empty() || rest.starts_with([':', '/']))
        {
            return (true, format!("{scheme}://{FROM_DOCKER}{rest}"));
        }
    }
    (false, base_url.to_owned())
}

/// Where llmup keeps the files of that client.
pub fn own_dir(paths: &Paths, client: &dyn Client) -> PathBuf {
    paths.data.join("clients").join(client.id())
}

/// Writes the files the client needs below llmup's own data folder, private to the user; how many there are.
fn write_files(client: &dyn Client, session: &Session, own: &Path) -> Result<usize> {
    let files = client.files(session, own, &|path| std::fs::read_to_string(path).ok());
    for file in &files {
        fs::write_private(&file.path, file.text.as_bytes())?;
    }
    Ok(files.len())
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
    fn a_container_sees_this_machine_under_another_name() {
        for (url, seen) in [
            ("http://127.0.0.1:4000", "http://host.docker.internal:4000"),
            ("http://localhost", "http://host.docker.internal"),
            ("http://[::1]:4000", "http://host.docker.internal:4000"),
        ] {
            assert_eq!(seen_from_docker(url), (true, seen.to_owned()));
        }
        for url in ["http://127.0.0.100:4000", "http://localhost.example", "http://192.168.0.2:4000"] {
            assert_eq!(seen_from_docker(url), (false, url.to_owned()));
        }
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
