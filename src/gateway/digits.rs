//! Numbers as text, without the formatting machinery: for a line of the log that took longer than the gateway for routing
//! its request.

use http::HeaderValue;

/// Room for the longest number.
pub(super) fn room() -> [u8; 20] {
    [b'0'; 20]
}

/// A number with at least `least` digits, written into `room`.
pub(super) fn of(mut value: u64, least: usize, room: &mut [u8; 20]) -> &str {
    let mut at = room.len();
    while value > 0 {
        at -= 1;
        room[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let least = room.len() - least.clamp(1, room.len());
    while at > least {
        at -= 1;
        room[at] = b'0';
    }
    std::str::from_utf8(&room[at..]).unwrap_or_default()
}

/// A number as a header has it.
pub(super) fn header(value: u64) -> HeaderValue {
    // Digits can stand in every header.
    HeaderValue::from_str(of(value, 1, &mut room())).unwrap_or_else(|_| HeaderValue::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for value in [0, 7, 10, 4096, u64::MAX] {
            assert_eq!(of(value, 1, &mut room()), value.to_string());
            assert_eq!(header(value), HeaderValue::from(value));
        }
        let mut used = *b"98765432109876543210";
        assert_eq!(of(42, 4, &mut used), "0042");
        assert_eq!(of(0, 3, &mut used), "000");
    }
}
