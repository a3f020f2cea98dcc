//! What is in the way: the driver's error codes, the health it reports, programs that hold the memory.

use std::path::Path;

use super::table::{Chip, Holder};
use crate::hardware::holders::{is_absent, is_denied};
use crate::hardware::rows::program_name;
use crate::host::Host;

/// The words of a failed `npu-smi`, with a cure. The codes are dcmi's: -8005 and -8020 in a container mostly mean that
/// files of the driver were not mounted.
pub(super) fn explain(said: &str) -> String {
    let mounts = "`docker run --device /dev/davinci0 --device /dev/davinci_manager --device /dev/devmm_svm --device \
                  /dev/hisi_hdc -v /usr/local/dcmi:/usr/local/dcmi -v \
                  /usr/local/Ascend/driver/lib64:/usr/local/Ascend/driver/lib64 -v \
                  /usr/local/Ascend/driver/version.info:/usr/local/Ascend/driver/version.info …`";
    if said.contains("-8005") {
        format!(
            "the Ascend driver cannot be reached (dcmi error -8005); in a container pass the devices and the driver's \
             files: {mounts}; on the host see `ls -l /dev/davinci_manager` and `id`, you must be in the driver's group \
             (HwHiAiUser)"
        )
    } else if said.contains("-8020") || said.contains("because the device is used") {
        format!(
            "the NPUs are held by another container (dcmi error -8020): stop that one, on the host `cat \
             /proc/uda/namespace_node` shows whose they are; the same error comes when the driver's files are not \
             mounted: {mounts}"
        )
    } else if said.contains("error while loading shared libraries") {
        "`npu-smi` does not find the driver's libraries: `export \
         LD_LIBRARY_PATH=/usr/local/Ascend/driver/lib64/common:/usr/local/Ascend/driver/lib64/driver:$LD_LIBRARY_PATH`"
            .to_owned()
    } else {
        let line = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = line.clone().find(|line| line.contains("ret is ")).or_else(|| line.clone().next());
        let line: String = line.unwrap_or("it said nothing").chars().take(200).collect();
        format!("`npu-smi info` shows no NPU ({line}); see `sudo dmesg`, and in a container mount the driver: {mounts}")
    }
}

/// Why this process cannot reach the chip with that device file. The manager's files are as needed as the chip's own.
pub(super) fn held_back(host: &dyn Host, chip: u32) -> Option<String> {
    let own = format!("/dev/davinci{chip}");
    let files = [own.as_str(), "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"];
    let is = |test: fn(&dyn Host, &Path) -> bool, files: &[&'_ str]| {
        files.iter().find(|file| test(host, Path::new(file))).map(|file| (*file).to_owned())
    };
    if let Some(file) = is(is_denied, &files) {
        return Some(format!(
            "you may not open {file}; join the driver's group: `sudo usermod -aG HwHiAiUser $USER` (see `ls -l {file}`), \
             then log in again"
        ));
    }
    // The last is needed by the tool, which has answered.
    is(is_absent, &files[..3]).map(|file| {
        format!("{file} is not here; in a container pass it, too: `docker run --device {file} …`; elsewhere install the driver again")
    })
}

/// Whether the words are those of a failure that [`explain`] knows.
pub(super) fn is_failure(said: &str) -> bool {
    ["-8005", "-8020", "dcmi", "ret is ", "error while loading shared libraries"].iter().any(|word| said.contains(word))
}

/// Why a chip of this health cannot be used; `None` when it can, as with warnings.
pub(super) fn unfit(health: Option<&str>, npu: u32) -> Option<String> {
    let health = health?;
    let cannot = health.eq_ignore_ascii_case("critical") || health.eq_ignore_ascii_case("unknown");
    cannot.then(|| format!("its health is {health}; see `npu-smi info -t health -i {npu}`, and reboot if it stays so"))
}

/// What disturbs a chip that can be used: a warning of the driver, programs that hold its memory.
pub(super) fn disturbance(chip: &Chip, holders: &[Holder]) -> Option<String> {
    let warned = |health: &&str| !health.eq_ignore_ascii_case("ok");
    let warning = chip.health.as_deref().filter(warned).map(|health| {
        format!("the driver reports its health as {health}; see `npu-smi info -t health -i {}`", chip.npu)
    });
    let held = held(holders.iter().filter(|holder| holder.npu == chip.npu && Some(holder.chip) == chip.chip));
    let said: Vec<String> = warning.into_iter().chain(held).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn held<'a>(holders: impl Iterator<Item = &'a Holder> + Clone) -> Option<String> {
    const SHOWN: usize = 3;
    let one = |holder: &Holder| {
        let memory = holder.bytes.map(|bytes| format!(" {} MiB", bytes >> 20)).unwrap_or_default();
        format!("{} (pid {}){memory}", program_name(&holder.name), holder.pid)
    };
    let first = holders.clone().next()?;
    let mut said: Vec<String> = holders.clone().take(SHOWN).map(one).collect();
    let more = holders.skip(SHOWN).count();
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    Some(format!("its memory is held by {}; to free it: `kill {}`", said.join(", "), first.pid))
}
