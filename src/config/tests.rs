use super::*;
use crate::error::Explain;
use crate::exit::Exit;

mod launched;

fn env(name: &str) -> Option<String> {
    match name {
        "SET" => Some("value".to_owned()),
        "OPENAI_API_KEY" => Some("from-env".to_owned()),
        _ => None,
    }
}

fn remote(model: &Model) -> &Remote {
    match &model.backend {
        Backend::Remote(remote) => remote,
        Backend::Launched(launch) => panic!("{launch:?}"),
    }
}

fn read(text: &str) -> Result<Config, String> {
    parse("c.yaml", text, &env).map_err(|error| {
        assert_eq!(error.exit(), Exit::Config);
        assert!(!error.hints().is_empty());
        error.to_string()
    })
}

const MODEL: &str = "model_list:\n  - model_name: glm\n    litellm_params:\n      model: openai/glm-4.7\n      api_base: http://127.0.0.1:8000/v1/\n";

#[test]
fn a_file_people_have_is_read() {
    let text = "
litellm_settings:
  drop_params: true
  request_timeout: 600
  num_retries: 3
  cache: true
model_list:
  - model_name: glm
    litellm_params:
      model: openai/glm-4.7
      api_base: http://127.0.0.1:8000/v1/
      api_key: EMPTY
      temperature: 0.7
      max_tokens: 150
      provider: google
      extra_headers: {X-Team: '${SET}'}
    model_info: {max_input_tokens: 8192, id: x, supports_vision: false}
  - model_name: kimi
    litellm_params: {model: 'openrouter/moonshotai/kimi:free', api_key: os.environ/SET, timeout: 1.5}
  - model_name: \"*\"
    litellm_params: {model: 'hosted_vllm/*', api_base: 'http://172.16.1.166:8000/v1', provider: x}
  - model_name: claude-opus
    litellm_params: {model: gpt-4o}
router_settings:
  routing_strategy: least-busy
  model_group_alias:
    gpt-4: glm
    gpt-5: openai/glm-4.7
    lost: ollama/llama3.1:8b
    hidden: {model: kimi, hidden: true}
general_settings:
  master_key: sk-1234
  unreadable_media: refuse
";
    let config = read(text).unwrap();
    let [glm, kimi, any, opus] = config.models.as_slice() else { panic!("{:?}", config.models) };
    let at = [glm, kimi, any, opus].map(remote);
    assert_eq!((at[0].model.as_str(), at[0].provider.prefix), ("glm-4.7", "openai"));
    assert_eq!(at[0].api_base.as_deref(), Some("http://127.0.0.1:8000/v1"));
    assert_eq!(at[0].api_key.as_deref(), Some("EMPTY"));
    assert_eq!(at[0].headers, [("X-Team".to_owned(), "value".to_owned())]);
    assert_eq!(glm.defaults, [("temperature".into(), 0.7.into()), ("max_tokens".into(), 150.into())]);
    assert_eq!((at[0].context, glm.timeout, glm.retries), (Some(8192), Some(Duration::from_secs(600)), 3));
    assert_eq!((glm.images, glm.documents, glm.refuses_media), (Some(false), None, true));
    assert_eq!((at[1].model.as_str(), at[1].provider.prefix), ("moonshotai/kimi:free", "openrouter"));
    assert_eq!((at[1].api_key.as_deref(), kimi.timeout), (Some("value"), Some(Duration::from_millis(1500))));
    assert_eq!((any.name.as_str(), at[2].model.as_str(), &at[2].api_key), ("*", "*", &None));
    assert_eq!((at[3].provider.prefix, at[3].api_key.as_deref()), ("openai", Some("from-env")));
    assert_eq!(config.master_key.as_deref(), Some("sk-1234"));
    let aliases: Vec<_> = config.aliases.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(aliases, [("gpt-4", "glm"), ("gpt-5", "glm"), ("hidden", "kimi")]);
    assert_eq!(
        config.warnings,
        [
            "c.yaml:25:3: router_settings.routing_strategy is not used by llmup",
            "c.yaml:6:3: litellm_settings.cache is not used by llmup",
            "c.yaml:15:7: litellm_params.provider is not used by llmup",
            "c.yaml:29:5: the alias lost leads to ollama/llama3.1:8b, which is no model_name",
        ]
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_was_expected() {
    let with = |more: &str| format!("{MODEL}{more}");
    for (text, said) in [
        (
            with("      temperature: warm\n"),
            "c.yaml:6:7: model_list[0].litellm_params.temperature: expected a number, found the text \"warm\"",
        ),
        (
            with("general_settings:\n  unreadable_media: hide\n"),
            "c.yaml:7:3: general_settings.unreadable_media: expected note or refuse, found the text \"hide\"",
        ),
        (
            with("      max_tokens: 1.5\n"),
            "c.yaml:6:7: model_list[0].litellm_params.max_tokens: expected a whole number from 0, found 1.5",
        ),
        (
            with("litellm_settings:\n  drop_params: maybe\n"),
            "c.yaml:7:3: litellm_settings.drop_params: expected true or false, found the text \"maybe\"",
        ),
        (
            with("litellm_settings:\n  request_timeout: 0\n"),
            "c.yaml:7:3: litellm_settings.request_timeout: expected a number of seconds above 0, found 0",
        ),
        (
            with("  - just text\n"),
            "c.yaml:6:5: model_list[1]: expected names with values, found the text \"just text\"",
        ),
        ("model_list: {a: 1}\n".into(), "c.yaml:1:1: model_list: expected a list, found names with values"),
        ("a: [1\n".into(), "c.yaml:2:1: did not find expected ',' or ']'"),
        ("just text".into(), "c.yaml:1:1: expected names with values"),
        ("general_settings: {}\n".into(), "c.yaml:1:1: expected a `model_list`: there is none"),
        (
            "model_list:\n- model_name: x\n  litellm_params:\n    model: hosted_vllm/x\n".into(),
            "c.yaml:3:3: model_list[0].litellm_params: expected an `api_base`: hosted_vllm/ has no address of its own, \
             found names with values",
        ),
        (
            "model_list:\n- model_name: x\n  litellm_params:\n    model: openai/x\n    api_base: localhost:8000\n"
                .into(),
            "c.yaml:5:5: model_list[0].litellm_params.api_base: expected a URL, as in http://127.0.0.1:8000/v1, found \
             the text \"localhost:8000\"",
        ),
        (
            with("      api_key: os.environ/NOT_SET\n"),
            "c.yaml:6:7: model_list[0].litellm_params.api_key stands for the environment variable NOT_SET, which is \
             not set",
        ),
        (
            with("general_settings:\n  master_key: ${NOT_SET}\n"),
            "c.yaml:7:3: general_settings.master_key stands for the environment variable NOT_SET, which is not set",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.starts_with(said), "{text}\n  said {error}\n  not  {said}");
    }
}

#[test]
fn variables_are_filled_in_and_the_files_own_ones_too() {
    let text = format!(
        "{MODEL}      api_key: a-${{SET}}-${{OWN}}-${{NONE:-d}}\nenvironment_variables:\n  OWN: own\ngeneral_settings: {{master_key: os.environ/OWN}}\n"
    );
    let config = read(&text).unwrap();
    assert_eq!(remote(&config.models[0]).api_key.as_deref(), Some("a-value-own-d"));
    assert_eq!(config.master_key.as_deref(), Some("own"));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn providers_that_cannot_be_spoken_to_and_second_entries_are_named() {
    let text = format!(
        "{MODEL}  - model_name: aws\n    litellm_params: {{model: bedrock/x}}\n  - model_name: glm\n    litellm_params: {{model: ollama/glm}}\n"
    );
    let config = read(&text).unwrap();
    assert_eq!(config.models.len(), 1);
    assert!(config.warnings[0].starts_with("c.yaml:7:22: aws is left out: \"bedrock/x\""), "{:?}", config.warnings);
    assert!(config.warnings[1].starts_with("c.yaml:8:5: another entry named glm"), "{:?}", config.warnings);
    let error = read("model_list:\n  - model_name: aws\n    litellm_params: {model: bedrock/x}\n").unwrap_err();
    assert!(error.contains("at least one model"), "{error}");
}

#[test]
fn anchors_and_merges_have_places_too() {
    let text = "
base: &base {api_base: 'http://h/v1', temperature: hot}
model_list:
  - model_name: a
    litellm_params:
      <<: *base
      model: openai/a
";
    let error = read(text).unwrap_err();
    assert!(error.starts_with("c.yaml:5:5: model_list[0].litellm_params.temperature: expected a number"), "{error}");
}

/// Files as people publish them; see the folder's own words.
#[test]
fn published_files_are_read() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/seeds");
    let Ok(files) = std::fs::read_dir(&seeds) else {
        crate::output::note("skipped: there are no published files here");
        return;
    };
    let (mut read, mut blocks) = (0, 0);
    let all = |_: &str| Some("value".to_owned());
    for file in files {
        let text = String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned();
        for block in text.split("```yaml").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            if block.contains("model_list:") {
                blocks += 1;
                match parse("seed", block, &all) {
                    Ok(_) => read += 1,
                    Err(error) => crate::output::note(&format!("{error}\n{block}")),
                }
            }
        }
    }
    assert!(blocks > 8, "{blocks}");
    assert_eq!(read, blocks);
}
