//! `nvidia-smi -q -x`. Its tags move between versions of the format (v10 to v13), so only the few that have stayed are
//! read, each by its own name and that of the element around it. A cut file gives what was read until there.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::csv::{absent, mebibytes};
use super::{Amount, Gpu, Instance, Process, Reading};

/// Reads everything that is there.
pub(super) fn parse(text: &str) -> Reading {
    let mut reader = Reader::from_str(text);
    // A closing tag that does not fit is no reason to lose the cards.
    reader.config_mut().check_end_names = false;
    let mut log = Log::default();
    let mut content = String::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                content.clear();
                log.open(tag.name().as_ref().to_owned());
            }
            Ok(Event::Empty(tag)) => {
                log.open(tag.name().as_ref().to_owned());
                log.close("");
            }
            Ok(Event::Text(text)) => content.push_str(&text.xml10_content()),
            Ok(Event::CData(text)) => content.push_str(&text.xml10_content()),
            Ok(Event::GeneralRef(name)) => content.push_str(&named(&name)),
            Ok(Event::End(_)) => {
                log.close(content.trim());
                content.clear();
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    // The part that was open when the file ended.
    while !log.path.is_empty() {
        log.close("");
    }
    log.reading
}

/// `&lt;` and its like; nothing else occurs.
fn named(name: &str) -> String {
    match name {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => "",
    }
    .to_owned()
}

#[derive(Default)]
struct Log {
    /// Names of the open elements.
    path: Vec<String>,
    reading: Reading,
    gpu: Option<Gpu>,
    instance: Option<Instance>,
    process: Option<Process>,
    /// Total, free, used of the memory that is being read.
    total: Option<String>,
    free: Option<u64>,
}

impl Log {
    fn open(&mut self, name: String) {
        match name.as_str() {
            "gpu" if self.path.len() == 1 => {
                let index = u32::try_from(self.reading.gpus.len()).unwrap_or(u32::MAX);
                self.gpu = Some(Gpu { index, memory: Amount::Unknown, ..Gpu::default() });
            }
            "mig_device" => self.instance = Some(Instance { memory: Amount::Unknown, ..Instance::default() }),
            "process_info" => self.process = Some(Process { pid: 0, name: None, bytes: None }),
            "fb_memory_usage" => (self.total, self.free) = (None, None),
            _ => {}
        }
        self.path.push(name);
    }

    fn close(&mut self, content: &str) {
        let Some(name) = self.path.pop() else { return };
        let around = self.path.last().map(String::as_str).unwrap_or_default();
        let known = || (!absent(content)).then(|| content.to_owned());
        match (around, name.as_str()) {
            ("nvidia_smi_log", "driver_version") => self.reading.driver = known(),
            ("nvidia_smi_log", "cuda_version") => {
                self.reading.cuda = known();
                // A host that lends its cards to virtual machines says N/A here.
                self.reading.without_cuda = self.reading.cuda.is_none();
            }
            ("nvidia_smi_log", "gpu") => self.reading.gpus.extend(self.gpu.take()),
            ("gpu_virtualization_mode", "virtualization_mode") => {
                self.reading.without_cuda |= content == "Host VGPU";
            }
            ("fb_memory_usage", "total") => self.total = Some(content.to_owned()),
            ("fb_memory_usage", "free") => self.free = mebibytes(content),
            ("mig_device" | "gpu", "fb_memory_usage") => self.memory(),
            ("mig_devices", "mig_device") => {
                if let (Some(instance), Some(gpu)) = (self.instance.take(), &mut self.gpu) {
                    gpu.mig.get_or_insert_default().push(instance);
                }
            }
            ("mig_device", "uuid") => self.instance.iter_mut().for_each(|instance| instance.uuid = known()),
            ("processes", "process_info") => {
                if let (Some(process), Some(gpu)) = (self.process.take(), &mut self.gpu) {
                    gpu.processes.push(process);
                }
            }
            ("process_info", "pid") => {
                self.process.iter_mut().for_each(|process| process.pid = content.parse().unwrap_or(0));
            }
            ("process_info", "process_name") => self.process.iter_mut().for_each(|process| process.name = known()),
            ("process_info", "used_memory") => {
                self.process.iter_mut().for_each(|process| process.bytes = mebibytes(content));
            }
            ("gpu", "product_name") => self.gpu.iter_mut().for_each(|gpu| gpu.name = known()),
            ("gpu", "uuid") => self.gpu.iter_mut().for_each(|gpu| gpu.uuid = known()),
            ("mig_mode", "current_mig") if content == "Enabled" => {
                if let Some(gpu) = &mut self.gpu {
                    gpu.mig.get_or_insert_default();
                }
            }
            _ => {}
        }
    }

    fn memory(&mut self) {
        let amount = match self.total.take() {
            None => Amount::Unknown,
            Some(total) if absent(&total) => Amount::NotSupported,
            Some(total) => match mebibytes(&total) {
                Some(total) => Amount::Known { total, free: self.free },
                None => Amount::Unreadable(total),
            },
        };
        match (&mut self.instance, &mut self.gpu) {
            (Some(instance), _) => instance.memory = amount,
            (None, Some(gpu)) => gpu.memory = amount,
            (None, None) => {}
        }
    }
}
