//! Every failure says what happened, has a command to paste, ends with a documented exit code and, where it is one of
//! those, names the code of its finding; in English and in Chinese alike.

use std::net::TcpListener;

use llmup::exit::Exit;

use crate::support::{Home, Ran, finish, free_port};

/// What is done, and how it must end.
struct Mistake {
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
    exit: Exit,
    /// The code of the finding it is.
    code: Option<&'static str>,
    /// Words of the message.
    says: &'static str,
}

fn mistake(exit: Exit, code: Option<&'static str>, says: &'static str, args: &[&str]) -> Mistake {
    Mistake { args: args.iter().map(|arg| (*arg).to_owned()).collect(), env: Vec::new(), exit, code, says }
}

fn run(home: &Home, mistake: &Mistake, language: &str) -> Ran {
    let args: Vec<&str> = mistake.args.iter().map(String::as_str).collect();
    let mut command = home.faked(&["llama-server"], &args);
    command.env("LLMUP_LANG", language).envs(mistake.env.iter().map(|(name, value)| (*name, value.clone())));
    finish(command)
}

/// What stands in backquotes.
fn commands(said: &str) -> Vec<&str> {
    said.split('`').skip(1).step_by(2).collect()
}

fn all(home: &Home, held: u16) -> Vec<Mistake> {
    let put = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    std::fs::create_dir_all(home.path().join("empty")).unwrap();
    std::fs::create_dir_all(home.path().join("noconfig")).unwrap();
    put("noconfig/notes.txt", "hello");
    put("x.gguf", "none at all");
    put("broken.yaml", "model_list:\n  - model_name: a\n   litellm_params: {}\n");
    put(
        "nokey.yaml",
        "model_list:\n- model_name: a\n  litellm_params: {model: openai/x, api_key: os.environ/NO_SUCH}\n",
    );
    put("file", "");
    std::fs::create_dir_all(home.path().join(".claude")).unwrap();
    put(".claude/settings.json", "{ \"env\": nope }");
    let (held, free) = (held.to_string(), free_port().to_string());
    let gateway = ["--base-url", "http://127.0.0.1:9", "--api-key", "k", "--context", "65536"];
    let mut all = vec![
        mistake(Exit::Config, None, "no model named", &["start", "glm-4-7x"]),
        mistake(Exit::Config, Some("LLMUP-M001"), "there is no", &["start", "glm-4.7", "--model-dir", "none"]),
        mistake(Exit::Config, Some("LLMUP-M002"), "is empty", &["start", "./empty"]),
        mistake(Exit::Config, Some("LLMUP-M002"), "no config.json", &["start", "./noconfig"]),
        mistake(Exit::Config, Some("LLMUP-M004"), "not a GGUF", &["start", "./x.gguf"]),
        mistake(Exit::Config, None, "broken.yaml:3:4", &["serve", "--config", "broken.yaml"]),
        mistake(Exit::Config, None, "NO_SUCH", &["config", "check", "nokey.yaml"]),
        mistake(Exit::Config, None, "cannot read none.yaml", &["serve", "--config", "none.yaml"]),
        mistake(Exit::DoesNotFit, Some("LLMUP-M008"), "does not fit", &["plan", "glm-4.7", "--on", "4090"]),
        mistake(Exit::Taken, Some("LLMUP-G001"), "is taken by", &["start", "demo", "--yes", "--port", &held]),
        mistake(Exit::Usage, None, "have the name demo", &["start", "demo", "demo"]),
        mistake(Exit::Usage, None, "does not know the client", &["env", "cluade"]),
        mistake(Exit::Usage, None, "does not know the client", &["run", "curser"]),
        mistake(Exit::Usage, None, "can be told where its models are", &["run", "vscode"]),
        mistake(Exit::Usage, None, "does not know the client", &["disconnect", "nobody"]),
        mistake(Exit::Usage, None, "is not a base URL", &["env", "claude", "--base-url", "ftp://x"]),
        mistake(Exit::Usage, None, "nothing is known of", &["explain", "LLMUP-Z999"]),
        mistake(Exit::Usage, None, "needs a terminal", &["top"]),
        mistake(Exit::Missing, Some("LLMUP-G003"), "no gateway is running", &["env", "claude"]),
        mistake(Exit::Missing, Some("LLMUP-G003"), "no gateway is running", &["connect", "codex"]),
        mistake(Exit::Missing, Some("LLMUP-G003"), "nothing is running", &["stop"]),
        mistake(Exit::Missing, Some("LLMUP-G003"), "nothing is running", &["restart"]),
        mistake(Exit::Missing, Some("LLMUP-G003"), "nothing is running", &["reload"]),
        mistake(Exit::Missing, Some("LLMUP-G003"), "nothing is running", &["logs"]),
        mistake(
            Exit::Missing,
            None,
            "no engine answers",
            &["start", "m", "--engine-url", "http://127.0.0.1:9", "--port", &free],
        ),
        mistake(Exit::Missing, None, "offline", &["pull", "nobody/nothing"]),
        mistake(Exit::Config, None, "cannot read none.xml", &["hardware", "--from", "nvidia-smi-xml=none.xml"]),
        mistake(Exit::Config, None, "is not empty", &["doctor", "--record", "noconfig"]),
        mistake(Exit::Config, None, "cannot ", &["start", "demo", "--yes", "--port", &free]),
        mistake(
            Exit::ClientConflict,
            Some("LLMUP-C007"),
            "line 1",
            &[&["connect", "claude", "--yes"], &gateway[..]].concat(),
        ),
        mistake(Exit::Missing, Some("LLMUP-C001"), "is not installed", &[&["run", "codex"], &gateway[..]].concat()),
    ];
    for mistake in &mut all {
        match mistake.says {
            "offline" => mistake.env.push(("LLMUP_OFFLINE", "1".to_owned())),
            // A file where its own folder should be.
            "cannot " => {
                mistake.env.push(("LLMUP_DATA_DIR", home.path().join("file").display().to_string()));
            }
            "is not installed" => {
                mistake.env.push(("PATH", home.path().join("bin").display().to_string()));
            }
            _ => {}
        }
    }
    all
}

#[test]
fn every_failure_has_its_words_its_command_its_exit_code_and_its_finding_in_both_languages() {
    let home = Home::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wrong = Vec::new();
    for mistake in all(&home, held.local_addr().unwrap().port()) {
        let (english, chinese) = (run(&home, &mistake, "en"), run(&home, &mistake, "zh"));
        let mut must = |holds: bool, what: &str| {
            if !holds {
                let said = format!("{}{}", english.err, chinese.err);
                wrong.push(format!("{:?}: {what} (exit {:?})\n{said}", mistake.args, english.code));
            }
        };
        must(english.code == Some(i32::from(mistake.exit.code())), "another exit code");
        must(english.code == chinese.code, "another exit code in Chinese");
        must(english.err.contains("error: ") && chinese.err.contains("错误："), "no error");
        must(english.err.contains("hint: ") && chinese.err.contains("建议："), "no hint");
        must(english.err.contains(mistake.says), "other words");
        let pasted = commands(&english.err);
        must(pasted.iter().any(|command| command.contains(' ') && !command.contains("explain LLMUP")), "no command");
        let code = pasted.iter().find_map(|command| command.strip_prefix("llmup explain LLMUP-"));
        must(code == mistake.code.and_then(|code| code.strip_prefix("LLMUP-")), "another finding");
        must(pasted == commands(&chinese.err), "other commands in Chinese");
        must(english.err.lines().count() == chinese.err.lines().count(), "other lines in Chinese");
        must(!english.err.contains("panicked"), "it panicked");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
