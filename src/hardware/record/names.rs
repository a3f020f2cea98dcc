//! Names of the files in a recorded folder, and of the commands whose answers they hold: what every file system takes.

/// The command as one would type it.
pub(super) fn command(program: &str, args: &[String]) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    let quoted = |arg: &String| if arg.contains([' ', '\\', '$', '"']) { format!("'{arg}'") } else { arg.clone() };
    let words: Vec<String> = std::iter::once(name.to_owned()).chain(args.iter().map(quoted)).collect();
    words.join(" ")
}

/// A file name of a command.
pub(super) fn slug(program: &str, args: &[String]) -> String {
    const LENGTH: usize = 24;
    let mut name = String::new();
    for char in command(program, args).chars() {
        if char.is_ascii_alphanumeric() || char == '.' {
            name.push(char);
        } else if !name.ends_with('-') {
            name.push('-');
        }
        if name.len() >= LENGTH {
            break;
        }
    }
    name.trim_matches(['-', '.']).to_owned()
}

/// With the ending that its text deserves.
pub(super) fn named(name: &str, text: &str) -> String {
    let start = text.trim_start();
    let ending = if start.starts_with("<?xml") || start.starts_with("<nvidia_smi_log") {
        "xml"
    } else if start.starts_with(['{', '[']) {
        "json"
    } else {
        "txt"
    };
    format!("{name}.{ending}")
}

/// A path as a path below `files`, with what some file systems refuse (`0000:01:00.0`) written as `%3A`.
pub(super) fn encoded(path: &str) -> String {
    let part = |part: &str| {
        let mut left = String::new();
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte) {
                left.push(char::from(byte));
            } else {
                left.push_str(&format!("%{byte:02X}"));
            }
        }
        if left.chars().all(|c| c == '.') { format!("%2E{left}") } else { left }
    };
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_names_that_every_file_system_takes() {
        assert_eq!(encoded("/sys/bus/pci/devices/0000:01:00.0/vendor"), "sys/bus/pci/devices/0000%3A01%3A00.0/vendor");
        assert_eq!(encoded("C:/Windows/x y"), "C%3A/Windows/x%20y");
        assert_eq!(encoded("/a/../b"), "a/%2E../b");
        let args = ["--query-gpu=index,uuid".to_owned(), "--format=csv".to_owned()];
        assert_eq!(slug("/usr/bin/nvidia-smi", &args), "nvidia-smi-query-gpu-ind");
    }
}
