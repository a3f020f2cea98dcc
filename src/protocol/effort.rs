//! The one table between the two ways to say how much to reason: efforts and budgets of tokens. Vendors name budgets
//! of about this size for their efforts; any such table is a convention.
//!
//! | effort | budget |
//! |---|---|
//! | `minimal` | 1,024 |
//! | `low` | 4,096 |
//! | `medium` | 12,288 |
//! | `high` | 24,576 |
//! | `xhigh` | 49,152 |
//! | `max` | no limit |

const TABLE: [(&str, u64); 5] =
    [("minimal", 1_024), ("low", 4_096), ("medium", 12_288), ("high", 24_576), ("xhigh", 49_152)];

/// The least effort whose budget holds `tokens`.
pub fn of_budget(tokens: u64) -> &'static str {
    TABLE.iter().find(|(_, budget)| tokens <= *budget).map_or("max", |(effort, _)| effort)
}

/// The tokens an effort stands for; `u64::MAX` for `max`, what `medium` is for words nobody knows.
pub fn budget(effort: &str) -> u64 {
    match TABLE.iter().find(|(known, _)| *known == effort) {
        Some((_, budget)) => *budget,
        None if effort == "max" => u64::MAX,
        None => TABLE[2].1,
    }
}

/// The effort in the words of those who know three only: engines and most vendors.
pub fn of_three(effort: &str) -> &'static str {
    match effort {
        "minimal" | "low" => "low",
        "medium" => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_and_efforts_lead_to_each_other() {
        let efforts = [0, 1_024, 1_025, 10_000, 24_576, 31_999, 100_000].map(of_budget);
        assert_eq!(efforts, ["minimal", "minimal", "low", "medium", "high", "xhigh", "max"]);
        for (effort, tokens) in TABLE {
            assert_eq!((of_budget(tokens), budget(effort)), (effort, tokens));
        }
        assert_eq!((budget("max"), budget("odd")), (u64::MAX, 12_288));
        assert_eq!(["minimal", "medium", "xhigh", "max"].map(of_three), ["low", "medium", "high", "high"]);
    }
}
