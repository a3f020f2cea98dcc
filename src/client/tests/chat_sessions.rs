//! What the clients that speak Chat Completions are told for one session.

use std::path::Path;

use serde_json::{Value, json};

use super::{Recorded, gateway, own};
use crate::client::shell::{Shell, render};
use crate::client::{Client, Overlay, Session, find};
use crate::host::Os;

fn client(id: &str) -> &'static dyn Client {
    find(id).unwrap()
}

fn session(id: &str, gateway: &Session) -> String {
    render(&client(id).session(gateway, Path::new("/own")), Shell::Posix).unwrap()
}

fn overlay(id: &str, context: u64) -> Overlay {
    super::overlay(id, &gateway(context))
}

/// The text of the file of that name.
fn file(id: &str, gateway: &Session, name: &str) -> String {
    let files = client(id).files(gateway, Path::new("/own"), &|_| None);
    files.into_iter().find(|file| file.path == Path::new("/own").join(name)).unwrap().text
}

fn with_small(context: u64) -> Session {
    Session { small: Some("org/tiny".into()), model: "org/demo".into(), ..gateway(context) }
}

fn opencode(gateway: &Session) -> Value {
    let text = session("opencode", gateway);
    let line = text.lines().next().unwrap();
    let value = line.strip_prefix("export OPENCODE_CONFIG_CONTENT='").unwrap().strip_suffix('\'').unwrap();
    serde_json::from_str(value).unwrap()
}

#[test]
fn opencode_gets_a_whole_configuration_in_one_variable() {
    let gateway = with_small(65_536);
    let rest: Vec<String> = session("opencode", &gateway).lines().skip(1).map(str::to_owned).collect();
    assert_eq!(
        rest,
        [
            "export LLMUP_API_KEY='sk-test'",
            "export OPENCODE_DISABLE_AUTOUPDATE='1'",
            "export OPENCODE_DISABLE_MODELS_FETCH='1'",
        ]
    );
    let (main, small) = (json!({ "model": "llmup/org/demo" }), json!({ "model": "llmup/org/tiny" }));
    let limit = json!({ "context": 65_536, "output": 8192 });
    let expected = json!({
        "model": "llmup/org/demo",
        "small_model": "llmup/org/tiny",
        "enabled_providers": ["llmup"],
        "disabled_providers": [],
        "autoupdate": false,
        "agent": {
            "build": main, "plan": main, "general": main, "explore": main, "compaction": main,
            "title": small, "summary": small,
        },
        "provider": { "llmup": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "llmup",
            "options": { "baseURL": "http://127.0.0.1:4242/v1", "apiKey": "{env:LLMUP_API_KEY}" },
            "models": {
                "org/demo": { "name": "org/demo", "limit": limit },
                "org/tiny": { "name": "org/tiny", "limit": limit },
            },
        } },
    });
    assert_eq!(opencode(&gateway), expected);
}

#[test]
fn opencode_has_fewer_tools_where_the_context_is_small() {
    assert_eq!(opencode(&gateway(40_960)).get("tools"), None);
    let off = json!({ "task": false, "todowrite": false, "webfetch": false, "skill": false });
    assert_eq!(opencode(&gateway(32_768))["tools"], off);
}

#[test]
fn qwen_code_gets_settings_that_beat_the_users() {
    let gateway = gateway(65_536);
    let settings = own("settings.json");
    let expected = format!(
        "# Qwen Code learns the context only from a file: llmup wrote {settings}\n\
         export QWEN_CODE_SYSTEM_SETTINGS_PATH='{settings}'\n\
         export LLMUP_API_KEY='sk-test'\n\
         export QWEN_USAGE_STATISTICS_ENABLED='false'\n\
         unset QWEN_CODE_SIMPLE\n"
    );
    assert_eq!(session("qwen", &gateway), expected);
    let text = file("qwen", &gateway, "settings.json");
    assert!(!text.contains("sk-test"), "the key stays in the environment");
    let expected = json!({
        "$version": 4,
        "general": { "enableAutoUpdate": false },
        "security": { "auth": { "selectedType": "openai" } },
        "model": { "name": "demo" },
        "modelProviders": { "openai": [{
            "id": "demo",
            "name": "demo",
            "baseUrl": "http://127.0.0.1:4242/v1",
            "envKey": "LLMUP_API_KEY",
            "generationConfig": { "contextWindowSize": 65_536, "samplingParams": { "max_tokens": 8192 } },
        }] },
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
}

#[test]
fn qwen_code_gets_leaner_as_the_context_shrinks() {
    let settings = |context| serde_json::from_str::<Value>(&file("qwen", &gateway(context), "settings.json")).unwrap();
    assert_eq!(settings(40_960).get("permissions"), None);
    let deny = ["agent", "notebook_edit", "get_goal", "update_goal", "list_agents", "skill"];
    assert_eq!(settings(32_768)["permissions"], json!({ "deny": deny }));
    assert_eq!(settings(24_576)["permissions"], json!({ "deny": deny }));
    // The smallest prompt comes without settings.
    assert_eq!(client("qwen").files(&gateway(24_575), Path::new("/own"), &|_| None), []);
    let text = session("qwen", &gateway(16_384));
    assert!(text.starts_with("# a context of 16384 tokens is small"), "{text}");
    assert!(text.ends_with(
        "export QWEN_CODE_SIMPLE='1'\n\
         export OPENAI_BASE_URL='http://127.0.0.1:4242/v1'\n\
         export OPENAI_API_KEY='sk-test'\n\
         export OPENAI_MODEL='demo'\n\
         export QWEN_CODE_MAX_OUTPUT_TOKENS='2048'\n\
         export QWEN_USAGE_STATISTICS_ENABLED='false'\n"
    ));
}

#[test]
fn continue_gets_a_folder_of_its_own_or_only_a_configuration() {
    let text = session("continue", &gateway(65_536));
    assert!(text.ends_with("export CONTINUE_GLOBAL_DIR='/own'\nexport LLMUP_API_KEY='sk-test'\n"), "{text}");
    let text = file("continue", &with_small(65_536), "config.yaml");
    assert!(!text.contains("sk-test"), "the key stays in the environment");
    let key = "${{ secrets.LLMUP_API_KEY }}";
    let expected = json!({
        "name": "llmup",
        "version": "1.0.0",
        "schema": "v1",
        "models": [
            {
                "name": "llmup",
                "provider": "openai",
                "model": "org/demo",
                "apiBase": "http://127.0.0.1:4242/v1",
                "apiKey": key,
                "roles": ["chat", "edit", "apply", "summarize"],
                "capabilities": ["tool_use"],
                "defaultCompletionOptions": { "contextLength": 65_536, "maxTokens": 8192 },
            },
            {
                "name": "llmup, while typing",
                "provider": "openai",
                "model": "org/tiny",
                "apiBase": "http://127.0.0.1:4242/v1",
                "apiKey": key,
                "roles": ["autocomplete"],
                "useLegacyCompletionsEndpoint": true,
            },
        ],
    });
    assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), expected);
    let overlay = overlay("continue", 65_536);
    assert_eq!(overlay.arguments, ["--config", &own("config.yaml")]);
    assert_eq!(render(&overlay.exports, Shell::Posix).unwrap(), "export LLMUP_API_KEY='sk-test'\n");
    assert_eq!(overlay.files.len(), 1);
}

#[test]
fn copilot_gets_its_provider_and_loses_what_would_change_it() {
    let expected = format!(
        "\
export COPILOT_PROVIDER_TYPE='openai'
export COPILOT_PROVIDER_WIRE_API='completions'
export COPILOT_PROVIDER_BASE_URL='http://127.0.0.1:4242/v1'
export COPILOT_PROVIDER_API_KEY='sk-test'
export COPILOT_MODEL='demo'
export COPILOT_PROVIDER_MAX_PROMPT_TOKENS='57344'
export COPILOT_PROVIDER_MAX_OUTPUT_TOKENS='8192'
export COPILOT_PROVIDERS_CONFIG='{}'
export COPILOT_OFFLINE='true'
export COPILOT_AUTO_UPDATE='false'
unset COPILOT_PROVIDER_TRANSPORT
unset COPILOT_PROVIDER_BEARER_TOKEN
unset COPILOT_PROVIDER_API_KEY_COMMAND
unset COPILOT_PROVIDER_HEADERS
unset COPILOT_PROVIDER_MODEL_ID
unset COPILOT_PROVIDER_WIRE_MODEL
unset COPILOT_PROVIDER_AZURE_API_VERSION
unset COPILOT_PROVIDER_GHES_HOST
unset COPILOT_PROVIDER_GHES_TOKEN
",
        own("providers.json")
    );
    assert_eq!(session("copilot", &gateway(65_536)), expected);
    let none: Value = serde_json::from_str(&file("copilot", &gateway(65_536), "providers.json")).unwrap();
    assert_eq!(none, json!({ "providers": [], "models": [] }));
}

#[test]
fn copilot_has_fewer_tools_where_the_context_is_small() {
    assert_eq!(overlay("copilot", 40_960).arguments, [""; 0]);
    let lean = "--excluded-tools=sql,session_store_sql,task,read_agent,list_agents,write_agent,skill,\
                fetch_copilot_cli_documentation";
    assert_eq!(overlay("copilot", 32_768).arguments, [lean]);
    assert!(session("copilot", &gateway(32_768)).contains(lean), "the shell is told, as no variable does it");
}

#[test]
fn a_classic_token_of_github_is_taken_out_because_copilot_would_not_start() {
    let unset = |name: &str, value: &str| {
        let host = Recorded::new(Os::Linux).var(name, value);
        render(&client("copilot").machine(&host), Shell::Posix).unwrap()
    };
    assert_eq!(unset("GH_TOKEN", "ghp_x"), "unset GH_TOKEN\n");
    assert_eq!(unset("GITHUB_TOKEN", "gho_x"), "");
    assert_eq!(unset("OTHER_TOKEN", "ghp_x"), "");
}

#[test]
fn aider_gets_a_file_that_it_reads_last() {
    let gateway = with_small(65_536);
    let text = session("aider", &gateway);
    assert!(text.starts_with("# aider reads .env files over its environment"), "{text}");
    assert!(text.ends_with(&format!("export AIDER_ENV_FILE='{}'\n", own("llmup.env"))), "{text}");
    let expected = format!(
        "\
# Written by llmup for one session of aider.
AIDER_MODEL='openai/org/demo'
AIDER_EDITOR_MODEL='openai/org/demo'
AIDER_WEAK_MODEL='openai/org/tiny'
OPENAI_BASE_URL='http://127.0.0.1:4242/v1'
OPENAI_API_BASE='http://127.0.0.1:4242/v1'
AIDER_OPENAI_API_BASE='http://127.0.0.1:4242/v1'
OPENAI_API_KEY='sk-test'
AIDER_OPENAI_API_KEY='sk-test'
AIDER_MODEL_METADATA_FILE='{}'
AIDER_SHOW_MODEL_WARNINGS='false'
AIDER_SHOW_RELEASE_NOTES='false'
AIDER_CHECK_UPDATE='false'
AIDER_ANALYTICS='false'
LITELLM_LOCAL_MODEL_COST_MAP='True'
",
        // Its reader takes a backslash as the sign before another one.
        own("models.json").replace('\\', "\\\\")
    );
    assert_eq!(file("aider", &gateway, "llmup.env"), expected);
    let about = json!({
        "max_input_tokens": 65_536, "max_tokens": 8192, "max_output_tokens": 8192,
        "input_cost_per_token": 0, "output_cost_per_token": 0, "litellm_provider": "openai", "mode": "chat",
    });
    let models: Value = serde_json::from_str(&file("aider", &gateway, "models.json")).unwrap();
    assert_eq!(models, json!({ "openai/org/demo": about, "openai/org/tiny": about }));
}

#[test]
fn paths_of_windows_stand_in_a_dotenv_file_as_its_reader_takes_them() {
    let own = Path::new(r"C:\Users\O'Neil\llmup");
    let files = client("aider").files(&gateway(65_536), own, &|_| None);
    let line = files[0].text.lines().find(|line| line.starts_with("AIDER_MODEL_METADATA_FILE=")).unwrap().to_owned();
    assert!(line.starts_with(r"AIDER_MODEL_METADATA_FILE='C:\\Users\\O\'Neil\\llmup"), "{line}");
}

#[test]
fn goose_gets_variables_which_beat_its_configuration() {
    let expected = "\
export GOOSE_PROVIDER='openai'
export GOOSE_MODEL='demo'
export OPENAI_HOST='http://127.0.0.1:4242'
export OPENAI_BASE_PATH='v1/chat/completions'
export OPENAI_API_KEY='sk-test'
export GOOSE_CONTEXT_LIMIT='65536'
export GOOSE_MAX_TOKENS='8192'
export GOOSE_DISABLE_SESSION_NAMING='true'
";
    assert_eq!(session("goose", &gateway(65_536)), expected);
}
