//! What Windows says of a process. `unsafe` because only raw system calls tell when it was born, to 100 ns.
#![allow(unsafe_code)]

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{FILETIME, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    QueryFullProcessImageNameW, WaitForSingleObject,
};

/// A living process. One that ended stays known for as long as somebody holds a handle of it.
fn open(pid: u32) -> Option<OwnedHandle> {
    // SAFETY: takes numbers.
    let raw = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE, 0, pid) };
    if raw.is_null() {
        return None;
    }
    // SAFETY: just opened, owned by nobody else.
    let process = unsafe { OwnedHandle::from_raw_handle(raw) };
    // SAFETY: the handle is open and has the right it needs.
    let lives = unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } == WAIT_TIMEOUT;
    lives.then_some(process)
}

/// The system's time at its start, in steps of 100 ns since 1601.
pub(super) fn birth(pid: u32) -> Option<String> {
    let process = open(pid)?;
    let [mut born, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle is open, and the four results outlive the call.
    let done = unsafe {
        GetProcessTimes(process.as_raw_handle(), &raw mut born, &raw mut ended, &raw mut kernel, &raw mut user)
    };
    let ticks = (u64::from(born.dwHighDateTime) << 32) | u64::from(born.dwLowDateTime);
    (done != 0).then(|| ticks.to_string())
}

/// The name of its program's file.
pub(super) fn name(pid: u32) -> Option<String> {
    let process = open(pid)?;
    // The longest path Windows knows.
    let mut path = vec![0_u16; 32_768];
    let mut length = path.len() as u32;
    // SAFETY: the handle is open; the pointer and the length describe `path`, which outlives the call.
    let done = unsafe {
        QueryFullProcessImageNameW(process.as_raw_handle(), PROCESS_NAME_WIN32, path.as_mut_ptr(), &raw mut length)
    };
    let path = String::from_utf16_lossy(path.get(..length as usize)?);
    (done != 0).then(|| path.rsplit('\\').next().unwrap_or_default().to_owned()).filter(|name| !name.is_empty())
}
