//! Which steps findings call for, and what taking them does.

use std::sync::Arc;

use super::*;
use crate::client::Session;
use crate::client::shell::Shell;
use crate::client::tests::{Recorded, gateway};
use crate::commands::doctor::tests::{all, inputs, instance};
use crate::commands::doctor::{Inputs, Places, Running, Section};

const ROOT: &str = "http://127.0.0.1:4242";
const AWAY: &str = r#"{"env":{"ANTHROPIC_BASE_URL":"https://elsewhere.example"}}"#;

/// A home on the disk, as the journal writes there, with a gateway that is said to run.
struct Place {
    dir: tempfile::TempDir,
    runs: bool,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap(), runs: true }
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.dir.path().join(below)
    }

    fn put(&self, below: &str, text: &str) {
        std::fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        std::fs::write(self.path(below), text).unwrap();
    }

    fn paths(&self) -> Paths {
        Paths { data: self.path("data"), config: self.path("config") }
    }

    fn inputs(&self) -> Inputs {
        let session = Session { base_url: ROOT.into(), ..gateway(65_536) };
        Inputs { running: self.runs.then(|| Running::of(session, "vllm")), ..inputs() }
    }

    /// The machine with these files of the home as they are now.
    fn scene(&self, files: &[&str], host: Recorded) -> Scene {
        let host = files.iter().fold(host, |host, file| match std::fs::read_to_string(self.path(file)) {
            Ok(text) => host.file(self.path(file).to_str().unwrap(), &text),
            Err(_) => host,
        });
        let places = Places { home: self.path("home"), project: self.path("home/project") };
        Scene { inputs: self.inputs(), host: Arc::new(host), places }
    }
}

fn findings(scene: &Scene) -> Vec<Finding> {
    use crate::commands::doctor::{Check, surroundings};
    surroundings::ConflictsCheck.look(scene)
}

fn args(dry_run: bool) -> DoctorArgs {
    let mut args = DoctorArgs { fix: true, yes: true, ..DoctorArgs::default() };
    args.dry_run = dry_run;
    args
}

fn linux() -> Recorded {
    Recorded::new(Os::Linux)
}

const USER: &str = "home/.claude/settings.json";
const PROJECT: &str = "home/project/.claude/settings.json";
const LOCAL: &str = "home/project/.claude/settings.local.json";

#[test]
fn a_clients_settings_are_shown_then_connected_and_come_back_to_the_byte() {
    let place = Place::new();
    place.put(USER, AWAY);
    let scene = place.scene(&[USER], linux());
    let found = findings(&scene);
    assert_eq!((found[0].client, found[0].code), (Some("claude"), Some("LLMUP-C005")), "{found:?}");
    let shown = run(&args(true), &found, &scene, &place.paths()).unwrap();
    assert_eq!((shown.len(), shown[0].done, shown[0].said.as_str()), (1, false, "`llmup connect claude`"));
    assert_eq!(std::fs::read_to_string(place.path(USER)).unwrap(), AWAY);
    assert!(!place.path("data/connections").exists());

    let done = run(&args(false), &found, &scene, &place.paths()).unwrap();
    assert_eq!((done.len(), done[0].done, done[0].client), (1, true, Some("claude")), "{done:?}");
    assert!(done[0].said.contains("`llmup disconnect claude`"), "{done:?}");
    assert!(std::fs::read_to_string(place.path(USER)).unwrap().contains(ROOT));
    let now = findings(&place.scene(&[USER], linux()));
    assert!(now.iter().all(|finding| finding.status == crate::commands::doctor::Status::Ok), "{now:?}");

    let journal = crate::client::journal::Journal::below(&place.path("data"));
    let entry = journal.entries().unwrap().remove(0);
    journal.give_back(&journal.plan_return(entry).unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(place.path(USER)).unwrap(), AWAY);
}

#[test]
fn a_folders_own_settings_are_beaten_in_that_folder() {
    let place = Place::new();
    place.put(PROJECT, AWAY);
    let scene = place.scene(&[PROJECT], linux());
    let done = run(&args(false), &findings(&scene), &scene, &place.paths()).unwrap();
    assert_eq!((done.len(), done[0].done), (1, true), "{done:?}");
    assert!(std::fs::read_to_string(place.path(LOCAL)).unwrap().contains(ROOT) && !place.path(USER).exists());
    assert_eq!(std::fs::read_to_string(place.path(PROJECT)).unwrap(), AWAY, "others have that file, too");
}

#[test]
fn without_a_gateway_it_is_said_that_one_must_run_first() {
    let mut place = Place::new();
    place.runs = false;
    place.put(USER, AWAY);
    let mut scene = place.scene(&[USER], linux());
    let fixes = run(&args(false), &findings(&scene), &scene, &place.paths()).unwrap();
    assert_eq!((fixes.len(), fixes[0].done, fixes[0].client), (1, false, Some("claude")));
    assert!(fixes[0].said.contains("`llmup start demo --yes --detach`; then `llmup doctor --fix`"), "{fixes:?}");
    scene.inputs.instances.push(instance("glm"));
    let fixes = run(&args(false), &findings(&scene), &scene, &place.paths()).unwrap();
    assert!(fixes[0].said.starts_with("once `llmup status` says ready"), "{fixes:?}");
    assert_eq!(std::fs::read_to_string(place.path(USER)).unwrap(), AWAY);
}

#[test]
fn what_connecting_would_not_change_is_only_told() {
    let place = Place::new();
    // Broken; managed; and of Codex what lies over the user's own file.
    place.put(USER, "{ nope");
    let codex = "home/project/.codex/config.toml";
    place.put(codex, "model_provider = \"other\"\n");
    let managed = r#"{"env":{"ANTHROPIC_BASE_URL":"https://corp.example"}}"#;
    let host = linux().file("/etc/claude-code/managed-settings.json", managed);
    let scene = place.scene(&[USER, codex], host);
    let fixes = run(&args(false), &findings(&scene), &scene, &place.paths()).unwrap();
    let told: Vec<_> = fixes.iter().map(|fix| (fix.client, fix.code, fix.done)).collect();
    assert_eq!(
        told,
        [
            (Some("claude"), "LLMUP-C007", false),
            (Some("claude"), "LLMUP-C005", false),
            (Some("codex"), "LLMUP-C006", false)
        ],
        "{fixes:?}"
    );
    assert!(!place.path("data").exists(), "nothing was written");
}

#[test]
fn variables_are_told_once_as_a_line_for_the_shell() {
    let place = Place::new();
    place.put("home/.bashrc", "# mine\nexport OPENAI_BASE_URL=https://elsewhere.example\n");
    let host = linux()
        .var("OPENAI_BASE_URL", "https://elsewhere.example")
        .var("HTTP_PROXY", "http://proxy:1")
        .var("NO_PROXY", "corp")
        .program("aider", "/usr/bin/aider", None);
    let scene = place.scene(&["home/.bashrc"], host);
    let mut found = findings(&scene);
    assert_eq!(found.iter().filter(|finding| finding.code == Some("LLMUP-C006")).count(), 2, "codex and aider");
    found.push(Finding::warning("LLMUP-C004", Section::Ports, "a proxy", ""));
    let told = |shell| {
        let steps = environment::of_shell(&found, &scene, shell);
        steps.iter().map(Step::how).collect::<Vec<_>>()
    };
    let bashrc = place.path("home").join(".bashrc");
    assert_eq!(
        told(Shell::Bash),
        [
            format!("in this shell: `unset OPENAI_BASE_URL`; it is set in {}, line 2", bashrc.display()),
            "in this shell: `export NO_PROXY='corp,127.0.0.1,localhost' \
             no_proxy='corp,127.0.0.1,localhost'`"
                .to_owned(),
        ]
    );
    assert!(told(Shell::Fish)[0].starts_with("in this shell: `set -e OPENAI_BASE_URL`"));
    assert!(told(Shell::Powershell)[1].contains("$env:NO_PROXY = 'corp,127.0.0.1,localhost'; $env:no_proxy"));
}

#[test]
fn only_what_is_safe_is_done_and_the_rest_is_a_command() {
    let place = Place::new();
    let scene = place.scene(&[], linux());
    let findings = [
        Finding::warning("LLMUP-E001", Section::Engines, "no engine is installed", ""),
        Finding::problem("LLMUP-G001", Section::Ports, "port 1 is taken", "`llmup start MODEL --port 2`"),
    ];
    let steps = steps(&findings, &scene, &place.paths());
    assert_eq!(steps.iter().map(Step::code).collect::<Vec<_>>(), ["LLMUP-G001", "LLMUP-E001"]);
    assert!(matches!(steps[1], Step::Install(EngineId::LlamaCpp, Accelerator::Cpu)));
    for step in steps {
        let fix = step.taken(&args(true), &scene, &place.paths()).unwrap();
        assert!(!fix.done && fix.said.contains('`'), "{fix:?}");
    }
    assert!(all(inputs(), linux()).iter().all(|finding| finding.code != Some("LLMUP-G001")));
}

#[test]
#[cfg(target_os = "linux")]
fn an_orphan_at_the_port_is_ended_and_a_llmup_of_another_version_is_not_without_being_asked_for() {
    let place = Place::new();
    let scene = place.scene(&[], linux());
    let sleeper = || std::process::Command::new("sleep").arg("60").env(supervisor::MARK, "of-a-test").spawn().unwrap();
    let process = |child: &std::process::Child| Process { pid: child.id(), birth: process::birth(child.id()).unwrap() };
    let mut old = sleeper();
    let fix = Step::EndOther(process(&old)).taken(&args(false), &scene, &place.paths()).unwrap();
    assert!(!fix.done && fix.said.contains("`llmup doctor --fix`"), "{fix:?}");
    assert!(old.try_wait().unwrap().is_none());
    let orphan = process(&old);
    let fix = Step::EndOrphan { process: orphan, mark: "of-a-test".into() }
        .taken(&args(false), &scene, &place.paths())
        .unwrap();
    assert!(fix.done, "{fix:?}");
    assert!(!old.wait().unwrap().success());
}

/// What is installed is what the planner then finds, and plans for.
#[test]
fn the_engine_that_suits_is_the_one_that_a_plan_installs() {
    use crate::commands::plan::named;
    let of = |name: &str, arch: &str, os: Os| {
        let mut hardware = named(name).unwrap();
        hardware.cpu.architecture = arch.to_owned();
        hardware.os = os;
        suitable(Some(&hardware), os)
    };
    let vulkan = (EngineId::LlamaCpp, Accelerator::Vulkan);
    assert_eq!(of("7900xtx", "x86_64", Os::Linux), vulkan);
    assert_eq!(of("strixhalo", "x86_64", Os::Linux), vulkan);
    assert_eq!(of("4090", "x86_64", Os::Windows), vulkan);
    assert_eq!(of("4090", "x86_64", Os::Linux), (EngineId::Vllm, Accelerator::Cuda));
    assert_eq!(of("7900xtx", "aarch64", Os::Linux), (EngineId::LlamaCpp, Accelerator::Cpu), "nothing is pinned");
    assert_eq!(of("m3max-64", "aarch64", Os::Macos), (EngineId::LlamaCpp, Accelerator::Metal));
    assert_eq!(suitable(None, Os::Linux), (EngineId::LlamaCpp, Accelerator::Cpu));
}

/// What `connect` wrote, held against what runs.
fn connected(
    place: &Place,
    scene: &Scene,
    instances: &[crate::state::Instance],
) -> Vec<crate::commands::connect::Connected> {
    crate::commands::connect::connected(instances, &*scene.host, &scene.places, &place.paths())
}

#[test]
fn a_connection_that_meets_no_gateway_any_more_is_told_as_that_and_made_anew() {
    use crate::commands::connect::Stands;
    use crate::commands::doctor::Status;
    let mut place = Place::new();
    place.put(USER, AWAY);
    let scene = place.scene(&[USER], linux());
    assert_eq!(connected(&place, &scene, &[]), []);
    run(&args(false), &findings(&scene), &scene, &place.paths()).unwrap();

    // As it runs; with another key; with another context; not at all.
    let session = place.inputs().running.unwrap().session;
    let mut model = crate::state::Model::loading(&session.model);
    model.context = session.context;
    let there = crate::state::Instance { url: ROOT.into(), key: session.key.clone(), model, ..instance("demo") };
    let scene = place.scene(&[USER], linux());
    let stands = |instances: &[crate::state::Instance]| connected(&place, &scene, instances)[0].stands.clone();
    assert_eq!(stands(std::slice::from_ref(&there)), Stands::Right);
    let other_key = crate::state::Instance { key: "sk-another-one".into(), ..there.clone() };
    assert_eq!(stands(&[other_key]), Stands::Outdated(vec!["env.ANTHROPIC_AUTH_TOKEN".into()]));
    let mut shorter = there.clone();
    shorter.model.context = 40_960;
    assert!(matches!(stands(&[shorter]), Stands::Outdated(names) if names == ["env.CLAUDE_CODE_MAX_CONTEXT_TOKENS"]));
    assert_eq!(stands(&[]), Stands::Gone);

    // Nothing runs: that is no fault of the file, and no list of thirteen variables to remove.
    place.runs = false;
    let mut scene = place.scene(&[USER], linux());
    scene.inputs.connected = connected(&place, &scene, &[]);
    let found = findings(&scene);
    let wrong: Vec<_> = found.iter().filter(|one| one.status != Status::Ok).map(|one| one.code).collect();
    assert_eq!(wrong, [Some("LLMUP-C022")], "{found:?}");
    assert!(found.iter().any(|one| one.cure.as_ref().is_some_and(|cure| cure.contains("--port 4242`"))), "{found:?}");

    // It runs elsewhere now: --fix leads the client there.
    place.runs = true;
    let mut scene = place.scene(&[USER], linux());
    scene.inputs.connected = connected(&place, &scene, &[]);
    if let Some(running) = &mut scene.inputs.running {
        running.session.base_url = "http://127.0.0.1:4343".into();
    }
    let found = findings(&scene);
    let fixes = run(&args(false), &found, &scene, &place.paths()).unwrap();
    assert_eq!((fixes.len(), fixes[0].done, fixes[0].code), (1, true, "LLMUP-C022"), "{fixes:?}");
    assert!(std::fs::read_to_string(place.path(USER)).unwrap().contains("http://127.0.0.1:4343"));

    // Somebody led it elsewhere since: it is no connection any more.
    place.put(USER, AWAY);
    let scene = place.scene(&[USER], linux());
    assert_eq!(connected(&place, &scene, &[]), []);
}

#[test]
fn variables_that_lose_against_a_connection_are_not_told() {
    use crate::commands::connect::{Connected, Stands};
    let place = Place::new();
    let own = format!(r#"{{"env":{{"ANTHROPIC_BASE_URL":"{ROOT}"}}}}"#);
    place.put(USER, &own);
    let host = || linux().var("ANTHROPIC_BASE_URL", "https://elsewhere.example");
    let mut scene = place.scene(&[USER], host());
    let told = |scene: &Scene| findings(scene).iter().any(|one| one.text.contains("elsewhere.example"));
    assert!(told(&scene));
    let (path, root) = (place.path(USER), ROOT.to_owned());
    let scope = crate::client::Scope::User;
    scene.inputs.connected = vec![Connected { client: "claude", scope, path, root, stands: Stands::Right }];
    assert!(!told(&scene));
}
