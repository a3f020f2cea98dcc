//! A task for Windows' scheduler, which starts it at logon (`schtasks /create /xml`). Everything but ASCII is written
//! as a number, so that the file means the same in whatever encoding a shell writes it.

use super::Service;

/// The task's text.
pub(super) fn task(service: &Service) -> String {
    let arguments: Vec<String> = service.args.iter().map(|arg| quoted(arg)).collect();
    format!(
        "<?xml version=\"1.0\"?>\n\
         <Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\n  \
         <RegistrationInfo><Description>{description}</Description></RegistrationInfo>\n  \
         <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>\n  \
         <Principals><Principal id=\"Author\"><LogonType>InteractiveToken</LogonType>\
         <RunLevel>LeastPrivilege</RunLevel></Principal></Principals>\n  \
         <Settings>\n    \
         <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\n    \
         <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\n    \
         <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\n    \
         <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>\n    \
         <RestartOnFailure><Interval>PT1M</Interval><Count>5</Count></RestartOnFailure>\n  \
         </Settings>\n  \
         <Actions Context=\"Author\"><Exec>\n    \
         <Command>{command}</Command>\n    \
         <Arguments>{arguments}</Arguments>\n    \
         <WorkingDirectory>{dir}</WorkingDirectory>\n  \
         </Exec></Actions>\n\
         </Task>\n",
        description = markup(&service.description),
        command = markup(&service.program.to_string_lossy()),
        arguments = markup(&arguments.join(" ")),
        dir = markup(&service.dir.to_string_lossy()),
    )
}

/// Text in XML, in ASCII.
fn markup(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            ' '..='~' => out.push(c),
            c if c.is_control() => out.push(' '),
            c => out.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    out
}

/// A word as Windows' programs read their command line: backslashes count double before a quote.
fn quoted(text: &str) -> String {
    if !text.is_empty() && !text.contains([' ', '\t', '"']) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    let mut backslashes = 0;
    for c in text.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                out.push_str(&"\\".repeat(backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        out.push(c);
    }
    out.push_str(&"\\".repeat(backslashes));
    out.push('"');
    out
}

/// How to install it.
pub(super) fn notes(service: &Service) -> Vec<String> {
    let name = &service.name;
    let mut notes = vec![
        format!("save it:   … > {name}.xml"),
        format!("start it:  schtasks /create /tn {name} /xml {name}.xml; schtasks /run /tn {name}"),
        "end it:    llmup stop".to_owned(),
        format!("remove it: schtasks /delete /tn {name}"),
    ];
    if service.args.iter().any(|arg| arg.contains('%')) {
        notes.push(
            "the scheduler replaces %NAME% in arguments by the variable; it knows no way to say a plain %".into(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::tests::of;
    use super::*;

    #[test]
    fn arguments_are_quoted_by_windows_rules() {
        for (text, expected) in [
            ("--port", "--port"),
            ("", "\"\""),
            ("C:\\my models\\", "\"C:\\my models\\\\\""),
            ("C:\\models\\", "C:\\models\\"),
            ("a\"b", "\"a\\\"b\""),
            ("a\\\"b c", "\"a\\\\\\\"b c\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn the_task_is_ascii_and_says_the_same() {
        let text = task(&of(&["start", "我的 <m> & 🚀"]));
        assert!(text.is_ascii(), "{text}");
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut all = String::new();
        loop {
            use quick_xml::events::Event;
            match reader.read_event().unwrap() {
                Event::Text(text) => all.push_str(&text.xml10_content()),
                Event::GeneralRef(name) => {
                    let entity = format!("&{};", name.xml10_content());
                    all.push_str(&quick_xml::escape::unescape(&entity).unwrap());
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert!(all.contains("start \"我的 <m> & 🚀\""), "{all}");
    }
}
