//! Files that are damaged, incomplete or something else: which file it is, what is wrong with it, what helps.

use std::path::Path;

use super::super::error::LOOK;
use super::super::read_path;
use super::{CONFIG, small_gguf, weights_file};
use crate::error::Explain;

/// A weight file of tensors of no length with these names.
fn named_file(path: &Path, names: &[&str]) {
    let tensors: Vec<String> =
        names.iter().map(|name| format!(r#""{name}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    let header = format!("{{{}}}", tensors.join(","));
    std::fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()).unwrap();
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00ff\nsize 4998210560\n";
const PAGE: &str = "\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n";

type Make = fn(&Path);

/// What lies in the folder, what the error says, what its first hint says.
const CASES: &[(&str, Make, &str, &str)] = &[
    (
        "a header that is cut",
        |dir| std::fs::write(dir.join("model.safetensors"), [&900u64.to_le_bytes()[..], b"{\"a\":"].concat()).unwrap(),
        "model.safetensors is truncated: expected 908 bytes, found 13",
        "rm ",
    ),
    (
        "a shard shorter than its header says",
        |dir| {
            weights_file(&dir.join("model-00001-of-00002.safetensors"), 10, 10);
            weights_file(&dir.join("model-00002-of-00002.safetensors"), 10, 2);
        },
        "model-00002-of-00002.safetensors is truncated: expected",
        "model-00002-of-00002.safetensors`",
    ),
    (
        "a shard that the index lists and that is not there",
        |dir| {
            let index = r#"{"weight_map": {"a": "quant_model_weights-00002-of-00003.safetensors"}}"#;
            std::fs::write(dir.join("quant_model_weights.safetensors.index.json"), index).unwrap();
            named_file(&dir.join("quant_model_weights-00001-of-00003.safetensors"), &["a"]);
        },
        "lacks 1 of its 1 weight files: quant_model_weights-00002-of-00003.safetensors",
        "fetch the missing files",
    ),
    (
        "shards without an index",
        |dir| named_file(&dir.join("weights-00003-of-00003.safetensors"), &["a"]),
        "lacks 2 of its 3 weight files: weights-00001-of-00003.safetensors, weights-00002",
        "fetch the missing files",
    ),
    (
        "an index that lists tensors no shard has",
        |dir| {
            let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors",
                "b.new": "model-00002-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
            std::fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
            named_file(&dir.join("model-00001-of-00002.safetensors"), &["a", "more"]);
            named_file(&dir.join("model-00002-of-00002.safetensors"), &["b", "b.old"]);
        },
        "model.safetensors.index.json lists tensors that model-00002-of-00002.safetensors does not hold, such as \"b.new\"",
        "fetch both again: `rm ",
    ),
    (
        "a Git LFS pointer instead of weights",
        |dir| std::fs::write(dir.join("model.safetensors"), POINTER).unwrap(),
        "model.safetensors is not the file itself but a Git LFS pointer to it",
        "lfs pull`",
    ),
    (
        "a Git LFS pointer instead of the index",
        |dir| {
            named_file(&dir.join("model-00001-of-00001.safetensors"), &["a"]);
            std::fs::write(dir.join("model.safetensors.index.json"), POINTER).unwrap();
        },
        "model.safetensors.index.json is not the file itself but a Git LFS pointer",
        "lfs pull`",
    ),
    (
        "a web page instead of weights",
        |dir| std::fs::write(dir.join("model.safetensors"), PAGE).unwrap(),
        "model.safetensors is a web page, not a model's file",
        LOOK,
    ),
    (
        "weights of no length",
        |dir| std::fs::write(dir.join("model.safetensors"), "").unwrap(),
        "model.safetensors is empty: it has 0 bytes",
        "rm ",
    ),
    (
        "a header that is no JSON",
        |dir| std::fs::write(dir.join("model.safetensors"), [&4u64.to_le_bytes()[..], b"{oh}"].concat()).unwrap(),
        "model.safetensors: its header cannot be read: ",
        "download it again",
    ),
    (
        "weights of Python's own",
        |dir| std::fs::write(dir.join("pytorch_model-00001-of-00002.bin"), "x").unwrap(),
        "holds its weights as PyTorch files (pytorch_model-00001-of-00002.bin), not as *.safetensors",
        "*.safetensors",
    ),
    (
        "weights of Python's own and nothing else",
        |dir| {
            std::fs::remove_file(dir.join("config.json")).unwrap();
            std::fs::write(dir.join("consolidated.00.pth"), "x").unwrap();
        },
        "holds its weights as PyTorch files (consolidated.00.pth)",
        "*.safetensors",
    ),
    (
        "no config.json",
        |dir| {
            std::fs::remove_file(dir.join("config.json")).unwrap();
            named_file(&dir.join("model.safetensors"), &["a"]);
        },
        "has no config.json; expected config.json and *.safetensors, or a .gguf file",
        "ls ",
    ),
    (
        "a config.json that is no JSON",
        |dir| std::fs::write(dir.join("config.json"), "{\n  \"hidden_size\": 64,\n  \"n\" 3\n}").unwrap(),
        "config.json, line 3, column 7: not valid JSON",
        "mend it there",
    ),
    (
        "a web page instead of config.json",
        |dir| std::fs::write(dir.join("config.json"), PAGE).unwrap(),
        "config.json is a web page",
        LOOK,
    ),
    (
        "a config.json of no length",
        |dir| std::fs::write(dir.join("config.json"), "").unwrap(),
        "config.json is empty",
        "rm ",
    ),
    (
        "a config.json that is a list",
        |dir| std::fs::write(dir.join("config.json"), "[]").unwrap(),
        "config.json: expected a JSON object",
        LOOK,
    ),
    (
        "the second of five GGUF parts alone",
        |dir| {
            std::fs::remove_file(dir.join("config.json")).unwrap();
            std::fs::write(dir.join("big-00002-of-00005.gguf"), small_gguf()).unwrap();
        },
        "lacks 4 of its 5 weight files: big-00001-of-00005.gguf, big-00003-of-00005.gguf",
        "fetch the missing files",
    ),
    (
        "a GGUF part that is cut",
        |dir| {
            std::fs::remove_file(dir.join("config.json")).unwrap();
            let whole = small_gguf();
            std::fs::write(dir.join("big-00001-of-00002.gguf"), &whole).unwrap();
            std::fs::write(dir.join("big-00002-of-00002.gguf"), &whole[..whole.len() - 9]).unwrap();
        },
        "big-00002-of-00002.gguf is truncated: expected",
        "rm ",
    ),
];

#[test]
fn what_is_wrong_is_told_with_the_file_and_the_cure() {
    for (what, make, says, hint) in CASES {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), CONFIG).unwrap();
        make(dir.path());
        let error = read_path(dir.path()).unwrap_err();
        assert!(error.to_string().contains(says), "{what}: {error}");
        let hints = error.hints();
        assert!(hints.first().is_some_and(|first| first.contains(hint)), "{what}: {hints:?}");
    }
}

/// What the file holds, what the error says, what its first hint says.
#[test]
fn what_is_no_gguf_file_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let whole = small_gguf();
    let swapped = [b"GGUF\0\0\0\x03", &whole[8..]].concat();
    let newer = [b"GGUF\x09\0\0\0", &whole[8..]].concat();
    for (bytes, says, hint) in [
        (&b""[..], "m.gguf is empty: it has 0 bytes", "rm "),
        (POINTER.as_bytes(), "m.gguf is not the file itself but a Git LFS pointer", "lfs pull`"),
        (PAGE.as_bytes(), "m.gguf is a web page", LOOK),
        (b"PK\x03\x04aaaa", "it starts with \"PK\\x03\\x04\", expected \"GGUF\"", LOOK),
        (b"GGUF", "m.gguf is truncated: expected 8 bytes, found 4", "rm "),
        (&whole[..60], "m.gguf is truncated: expected", "rm "),
        (&swapped, "GGUF for big-endian machines", "download it again"),
        (&newer, "GGUF version 9; expected 2 or 3", "download it again"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = read_path(&path).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        let hints = error.hints();
        assert!(hints.first().is_some_and(|first| first.contains(hint)), "{error}: {hints:?}");
    }
}

#[test]
fn a_file_may_hold_more_than_the_index_lists() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), CONFIG).unwrap();
    let index = r#"{"weight_map": {"a\u002eb": "model.safetensors"}}"#;
    std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    named_file(&dir.path().join("model.safetensors"), &["a.b", "c"]);
    read_path(dir.path()).unwrap();
}

#[test]
fn weights_in_the_publishers_own_naming_alone_are_weights() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), CONFIG).unwrap();
    named_file(&dir.path().join("consolidated-00001-of-00002.safetensors"), &["a"]);
    assert!(read_path(dir.path()).unwrap_err().to_string().contains("consolidated-00002-of-00002.safetensors"));
    named_file(&dir.path().join("consolidated-00002-of-00002.safetensors"), &["b"]);
    assert!(read_path(dir.path()).unwrap().bytes.is_some_and(|bytes| bytes > 0));
}

#[test]
#[cfg(unix)]
fn a_file_that_may_not_be_read_says_so() {
    use std::os::unix::fs::PermissionsExt;
    for name in ["config.json", "model.safetensors", "x.gguf"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let at = if name == "x.gguf" {
            std::fs::write(&path, small_gguf()).unwrap();
            path.clone()
        } else {
            std::fs::write(dir.path().join("config.json"), CONFIG).unwrap();
            named_file(&dir.path().join("model.safetensors"), &["a"]);
            dir.path().to_owned()
        };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        // Root reads everything; then there is nothing to see here.
        if std::fs::File::open(&path).is_ok() {
            continue;
        }
        let error = read_path(&at).unwrap_err();
        assert!(error.to_string().contains(name) && error.hints()[0].contains("chmod"), "{error}");
    }
}
