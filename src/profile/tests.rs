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
    assert!(profiles.len() >= 10, "{}", profiles.len());
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
            assert!(variant.hugging_face.is_some() || variant.ollama.is_some(), "{name} {}", variant.quantization);
        }
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
    assert_eq!(names(dir.path()).unwrap().len(), names(nowhere()).unwrap().len() + 1);
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
fn one_name_parses_one_file() {
    let start = std::time::Instant::now();
    for _ in 0..20 {
        find("glm-4.7", nowhere()).unwrap();
    }
    // A debug build on a busy machine; the release binary needs well under a millisecond each.
    assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
}
