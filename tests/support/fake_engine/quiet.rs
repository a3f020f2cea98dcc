//! A start of which nothing is heard: what it does meanwhile, if anything, shows only in its processes.

use std::io::{Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two pieces of work.
const REST: Duration = Duration::from_millis(50);

/// Returns when it is ready.
pub fn until(ready_at: Instant, what: &str) {
    let mut file = std::env::temp_dir();
    file.push(format!("fake-engine-{}", std::process::id()));
    let mut disk = (what == "disk").then(|| std::fs::File::create(&file).ok()).flatten();
    let _ = std::fs::remove_file(&file);
    let mut memory: Vec<Vec<u8>> = Vec::new();
    while Instant::now() < ready_at {
        match what {
            "processor" => {
                let end = Instant::now() + REST;
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
            "disk" => {
                // The same bytes again and again: nothing is filled.
                if let Some(file) = &mut disk {
                    let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&[1; 256 << 10]));
                }
            }
            "memory" => memory.push(vec![1; 256 << 10]),
            "children" => {
                // Like compilers: another one at every look, and they do little themselves.
                if let Ok(exe) = std::env::current_exe() {
                    let _ = Command::new(exe).args(["__sleep", "brief"]).stdin(Stdio::null()).status();
                }
            }
            _ => {}
        }
        std::thread::sleep(REST.min(ready_at.saturating_duration_since(Instant::now())));
    }
}
