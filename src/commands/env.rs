//! `llmup env CLIENT`: the exports that make a plain start of the client use the gateway. Standard output holds them
//! and nothing else, so that it can be evaluated.

use std::io::IsTerminal;
use std::path::Path;

use crate::client::shell::Shell;
use crate::client::{CLIENTS, Client, Export, Session, find, output_limit, shell};
use crate::error::{Explain, Plain, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::paths::Paths;
use crate::{fs, output};

/// Context to assume for a gateway nothing is known about, tokens.
const ASSUMED_CONTEXT: u64 = 32_768;
/// Below this no client has room for its own prompt.
const SMALLEST_CONTEXT: u64 = 1024;

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct EnvArgs {
    /// The client's name.
    pub client: String,
    /// The shell to write for; found out when absent.
    pub shell: Option<Shell>,
    /// Another gateway than the running one.
    pub base_url: Option<String>,
    /// Another model name.
    pub model: Option<String>,
    /// Another context, tokens.
    pub context: Option<u64>,
    /// Another key.
    pub key: Option<String>,
    /// JSON instead of shell statements.
    pub json: bool,
}

/// Why there is nothing to export.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// Nobody knows that client.
    #[error("llmup does not know the client {name:?}")]
    Unknown {
        /// What was typed.
        name: String,
    },
    /// Nothing runs and no other gateway was named.
    #[error("no gateway is running")]
    NotRunning {
        /// The client that was asked for.
        client: &'static str,
    },
    /// Not something a client can be pointed at.
    #[error("{url:?} is not a base URL: {reason}")]
    BaseUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A context nothing can work in.
    #[error("a context of {context} tokens is too small for a coding agent")]
    Context {
        /// What was given.
        context: u64,
    },
}

impl Explain for EnvError {
    fn exit(&self) -> Exit {
        match self {
            EnvError::NotRunning { .. } => Exit::Missing,
            EnvError::Unknown { .. } | EnvError::BaseUrl { .. } | EnvError::Context { .. } => Exit::Usage,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            EnvError::Unknown { name } => {
                let ids: Vec<&str> = CLIENTS.iter().map(|client| client.id()).collect();
                let mut hints = vec![format!("clients: {}", ids.join(", "))];
                if let Some(near) = nearest(name) {
                    hints.insert(0, format!("did you mean `llmup env {near}`?"));
                }
                hints
            }
            EnvError::NotRunning { client } => vec![
                "start one: `llmup start demo --yes`".into(),
                format!("or name one: `llmup env {client} --base-url http://127.0.0.1:PORT --api-key KEY`"),
            ],
            EnvError::BaseUrl { .. } => vec!["it looks like `--base-url http://127.0.0.1:8080`".into()],
            EnvError::Context { .. } => {
                vec![format!("give at least {SMALLEST_CONTEXT}; 32768 is comfortable: `--context 32768`")]
            }
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    // Comparing takes the product of the lengths.
    let name = Some(name).filter(|name| name.len() <= 64)?.to_ascii_lowercase();
    CLIENTS
        .iter()
        .flat_map(|client| {
            client.aliases().iter().chain([&client.id()]).map(|alias| (client.id(), *alias)).collect::<Vec<_>>()
        })
        .map(|(id, alias)| (id, strsim::jaro_winkler(&name, alias)))
        .filter(|(_, score)| *score > 0.7)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(id, _)| id)
}

/// Prints the exports.
pub fn run(args: EnvArgs, running: Option<Session>, paths: &Paths, host: &dyn Host) -> Result {
    let client = find(&args.client).ok_or_else(|| EnvError::Unknown { name: args.client.clone() })?;
    let shell = args.shell.unwrap_or_else(|| shell::detect(host, &shell::ancestors()));
    let (exports, session) = exports(client, &args, running, paths, host)?;
    // Everything is checked before the first file is written or the first line printed.
    let text = if args.json { json_text(&exports)? } else { shell::render(&exports, shell)? };
    write_files(client, &session, &own_dir(paths, client))?;
    output::data(&text);
    if std::io::stdout().is_terminal() && !args.json {
        let how = shell.how_to_load(&format!("llmup env {}", client.id()));
        output::note("");
        output::note(&format!("To use it in {}, run:", shell.name()));
        output::note(&format!("  {}", output::on_stderr(output::Style::Strong, &how)));
    }
    Ok(())
}

fn own_dir(paths: &Paths, client: &dyn Client) -> std::path::PathBuf {
    paths.data.join("clients").join(client.id())
}

/// Writes the files the client needs below llmup's own data folder, private to the user.
fn write_files(client: &dyn Client, session: &Session, own: &Path) -> Result {
    for file in client.files(session, own, &|path| std::fs::read_to_string(path).ok()) {
        fs::write_private(&file.path, file.text.as_bytes())?;
    }
    Ok(())
}

/// The exports and the session they come from.
fn exports(
    client: &dyn Client,
    args: &EnvArgs,
    running: Option<Session>,
    paths: &Paths,
    host: &dyn Host,
) -> Result<(Vec<Export>, Session)> {
    let mut assumed = false;
    let mut session = match (&args.base_url, running) {
        (None, None) => return Err(EnvError::NotRunning { client: client.id() }.into()),
        (None, Some(running)) => running,
        (Some(url), running) => {
            let base_url = root(url)?;
            match running.filter(|running| running.base_url == base_url) {
                Some(running) => running,
                None => {
                    assumed = args.context.is_none();
                    Session {
                        base_url,
                        // Clients refuse an empty key; a gateway without keys ignores this one.
                        key: "none".into(),
                        model: "local-model".into(),
                        context: ASSUMED_CONTEXT,
                        max_output: output_limit(ASSUMED_CONTEXT),
                    }
                }
            }
        }
    };
    if let Some(model) = &args.model {
        session.model.clone_from(model);
    }
    if let Some(key) = &args.key {
        session.key.clone_from(key);
    }
    if let Some(context) = args.context {
        if context < SMALLEST_CONTEXT {
            return Err(EnvError::Context { context }.into());
        }
        session.context = context;
        session.max_output = output_limit(context);
    }
    let mut exports = client.session(&session, &own_dir(paths, client));
    if assumed {
        exports.insert(0, Export::Comment(format!("context assumed: {ASSUMED_CONTEXT} tokens; --context says it")));
    }
    exports.extend(client.machine(host));
    exports.extend(around_proxy(&session.base_url, host));
    Ok((exports, session))
}

/// The gateway's root from what the user gave: without final slashes and `/v1`, which clients add themselves.
fn root(url: &str) -> Result<String, EnvError> {
    let bad = |reason| EnvError::BaseUrl { url: url.into(), reason };
    let trimmed = url.trim().trim_end_matches('/');
    let trimmed = trimmed.strip_suffix("/v1").unwrap_or(trimmed).trim_end_matches('/');
    let parsed: http::Uri = trimmed.parse().map_err(|_| bad("it cannot be parsed"))?;
    match parsed.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(bad("it must start with http:// or https://")),
    }
    if parsed.query().is_some() {
        return Err(bad("it must have no query"));
    }
    Ok(trimmed.to_owned())
}

/// Clients send even loopback requests to a proxy unless `NO_PROXY` names the address.
fn around_proxy(base_url: &str, host: &dyn Host) -> Vec<Export> {
    let name = base_url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let local = matches!(name.as_str(), "127.0.0.1" | "localhost" | "[::1]");
    if !local || !super::doctor::proxied(host) || super::doctor::loopback_is_direct(host) {
        return Vec::new();
    }
    let old = ["no_proxy", "NO_PROXY"].iter().find_map(|name| host.env(name).filter(|value| !value.is_empty()));
    let value = old.map_or_else(String::new, |old| format!("{old},")) + "127.0.0.1,localhost";
    vec![
        Export::Comment("a proxy is set: keep it away from the gateway on this machine".into()),
        Export::set("NO_PROXY", &value),
        Export::set("no_proxy", value),
    ]
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
    use crate::client::tests::{Recorded, gateway};
    use crate::host::Os;

    fn paths() -> Paths {
        Paths { data: "/data".into(), config: "/config".into() }
    }

    fn args(client: &str) -> EnvArgs {
        EnvArgs { client: client.into(), ..EnvArgs::default() }
    }

    fn text(args: &EnvArgs, running: Option<Session>, host: &Recorded) -> String {
        let client = find(&args.client).unwrap();
        let (exports, _) = exports(client, args, running, &paths(), host).unwrap();
        shell::render(&exports, Shell::Posix).unwrap()
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
        assert_eq!(lines[2].1, "clients: claude, codex, gemini");
        assert!(EnvError::Unknown { name: "zzz".into() }.hints().len() == 1);
    }

    #[test]
    fn the_root_is_what_clients_extend() {
        for url in ["http://127.0.0.1:8/v1/", "http://127.0.0.1:8", " http://127.0.0.1:8// "] {
            assert_eq!(root(url).unwrap(), "http://127.0.0.1:8");
        }
        for url in ["127.0.0.1:8", "ftp://a", "", "http://", "http://a b", "http://a/?x"] {
            assert!(matches!(root(url), Err(EnvError::BaseUrl { .. })), "{url}");
        }
    }

    #[test]
    fn what_is_said_beats_what_runs() {
        let host = Recorded::new(Os::Linux);
        let asked =
            EnvArgs { model: Some("other".into()), context: Some(65_536), key: Some("k".into()), ..args("claude") };
        let text = text(&asked, Some(gateway(32_768)), &host);
        assert!(text.contains("ANTHROPIC_MODEL='other'") && text.contains("ANTHROPIC_AUTH_TOKEN='k'"));
        assert!(text.contains("MAX_CONTEXT_TOKENS='65536'") && text.contains("MAX_OUTPUT_TOKENS='8192'"), "{text}");
        let small = EnvArgs { context: Some(10), ..args("claude") };
        assert!(run(small, Some(gateway(32_768)), &paths(), &host).is_err());
    }

    #[test]
    fn a_gateway_that_is_only_named_never_gets_the_running_ones_key() {
        let host = Recorded::new(Os::Linux);
        let asked = EnvArgs { base_url: Some("http://127.0.0.1:9999".into()), ..args("claude") };
        let other = text(&asked, Some(gateway(65_536)), &host);
        assert!(other.contains("ANTHROPIC_AUTH_TOKEN='none'") && other.starts_with("# context assumed"), "{other}");
        let asked = EnvArgs { base_url: Some("http://127.0.0.1:4242/v1".into()), ..args("claude") };
        assert!(text(&asked, Some(gateway(65_536)), &host).contains("ANTHROPIC_AUTH_TOKEN='sk-test'"));
    }

    #[test]
    fn a_proxy_is_kept_away_from_loopback_only() {
        let host = Recorded::new(Os::Linux).var("HTTP_PROXY", "http://proxy:3128").var("NO_PROXY", "corp.example");
        assert!(
            text(&args("claude"), Some(gateway(65_536)), &host).contains("NO_PROXY='corp.example,127.0.0.1,localhost'")
        );
        let far = EnvArgs { base_url: Some("https://gateway.example".into()), ..args("claude") };
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
        let (exports, _) = exports(
            find("gemini").unwrap(),
            &args("gemini"),
            Some(gateway(65_536)),
            &paths(),
            &Recorded::new(Os::Linux),
        )
        .unwrap();
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
