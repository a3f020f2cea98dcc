//! What `llmup run` gives each client.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Recorded, gateway, overlay, overlay_on};
use crate::client::{Export, Link, Overlay, Session, Weight, started};
use crate::host::Os;

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
    for client in started() {
        for context in [16_384, 32_768, 131_072] {
            let session = gateway(context);
            let overlay = overlay(client.id(), &session);
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
    let overlay = super::overlay("codex", &odd);
    assert!(overlay.arguments.contains(&r#"model="it's \"odd\"""#.to_owned()), "{:?}", overlay.arguments);
}

fn words(typed: &Overlay) -> Vec<&str> {
    typed.typed.iter().flatten().map(|word| word.to_str().unwrap()).collect()
}

fn json(overlay: &Overlay) -> Value {
    serde_json::from_str(&overlay.files[0].text).unwrap()
}

#[test]
fn settings_that_the_user_names_for_claude_code_stay_but_for_what_leads_to_the_gateway() {
    let theirs =
        r#"{"env": {"ANTHROPIC_BASE_URL": "http://o.example", "EDITOR": "vi"}, "apiKeyHelper": "x", "model": "opus"}"#;
    let host = Recorded::new(Os::Linux).file("/projects/p/mine.json", &format!("\u{feff}{theirs}"));
    for typed in [
        &["-p", "hi", "--settings", "first.json", "--settings=mine.json", "-x"][..],
        &["-p", "hi", "--settings", theirs, "-x"],
    ] {
        let overlay = overlay_on(&host, "claude", &gateway(65_536), typed).unwrap();
        assert_eq!(words(&overlay), ["-p", "hi", "-x"]);
        let settings = json(&overlay);
        assert_eq!(settings["env"]["ANTHROPIC_BASE_URL"], "http://127.0.0.1:4242");
        assert_eq!((&settings["env"]["EDITOR"], &settings["model"]), (&"vi".into(), &"opus".into()));
        assert_eq!(settings["apiKeyHelper"], "");
        let plain = super::overlay("claude", &gateway(65_536));
        assert_ne!(overlay.files[0].path, plain.files[0].path, "two sessions at once do not share it");
        assert_eq!(overlay.arguments[1], overlay.files[0].path.to_string_lossy());
    }
    let broken = host.file("/projects/p/broken.json", "{ // no\n}").file("/projects/p/list.json", "[]");
    for name in ["broken.json", "list.json", "none.json"] {
        let refused = overlay_on(&broken, "claude", &gateway(65_536), &["--settings", name]).unwrap_err();
        assert!(refused.weight == Weight::Managed && refused.text.contains(name), "{}", refused.text);
    }
}

#[test]
fn a_provider_that_the_user_types_for_codex_is_left_out_and_told() {
    let typed = [
        "exec",
        "-c",
        "model_provider=other",
        "-c",
        "model_reasoning_effort=high",
        "-cmodel_providers.llmup.base_url=x",
    ];
    let overlay = overlay_on(&Recorded::new(Os::Linux), "codex", &gateway(65_536), &typed).unwrap();
    assert_eq!(words(&overlay), ["exec", "-c", "model_reasoning_effort=high"]);
    let told = overlay.exports.iter().filter(|export| matches!(export, Export::Comment(_))).count();
    assert_eq!(told, 2, "{:?}", overlay.exports);
    let plain = overlay_on(&Recorded::new(Os::Linux), "codex", &gateway(65_536), &["-c", "x=1"]).unwrap();
    assert_eq!((plain.typed, plain.exports.len()), (None, 1));
}

#[test]
fn a_configuration_that_the_user_names_for_continue_gets_the_gateways_models_first() {
    let config =
        "rules: [plainly]\nmodels:\n  - {name: other, provider: openai, model: m}\n  - {name: llmup, model: old}\n";
    let host = Recorded::new(Os::Linux).file("/projects/p/c.yaml", config);
    let overlay = overlay_on(&host, "continue", &gateway(65_536), &["--config", "c.yaml", "-p", "hi"]).unwrap();
    assert_eq!(words(&overlay), ["-p", "hi"]);
    let settings = json(&overlay);
    let names: Vec<&Value> = settings["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["llmup", "llmup, while typing", "other"]);
    assert_eq!(settings["models"][0]["model"], "demo");
    assert_eq!((&settings["rules"][0], &settings["schema"]), (&"plainly".into(), &"v1".into()));
    let refused = overlay_on(&host, "continue", &gateway(65_536), &["--config=org/hub"]).unwrap_err();
    assert!(refused.text.contains("org/hub"), "{}", refused.text);
}

#[test]
fn an_environment_file_that_the_user_names_for_aider_is_read_before_llmups() {
    let host = Recorded::new(Os::Linux)
        .file("/projects/p/mine.env", "OPENAI_BASE_URL=http://o.example\nAIDER_DARK_MODE=true\n")
        .file("/home/u/other.env", "AIDER_VIM=true");
    let file = |host: &Recorded, typed: &[&str]| {
        let overlay = overlay_on(host, "aider", &gateway(65_536), typed).unwrap();
        let path = overlay.files[0].path.to_string_lossy().into_owned();
        assert_eq!(overlay.exports.last(), Some(&Export::set("AIDER_ENV_FILE", path)));
        (overlay.files[0].text.clone(), overlay.typed)
    };
    let (text, typed) = file(&host, &["--env-file", "mine.env", "--yes"]);
    assert_eq!(typed, Some(vec!["--yes".into()]));
    let (theirs, ours) = (text.find("o.example").unwrap(), text.find("http://127.0.0.1:4242").unwrap());
    assert!(theirs < ours && text.contains("AIDER_DARK_MODE=true"), "{text}");
    let (text, typed) = file(&host.var("AIDER_ENV_FILE", "/home/u/other.env"), &[]);
    assert!(typed.is_none() && text.starts_with("AIDER_VIM=true\n"), "{text}");
}

#[test]
fn gemini_cli_gets_the_users_home_with_other_settings() {
    let theirs = "{ // all of mine\n \"tools\": {\"sandbox\": true}, \"security\": {\"auth\": {\"selectedType\": \"oauth-personal\", \"enforcedType\": \"oauth-personal\"}, \"x\": 1}, \"model\": 7 }";
    let host = Recorded::new(Os::Linux).file("/home/u/.gemini/settings.json", theirs);
    let host = host.file("/home/u/.gemini/GEMINI.md", "Be short.").file("/home/u/.gemini/tmp/chat.json", "{}");
    let overlay = overlay_on(&host, "gemini", &gateway(65_536), &[]).unwrap();
    let settings = json(&overlay);
    assert_eq!(settings["tools"]["sandbox"], true);
    assert_eq!(settings["security"], serde_json::json!({"auth": {"selectedType": "vertex-ai"}, "x": 1}));
    assert_eq!(settings["model"]["name"], "demo");
    // 80 % of the context, as a share of the window that is assumed for names it does not know.
    let threshold = settings["model"]["compressionThreshold"].as_f64().unwrap();
    assert_eq!((threshold * 1_048_576.0).round() as u64, 52_428);
    let set = set(&overlay);
    let home = Path::new(set["GEMINI_CLI_HOME"]);
    assert_eq!(overlay.files[0].path, home.join(".gemini/settings.json"));
    let link = |name: &str| Link { at: home.join(".gemini").join(name), to: Path::new("/home/u/.gemini").join(name) };
    assert_eq!(overlay.links, [link("GEMINI.md"), link("tmp")]);
    // Not unset: a .env of the user would fill them in.
    for empty in ["GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "GEMINI_CLI_CUSTOM_HEADERS"] {
        assert_eq!(set[empty], "", "{empty}");
    }
    for broken in ["{", "[]", "7"] {
        let host = Recorded::new(Os::Linux).file("/home/u/.gemini/settings.json", broken);
        let overlay = overlay_on(&host, "gemini", &gateway(65_536), &[]).unwrap();
        assert!(overlay.files[0].text.contains("vertex-ai"), "{broken}");
        assert!(
            overlay
                .exports
                .iter()
                .any(|export| matches!(export, Export::Comment(words) if words.contains("none of it")))
        );
    }
}

#[test]
fn gemini_cli_is_not_started_where_another_sign_in_would_win() {
    let chosen = r#"{"security": {"auth": {"selectedType": "oauth-personal"}}}"#;
    // As if it were started in the home.
    let host = Recorded::new(Os::Linux)
        .var("GEMINI_CLI_HOME", "/projects/p")
        .file("/projects/p/.gemini/settings.json", chosen);
    let refused = overlay_on(&host, "gemini", &gateway(65_536), &[]).unwrap_err();
    assert!(refused.text.contains("oauth-personal") && refused.cure.unwrap().contains("`cd "), "{}", refused.text);
}
