//! `llmup pull` from outside: a hub that misbehaves, kills at any moment, two at once.

use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use crate::support::free_port;
use crate::support::hub::{Fault, Hub, noise};
use crate::support::{Home, Ran, finish};

const MB: usize = 1 << 20;

fn command(home: &Home, hub: &Hub, args: &[&str]) -> std::process::Command {
    let mut command = home.llmup(args);
    command.env("HF_ENDPOINT", &hub.url).env("MODELSCOPE_ENDPOINT", &hub.url);
    command
}

fn pull(home: &Home, hub: &Hub, args: &[&str]) -> Ran {
    finish(command(home, hub, &[&["pull"], args].concat()))
}

fn model_dir(home: &Home) -> PathBuf {
    home.data.join("models").join("acme--tiny").join("default")
}

fn assert_same(hub: &Hub, dir: &Path) {
    for (name, bytes) in &hub.state.lock().unwrap().files {
        assert!(std::fs::read(dir.join(name)).unwrap() == *bytes, "{name} has other bytes");
    }
}

#[cfg(unix)]
/// Files with real headers, so that what was pulled can be planned.
pub(crate) fn real_model() -> Vec<(String, Vec<u8>)> {
    let shape = serde_json::json!({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 256,
        "max_position_embeddings": 32768, "torch_dtype": "bfloat16", "intermediate_size": 128
    });
    let header = br#"{"x":{"dtype":"BF16","shape":[1024,1024],"data_offsets":[0,2097152]}}"#;
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend_from_slice(header);
    weights.extend(noise(2 * MB, 5));
    vec![("config.json".to_owned(), shape.to_string().into_bytes()), ("model.safetensors".to_owned(), weights)]
}

#[test]
fn a_repository_comes_whole_and_says_where() {
    let hub = Hub::start("acme/tiny", &[("config.json", b"{}".to_vec()), ("model.safetensors", noise(9 * MB, 1))]);
    hub.faults(|_, n| if n % 3 == 0 { Fault::Drop(700_000) } else { Fault::None });
    let home = Home::new();
    let dry = pull(&home, &hub, &["acme/tiny", "--dry-run", "--json"]);
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    let value: serde_json::Value = serde_json::from_str(&dry.out).unwrap();
    assert_eq!((value["status"].as_str(), value["to_come_bytes"].as_u64()), (Some("missing"), Some(9 * MB as u64 + 2)));
    assert!(!model_dir(&home).exists(), "a dry run writes nothing");
    let ran = pull(&home, &hub, &["acme/tiny"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out.trim(), model_dir(&home).to_string_lossy());
    assert!(ran.err.contains("pulled") && ran.err.contains("llmup start tiny --model-dir"), "{}", ran.err);
    assert!(ran.err.lines().all(|line| !line.contains('\u{1b}')), "colour in a pipe");
    assert_same(&hub, &model_dir(&home));
    let again = pull(&home, &hub, &["acme/tiny", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((value["status"].as_str(), value["fetched_bytes"].as_u64()), (Some("present"), Some(0)));
}

#[test]
#[cfg(unix)]
fn killed_again_and_again_it_ends_with_the_same_bytes_and_fetches_none_twice() {
    use nix::sys::signal::Signal;
    let size = 24 * MB;
    let hub = Hub::start("acme/tiny", &[("config.json", b"{}".to_vec()), ("model.safetensors", noise(size, 2))]);
    hub.state.lock().unwrap().pace = Duration::from_millis(15);
    let home = Home::new();
    let mut kills = 0;
    for _ in 0..5 {
        let before = hub.sent();
        let mut running = home.start(command(&home, &hub, &["pull", "acme/tiny"]));
        // Killed in the middle of moving bytes, wherever that is.
        for _ in 0..600 {
            if hub.sent() > before + 2 * MB as u64 || running.child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if running.child.try_wait().unwrap().is_some() {
            break;
        }
        running.signal(Signal::SIGKILL);
        running.wait(Duration::from_secs(5));
        kills += 1;
        assert!(!model_dir(&home).join("model.safetensors").exists(), "half a file has the name of a whole one");
        assert!(!model_dir(&home).join("llmup-pull.json").exists());
    }
    assert!(kills >= 3, "only {kills} kills");
    hub.state.lock().unwrap().pace = Duration::ZERO;
    let ran = pull(&home, &hub, &["acme/tiny"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_same(&hub, &model_dir(&home));
    // A kill costs what is on its way: at most what the system holds for four connections.
    let extra = hub.sent().saturating_sub(size as u64 + 2);
    println!("{kills} kills, {extra} bytes came twice");
    assert!(extra < kills * 6 * MB as u64, "{extra} bytes came twice in {kills} kills");
    let left: Vec<_> = std::fs::read_dir(model_dir(&home)).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
#[cfg(unix)]
fn an_interrupt_keeps_what_came_and_says_so() {
    use nix::sys::signal::Signal;
    let hub = Hub::start("acme/tiny", &[("config.json", b"{}".to_vec()), ("model.safetensors", noise(16 * MB, 3))]);
    hub.state.lock().unwrap().pace = Duration::from_millis(20);
    let home = Home::new();
    let mut running = home.start(command(&home, &hub, &["pull", "acme/tiny"]));
    for _ in 0..600 {
        if hub.sent() > 2 * MB as u64 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // One pull of a folder at a time.
    let second = pull(&home, &hub, &["acme/tiny"]);
    assert_eq!(second.code, Some(7), "{}", second.err);
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait(Duration::from_secs(10)).code(), Some(130));
    assert!(running.err_with("goes on from there").contains("goes on from there"), "{}", running.err());
    hub.state.lock().unwrap().pace = Duration::ZERO;
    let ran = pull(&home, &hub, &["acme/tiny"]);
    assert!(ran.err.contains("here already"), "{}", ran.err);
    assert_same(&hub, &model_dir(&home));
}

#[test]
fn a_damaged_file_is_named_and_not_kept() {
    let hub = Hub::start("acme/tiny", &[("config.json", b"{}".to_vec()), ("model.safetensors", noise(MB, 4))]);
    hub.faults(|name, _| if name.ends_with("safetensors") { Fault::Corrupt(1000) } else { Fault::None });
    let home = Home::new();
    let ran = pull(&home, &hub, &["acme/tiny"]);
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains("model.safetensors is damaged"), "{}", ran.err);
    assert!(!model_dir(&home).join("model.safetensors").exists());
    assert!(!model_dir(&home).join("llmup-pull.json").exists());
}

#[test]
fn what_cannot_be_had_is_said_with_what_to_do() {
    let hub = Hub::start("acme/tiny", &[("config.json", b"{}".to_vec()), ("model.safetensors", noise(1000, 4))]);
    let home = Home::new();
    let say = |env: Option<(&str, &str)>, args: &[&str]| {
        let mut command = command(&home, &hub, &[&["pull"], args].concat());
        command.envs(env);
        let ran = finish(command);
        (ran.code, ran.err)
    };
    let (code, err) = say(Some(("HF_HUB_OFFLINE", "1")), &["acme/tiny"]);
    assert!(code == Some(4) && err.contains("offline") && err.contains("--to weights"), "{err}");
    let (code, err) = say(None, &["acme/unknown"]);
    assert!(code == Some(3) && err.contains("no repository acme/unknown"), "{err}");
    let (code, err) = say(None, &["acme/tiny", "--include", "*.gguf"]);
    assert!(code == Some(3) && err.contains("no file like"), "{err}");
    let (code, err) = say(None, &["no-such-model-at-all"]);
    assert!(code == Some(3), "{err}");
    let (code, err) = say(None, &["demo"]);
    assert!(code == Some(2) && err.contains("llmup start demo"), "{err}");
    hub.state.lock().unwrap().token = Some("Bearer x".to_owned());
    let (code, err) = say(None, &["acme/tiny"]);
    assert!(code == Some(4) && err.contains("accept its licence") && err.contains("HF_TOKEN"), "{err}");
    hub.state.lock().unwrap().token = None;
    hub.state.lock().unwrap().lies.insert("model.safetensors".to_owned(), 1 << 60);
    let (code, err) = say(None, &["acme/tiny"]);
    assert!(code == Some(5) && err.contains("free"), "{err}");
    assert_eq!(hub.sent(), 0);
}

#[cfg(unix)]
/// A profile of the user's own, so that nothing depends on what a built-in one lists.
pub(crate) fn profile(home: &Home) {
    let dir = home.path().join("config/profiles");
    std::fs::create_dir_all(&dir).unwrap();
    let text = "name: tiny\ntitle: a model\narchitectures: [Qwen3ForCausalLM]\ncontext_max: 32768\nparameters_b: 0.001\n\
                shape: {layers: 2, hidden: 64, heads: 4, kv_heads: 2, head_dim: 16, vocab: 256}\n\
                variants:\n  - quantization: bf16\n    format: safetensors\n    hugging_face: acme/tiny\n    \
                model_scope: acme/tiny\n    weights_gb: 0.002\n";
    std::fs::write(dir.join("tiny.yaml"), text).unwrap();
}

#[test]
#[cfg(unix)] // with vLLM
fn start_finds_what_was_pulled_and_says_how_to_pull_what_was_not() {
    let home = Home::new();
    profile(&home);
    let files = real_model();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let hub = Hub::start("acme/tiny", &files);
    let start = |args: &[&str]| finish(command(&home, &hub, &[&["start", "tiny", "--engine", "vllm"], args].concat()));
    let ran = start(&[]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains("`llmup pull tiny`"), "{}", ran.err);
    assert!(hub.state.lock().unwrap().lines.is_empty(), "nobody agreed to a download");
    // From the other hub when the first is not there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = command(&home, &hub, &["pull", "tiny", "--quantization", "bf16"]);
    command.env("HF_ENDPOINT", format!("http://{closed}"));
    let ran = finish(command);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("trying another hub"), "{}", ran.err);
    let dir = home.data.join("models/tiny/bf16-safetensors");
    assert_eq!(ran.out.trim(), dir.to_string_lossy());
    let ran = start(&["--dry-run", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    assert_eq!(value["weights"]["path"].as_str(), Some(dir.to_string_lossy().as_ref()), "{}", ran.out);
    assert_eq!(value["weights"]["architecture"], "Qwen3ForCausalLM");
}

#[test]
#[cfg(unix)]
fn start_pulls_when_the_user_has_agreed_and_serves_what_came() {
    let home = Home::new();
    profile(&home);
    let files = real_model();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let hub = Hub::start("acme/tiny", &files);
    let port = free_port().to_string();
    let args = ["start", "tiny", "--yes", "--json", "--engine", "vllm", "--port", &port, "--api-key", "k"];
    let mut command = home.faked(&["vllm"], &args);
    command.env("HF_ENDPOINT", &hub.url);
    let mut running = home.start(command);
    let ready = running.ready(Duration::from_secs(120));
    assert_eq!(ready["model"], "tiny");
    assert_same(&hub, &home.data.join("models/tiny/bf16-safetensors"));
    running.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(running.wait(Duration::from_secs(30)).code(), Some(130), "{}", running.err());
}
