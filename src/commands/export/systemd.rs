//! A unit for systemd. Quoting as in `systemd.syntax(7)` and `systemd.service(5)`: words in double quotes with C's
//! escapes, `%` and (in commands) `$` doubled; single paths stand as they are but for `%`.

use super::{STOP_SECONDS, Service};

/// Codes after which another start would end the same way: wrong flags, a broken configuration, a model that does not
/// fit, settings of a client.
const FINAL: &str = "2 3 5 8";

/// The unit's text. `user`: who runs a unit of the system.
pub(super) fn unit(service: &Service, system: bool, user: Option<&str>) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let program = service.program.to_string_lossy();
    // The program's own path is not searched for variables.
    let command: Vec<String> =
        std::iter::once(quoted(&program, false)).chain(service.args.iter().map(|arg| quoted(arg, true))).collect();
    line("[Unit]".to_owned());
    line(format!("Description={}", plain(&service.description)));
    if system {
        line("Wants=network-online.target".to_owned());
        line("After=network-online.target".to_owned());
    }
    line("StartLimitIntervalSec=600".to_owned());
    line("StartLimitBurst=5".to_owned());
    line("\n[Service]".to_owned());
    line("# Started means: the model answers.".to_owned());
    line("Type=notify".to_owned());
    line("NotifyAccess=main".to_owned());
    line(format!("ExecStart={}", command.join(" ")));
    if service.reloads {
        // Unlike a bare signal this fails when the file is broken, and says why.
        line(format!("ExecReload={} reload $MAINPID", quoted(&program, false)));
    }
    line(format!("WorkingDirectory={}", plain(&service.dir.to_string_lossy())));
    for (name, value) in &service.env {
        line(format!("Environment={}", quoted(&format!("{name}={value}"), false)));
    }
    if let Some(file) = &service.environment_file {
        line(format!("EnvironmentFile={}", plain(&file.to_string_lossy())));
    }
    if system && let Some(user) = user.filter(|user| *user != "root") {
        line(format!("User={}", plain(user)));
    }
    line("Restart=on-failure".to_owned());
    line("RestartSec=5".to_owned());
    line(format!("RestartPreventExitStatus={FINAL}"));
    line("# Ended by SIGTERM, in order.".to_owned());
    line("SuccessExitStatus=143".to_owned());
    line("# A large model takes minutes to load, a download longer.".to_owned());
    line("TimeoutStartSec=infinity".to_owned());
    line("# llmup ends its engine itself; what is left after this is killed.".to_owned());
    line("KillMode=mixed".to_owned());
    line(format!("TimeoutStopSec={STOP_SECONDS}"));
    line("LimitNOFILE=65536".to_owned());
    line("UMask=0077".to_owned());
    line("NoNewPrivileges=yes".to_owned());
    if system {
        // A user's unit cannot have these everywhere, and a user cannot write there anyway.
        line("# Devices stay open: engines need the GPUs.".to_owned());
        line("ProtectSystem=full".to_owned());
        line("PrivateTmp=yes".to_owned());
        for path in &service.writes {
            let path = path.to_string_lossy();
            // Escapes are not taken back in these lists.
            if !path.contains(['"', '\\']) {
                line(format!("ReadWritePaths=\"-{}\"", plain(&path)));
            }
        }
    }
    line("\n[Install]".to_owned());
    line(format!("WantedBy={}", if system { "multi-user.target" } else { "default.target" }));
    text
}

/// How to install it.
pub(super) fn notes(service: &Service, system: bool, user: Option<&str>) -> Vec<String> {
    let name = &service.name;
    if system {
        let who = user
            .filter(|user| *user != "root")
            .unwrap_or("root; run this as the user who shall run it, to change that");
        return vec![
            format!("it runs as {who}"),
            format!("save it:   … | sudo tee /etc/systemd/system/{name}.service"),
            format!("start it:  sudo systemctl daemon-reload && sudo systemctl enable --now {name}"),
            format!("its log:   journalctl -u {name} -f"),
        ];
    }
    vec![
        format!("save it:   … > ~/.config/systemd/user/{name}.service"),
        format!("start it:  systemctl --user daemon-reload && systemctl --user enable --now {name}"),
        "without a login it runs on after: loginctl enable-linger".to_owned(),
        format!("its log:   journalctl --user -u {name} -f"),
    ]
}

/// A value that is taken as it is: one line, `%` doubled.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().replace('%', "%%")
}

/// One word of a list; with `dollars` of a command, where `$` begins a variable.
fn quoted(text: &str, dollars: bool) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_./:=,@+-".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '%' => out.push_str("%%"),
            '$' if dollars => out.push_str("$$"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::of;
    use super::*;

    #[test]
    fn words_are_quoted_by_systemds_rules() {
        for (text, command, list) in [
            ("glm-4.7", "glm-4.7", "glm-4.7"),
            ("", "\"\"", "\"\""),
            ("a b", "\"a b\"", "\"a b\""),
            ("100%", "\"100%%\"", "\"100%%\""),
            ("$HOME", "\"$$HOME\"", "\"$HOME\""),
            ("é模型", "\"é模型\"", "\"é模型\""),
            (";", "\";\"", "\";\""),
            ("a\"b\\c'd", "\"a\\\"b\\\\c'd\"", "\"a\\\"b\\\\c'd\""),
            ("x\ny\u{1}", "\"x\\ny\\x01\"", "\"x\\ny\\x01\""),
        ] {
            assert_eq!((quoted(text, true).as_str(), quoted(text, false).as_str()), (command, list));
        }
    }

    #[test]
    fn a_unit_has_what_it_takes_and_nothing_more() {
        let mut service = of(&["start", "我的 50% $m.gguf", "--", "--flag=a\"b"]);
        let user = unit(&service, false, Some("ann"));
        assert!(user.contains("ExecStart=\"/opt/my tools/llmup\" start \"我的 50%% $$m.gguf\" -- \"--flag=a\\\"b\"\n"));
        assert!(user.contains("WorkingDirectory=/home/ann/我的 models\n"), "{user}");
        assert!(user.contains("Environment=\"PATH=/usr/bin:/opt/a b/$x%%h\\\"q\"\n"), "{user}");
        assert!(user.contains("WantedBy=default.target") && !user.contains("User="), "{user}");
        assert!(!user.contains("ExecReload") && !user.contains("DeviceAllow") && !user.contains("PrivateDevices"));
        service.reloads = true;
        service.environment_file = Some("/etc/llm up.env".into());
        let system = unit(&service, true, Some("ann"));
        for line in [
            "User=ann",
            "ProtectSystem=full",
            "ReadWritePaths=\"-/home/ann/.local/share/llmup\"",
            "KillMode=mixed",
            "ExecReload=\"/opt/my tools/llmup\" reload $MAINPID",
            "EnvironmentFile=/etc/llm up.env",
            "WantedBy=multi-user.target",
        ] {
            assert!(system.lines().any(|l| l == line), "{line}\n{system}");
        }
        assert!(!unit(&service, true, Some("root")).contains("User="));
    }
}
