//! `llmup plan --machine FILE` with files nobody meant to write, and models with numbers nobody meant: an answer or an
//! error in words, never a panic.

use crate::support::Home;

const MACHINE: &str = r#"{"os": "linux", "memory_bytes": 68719476736, "devices": [
  {"vendor": "nvidia", "name": "Some GPU", "memory_total_bytes": 85520809984, "memory_free_bytes": 85000000000, "architecture": "9.0", "unified": false},
  {"vendor": "nvidia", "name": "Some GPU", "memory_total_bytes": 85520809984, "architecture": "9.0"}]}"#;

const CONFIG: &str = r#"{"architectures": ["SomeForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32,
  "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128000, "intermediate_size": 14336,
  "num_experts": 64, "moe_intermediate_size": 1408, "num_experts_per_tok": 6, "sliding_window": 4096,
  "full_attention_interval": 4, "linear_num_value_heads": 32, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
  "max_position_embeddings": 131072, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}"#;

const NUMBERS: &[&str] =
    &["0", "1", "7", "4294967296", "18446744073709551615", "-1", "1e308", "0.5", "null", "\"x\"", "[]"];

/// A generator whose failures can be told by their number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n.max(1)
    }

    /// `text` with one to three numbers that are others, or a piece that is gone, doubled or changed.
    fn spoil(&mut self, text: &str) -> Vec<u8> {
        let mut text = text.to_owned();
        for _ in 0..=self.below(3) {
            let digits: Vec<usize> = text
                .match_indices(|c: char| c.is_ascii_digit())
                .map(|(at, _)| at)
                .filter(|at| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '"' || c == '.'))
                .collect();
            if digits.is_empty() {
                break;
            }
            let start = digits[self.below(digits.len())];
            let end = text[start..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |n| start + n);
            text.replace_range(start..end, NUMBERS[self.below(NUMBERS.len())]);
        }
        let mut bytes = text.into_bytes();
        let at = self.below(bytes.len());
        match self.below(12) {
            0 => bytes.truncate(at),
            1 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
            2 => {
                let end = (at + self.below(90)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
            _ => {}
        }
        bytes
    }
}

#[test]
fn no_machine_and_no_model_makes_the_plan_panic() {
    let home = Home::new();
    let (dir, machine) = (home.path().join("model"), home.path().join("machine.json"));
    std::fs::create_dir_all(&dir).unwrap();
    let header = r#"{"w":{"dtype":"BF16","shape":[8000000000],"data_offsets":[0,16000000000]}}"#;
    let weights = dir.join("model.safetensors");
    std::fs::write(&weights, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    let length = 8 + header.len() as u64 + 16_000_000_000;
    std::fs::File::options().write(true).open(&weights).unwrap().set_len(length).unwrap();

    let vendors = ["nvidia", "amd", "ascend", "apple", "intel", "moorethreads", "metax", "cambricon", "hygon"];
    let mut planned = 0;
    for seed in 0..120 {
        let mut dice = Dice(seed);
        let mut text = MACHINE.replace("nvidia", vendors[if seed % 2 == 0 { 0 } else { dice.below(vendors.len()) }]);
        if seed % 7 == 0 {
            let one = r#"{"vendor": "nvidia", "name": "N", "memory_total_bytes": 85520809984},"#;
            text = text.replacen('[', &format!("[{}", one.repeat(dice.below(1500))), 1);
        }
        std::fs::write(&machine, if seed % 3 == 0 { text.into_bytes() } else { dice.spoil(&text) }).unwrap();
        std::fs::write(dir.join("config.json"), if seed % 3 == 1 { CONFIG.into() } else { dice.spoil(CONFIG) })
            .unwrap();
        let ran = home.run(&[
            "plan",
            "mine",
            "--json",
            "--model-dir",
            dir.to_str().unwrap(),
            "--machine",
            machine.to_str().unwrap(),
        ]);
        let said = || format!("seed {seed}: {:?}: {}", ran.code, ran.err);
        assert!(matches!(ran.code, Some(0 | 2 | 3 | 4 | 5)), "{}", said());
        assert!(!ran.err.contains("panicked"), "{}", said());
        if matches!(ran.code, Some(0 | 5)) {
            serde_json::from_str::<serde_json::Value>(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", said()));
            planned += 1;
        }
    }
    assert!(planned > 40, "only {planned} were planned: the files are too broken to try anything");
}
