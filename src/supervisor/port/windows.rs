//! Who listens on a TCP port on Windows. `unsafe` for the one system call that knows.
#![allow(unsafe_code)]

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{GetExtendedTcpTable, TCP_TABLE_OWNER_PID_LISTENER};

/// The system's numbers of IPv4 and IPv6, and what a row of their tables looks like.
const TABLES: [(u32, Row); 2] = [(2, Row { width: 6, port: 2, pid: 5 }), (23, Row { width: 14, port: 5, pid: 13 })];

/// A row's length and where in it the port and the pid are, all in words of four bytes (`MIB_TCPROW_OWNER_PID` and
/// `MIB_TCP6ROW_OWNER_PID`).
#[derive(Clone, Copy)]
struct Row {
    width: usize,
    port: usize,
    pid: usize,
}

/// The process that listens on `port`, on any address.
pub(super) fn listener(port: u16) -> Option<u32> {
    TABLES.iter().find_map(|(family, row)| pid_of(&table(*family)?, *row, port))
}

/// The rows follow their number; a port stands in network order in a word's lower half.
fn pid_of(table: &[u32], row: Row, port: u16) -> Option<u32> {
    let (count, rows) = table.split_first()?;
    let rows = rows.chunks_exact(row.width).take(*count as usize);
    rows.filter(|found| u16::from_be(found[row.port] as u16) == port).map(|found| found[row.pid]).next()
}

fn table(family: u32) -> Option<Vec<u32>> {
    let mut words: Vec<u32> = Vec::new();
    // It can grow between two calls.
    for _ in 0..8 {
        let mut size = u32::try_from(words.len() * 4).ok()?;
        // SAFETY: the pointer and the size describe `words`, which outlives the call.
        let code = unsafe {
            GetExtendedTcpTable(words.as_mut_ptr().cast(), &raw mut size, 0, family, TCP_TABLE_OWNER_PID_LISTENER, 0)
        };
        match code {
            NO_ERROR => return Some(words),
            ERROR_INSUFFICIENT_BUFFER => words = vec![0; size as usize / 4 + 64],
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_to_its_last_row_and_not_beyond() {
        let row = Row { width: 3, port: 1, pid: 2 };
        let port = |port: u16| u32::from(port.to_be());
        let table = [2, 0, port(80), 7, 0, port(8080), 9, 0, port(81), 11];
        assert_eq!(pid_of(&table, row, 8080), Some(9));
        assert_eq!(pid_of(&table, row, 81), None, "behind the last row");
        assert_eq!(pid_of(&table[..5], row, 8080), None, "cut off");
        assert_eq!(pid_of(&[], row, 1), None);
    }
}
