//! What Windows says of its user's language. `unsafe` for one system call.
#![allow(unsafe_code)]

use windows_sys::Win32::Globalization::GetUserDefaultLocaleName;

/// Longest name of a locale, with the zero at its end (LOCALE_NAME_MAX_LENGTH in winnls.h).
const LONGEST: usize = 85;

/// The user's locale, as in `zh-CN`.
pub(super) fn locale() -> Option<String> {
    let mut name = [0_u16; LONGEST];
    // SAFETY: the buffer is valid for as many characters as are told.
    let length = unsafe { GetUserDefaultLocaleName(name.as_mut_ptr(), LONGEST as i32) };
    let length = usize::try_from(length).ok()?.checked_sub(1)?;
    String::from_utf16(name.get(..length)?).ok().filter(|name| !name.is_empty())
}
