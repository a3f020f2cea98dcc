//! What `llmup run` gives each client.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::gateway;
use crate::client::{CLIENTS, Export, Overlay, Session, find};

fn overlay(client: &str, session: &Session) -> Overlay {
    find(client).unwrap().overlay(session, Path::new("/own"), &|_| None)
}

fn set(overlay: &Overlay) -> BTreeMap<&str, &str> {
    fn pair(export: &Export) -> Option<(&str, &str)> {
        match export {
            Export::Set { name, value } => Some((name.as_str(), value.as_str())),
            _ => None,
        }
    }
    overlay.exports.iter().filter_map(pair).collect()
}

/// What must hold for every client, also the next one.
#[test]
fn every_client_is_led_to_the_gateway_by_files_of_llmups_own_and_the_key_is_in_no_argument() {
    for client in CLIENTS {
        for context in [16_384, 32_768, 131_072] {
            let session = gateway(context);
            let overlay = client.overlay(&session, Path::new("/own"), &|_| None);
            let id = client.id();
            assert!(
                overlay.arguments.iter().all(|argument| !argument.contains(&session.key)),
                "{id}: key in arguments"
            );
            assert!(overlay.files.iter().all(|file| file.path.starts_with("/own")), "{id}: only llmup's own folder");
            let set = set(&overlay);
            let told = |what: &str| {
                overlay.arguments.iter().any(|argument| argument.contains(what))
                    || set.values().any(|value| value.contains(what))
                    || overlay.files.iter().any(|file| file.text.contains(what))
            };
            assert!(told(&session.base_url) && told(&session.model) && told(&session.key), "{id}");
            for export in &overlay.exports {
                if let Export::Unset { name } = export {
                    assert!(!set.contains_key(name.as_str()), "{id}: {name} is set and unset");
                }
            }
        }
    }
}

#[test]
fn claude_code_gets_the_same_in_a_settings_file_and_what_must_not_be_set_is_empty_there() {
    let overlay = overlay("claude", &Session { small: Some("tiny".into()), ..gateway(65_536) });
    let [flag, file] = &overlay.arguments[..] else { panic!("{:?}", overlay.arguments) };
    assert_eq!((flag.as_str(), Path::new(file)), ("--settings", &*overlay.files[0].path));
    let settings: Value = serde_json::from_str(&overlay.files[0].text).unwrap();
    let env = settings["env"].as_object().unwrap();
    for (name, value) in set(&overlay) {
        assert_eq!(env[name], value, "{name}");
    }
    assert_eq!(env["ANTHROPIC_DEFAULT_HAIKU_MODEL"], "tiny");
    assert_eq!(env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"], "8192");
    for cleared in ["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_CUSTOM_HEADERS"] {
        assert_eq!(env[cleared], "", "{cleared}");
        assert!(overlay.exports.contains(&Export::unset(cleared)), "{cleared}");
    }
}

#[test]
fn codex_keeps_its_home_and_is_told_by_arguments() {
    let overlay = overlay("codex", &gateway(16_384));
    assert_eq!(overlay.exports, [Export::set("LLMUP_API_KEY", "sk-test")]);
    assert!(overlay.arguments.iter().step_by(2).all(|flag| flag == "-c"));
    let said: Vec<&str> = overlay.arguments.iter().skip(1).step_by(2).map(String::as_str).collect();
    for setting in [
        "model='demo'",
        "model_provider='llmup'",
        "model_providers.llmup={name='llmup',base_url='http://127.0.0.1:4242/v1',wire_api='responses',\
         env_key='LLMUP_API_KEY'}",
        "model_context_window=16384",
        "model_auto_compact_token_limit=13104",
        "agents.enabled=false",
        "features.goals=false",
    ] {
        assert!(said.contains(&setting), "{setting} is missing in {said:?}");
    }
    let catalog: Value = serde_json::from_str(&overlay.files[0].text).unwrap();
    assert_eq!(catalog["models"][0]["apply_patch_tool_type"], "freeform");
    let named = format!("model_catalog_json='{}'", overlay.files[0].path.display());
    assert!(said.contains(&&*named), "{said:?}");
    let odd = Session { model: "it's \"odd\"".into(), ..gateway(65_536) };
    let overlay = find("codex").unwrap().overlay(&odd, Path::new("/own"), &|_| None);
    assert!(overlay.arguments.contains(&r#"model="it's \"odd\"""#.to_owned()), "{:?}", overlay.arguments);
}

#[test]
fn gemini_cli_gets_the_machines_settings_with_llmups_on_top() {
    let machine = "{ // all of us\n \"tools\": {\"sandbox\": true}, \"security\": {\"auth\": {\"selectedType\": \"oauth-personal\"}, \"x\": 1}, \"model\": 7 }";
    let session = gateway(65_536);
    let overlay = find("gemini").unwrap().overlay(&session, Path::new("/own"), &|_| Some(machine.into()));
    let settings: Value = serde_json::from_str(&overlay.files[0].text).unwrap();
    assert_eq!(settings["tools"]["sandbox"], true);
    assert_eq!(settings["security"], serde_json::json!({"auth": {"selectedType": "vertex-ai"}, "x": 1}));
    assert_eq!(settings["model"]["name"], "demo");
    // 80 % of the context, as a share of the window that is assumed for names it does not know.
    let threshold = settings["model"]["compressionThreshold"].as_f64().unwrap();
    assert_eq!((threshold * 1_048_576.0).round() as u64, 52_428);
    let set = set(&overlay);
    assert_eq!(set["GEMINI_CLI_SYSTEM_SETTINGS_PATH"], overlay.files[0].path.to_string_lossy());
    // Not unset: a .env of the user would fill them in.
    for empty in ["GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "GEMINI_CLI_CUSTOM_HEADERS"] {
        assert_eq!(set[empty], "", "{empty}");
    }
    for broken in ["{", "[]", "7"] {
        let overlay = find("gemini").unwrap().overlay(&session, Path::new("/own"), &|_| Some(broken.into()));
        assert!(overlay.files[0].text.contains("vertex-ai"), "{broken}");
    }
}
