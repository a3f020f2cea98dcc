//! What would pull the clients that speak Chat Completions elsewhere.

use super::Recorded;
use crate::client::{Conflict, Places, Weight, find};
use crate::host::Os;

const GATEWAY: &str = "http://127.0.0.1:4242";

fn conflicts(id: &str, host: &Recorded) -> Vec<Conflict> {
    let places = Places { home: "/home/u".into(), project: "/projects/p".into() };
    find(id).unwrap().conflicts(host, &places, Some(GATEWAY))
}

fn weights(id: &str, host: &Recorded) -> Vec<Weight> {
    conflicts(id, host).iter().map(|conflict| conflict.weight).collect()
}

fn linux() -> Recorded {
    Recorded::new(Os::Linux)
}

/// Both lay a folder's settings over the user's own, and OpenCode the file that a variable names (tried with 1.18.33).
#[test]
fn what_is_laid_over_a_lasting_connection_disturbs_it() {
    let own = "{\"model\": \"llmup/demo\", \"provider\": {\"llmup\": {\"options\": {\"baseURL\": \"http://127.0.0.1:4242/v1\"}}}}";
    let other = "{\"model\": \"other/big\"}";
    for (variable, path) in [("", "/projects/p/opencode.json"), ("/elsewhere/mine.json", "/elsewhere/mine.json")] {
        let host = linux().var("OPENCODE_CONFIG", variable).file(path, other);
        assert_eq!(weights("opencode", &host), [Weight::Note], "{path}: not connected");
        let found = conflicts("opencode", &host.file("/home/u/.config/opencode/opencode.json", own));
        assert_eq!(found.iter().map(|one| one.weight).collect::<Vec<_>>(), [Weight::Disturbs], "{path}");
        assert!(found[0].cure.as_ref().is_some_and(|cure| cure.contains("`llmup run opencode`")), "{found:?}");
    }
    let own = "{\"model\": {\"name\": \"demo\"}, \"modelProviders\": {\"openai\": [{\"id\": \"demo\", \"baseUrl\": \"http://127.0.0.1:4242/v1\"}]}}";
    let host = linux().file("/projects/p/.qwen/settings.json", "{\"model\": {\"name\": \"other\"}}");
    assert_eq!(weights("qwen", &host), [Weight::Note], "not connected");
    let found = conflicts("qwen", &host.file("/home/u/.qwen/settings.json", own));
    assert_eq!(found.iter().map(|one| one.weight).collect::<Vec<_>>(), [Weight::Disturbs]);
    assert!(found[0].text.replace('\\', "/").contains("/projects/p/.qwen"), "{found:?}");
}

#[test]
fn opencode_models_elsewhere_are_told_and_agents_that_would_fail_warned_of() {
    let text = "{ \"model\": \"other/big\", // mine\n \"agent\": { \"build\": { \"model\": \"other/big\" }, \
                \"review\": { \"model\": \"other/big\" }, \"docs\": { \"model\": \"llmup/demo\" } } }";
    for path in [
        "/home/u/.config/opencode/opencode.json",
        "/home/u/.config/opencode/opencode.jsonc",
        "/projects/p/opencode.json",
        "/projects/p/.opencode/opencode.jsonc",
    ] {
        let found = conflicts("opencode", &linux().file(path, text));
        let weights: Vec<Weight> = found.iter().map(|conflict| conflict.weight).collect();
        assert_eq!(weights, [Weight::Note, Weight::Disturbs], "{path}");
        // Windows writes the last slashes in its own way.
        let told = found[0].text.replace('\\', "/");
        assert!(told.contains(path) && told.contains("other/big"), "{found:?}");
        assert!(found[1].text.contains(" review ") && found[1].cure.is_some(), "{found:?}");
    }
    let connected = "{ \"model\": \"llmup/demo\", \"agent\": { \"review\": { \"model\": \"llmup/demo\" } } }";
    assert_eq!(weights("opencode", &linux().file("/home/u/.config/opencode/opencode.json", connected)), []);
    let managed = linux().file("/etc/opencode/opencode.json", "{\"model\": \"corp/m\", \"share\": \"disabled\"}");
    let found = conflicts("opencode", &managed);
    assert_eq!((found.len(), found[0].weight), (1, Weight::Disturbs));
    assert!(found[0].text.contains(" model,") && !found[0].text.contains("share"), "{found:?}");
    assert_eq!(weights("opencode", &linux().file("/etc/opencode/opencode.json", "{\"share\": \"auto\"}")), []);
    for text in [
        r#"{"enabled_providers": ["corp"]}"#,
        r#"{"disabled_providers": ["x", "llmup"]}"#,
        r#"{"agent": {"build": {"model": "corp/m"}}}"#,
        r#"{"provider": {"llmup": {"options": {"baseURL": "http://o.example"}}}}"#,
    ] {
        let found = conflicts("opencode", &linux().file("/etc/opencode/opencode.json", text));
        assert_eq!(found.iter().map(|found| found.weight).collect::<Vec<_>>(), [Weight::Managed], "{text}");
    }
    for text in [r#"{"enabled_providers": ["corp", "llmup"]}"#, r#"{"agent": {"review": {"model": "corp/m"}}}"#] {
        assert_eq!(weights("opencode", &linux().file("/etc/opencode/opencode.json", text)), [], "{text}");
    }
}

#[test]
fn qwen_code_settings_are_told_unless_they_lead_to_the_gateway() {
    let at = |text: &str| conflicts("qwen", &linux().file("/home/u/.qwen/settings.json", text));
    let found = at("{\"security\": {\"auth\": {\"selectedType\": \"qwen-oauth\"}}, \"model\": {\"name\": \"big\"}}");
    assert_eq!((found.len(), found[0].weight), (1, Weight::Note));
    assert!(found[0].text.contains("security.auth.selectedType \"qwen-oauth\", model.name \"big\""), "{found:?}");
    let connected = |port: u16| {
        format!(
            "{{\"model\": {{\"name\": \"demo\"}}, \"modelProviders\": {{\"openai\": \
             [{{\"id\": \"demo\", \"baseUrl\": \"http://127.0.0.1:{port}/v1\"}}]}}}}"
        )
    };
    assert_eq!(at(&connected(4242)), []);
    assert_eq!(at(&connected(9)).len(), 1);
    assert_eq!(at("{\"ui\": {\"theme\": \"dark\"}}"), []);
    let moved = linux().var("QWEN_HOME", "/q").file("/q/settings.json", "{\"model\": {\"name\": \"big\"}}");
    assert_eq!(weights("qwen", &moved), [Weight::Note]);
    let prescribed = linux().file("/etc/qwen-code/settings.json", "{}");
    assert_eq!(weights("qwen", &prescribed), [Weight::Note]);
    let ours = "/home/u/.local/share/llmup/clients/qwen/settings.json";
    let in_session = linux().var("QWEN_CODE_SYSTEM_SETTINGS_PATH", ours).file(ours, "{}");
    assert_eq!(weights("qwen", &in_session), []);
}

#[test]
fn continue_is_told_which_model_comes_first() {
    let at = |text: &str| conflicts("continue", &linux().file("/home/u/.continue/config.yaml", text));
    let other = "models:\n  - name: Big\n    provider: openai\n    apiBase: https://other.example/v1\n";
    let typing = "  - name: Small\n    roles: [autocomplete]\n";
    let ours = "  - name: llmup\n    apiBase: http://127.0.0.1:4242/v1\n    roles: [chat]\n";
    let found = at(other);
    assert_eq!((found.len(), found[0].weight), (1, Weight::Note));
    assert!(found[0].text.contains("\"Big\"") && found[0].cure.is_none(), "{found:?}");
    let behind = at(&format!("{other}{ours}"));
    assert!(behind[0].text.contains("cn takes the first") && behind[0].cure.is_some(), "{behind:?}");
    assert_eq!(at(&format!("models:\n{typing}{ours}")), []);
    for odd in ["models: 7\n", "- a\n", "models: [", "models:\n  - 7\n  - null\n", ""] {
        assert!(at(odd).iter().all(|conflict| conflict.weight == Weight::Note), "{odd:?}");
    }
}

#[test]
fn copilot_variables_are_named_but_never_shown() {
    let host = linux().var("COPILOT_PROVIDER_BEARER_TOKEN", "secret").var("COPILOT_PROVIDER_GHES_HOST", "h");
    let found = conflicts("copilot", &host);
    assert_eq!(found.len(), 2);
    assert!(!format!("{found:?}").contains("secret"));
    let installed = |token: &str| linux().program("copilot", "/usr/bin/copilot", None).var("GH_TOKEN", token);
    let found = conflicts("copilot", &installed("ghp_secret"));
    assert_eq!((found.len(), found[0].weight), (1, Weight::Disturbs));
    assert!(!format!("{found:?}").contains("secret"));
    assert_eq!(weights("copilot", &installed("gho_secret")), []);
    let settings = |text: &str| conflicts("copilot", &linux().file("/home/u/.copilot/settings.json", text));
    assert_eq!(settings("{\"model\": \"gpt-5.5\"}")[0].weight, Weight::Note);
    assert_eq!(settings("{\"model\": \"llmup/demo\"}"), []);
    assert!(settings("{\"model\": ")[0].text.contains("line 1"));
}

#[test]
fn aider_is_told_of_dotenv_files_and_those_who_have_it_of_variables() {
    let here = || linux().program("aider", "/usr/bin/aider", None);
    assert_eq!(weights("aider", &linux().var("OPENAI_BASE_URL", "https://other.example")), []);
    assert_eq!(weights("aider", &here().var("OPENAI_BASE_URL", "https://other.example")), [Weight::Disturbs]);
    assert_eq!(weights("aider", &here().var("OPENAI_BASE_URL", "http://localhost:4242/v1")), []);
    let dotenv = linux().file("/projects/p/.env", "# x\nexport OPENAI_API_BASE=https://other.example\nDB=1\n");
    let found = conflicts("aider", &dotenv);
    assert_eq!((found.len(), found[0].weight), (1, Weight::Note));
    assert!(found[0].text.contains("OPENAI_API_BASE;") && !found[0].text.contains("DB"), "{found:?}");
    let conf = linux().file("/projects/p/.aider.conf.yml", "model: sonnet\n");
    assert!(conflicts("aider", &conf)[0].text.contains("model sonnet"));
}

#[test]
fn goose_follows_variables_more_than_its_configuration() {
    let user = linux().var("GOOSE_PROVIDER", "anthropic").var("GOOSE_MODEL", "big");
    assert_eq!(weights("goose", &user), [Weight::Disturbs, Weight::Disturbs]);
    let in_session = user.var("OPENAI_HOST", GATEWAY);
    assert_eq!(weights("goose", &in_session), []);
    for (text, found) in [
        ("GOOSE_PROVIDER: anthropic\n", vec![Weight::Note]),
        ("active_provider: openai\n", vec![Weight::Note]),
        ("GOOSE_PROVIDER: llmup\n", vec![]),
        ("GOOSE_PROVIDER: [\n", vec![]),
    ] {
        assert_eq!(weights("goose", &linux().file("/home/u/.config/goose/config.yaml", text)), found, "{text}");
    }
}

#[test]
fn a_group_of_llmups_in_vs_code_that_leads_elsewhere_is_told() {
    let path = "/home/u/.config/Code/User/chatLanguageModels.json";
    let of = |text: &str| conflicts("vscode", &linux().file(path, text));
    let group = |name: &str, url: &str| {
        format!("[{{ \"name\": \"{name}\", \"vendor\": \"customendpoint\", \"models\": [{{ \"url\": \"{url}\" }}] }},]")
    };
    let chat = "/v1/chat/completions";
    assert_eq!(of(&group("llmup", &format!("{GATEWAY}{chat}"))), []);
    assert_eq!(of(&group("mine", "https://other.example/v1")), [], "a model is chosen in the editor");
    let [found] = &of(&group("llmup", &format!("http://127.0.0.1:9{chat}")))[..] else { panic!() };
    assert!(found.text.contains("http://127.0.0.1:9/v1") && found.weight == Weight::Disturbs, "{found:?}");
    assert!(found.cure.as_ref().unwrap().contains("`llmup connect vscode`"), "{found:?}");
    for text in ["[]", "", "{}", "[1, {\"name\": \"llmup\", \"models\": 3}]"] {
        assert_eq!(of(text), [], "{text}");
    }
    assert_eq!(of("[{]").len(), 1);
}
