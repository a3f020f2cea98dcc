//! What a user sees who has chosen Chinese: the same codes, the same commands, and nothing else in what programs read.

use std::time::Duration;

use crate::support::{Home, Ran, finish, free_port};

/// Runs it in that language.
fn run(home: &Home, language: &str, args: &[&str]) -> Ran {
    let mut command = home.llmup(args);
    command.env("LLMUP_LANG", language);
    finish(command)
}

/// The same in both; the Chinese one, after its codes and commands were compared.
fn both(home: &Home, args: &[&str]) -> Ran {
    let (english, chinese) = (run(home, "en", args), run(home, "zh", args));
    assert_eq!(english.code, chinese.code, "{args:?}: {}", chinese.err);
    let commands = |said: &str| -> Vec<String> { said.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    assert_eq!(commands(&english.err), commands(&chinese.err), "{args:?}");
    assert_eq!(english.err.lines().count(), chinese.err.lines().count(), "{args:?}: {}", chinese.err);
    chinese
}

#[test]
fn failures_speak_chinese_with_the_same_codes_and_commands() {
    let home = Home::new();
    let ran = both(&home, &["start", "nope"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.starts_with("错误：没有名为 \"nope\" 的模型："), "{}", ran.err);
    assert!(ran.err.contains("\n建议：查看 llmup 认识的模型：`llmup models`\n"), "{}", ran.err);

    let ran = both(&home, &["stop"]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.err.starts_with("错误：没有正在运行的模型\n建议："), "{}", ran.err);

    std::fs::write(home.path().join("bad.yaml"), "model_list: 7\n").unwrap();
    let ran = both(&home, &["serve", "--config", "bad.yaml"]);
    assert_eq!(ran.code, Some(3));
    assert_eq!(
        ran.err,
        "错误：bad.yaml:1:1: model_list：应为列表，实际是7\n建议：文件格式与 LiteLLM 的 config.yaml 相同；\
         查看全部问题：`llmup config check bad.yaml`\n"
    );

    let ran = both(&home, &["serve", "--config", "none.yaml"]);
    assert!(ran.err.starts_with("错误：无法读取 none.yaml\n原因："), "{}", ran.err);

    let ran = both(&home, &["env", "claude"]);
    assert!(ran.err.starts_with("错误：没有正在运行的网关\n"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn a_refused_plan_speaks_chinese() {
    let home = Home::new();
    let ran = both(&home, &["plan", "glm-4.7", "--on", "4090"]);
    assert_eq!(ran.code, Some(5));
    assert!(ran.err.contains("放不下："), "{}", ran.err);
    assert!(ran.err.contains("\n  原文：权重 "), "{}", ran.err);

    let ran = both(&home, &["plan", "glm-4.7", "--on", "8xH200"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("glm-4.7 的计划\n"), "{}", ran.out);
    assert!(ran.out.contains("\n命令\n") && ran.out.contains(" vllm serve DIR "), "{}", ran.out);
}

#[test]
fn the_report_of_doctor_is_chinese() {
    let home = Home::new();
    let ran = both(&home, &["doctor"]);
    assert!(ran.out.starts_with("硬件\n"), "{}", ran.out);
    assert!(ran.out.contains("\n客户端\n") && ran.out.contains("没有安装："), "{}", ran.out);
    let counted = |line: &str| line.contains(" 个问题，") && line.contains(" 个警告");
    assert!(ran.out.lines().any(counted), "{}", ran.out);
}

#[test]
fn what_programs_read_is_the_same_in_both_languages() {
    let home = Home::new();
    let url = ["--base-url", "http://127.0.0.1:9", "--api-key", "k", "--model", "m", "--context", "65536"];
    let env: Vec<&str> = ["env", "claude", "--shell", "bash"].into_iter().chain(url).collect();
    for args in [
        &["plan", "glm-4.7", "--on", "8xH200", "--json"][..],
        &["models", "--json"],
        &["status", "--json"],
        &["export", "systemd", "demo"],
        &env,
    ] {
        let (english, chinese) = (run(&home, "en", args), run(&home, "zh", args));
        assert_eq!((english.code, &english.out), (chinese.code, &chinese.out), "{args:?}");
        assert!(!english.out.is_empty(), "{args:?}: {}", english.err);
    }
    // How much is free changes from one look to the next.
    let still = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    for args in [&["doctor", "--json"], &["hardware", "--json"]] {
        let (english, chinese) = (run(&home, "en", args), run(&home, "zh", args));
        assert_eq!((english.code, still(&english.out)), (chinese.code, still(&chinese.out)), "{args:?}");
    }
}

#[test]
fn the_locale_is_enough_and_llmup_lang_beats_it() {
    let home = Home::new();
    let said = |set: &[(&str, &str)]| {
        let mut command = home.llmup(&["stop"]);
        command.envs(set.iter().copied());
        finish(command).err
    };
    assert!(said(&[("LANG", "zh_CN.UTF-8")]).starts_with("错误："));
    assert!(said(&[("LANG", "zh_CN.UTF-8"), ("LLMUP_LANG", "en")]).starts_with("error: "));
    assert!(said(&[("LC_ALL", "en_US.UTF-8"), ("LANG", "zh_CN.UTF-8")]).starts_with("error: "));
    assert!(said(&[("LANG", "zh_CN.GBK")]).starts_with("error: "), "GBK's terminals cannot show UTF-8");
}

#[test]
fn a_start_speaks_chinese_and_its_json_does_not() {
    let home = Home::new();
    let port = free_port().to_string();
    let mut command = home.faked(&["llama-server"], &["start", "demo", "--json", "--port", &port, "--api-key", "k"]);
    command.env("LLMUP_LANG", "zh");
    let mut llmup = home.start(command);
    let ready = llmup.ready(Duration::from_secs(60));
    assert_eq!((&ready["status"], &ready["phase"]), (&"ready".into(), &"ready".into()));
    let said = llmup.err_with("demo");
    assert!(said.contains("找到   ") && said.contains("选用   llama-cpp，用于 demo：权重是 GGUF"), "{said}");
    let mut stop = home.llmup(&["stop"]);
    stop.env("LLMUP_LANG", "zh");
    let stopped = finish(stop);
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    assert!(stopped.err.starts_with("已停止 demo（进程号 "), "{}", stopped.err);
    llmup.wait(Duration::from_secs(20));
    assert!(llmup.err().contains("没有留下任何进程"), "{}", llmup.err());
}
