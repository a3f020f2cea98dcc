use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::error::Explain;
use crate::exit::Exit;

fn nowhere() -> &'static Path {
    Path::new("no/such/folder")
}

#[test]
fn every_built_in_profile_is_sound() {
    let vllm = engine("vllm").unwrap().unwrap();
    let profiles = all(nowhere()).unwrap();
    assert!(profiles.len() >= 90, "{}", profiles.len());
    let mut taken = BTreeSet::new();
    for profile in &profiles {
        let name = &profile.name;
        assert_eq!(*name, name.to_lowercase());
        assert!(!profile.sources.is_empty(), "{name} has no source");
        assert!(!profile.title.is_empty(), "{name} has no title");
        for called in std::iter::once(name).chain(&profile.aliases) {
            assert!(taken.insert(called.to_lowercase()), "{called} names two models");
        }
        assert_eq!(profile.scripted, name == "demo");
        assert_eq!(profile.variants.is_empty(), profile.scripted, "{name}");
        for variant in &profile.variants {
            assert!(!variant.source.is_empty(), "{name} {} has no source", variant.quantization);
            let from = [&variant.hugging_face, &variant.model_scope, &variant.ollama];
            assert!(from.iter().any(|place| place.is_some()), "{name} {}", variant.quantization);
            for repository in [&variant.hugging_face, &variant.model_scope].into_iter().flatten() {
                assert_eq!(repository.split('/').count(), 2, "{name}: {repository} is no OWNER/NAME");
            }
            assert_eq!(variant.format == "ollama", variant.ollama.is_some(), "{name}");
        }
        assert!(profile.sampling.as_ref().is_none_or(|s| !s.source.is_empty()), "{name}: sampling has no source");
        for (vendor, recipe) in &profile.accelerators {
            assert!(!recipe.source.is_empty(), "{name}: {vendor} has no source");
            assert!(!recipe.args.iter().any(|arg| vllm.removed(arg)), "{name}: {vendor}");
        }
        assert!(profile.engines.contains_key("vllm") || profile.variants.iter().all(|v| v.ollama.is_some()), "{name}");
        let sizes: Vec<f64> = profile.variants.iter().filter_map(|variant| variant.weights_gb).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{name}: variants go from the biggest to the smallest: {sizes:?}");
        if let Some(recipe) = profile.engines.get("vllm") {
            if let Some(parser) = &recipe.tool_parser {
                assert!(vllm.tool_parsers.contains(parser), "{name}: {parser}");
            }
            if let Some(parser) = &recipe.reasoning_parser {
                assert!(vllm.reasoning_parsers.contains(parser), "{name}: {parser}");
            }
            for arg in &recipe.args {
                assert!(!vllm.removed(arg), "{name}: {arg} is gone");
            }
        }
        for id in profile.engines.keys() {
            assert!(["vllm", "llama-cpp", "ollama"].contains(&id.as_str()), "{name}: engine {id}");
        }
    }
}

/// What differs from 1 would be a typing error of the one who wrote the size or the count.
#[test]
fn published_sizes_agree_with_the_count_of_parameters() {
    let mut checked = 0;
    for profile in all(nowhere()).unwrap() {
        for variant in &profile.variants {
            let (Some(gb), Some(count)) = (variant.weights_gb, profile.parameters_b) else { continue };
            // What is stored in 16 bits is exact; the average of a quantisation is not, and Ollama's tags carry vision
            // parts that are not quantised.
            let near = match variant.quantization.as_str() {
                "bf16" => 0.05,
                _ => 0.45,
            };
            let Some(each) = size::bytes_per_parameter(&variant.quantization, count) else { continue };
            let ratio = gb / (count * each);
            let what = format!("{} {}: {gb} GB for {count}B", profile.name, variant.quantization);
            if variant.ollama.is_some() {
                assert!((0.9..2.0).contains(&ratio), "{what}");
            } else {
                assert!((1.0 - near..1.0 + near).contains(&ratio), "{what}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
}

#[test]
fn sizes_are_published_estimated_or_unknown() {
    let profile: ModelProfile = serde_yaml::from_str(
        "name: m\ntitle: t\nparameters_b: 10\nvariants:\n\
         - {quantization: bf16, format: safetensors, weights_gb: 20.5}\n\
         - {quantization: fp8, format: safetensors}\n\
         - {quantization: odd, format: gguf, memory_min_gb: 8}\n\
         - {quantization: nvfp4, format: safetensors}\n",
    )
    .unwrap();
    let sizes: Vec<_> = profile.variants.iter().map(|v| profile.size(v).map(|s| (s.bytes, s.estimated))).collect();
    let expected = [Some((20_500_000_000, false)), Some((10_500_000_000, true)), Some((8_000_000_000, true)), None];
    assert_eq!(sizes, expected);
}

/// The shapes against recorded config.json of the same models, where those are at hand.
#[test]
fn shapes_agree_with_published_configurations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/model_facts.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut checked = 0;
    for profile in all(nowhere()).unwrap() {
        let names = profile.variants.iter().flat_map(|v| [&v.hugging_face, &v.model_scope]).flatten();
        for fact in names.filter_map(|name| facts.get(name)) {
            let number = |key: &str| fact.get(key).and_then(serde_json::Value::as_u64);
            let name = &profile.name;
            if let Some(first) = profile.architectures.first() {
                assert_eq!(fact.pointer("/architectures/0").and_then(|a| a.as_str()), Some(first.as_str()), "{name}");
            }
            let own = number("max_position_embeddings");
            assert!(profile.context_max.is_none_or(|context| own.is_none_or(|own| context <= own)), "{name}: {own:?}");
            let Some(shape) = &profile.shape else { continue };
            for (key, value) in [
                ("num_hidden_layers", shape.layers),
                ("hidden_size", shape.hidden),
                ("num_attention_heads", shape.heads),
                ("vocab_size", shape.vocab),
            ] {
                assert_eq!(number(key), Some(value), "{name}: {key}");
            }
            if number("global_head_dim").is_none() {
                assert!(number("num_key_value_heads").is_none_or(|heads| heads == shape.kv_heads), "{name}");
                assert!(number("head_dim").is_none_or(|dim| dim == shape.head_dim), "{name}");
            }
            let latent = number("kv_lora_rank").zip(number("qk_rope_head_dim")).map(|(rank, rope)| rank + rope);
            assert_eq!(shape.mla_kv_dim, latent, "{name}");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
}

#[test]
fn removed_flags_are_known_in_every_spelling() {
    let vllm = engine("vllm").unwrap().unwrap();
    assert!(vllm.removed("--disable-log-requests"));
    assert!(vllm.removed("--swap_space=4"));
    assert!(!vllm.removed("--max-model-len"));
    assert!(engine("no-such-engine").unwrap().is_none());
}

#[test]
fn recipes_by_architecture_are_sound() {
    let vllm = engine("vllm").unwrap().unwrap();
    assert_eq!(vllm.architectures["GptOssForCausalLM"].tool_parser.as_deref(), Some("openai"));
    for (architecture, recipe) in &vllm.architectures {
        assert!(recipe.tool_parser.as_ref().is_some_and(|p| vllm.tool_parsers.contains(p)), "{architecture}");
        assert!(recipe.reasoning_parser.as_ref().is_none_or(|p| vllm.reasoning_parsers.contains(p)), "{architecture}");
        assert!(!recipe.args.iter().any(|arg| vllm.removed(arg)), "{architecture}");
    }
}

#[test]
fn names_and_aliases_are_found_whatever_their_case() {
    for (asked, name) in [
        ("GLM-4.7", "glm-4.7"),
        ("qwen3-coder", "qwen3-coder-30b-a3b"),
        ("zai-org/GLM-4.7-Flash", "glm-4.7-flash"),
        ("gpt-oss:120b", "gpt-oss-120b"),
        (" demo ", "demo"),
    ] {
        let found = find(asked, nowhere()).unwrap();
        assert_eq!((found.profile.name.as_str(), found.origin), (name, Origin::BuiltIn), "{asked}");
    }
}

#[test]
fn a_typo_gets_a_suggestion() {
    for (asked, name) in [
        ("glm4.7flash", "glm-4.7-flash"),
        ("qwen3-codr", "qwen3-coder-30b-a3b"),
        ("gpt-os-20b", "gpt-oss-20b"),
        ("lama-3.1", "llama-3.1-8b"),
        ("devstrall", "devstral"),
        ("coder-30b", "qwen3-coder-30b-a3b"),
    ] {
        let error = find(asked, nowhere()).unwrap_err();
        assert_eq!(error.exit(), Exit::Config);
        assert!(error.hints()[0].contains(&format!("`llmup start {name}`")), "{asked}: {:?}", error.hints());
        assert_eq!(nearest(asked, nowhere()).first().map(String::as_str), Some(name));
    }
    assert_eq!(nearest("zzzzzz", nowhere()), Vec::<String>::new());
}

#[test]
fn a_users_file_beats_the_built_in_one_and_another_adds_a_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("glm-4.7.yaml"), "name: glm-4.7\ntitle: mine\n").unwrap();
    std::fs::write(dir.path().join("Mine.yaml"), "name: Mine\ntitle: other\naliases: [my-own]\n").unwrap();
    let found = find("GLM-4.7", dir.path()).unwrap();
    assert_eq!(found.profile.title, "mine");
    assert_eq!(found.origin, Origin::User(dir.path().join("glm-4.7.yaml")));
    assert_eq!(find("mine", dir.path()).unwrap().profile.title, "other");
    assert_eq!(find("MY-OWN", dir.path()).unwrap().profile.title, "other");
    assert_eq!(all(dir.path()).unwrap().len(), all(nowhere()).unwrap().len() + 1);
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.yaml");
    std::fs::write(&path, "name: broken\ntitle: x\ncontxt_max: 3\n").unwrap();
    let error = find("broken", dir.path()).unwrap_err();
    assert_eq!(error.exit(), Exit::Config);
    let text = error.to_string();
    assert!(text.starts_with(&format!("{}:3:1: ", path.display())), "{text}");
    assert!(text.contains("contxt_max"), "{text}");

    std::fs::write(&path, "name: other\ntitle: x\n").unwrap();
    assert!(find("broken", dir.path()).unwrap_err().to_string().contains("must equal the file's name"));
    // A file that was not asked for does not stand in the way of a name.
    assert_eq!(find("demo", dir.path()).unwrap().profile.name, "demo");
}

#[test]
fn a_file_that_repeats_itself_too_often_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write = |aliases: usize| {
        let repeated = vec!["*t"; aliases].join(", ");
        let text = format!("name: many\ntitle: &t {}\naliases: [{repeated}]\n", "x".repeat(50_000));
        std::fs::write(dir.path().join("many.yaml"), text).unwrap();
        find("many", dir.path())
    };
    assert_eq!(write(16).unwrap().profile.aliases.len(), 16);
    let error = write(17).unwrap_err().to_string();
    assert!(error.ends_with("many.yaml:3: more than 16 aliases (`*name`); write the values out"), "{error}");
    let text = format!("name: many\ntitle: {}\n", "* & ".repeat(300_000));
    std::fs::write(dir.path().join("many.yaml"), text).unwrap();
    assert!(find("many", dir.path()).unwrap_err().to_string().contains("larger than 262144 bytes"));
    std::fs::write(dir.path().join("many.yaml"), format!("name: many\ntitle: R&D {}\n", "*a* **b** ".repeat(50)))
        .unwrap();
    assert_eq!(find("many", dir.path()).unwrap().profile.name, "many");
}

#[test]
fn one_name_parses_one_file() {
    let start = std::time::Instant::now();
    for _ in 0..20 {
        find("glm-4.7", nowhere()).unwrap();
    }
    // A debug build on a busy machine; the release binary needs well under a millisecond each.
    assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
}
