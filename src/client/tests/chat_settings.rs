//! What a lasting connection changes in the settings of the clients that speak Chat Completions.

use std::path::Path;

use serde_json::{Value, json};

use super::{Recorded, gateway};
use crate::client::edit::{Change, Format, Step};
use crate::client::{CLIENTS, Places, Scope, SettingsFile, find};
use crate::host::Os;

fn places() -> Places {
    Places { home: "/home/u".into(), project: "/projects/p".into() }
}

fn settings_of(id: &str, host: &Recorded, scope: Scope, context: u64) -> Vec<SettingsFile> {
    find(id).unwrap().settings(&gateway(context), host, &places(), scope)
}

fn linux() -> Recorded {
    Recorded::new(Os::Linux)
}

/// A change as one line: `a.b[name=x]=value`.
fn line(change: &Change) -> String {
    let mut path = String::new();
    for step in &change.path {
        match step {
            Step::Key(key) if path.is_empty() => path = key.clone(),
            Step::Key(key) => path += &format!(".{key}"),
            Step::Item { key, is } => path += &format!("[{key}={is}]"),
        }
    }
    format!("{path}={}", change.to.as_ref().map_or("-".into(), Value::to_string))
}

/// The file at that place of the list.
fn told(files: &[SettingsFile], at: usize, path: &str, format: Format) -> Vec<String> {
    assert_eq!((files[at].path.as_path(), files[at].format), (Path::new(path), format));
    files[at].changes.iter().map(line).collect()
}

fn user(id: &str) -> Vec<SettingsFile> {
    settings_of(id, &linux(), Scope::User, 65_536)
}

/// What must hold for every client, also the next one.
#[test]
fn no_key_is_written_into_a_folder_and_the_user_scope_changes_only_what_is_the_users() {
    for client in CLIENTS {
        let id = client.id();
        for file in settings_of(id, &linux(), Scope::Project, 65_536) {
            let text = format!("{:?}", file.changes);
            let below = file.path.starts_with("/projects/p");
            // Only files that their client keeps out of version control by themselves may hold it.
            let private = file.path.ends_with(".claude/settings.local.json");
            assert!(!below || private || !text.contains("sk-test"), "{id}: {}", file.path.display());
        }
        for file in settings_of(id, &linux(), Scope::User, 65_536) {
            // Codex takes its catalogue from anywhere: that one is llmup's own.
            let own = file.path.ends_with("clients/codex/connected-models.json");
            assert!(own || file.path.starts_with("/home/u"), "{id}: {}", file.path.display());
            assert!(!file.changes.is_empty(), "{id}: {}", file.path.display());
        }
    }
}

#[test]
fn opencode_keeps_the_key_where_it_keeps_all_keys() {
    let provider = json!({
        "npm": "@ai-sdk/openai-compatible", "name": "llmup",
        "options": { "baseURL": "http://127.0.0.1:4242/v1" },
        "models": { "demo": { "name": "demo", "limit": { "context": 65_536, "output": 8192 } } },
    });
    let config = [
        "model=\"llmup/demo\"".to_owned(),
        "small_model=\"llmup/demo\"".to_owned(),
        format!("provider.llmup={provider}"),
    ];
    let auth = [format!("llmup={}", json!({ "type": "api", "key": "sk-test" }))];
    let files = user("opencode");
    assert_eq!(files.len(), 2);
    assert_eq!(told(&files, 0, "/home/u/.config/opencode/opencode.json", Format::Json), config);
    assert_eq!(told(&files, 1, "/home/u/.local/share/opencode/auth.json", Format::Json), auth);
    let project = settings_of("opencode", &linux(), Scope::Project, 65_536);
    assert_eq!(told(&project, 0, "/projects/p/opencode.json", Format::Json), config);
    assert_eq!(told(&project, 1, "/home/u/.local/share/opencode/auth.json", Format::Json), auth);
}

#[test]
fn opencode_lists_of_the_user_let_the_provider_in() {
    let text = "{ // mine\n \"enabled_providers\": [\"anthropic\"], \"disabled_providers\": [\"llmup\", \"openai\"], }";
    let host = linux().file("/home/u/.config/opencode/opencode.jsonc", text);
    let files = settings_of("opencode", &host, Scope::User, 16_384);
    let changes = told(&files, 0, "/home/u/.config/opencode/opencode.jsonc", Format::Json);
    assert_eq!(
        changes[3..],
        [
            "enabled_providers=[\"anthropic\",\"llmup\"]",
            "disabled_providers=[\"openai\"]",
            "tools.task=false",
            "tools.todowrite=false",
            "tools.webfetch=false",
            "tools.skill=false",
        ]
    );
    let moved = linux().var("XDG_CONFIG_HOME", "/home/u/c").var("XDG_DATA_HOME", "/home/u/d");
    let files = settings_of("opencode", &moved, Scope::User, 65_536);
    told(&files, 0, "/home/u/c/opencode/opencode.json", Format::Json);
    told(&files, 1, "/home/u/d/opencode/auth.json", Format::Json);
}

#[test]
fn qwen_code_keeps_the_key_in_the_users_file_in_both_scopes() {
    let provider = json!({
        "id": "demo", "name": "demo", "baseUrl": "http://127.0.0.1:4242/v1", "envKey": "LLMUP_API_KEY",
        "generationConfig": { "contextWindowSize": 65_536, "samplingParams": { "max_tokens": 8192 } },
    });
    let mut changes = vec![
        "security.auth.selectedType=\"openai\"".to_owned(),
        "model.name=\"demo\"".to_owned(),
        format!("modelProviders.openai[id=demo]={provider}"),
    ];
    let key = "env.LLMUP_API_KEY=\"sk-test\"".to_owned();
    let project = settings_of("qwen", &linux(), Scope::Project, 65_536);
    assert_eq!(project.len(), 2);
    assert_eq!(told(&project, 0, "/projects/p/.qwen/settings.json", Format::Json), changes);
    assert_eq!(told(&project, 1, "/home/u/.qwen/settings.json", Format::Json), std::slice::from_ref(&key));
    changes.push(key);
    let files = user("qwen");
    assert_eq!(files.len(), 1);
    assert_eq!(told(&files, 0, "/home/u/.qwen/settings.json", Format::Json), changes);
}

#[test]
fn continue_keeps_the_users_names_and_the_key_beside() {
    let files = user("continue");
    assert_eq!(files.len(), 2);
    let changes = told(&files, 0, "/home/u/.continue/config.yaml", Format::Yaml);
    assert_eq!(changes[..3], ["name=\"llmup\"", "version=\"1.0.0\"", "schema=\"v1\""]);
    assert!(changes[3].starts_with("models[name=llmup]={") && changes[3].contains("\"chat\""), "{}", changes[3]);
    assert!(changes[4].starts_with("models[name=llmup, while typing]={"), "{}", changes[4]);
    assert_eq!(changes.len(), 5);
    assert!(!format!("{:?}", files[0]).contains("sk-test"));
    assert_eq!(told(&files, 1, "/home/u/.continue/.env", Format::Dotenv), ["LLMUP_API_KEY=\"sk-test\""]);
    let host = linux().file("/home/u/.continue/config.yaml", "# mine\nname: Mine\nversion: 0.0.1\nmodels: []\n");
    let files = settings_of("continue", &host, Scope::User, 65_536);
    assert_eq!(told(&files, 0, "/home/u/.continue/config.yaml", Format::Yaml)[0], "schema=\"v1\"");
    assert_eq!(settings_of("continue", &linux(), Scope::Project, 65_536), []);
}

#[test]
fn copilot_needs_two_files_and_no_environment() {
    let files = user("copilot");
    let provider = json!({
        "name": "llmup", "type": "openai", "wireApi": "completions", "baseUrl": "http://127.0.0.1:4242/v1",
        "apiKey": "sk-test",
    });
    let model = json!({
        "id": "demo", "provider": "llmup", "maxPromptTokens": 57_344, "maxOutputTokens": 8192,
        "maxContextWindowTokens": 65_536,
    });
    assert_eq!(
        told(&files, 0, "/home/u/.copilot/providers.json", Format::Json),
        [format!("providers[name=llmup]={provider}"), format!("models[id=demo]={model}")]
    );
    assert_eq!(told(&files, 1, "/home/u/.copilot/settings.json", Format::Json), ["model=\"llmup/demo\""]);
    assert_eq!((files.len(), settings_of("copilot", &linux(), Scope::Project, 65_536).len()), (2, 0));
}

#[test]
fn aider_is_connected_by_two_files_of_the_home() {
    let files = user("aider");
    assert_eq!(
        told(&files, 0, "/home/u/.aider.conf.yml", Format::Yaml),
        [
            "model=\"openai/demo\"",
            "editor-model=\"openai/demo\"",
            "weak-model=\"openai/demo\"",
            "openai-api-base=\"http://127.0.0.1:4242/v1\"",
            "openai-api-key=\"sk-test\"",
            "show-model-warnings=false",
        ]
    );
    let models = told(&files, 1, "/home/u/.aider.model.metadata.json", Format::Json);
    assert!(models.len() == 1 && models[0].starts_with("openai/demo={"), "{models:?}");
    assert!(models[0].contains("\"max_input_tokens\":65536"), "{models:?}");
}

#[test]
fn aider_gets_a_service_of_its_own_in_one_folder_and_the_key_in_the_home() {
    let host =
        linux().file("/projects/p/.aider.conf.yml", "set-env: [A=b, \"HOSTED_VLLM_API_BASE=http://o.example\"]\n");
    let files = settings_of("aider", &host, Scope::Project, 65_536);
    assert_eq!(told(&files, 0, "/home/u/.aider/oauth-keys.env", Format::Dotenv), ["HOSTED_VLLM_API_KEY=\"sk-test\""]);
    let models = told(&files, 1, "/home/u/.aider.model.metadata.json", Format::Json);
    assert!(models.len() == 1 && models[0].starts_with("hosted_vllm/demo={"), "{models:?}");
    assert_eq!(
        told(&files, 2, "/projects/p/.aider.conf.yml", Format::Yaml),
        [
            "model=\"hosted_vllm/demo\"",
            "editor-model=\"hosted_vllm/demo\"",
            "weak-model=\"hosted_vllm/demo\"",
            "set-env=[\"A=b\",\"HOSTED_VLLM_API_BASE=http://127.0.0.1:4242/v1\"]",
            "show-model-warnings=false",
        ]
    );
}

#[test]
fn gemini_cli_takes_the_vertex_form_in_one_folder_unless_the_user_needs_that() {
    let files = settings_of("gemini", &linux(), Scope::Project, 65_536);
    assert_eq!(
        told(&files, 0, "/home/u/.gemini/.env", Format::Dotenv),
        ["GOOGLE_API_KEY=\"sk-test\"", "GOOGLE_VERTEX_BASE_URL=\"http://127.0.0.1:4242\""]
    );
    assert_eq!(
        told(&files, 1, "/projects/p/.gemini/settings.json", Format::Json),
        ["security.auth.selectedType=\"vertex-ai\"", "model.name=\"demo\""]
    );
    for (name, text) in [
        ("settings.json", r#"{"security": {"auth": {"selectedType": "vertex-ai"}}}"#),
        (".env", "GOOGLE_CLOUD_PROJECT=p\n"),
        (".env", "GEMINI_CLI_CUSTOM_HEADERS=X-Goog-Api-Key: other\n"),
    ] {
        let host = linux().file(&format!("/home/u/.gemini/{name}"), text);
        assert_eq!(settings_of("gemini", &host, Scope::Project, 65_536), [], "{text}");
    }
}

#[test]
fn a_connection_is_not_led_elsewhere_by_what_the_user_gave_agents_and_headers() {
    let agents =
        r#"{"agent": {"build": {"model": "other/x"}, "title": {"model": "other/y"}, "mine": {"model": "other/z"}}}"#;
    let host = linux().file("/home/u/.config/opencode/opencode.json", agents);
    let files = settings_of("opencode", &host, Scope::User, 65_536);
    let changes: Vec<String> = files[0].changes.iter().map(line).filter(|line| line.starts_with("agent.")).collect();
    assert_eq!(changes, ["agent.build.model=\"llmup/demo\"", "agent.title.model=\"llmup/demo\""]);
    for (headers, goes) in [("x-goog-api-key:other", true), ("Authorization: Bearer x", true), ("x-team: a", false)] {
        let host = linux().file("/home/u/.gemini/.env", &format!("GEMINI_CLI_CUSTOM_HEADERS={headers}\n"));
        let files = settings_of("gemini", &host, Scope::User, 65_536);
        let changes: Vec<String> = files[0].changes.iter().map(line).collect();
        assert_eq!(changes.contains(&"GEMINI_CLI_CUSTOM_HEADERS=-".to_owned()), goes, "{headers}");
    }
}

#[test]
fn goose_gets_a_provider_of_its_own_because_its_keys_are_in_a_keyring() {
    let files = user("goose");
    assert_eq!(
        told(&files, 0, "/home/u/.config/goose/config.yaml", Format::Yaml),
        ["GOOSE_PROVIDER=\"llmup\"", "GOOSE_MODEL=\"demo\"", "GOOSE_MAX_TOKENS=8192"]
    );
    let provider = told(&files, 1, "/home/u/.config/goose/custom_providers/llmup.json", Format::Json);
    assert_eq!(
        provider,
        [
            "name=\"llmup\"",
            "engine=\"openai\"",
            "display_name=\"llmup\"",
            "description=\"your own models\"",
            "api_key_env=\"\"",
            "base_url=\"http://127.0.0.1:4242/v1/chat/completions\"",
            "models=[{\"context_limit\":65536,\"name\":\"demo\"}]",
            "headers={\"Authorization\":\"Bearer sk-test\"}",
            "supports_streaming=true",
            "requires_auth=false",
        ]
    );
    assert_eq!(settings_of("goose", &linux(), Scope::Project, 65_536), []);
    let newer = linux().file("/home/u/.config/goose/config.yaml", "active_provider: anthropic\nproviders: {}\n");
    let files = settings_of("goose", &newer, Scope::User, 65_536);
    assert_eq!(
        told(&files, 0, "/home/u/.config/goose/config.yaml", Format::Yaml)[3..],
        ["active_provider=\"llmup\"", "providers.llmup.enabled=true", "providers.llmup.model=\"demo\""]
    );
    let windows = Recorded::new(Os::Windows);
    assert_eq!(settings_of("goose", &windows, Scope::User, 65_536), [], "it is not known where");
    let files = settings_of("goose", &windows.var("APPDATA", "/roaming"), Scope::User, 65_536);
    told(&files, 0, "/roaming/Block/goose/config/config.yaml", Format::Yaml);
    let moved = settings_of("goose", &linux().var("GOOSE_PATH_ROOT", "/g"), Scope::User, 65_536);
    told(&moved, 0, "/g/config/config.yaml", Format::Yaml);
}

#[test]
fn vs_code_gets_a_group_of_models_whose_key_is_a_header() {
    let model = json!({
        "id": "demo", "name": "demo", "url": "http://127.0.0.1:4242/v1/chat/completions",
        "toolCalling": true, "vision": false, "maxInputTokens": 57_344, "maxOutputTokens": 8192,
        "requestHeaders": { "x-api-key": "sk-test" },
    });
    let group = [
        "[name=llmup].vendor=\"customendpoint\"".to_owned(),
        "[name=llmup].apiType=\"chat-completions\"".to_owned(),
        format!("[name=llmup].models[id=demo]={model}"),
    ];
    let files = user("vscode");
    assert_eq!(files.len(), 1, "the usual one where none was started");
    assert_eq!(told(&files, 0, "/home/u/.config/Code/User/chatLanguageModels.json", Format::JsonList), group);
    assert_eq!(settings_of("vscode", &linux(), Scope::Project, 65_536), []);
}

#[test]
fn vs_codes_builds_that_were_started_here_are_connected() {
    let started = |host: Recorded, dir: &str| host.file(&format!("{dir}/settings.json"), "{}");
    let at = |host: &Recorded| -> Vec<String> {
        let files = settings_of("vscode", host, Scope::User, 65_536);
        files.iter().map(|file| file.path.display().to_string().replace('\\', "/")).collect()
    };
    let insiders = started(linux(), "/home/u/.config/Code - Insiders/User");
    assert_eq!(at(&insiders), ["/home/u/.config/Code - Insiders/User/chatLanguageModels.json"]);
    let both = started(insiders, "/home/u/.config/Code/User");
    assert_eq!(at(&both).len(), 2);
    assert_eq!(at(&linux().var("XDG_CONFIG_HOME", "/c")), ["/c/Code/User/chatLanguageModels.json"]);
    let mac = "/home/u/Library/Application Support/Code/User/chatLanguageModels.json";
    assert_eq!(at(&Recorded::new(Os::Macos)), [mac]);
    assert_eq!(at(&Recorded::new(Os::Windows)), [""; 0], "it is not known where");
    let windows = Recorded::new(Os::Windows).var("APPDATA", "/roaming");
    assert_eq!(at(&windows), ["/roaming/Code/User/chatLanguageModels.json"]);
}
