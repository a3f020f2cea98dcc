use std::path::Path;

use super::*;
use crate::hardware::{Cpu, Device, Hardware, Memory, VendorId};
use crate::host::Os;

const GIB: u64 = 1 << 30;

fn machine(gpus: u32, gib_each: u64, capability: &str, ram_gib: u64) -> Hardware {
    let device = |index| Device {
        vendor: VendorId::Nvidia,
        index,
        name: "Test GPU".into(),
        uuid: None,
        memory_total_bytes: gib_each * GIB,
        memory_free_bytes: Some(gib_each * GIB - GIB / 4),
        architecture: Some(capability.into()),
        unified: false,
        usable: true,
        problem: None,
    };
    Hardware {
        os: Os::Linux,
        cpu: Cpu::default(),
        memory: Memory { total_bytes: ram_gib * GIB, available_bytes: ram_gib * GIB * 9 / 10 },
        devices: (0..gpus).map(device).collect(),
        versions: Default::default(),
        links: Vec::new(),
        problems: Vec::new(),
        wsl: None,
        wsl_memory_bytes: None,
    }
}

fn built_in() -> Vec<Found> {
    profile::list(Path::new("no/such/folder")).unwrap().found
}

fn nowhere(found: &[Found]) -> Vec<Here> {
    vec![Here::default(); found.len()]
}

fn on(hardware: &Hardware) -> Vec<Candidate> {
    fits::ranked(built_in().iter().map(|f| &f.profile), hardware, &[])
}

fn find_in<'a>(candidates: &'a [Candidate], name: &str) -> &'a Candidate {
    candidates.iter().find(|c| c.name == name).unwrap()
}

#[test]
fn every_profile_is_judged_on_every_machine() {
    for hardware in [machine(0, 0, "", 8), machine(1, 24, "8.9", 64), machine(8, 141, "9.0", 512)] {
        let candidates = on(&hardware);
        assert_eq!(candidates.len(), built_in().len() - 1, "all but the demo");
        for candidate in &candidates {
            let runs = matches!(candidate.fit, Fit::Fits | Fit::Tight);
            assert_eq!(candidate.context.is_some() && candidate.engine.is_some(), runs, "{candidate:?}");
            assert!(runs || !candidate.notes.is_empty(), "{candidate:?}");
        }
        assert!(candidates.is_sorted_by_key(|c| c.fit), "what fits comes first");
    }
}

#[test]
fn a_small_machine_gets_small_models_and_a_big_one_the_big() {
    let small = on(&machine(0, 0, "", 16));
    assert_eq!(
        find_in(&small, "qwen3-8b").quantization.as_deref(),
        Some("q4_k_m"),
        "{:?}",
        find_in(&small, "qwen3-8b")
    );
    assert_eq!(find_in(&small, "glm-4.7").fit, Fit::No);
    assert!(find_in(&small, "glm-4.7").missing_bytes.unwrap() > 100 * GIB);

    let big = on(&machine(8, 141, "9.0", 1024));
    let glm = find_in(&big, "glm-4.7");
    assert_eq!((glm.fit, glm.engine.unwrap().name()), (Fit::Fits, "vllm"));
    assert!(glm.context.unwrap() >= 65_536, "{glm:?}");
    // The tools come first, then the larger ones.
    assert!(big[0].capabilities.iter().any(|c| c == "tools"));
    let place = |name: &str| big.iter().position(|c| c.name == name).unwrap();
    assert!(place("glm-4.7") < place("qwen3-8b"));
}

#[test]
fn ollamas_context_is_one_that_fits() {
    // 64 layers of 8 KV heads of 128: 256 KiB per token, 10 GiB for all of its context beside 20 GB of weights.
    let at = |gib| {
        let candidates = on(&machine(0, 0, "", gib));
        let found = find_in(&candidates, "qwen3-32b");
        (found.fit, found.context)
    };
    assert_eq!(at(48), (Fit::Fits, Some(40_960)));
    let (fit, context) = at(25);
    assert!(fit == Fit::Fits && (4096..40_960).contains(&context.unwrap()), "{fit:?} {context:?}");
    assert_eq!(at(22), (Fit::No, None));
}

#[test]
fn on_a_processor_few_active_parameters_come_first() {
    let candidates = on(&machine(0, 0, "", 64));
    let place = |name: &str| candidates.iter().position(|c| c.name == name).unwrap();
    assert!(place("qwen3-coder-30b-a3b") < place("qwen3-32b"));
}

#[test]
fn nvfp4_needs_a_blackwell_gpu() {
    let profile: ModelProfile = serde_yaml::from_str(
        "name: m\ntitle: t\nvariants:\n\
         - {quantization: fp8, format: safetensors, weights_gb: 12}\n\
         - {quantization: nvfp4, format: safetensors, weights_gb: 13}\n",
    )
    .unwrap();
    let form = |capability| {
        let candidates = fits::ranked(std::iter::once(&profile), &machine(1, 32, capability, 64), &[]);
        candidates[0].quantization.clone().unwrap()
    };
    assert_eq!([form("9.0"), form("12.0"), form("")], ["fp8", "nvfp4", "fp8"]);
    let none = fits::ranked(std::iter::once(&profile), &machine(0, 0, "", 64), &[]);
    assert_eq!(none[0].fit, Fit::Unknown, "quantised safetensors want a GPU");
}

#[test]
fn the_tables_keep_to_the_width() {
    let found = built_in();
    let candidates = on(&machine(2, 80, "9.0", 256));
    for width in [40, 60, 80, 100] {
        let (list, fitting) = (list(&found, &nowhere(&found), width), fitting(&candidates, width));
        // The sentences below the tables may be wrapped by the terminal.
        for text in [list.split("\n\n").next().unwrap(), fitting.split("\n\n").next().unwrap()] {
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
            }
        }
        assert!(list.contains("qwen3-coder-30b-a3b"), "{list}");
        assert!(fitting.contains("glm-4.7-flash") && fitting.contains("fits"), "{fitting}");
    }
    assert!(list(&found, &nowhere(&found), 100).lines().next().unwrap().ends_with("AS"));
    assert!(list(&found, &nowhere(&found), 60).contains("CONTEXT"));
}

#[test]
fn a_users_profile_is_marked_and_a_broken_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("glm-4.7.yaml"), "name: glm-4.7\ntitle: mine\n").unwrap();
    std::fs::write(dir.path().join("bad.yaml"), "name: bad\ntitle: x\ncapabilities: [flies]\n").unwrap();
    let listing = profile::list(dir.path()).unwrap();
    assert_eq!(listing.found.len(), built_in().len());
    assert!(listing.broken[0].to_string().contains("bad.yaml:3:16:"), "{:?}", listing.broken);
    assert!(list(&listing.found, &nowhere(&listing.found), 100).contains("glm-4.7 (yours)"));
    let own = listing.found.iter().find(|f| f.profile.title == "mine").unwrap();
    let value = serde_json::to_value(known(own, &Here::default())).unwrap();
    assert_eq!(value["origin"], dir.path().join("glm-4.7.yaml").display().to_string());
    assert_eq!(value["name"], "glm-4.7");
}

#[test]
fn numbers_are_short() {
    assert_eq!([0.6, 30.5, 480.0, 1000.0, 1600.0].map(billions), ["0.6B", "30.5B", "480B", "1T", "1.6T"]);
    assert_eq!([512, 32_768, 202_752, 1_048_576].map(tokens), ["512", "32K", "198K", "1M"]);
    assert_eq!([gigabytes(5_200_000_000, false), gigabytes(61_060_000_000, true)], ["5.2 GB", "~61 GB"]);
}

#[test]
fn what_is_here_already_is_marked() {
    use crate::pull::manifest::Held;
    use crate::pull::{Form, HubId, Manifest};
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths { data: dir.path().join("data"), config: dir.path().join("config") };
    let found = built_in();
    let profile = &found.iter().find(|f| f.profile.name == "glm-4.7-flash").unwrap().profile;
    let variant = profile.variants.iter().find(|v| v.format == "safetensors").unwrap();
    let folder = crate::commands::pull::variant_dir(&profile.name, variant, &paths);
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        Held { path: name.into(), size: bytes.len() as u64, digest: None }
    };
    let files = vec![
        file("config.json", br#"{"architectures": ["SomeForCausalLM"], "hidden_size": 8, "num_hidden_layers": 1}"#),
        file("model.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
    ];
    let find = || here::find(profile, &paths, &RealHost);
    assert_eq!(find().path.filter(|path| path.starts_with(dir.path())), None, "no manifest, so it is not whole");
    let manifest = Manifest {
        version: Manifest::VERSION,
        hub: HubId::HuggingFace,
        repo: "some/repo".into(),
        revision: "main".into(),
        commit: None,
        form: Form::Safetensors,
        quantization: None,
        at: None,
        files,
    };
    manifest.finish(&folder).unwrap();
    let here = find();
    assert_eq!((here.path.as_deref(), here.forms[0].as_str()), (Some(folder.as_path()), &*variant.quantization));
    let all: Vec<Here> =
        found.iter().map(|f| if f.profile.name == profile.name { here.clone() } else { Here::default() }).collect();
    for width in [80, 100] {
        let text = list(&found, &all, width);
        let line = text.lines().find(|l| l.starts_with("glm-4.7-flash ")).unwrap();
        assert!(text.lines().next().unwrap().ends_with("HERE") && line.ends_with(&variant.quantization), "{text}");
    }
    assert!(!list(&found, &nowhere(&found), 100).contains("HERE"));
    let own = found.iter().find(|f| f.profile.name == profile.name).unwrap();
    assert_eq!(serde_json::to_value(known(own, &here)).unwrap()["here"], folder.display().to_string());
}
