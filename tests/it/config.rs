//! `llmup config check`, and what `serve` says of a file with models to launch.

use serde_json::Value;

use crate::support::Home;

const FILE: &str = "\
llmup_settings: {ttl: 10m}
model_list:
- model_name: coder
  litellm_params: {model: llmup/demo, keep: true, preload: true, colour: red}
- model_name: far
  litellm_params: {model: openai/x, api_base: 'http://127.0.0.1:9/v1', api_key: sesame}
router_settings: {model_group_alias: {gpt: coder}}
";

fn home(file: &str) -> Home {
    let home = Home::new();
    std::fs::write(home.path().join("models.yaml"), file).unwrap();
    home
}

#[test]
fn a_file_is_checked_and_nothing_is_started() {
    let home = home(FILE);
    let ran = home.run(&["config", "check", "models.yaml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let expected = "\
models.yaml: 2 models, 1 of them launched here

coder
  launched here: demo
  started at once, never stopped to make room

far
  openai/x at http://127.0.0.1:9, with a key

gpt
  another name of coder

key: --api-key, or one that is made and kept
";
    assert_eq!(ran.out, expected);
    assert_eq!(ran.err.trim_end(), "note   models.yaml:4:66: litellm_params.colour is not used by llmup");

    let ran = home.run(&["config", "check", "models.yaml", "--json"]);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&said["models"][0]["keep"], &said["models"][0]["ttl_seconds"]), (&true.into(), &Value::Null));
    assert_eq!(said["models"][1]["launched"], false);
    assert_eq!(said["warnings"].as_array().map(Vec::len), Some(1));
    assert!(!format!("{}{}", ran.out, ran.err).contains("sesame"));
}

#[test]
fn a_file_that_cannot_be_used_is_code_3_with_its_place() {
    for (text, said) in [
        (
            FILE.replace("keep: true", "keep: true, ttl: 1h"),
            "models.yaml:4:51: model_list[0].litellm_params.ttl: `keep: true` and",
        ),
        (
            FILE.replace("openai/x", "llmup/x"),
            "models.yaml:6:36: model_list[1].litellm_params.api_base: llmup launches",
        ),
        (FILE.replace("http://127", "http://a b"), "is not a URL"),
        ("model_list: []\n".to_owned(), "models.yaml:1:1: model_list: expected at least one model"),
    ] {
        let home = home(&text);
        let ran = home.run(&["config", "check", "models.yaml"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{}", ran.err);
        assert!(ran.err.contains(said) && ran.err.contains("hint:"), "{said}\n{}", ran.err);
    }
    let ran = home("").run(&["config", "check", "missing.yaml"]);
    assert!(ran.code == Some(3) && ran.err.contains("missing.yaml"), "{}", ran.err);
}

#[test]
fn serve_points_at_a_model_it_would_have_to_launch() {
    let ran = home(FILE).run(&["serve", "--config", "models.yaml"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    let said = "error: models.yaml:4:20: coder is a model that llmup launches (llmup/demo), and serve launches none";
    assert!(ran.err.contains(said), "{}", ran.err);
    assert!(ran.err.contains("`llmup start --config models.yaml`"), "{}", ran.err);
}

/// The file in the documentation is one that works.
#[test]
fn the_example_is_read() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/models.yaml");
    let home = Home::new();
    let mut command = home.llmup(&["config", "check", example]);
    command.env("ANTHROPIC_API_KEY", "sesame");
    let ran = crate::support::finish(command);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains(": 4 models, 2 of them launched here\n"), "{}", ran.out);
}
