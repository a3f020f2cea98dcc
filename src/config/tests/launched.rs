//! Entries that llmup launches, and what holds for all of them.

use super::*;

fn launch(model: &Model) -> &Launch {
    model.launch().unwrap_or_else(|| panic!("{model:?}"))
}

/// A file with these lines in `litellm_params` of one entry, from line 5 on.
fn entry(lines: &str) -> String {
    format!("model_list:\n- model_name: a\n  litellm_params:\n    model: llmup/glm-4.7\n{lines}")
}

/// A file of entries in one line each: name and further keys.
fn entries(settings: &str, entries: &[(&str, &str)]) -> String {
    let entry =
        |(name, keys): &(&str, &str)| format!("- {{model_name: {name}, litellm_params: {{model: llmup/m, {keys}}}}}\n");
    format!("llmup_settings: {{{settings}}}\nmodel_list:\n{}", entries.iter().map(entry).collect::<String>())
}

fn policies(settings: &str, list: &[(&str, &str)]) -> Result<(Vec<Policy>, Vec<String>), String> {
    let config = read(&entries(settings, list))?;
    Ok((config.models.iter().map(|model| launch(model).policy.clone()).collect(), config.warnings))
}

#[test]
fn launched_and_remote_models_stand_in_one_file() {
    let text = "
llmup_settings: {ttl: 30m, context: 32768, engine: vllm}
model_list:
  - model_name: coder
    litellm_params:
      model: llmup/qwen3-coder-30b-a3b
      model_dir: weights/coder
      context: 65536
      engine_args: [--max-num-seqs, 8, '--note=${SET}']
      gpu_memory_utilization: 0.85
      tensor_parallel_size: 2
      keep: true
      preload: true
      temperature: 0.2
      timeout: 30
    model_info: {supports_vision: true}
  - {model_name: small, litellm_params: {model: llmup/llama3.1:8b, engine: auto, ttl: 0, group: side}}
  - {model_name: other, litellm_params: {model: llmup/x, engine: llama.cpp, group: side}}
  - {model_name: far, litellm_params: {model: openai/x, api_base: 'http://h:1/v1'}}
router_settings: {model_group_alias: {claude-sonnet: coder, gpt: llmup/llama3.1:8b}}
";
    let config = read(text).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    let [coder, small, other, far] = config.models.as_slice() else { panic!("{:?}", config.models) };
    assert_eq!(
        launch(coder),
        &Launch {
            model: "qwen3-coder-30b-a3b".into(),
            model_dir: Some("weights/coder".into()),
            engine: Some(Engine::Vllm),
            context: Some(65_536),
            engine_args: ["--max-num-seqs", "8", "--note=value"].map(str::to_owned).to_vec(),
            gpu_memory_utilization: Some(0.85),
            tensor_parallel_size: Some(2),
            policy: Policy { keep: true, ttl: None, preload: true, group: None, sleep: false },
        }
    );
    assert_eq!((coder.timeout, coder.images), (Some(Duration::from_secs(30)), Some(true)));
    assert_eq!(coder.defaults, [("temperature".into(), 0.2.into())]);
    assert_eq!(coder.place.as_deref(), Some("c.yaml:6:7"));
    let side = Some("side".to_owned());
    assert_eq!((launch(small).model.as_str(), launch(small).engine), ("llama3.1:8b", None));
    assert_eq!(launch(small).policy, Policy { group: side.clone(), ..Policy::default() });
    assert_eq!((launch(other).engine, launch(other).context), (Some(Engine::LlamaCpp), Some(32_768)));
    assert_eq!(launch(other).policy.ttl, Some(Duration::from_secs(1800)));
    assert_eq!((remote(far).model.as_str(), &far.place), ("x", &None));
    let aliases: Vec<_> = config.aliases.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(aliases, [("claude-sonnet", "coder"), ("gpt", "small")]);
}

#[test]
fn what_is_wrong_with_a_launched_model_is_told_with_its_place() {
    let at = |line: &str| entry(&format!("    {line}\n"));
    let params = "c.yaml:5:5: model_list[0].litellm_params";
    for (text, said) in [
        (at("ttl: soon"), format!("{params}.ttl: expected seconds, or a time like 90s")),
        (at("ttl: -1"), format!("{params}.ttl: expected seconds")),
        (at("ttl: 1.5"), format!("{params}.ttl: expected seconds")),
        (at("ttl: 366d"), format!("{params}.ttl: expected seconds")),
        (at("ttl: [1h]"), format!("{params}.ttl: expected seconds")),
        (at("keep: always"), format!("{params}.keep: expected true or false, found the text \"always\"")),
        (at("sleep: deep"), format!("{params}.sleep: expected true or false, found the text \"deep\"")),
        (at("preload: 1"), format!("{params}.preload: expected true or false, found 1")),
        (at("group: ''"), format!("{params}.group: expected a name, found the text \"\"")),
        (at("group: [a, b]"), format!("{params}.group: expected text, found a list")),
        (at("engine: sglang"), format!("{params}.engine: expected auto, vllm, llama.cpp or ollama, found the text")),
        (at("context: 255"), format!("{params}.context: expected a number of tokens from 256, found 255")),
        (at("context: 32k"), format!("{params}.context: expected a whole number from 0, found the text \"32k\"")),
        (at("gpu_memory_utilization: 90"), format!("{params}.gpu_memory_utilization: expected a share above 0 and")),
        (at("gpu_memory_utilization: 0"), format!("{params}.gpu_memory_utilization: expected a share above 0 and")),
        (at("gpu_memory_utilization: .nan"), format!("{params}.gpu_memory_utilization: expected a number")),
        (at("tensor_parallel_size: 0"), format!("{params}.tensor_parallel_size: expected a whole number from 1")),
        (at("tensor_parallel_size: 5000000000"), format!("{params}.tensor_parallel_size: expected a whole number")),
        (at("engine_args: --enforce-eager"), format!("{params}.engine_args: expected a list, found the text")),
        (
            at("engine_args: [true]"),
            format!("{params}.engine_args[0]: expected text, found true").replace(":5:5", ":5:19"),
        ),
        (
            at("engine_args: [-a, --max-num-seqs 8]"),
            format!("{params}.engine_args[1]: expected an option and its value as two items").replace(":5:5", ":5:23"),
        ),
        (at("model_dir: '${NOT_SET}'"), format!("{params}.model_dir stands for the environment variable NOT_SET")),
        (at("api_base: 'http://h:1'"), format!("{params}.api_base: llmup launches this model here")),
        (
            entry("    engine: llama.cpp\n    tensor_parallel_size: 2\n"),
            "c.yaml:6:5: model_list[0].litellm_params.tensor_parallel_size: `tensor_parallel_size` is for vLLM".into(),
        ),
        (
            entry("    engine: ollama\n    engine_args: [-x]\n"),
            "c.yaml:6:5: model_list[0].litellm_params.engine_args: `engine_args` is for engines with flags".into(),
        ),
        (
            "llmup_settings: {gpu_memory_utilization: 0.5}\n".to_owned() + &entry("    engine: ollama\n"),
            "c.yaml:6:5: model_list[0].litellm_params.engine: `gpu_memory_utilization` is for vLLM".into(),
        ),
        (
            entry("    keep: true\n    ttl: 10m\n"),
            "c.yaml:6:5: model_list[0].litellm_params.ttl: `keep: true` and a `ttl` contradict each other".into(),
        ),
        (
            "llmup_settings:\n  keep: true\n  ttl: 5\n".into(),
            "c.yaml:3:3: llmup_settings.ttl: `keep: true` and a `ttl` contradict each other".into(),
        ),
        ("llmup_settings:\n  ttl: x\n".into(), "c.yaml:2:3: llmup_settings.ttl: expected seconds".into()),
        (
            "llmup_settings: [ttl]\n".into(),
            "c.yaml:1:1: llmup_settings: expected names with values, found a list".into(),
        ),
        (
            entry("").replace("llmup/glm-4.7", "llmup/"),
            "c.yaml:4:5: model_list[0].litellm_params.model: expected llmup/ and one model".into(),
        ),
        (
            entry("").replace("llmup/glm-4.7", "llmup/*"),
            "c.yaml:4:5: model_list[0].litellm_params.model: expected llmup/ and one model".into(),
        ),
        (
            entry("").replace("name: a", "name: 'a*'"),
            "c.yaml:2:3: model_list[0].model_name: expected a name without *: llmup launches one model for it".into(),
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.starts_with(&said), "{text}\n  said {error}\n  not  {said}");
    }
}

#[test]
fn one_name_is_one_launched_model() {
    let again = |first: &str, second: &str| {
        let entry = |model: &str| format!("- {{model_name: a, litellm_params: {{model: {model}}}}}\n");
        read(&format!("model_list:\n{}{}", entry(first), entry(second)))
    };
    for (first, second) in [("llmup/x", "llmup/y"), ("llmup/x", "ollama/y"), ("ollama/x", "llmup/y")] {
        let error = again(first, second).unwrap_err();
        let said = "c.yaml:3:4: model_list[1].model_name: a is the name of another entry (c.yaml:2:4)";
        assert!(error.starts_with(said), "{error}");
    }
    assert_eq!(again("ollama/x", "ollama/y").unwrap().warnings.len(), 1);
    // The same model under two names is two models with a context each.
    assert_eq!(read(&entries("", &[("a", "context: 4096"), ("b", "context: 8192")])).unwrap().models.len(), 2);
}

#[test]
fn what_is_for_the_other_kind_of_entry_is_not_used_and_told() {
    let text = "
model_list:
- model_name: a
  litellm_params: {model: llmup/x, api_key: k, headers: {}, colour: red}
  model_info: {max_input_tokens: 4096}
- model_name: b
  litellm_params: {model: ollama/x, keep: true}
llmup_settings: {model_dir: /m, ttl: 1h}
";
    assert_eq!(
        read(text).unwrap().warnings,
        [
            "c.yaml:8:18: llmup_settings.model_dir is not used by llmup",
            "c.yaml:4:36: litellm_params.api_key is not used: llmup launches this model itself",
            "c.yaml:4:48: litellm_params.headers is not used: llmup launches this model itself",
            "c.yaml:4:61: litellm_params.colour is not used by llmup",
            "c.yaml:5:16: model_info.max_input_tokens is not used: a launched model has litellm_params.context",
            "c.yaml:7:37: litellm_params.keep is only for models that llmup launches (model: llmup/NAME)",
        ]
    );
}

#[test]
fn paths_are_those_from_the_files_folder() {
    let env = |name: &str| (name == "HOME").then(|| "/home/ann".to_owned());
    let read = |model: &str, dir: &str| {
        let text = format!(
            "model_list:\n- {{model_name: a, litellm_params: {{model: 'llmup/{model}', model_dir: '{dir}'}}}}\n"
        );
        let config = parse("conf/c.yaml", &text, &env).unwrap();
        let launch = launch(&config.models[0]);
        (Path::new(&launch.model).to_owned(), launch.model_dir.clone().unwrap())
    };
    let in_folder = |path: &str| Path::new("conf").join(path);
    assert_eq!(read("glm-4.7", "m"), ("glm-4.7".into(), in_folder("m")));
    assert_eq!(read("./m", "../m"), (in_folder("./m"), in_folder("../m")));
    assert_eq!(read("q.GGUF", "~"), (in_folder("q.GGUF"), "/home/ann".into()));
    assert_eq!(read("~/m", "~/m"), ("/home/ann/m".into(), "/home/ann/m".into()));
    // Neither is a path of ours to change: a tag, another's home.
    assert_eq!(read("library/llama3.1:8b", "~bob/m"), ("library/llama3.1:8b".into(), in_folder("~bob/m")));
    if cfg!(unix) {
        assert_eq!(read("/srv/m.gguf", "/srv/m"), ("/srv/m.gguf".into(), "/srv/m".into()));
    }
}

/// Whatever an entry and the settings say, a kept model has no time to live, and a word of an entry itself counts.
#[test]
fn an_entrys_own_word_beats_the_one_for_all() {
    let keeps = ["", "keep: true", "keep: false"];
    let ttls = ["", "ttl: 0", "ttl: 1h"];
    let both = |keep: &str, ttl: &str| [keep, ttl].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", ");
    let contradicts = |keep: &str, ttl: &str| keep == "keep: true" && ttl == "ttl: 1h";
    let mut read = 0;
    for (all_keep, all_ttl) in keeps.iter().flat_map(|keep| ttls.map(|ttl| (*keep, ttl))) {
        for (keep, ttl) in keeps.iter().flat_map(|keep| ttls.map(|ttl| (*keep, ttl))) {
            let outcome = policies(&both(all_keep, all_ttl), &[("a", &both(keep, ttl))]);
            let refused = contradicts(keep, ttl) || contradicts(all_keep, all_ttl);
            assert_eq!(outcome.is_err(), refused, "{all_keep} {all_ttl} / {keep} {ttl}");
            let Ok((policies, warnings)) = outcome else { continue };
            read += 1;
            let policy = &policies[0];
            assert!(!policy.keep || policy.ttl.is_none(), "{all_keep} {all_ttl} / {keep} {ttl}: {policy:?}");
            assert!(policy.ttl != Some(Duration::ZERO) && warnings.is_empty());
            if !keep.is_empty() {
                assert_eq!(policy.keep, keep == "keep: true");
            }
            if !ttl.is_empty() {
                assert_eq!(policy.ttl.is_some(), ttl == "ttl: 1h");
            }
        }
    }
    assert_eq!(read, 64);
}

#[test]
fn a_group_that_contradicts_itself_is_refused_or_told() {
    let error = policies("group: g", &[("a", "keep: true"), ("b", ""), ("c", "keep: true")]).unwrap_err();
    let said = "c.yaml:5:52: model_list[2].litellm_params.keep: a and c are both kept, but of the group g only one";
    assert!(error.starts_with(said), "{error}");
    let error = policies("keep: true", &[("a", "group: 1"), ("b", "group: 1")]).unwrap_err();
    assert!(error.starts_with("c.yaml:4:19: model_list[1].litellm_params: a and b are both kept"), "{error}");
    // Each group by itself.
    let (_, warnings) = policies("keep: true", &[("a", "group: g"), ("b", "group: h"), ("c", "")]).unwrap();
    assert_eq!(
        warnings,
        ["c.yaml:3:52: a is the only model in the group g", "c.yaml:4:52: b is the only model in the group h"]
    );
    let (_, warnings) = policies("group: g", &[("a", "keep: true"), ("b", "")]).unwrap();
    assert_eq!(warnings, ["c.yaml:3:52: a is kept: once it runs, no other model of the group g can"]);
    let (all, warnings) =
        policies("group: g, preload: true", &[("a", "preload: false"), ("b", ""), ("c", "")]).unwrap();
    assert_eq!(all.iter().map(|policy| policy.preload).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(warnings, ["c.yaml:5:19: of the group g only b is started at once: only one of it runs at a time"]);
}

/// Files cut anywhere, and with a word of one place in another: read with what is promised, or refused with a place.
#[test]
fn a_broken_file_is_read_or_refused_with_a_place() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/configuration");
    let (mut whole, mut refused) = (0, 0);
    for seed in std::fs::read_dir(seeds).unwrap() {
        let text = std::fs::read_to_string(seed.unwrap().path()).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        let cut = text.char_indices().map(|(at, _)| text[..at].to_owned());
        let swapped =
            words.iter().enumerate().map(|(at, word)| text.replacen(word, words[(at * 7 + 3) % words.len()], 1));
        for broken in cut.chain(swapped) {
            match read(&broken) {
                Ok(config) => {
                    whole += 1;
                    assert!(config.warnings.iter().all(|warning| warning.starts_with("c.yaml:")), "{broken}");
                    for model in &config.models {
                        let Some(launch) = model.launch() else { continue };
                        assert!(!launch.policy.keep || launch.policy.ttl.is_none(), "{broken}");
                        assert!(!model.name.contains('*') && model.place.is_some(), "{broken}");
                    }
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.starts_with("c.yaml:"), "{broken}\n{error}");
                }
            }
        }
    }
    assert!(whole > 50 && refused > 50, "{whole} read, {refused} refused");
}
