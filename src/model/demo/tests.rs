use super::*;
use crate::model::read_path;

#[test]
fn the_demo_reads_back_as_what_it_is_in_both_formats() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, architecture) in [(Format::Gguf, "llama"), (Format::Safetensors, "Qwen3ForCausalLM")] {
        let path = ensure(dir.path(), kind).unwrap();
        let weights = read_path(&path).unwrap();
        assert_eq!(weights.format, kind);
        assert_eq!(weights.architecture.as_deref(), Some(architecture));
        assert_eq!(weights.context_max, Some(CONTEXT));
        assert!(weights.chat_template);
        let shape = weights.shape.unwrap();
        assert_eq!((shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.head_dim), (2, 128, 4, 2, 32));
        assert_eq!(shape.kv_bytes_per_token(2), 512);
    }
}

#[test]
fn it_is_written_once_and_always_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = ensure(dir.path(), Format::Gguf).unwrap();
    let first = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"kept").unwrap();
    ensure(dir.path(), Format::Gguf).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    write_gguf(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == first);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
}

/// What the chain of successors from a script's mode token spells.
fn follow(machine: &Machine, mode: &str, steps: usize) -> String {
    let words = &machine.words;
    let end = words.id("<|im_end|>");
    let mut at = words.id(mode);
    let mut text = String::new();
    for _ in 0..steps {
        let next: Vec<usize> = words.successors.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to).collect();
        assert_eq!(next.len(), 1, "{mode}: a token has one successor");
        at = next[0];
        if at == end {
            break;
        }
        text.push_str(&words.tokens[at].0);
    }
    text
}

#[test]
fn every_script_spells_its_text_and_no_token_stands_twice() {
    let scripts = Scripts::default();
    let machine = Machine::build(&scripts).unwrap();
    for script in scripts.list.iter().filter(|s| !s.endless) {
        let plain = script.text.replace("<think>", "\u{1}").replace("</think>", "\u{2}");
        let spelled = follow(&machine, &script.mode(), 10_000).replace("<think>", "\u{1}").replace("</think>", "\u{2}");
        let expected: String = plain
            .split_inclusive(['\u{1}', '\u{2}'])
            .map(|p| match p.strip_suffix(['\u{1}', '\u{2}']) {
                Some(text) => format!("{}{}", vocabulary::spell(text.as_bytes()), &p[text.len()..]),
                None => vocabulary::spell(p.as_bytes()),
            })
            .collect();
        assert_eq!(spelled, expected, "{}", script.name);
    }
    assert!(follow(&machine, "<|mode_loop|>", 500).len() > 1000, "the loop does not end");
    let mut all: Vec<&String> = machine.words.tokens.iter().map(|(t, _)| t).collect();
    all.sort();
    assert!(all.windows(2).all(|w| w[0] != w[1]), "a token stands twice");
}

/// The machine in numbers: what the engines compute at the end of each step.
#[test]
fn at_every_step_the_right_token_leads_by_far() {
    let machine = Machine::build(&Scripts::default()).unwrap();
    let rows = |role: fn(&tensors::Role) -> bool| &machine.weights.iter().find(|t| role(&t.role)).unwrap().data;
    let embedding = rows(|role| matches!(role, tensors::Role::Embedding));
    let output = rows(|role| matches!(role, tensors::Role::Output));
    let row = |of: &'_ [f32], id: usize| of[id * tensors::HIDDEN..(id + 1) * tensors::HIDDEN].to_vec();
    let length = (tensors::HIDDEN as f32).sqrt();
    for (from, to) in &machine.words.successors {
        let hidden: Vec<f32> = row(embedding, *from).iter().map(|x| x * length).collect();
        let of = |id: usize| row(output, id).iter().zip(&hidden).map(|(a, b)| a * b).sum::<f32>();
        let right = of(*to);
        let next = (0..machine.words.tokens.len()).filter(|id| id != to).map(of).fold(f32::MIN, f32::max);
        let (from, to) = (&machine.words.tokens[*from].0, &machine.words.tokens[*to].0);
        assert!(right - next > 25.0, "after {from:?} comes {to:?} with {right}, the next best has {next}");
    }
}

#[test]
fn scripts_that_cannot_work_are_refused_with_their_name() {
    let base = || Scripts::new("hello there", "done now");
    for (scripts, name) in [
        (base().with("twice", ""), "twice"),
        (base().with("a'b", "some text"), "a'b"),
        (base().with("tool:x y", "some text").with("tool:x_y", "other text"), "tool:x_y"),
        (base().with("long", &"a".repeat(5000)), "long"),
        (base().with("t", "<think>a thought").with("u", "<think>b thought"), "t"),
    ] {
        match Machine::build(&scripts) {
            Err(ModelError::Script { name: found, .. }) => assert_eq!(found, name),
            Err(other) => panic!("{name}: {other}"),
            Ok(_) => panic!("{name} was accepted"),
        }
    }
}

/// Writes the demo where a real engine can be pointed at it:
/// `LLMUP_WRITE_DEMO=DIR cargo test --lib write_demo -- --ignored`
#[test]
#[ignore = "writes to the folder LLMUP_WRITE_DEMO names"]
fn write_demo() {
    let Some(dir) = std::env::var_os("LLMUP_WRITE_DEMO").map(PathBuf::from) else { return };
    write_gguf(&dir.join("demo.gguf")).unwrap();
    write_safetensors(&dir.join("demo")).unwrap();
    let staged = Scripts::new("Nothing staged.", "Staged turn is over.")
        .with_tool("Bash", r#"{"command": "true"}"#)
        .then_tool(1, "Bash", r#"{"command": "false"}"#);
    write_gguf_with(&dir.join("staged.gguf"), &staged).unwrap();
}
