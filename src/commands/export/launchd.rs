//! A property list for launchd (`launchd.plist(5)`).

use std::path::Path;

use quick_xml::escape::escape;

use super::{STOP_SECONDS, Service};

/// The property list's text.
pub(super) fn property_list(service: &Service, log: &Path) -> String {
    let string = |text: &str| format!("<string>{}</string>", escape(clean(text).as_str()));
    let words = std::iter::once(service.program.to_string_lossy().into_owned()).chain(service.args.iter().cloned());
    let words: String = words.map(|word| format!("    {}\n", string(&word))).collect();
    let env: String = service
        .env
        .iter()
        .map(|(name, value)| format!("    <key>{}</key>{}\n", escape(name.as_str()), string(value)))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  \
         <key>Label</key>{label}\n  \
         <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n  \
         <key>WorkingDirectory</key>{dir}\n  \
         <key>EnvironmentVariables</key>\n  <dict>\n{env}  </dict>\n  \
         <key>RunAtLoad</key><true/>\n  \
         <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>\n  \
         <key>ThrottleInterval</key><integer>30</integer>\n  \
         <key>ExitTimeOut</key><integer>{STOP_SECONDS}</integer>\n  \
         <key>ProcessType</key><string>Interactive</string>\n  \
         <key>Umask</key><integer>63</integer>\n  \
         <key>StandardErrorPath</key>{log}\n\
         </dict>\n</plist>\n",
        label = string(&service.name),
        dir = string(&service.dir.to_string_lossy()),
        log = string(&log.to_string_lossy()),
    )
}

/// What XML cannot hold is left out.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t').collect()
}

/// How to install it.
pub(super) fn notes(service: &Service, log: &Path) -> Vec<String> {
    let name = &service.name;
    vec![
        format!("save it:   … > ~/Library/LaunchAgents/{name}.plist"),
        format!("start it:  launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/{name}.plist"),
        format!("end it:    launchctl bootout gui/$(id -u)/{name}"),
        format!("its log:   {}", log.display()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::of;
    use super::*;

    #[test]
    fn words_come_through_the_markup_as_they_are() {
        let words = ["start", "我的 <m> & \"co\"", "--", "a'b]]>"];
        let text = property_list(&of(&words), Path::new("/x/a&b.log"));
        let mut reader = quick_xml::Reader::from_str(&text);
        let (mut depth, mut all, mut now) = (0, Vec::new(), String::new());
        loop {
            use quick_xml::events::Event;
            match reader.read_event().unwrap() {
                Event::Start(_) => {
                    depth += 1;
                    now.clear();
                }
                Event::End(_) => {
                    depth -= 1;
                    all.push(std::mem::take(&mut now));
                }
                Event::Text(text) => now.push_str(&text.xml10_content()),
                Event::GeneralRef(name) => {
                    let entity = format!("&{};", name.xml10_content());
                    now.push_str(&quick_xml::escape::unescape(&entity).unwrap());
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0);
        for word in words.iter().chain(&["/x/a&b.log", "/opt/my tools/llmup"]) {
            assert!(all.iter().any(|text| text == word), "{word}: {all:?}");
        }
    }
}
