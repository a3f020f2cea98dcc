//! Windows, where no process can become another: the client is a child on the same console, and this one waits for it.
//! `unsafe` because who hears Ctrl-C is a raw system call.
#![allow(unsafe_code)]

use std::io;
use std::process::Command;

use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::core::BOOL;

/// Ctrl-C and Ctrl-Break reach everything on the console; they are the client's to answer, not ours.
unsafe extern "system" fn leave_it_to_the_client(event: u32) -> BOOL {
    BOOL::from(matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT))
}

/// Waits for the client and ends with its exit code, all 32 bits of it.
pub(super) fn become_it(mut command: Command) -> io::Result<u8> {
    // A handler is not handed down to the child, unlike the flag that ignores Ctrl-C altogether.
    // SAFETY: the handler is a plain function that lives as long as the program.
    unsafe { SetConsoleCtrlHandler(Some(leave_it_to_the_client), 1) };
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1))
}
