//! `nvidia-smi topo -m`: a matrix of what lies between each pair, with other columns beside it and a legend below.

/// The matrix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Matrix {
    /// The cards that have a row.
    pub(super) cards: Vec<u32>,
    /// The smaller index, the larger, the word between.
    pub(super) links: Vec<(u32, u32, String)>,
}

/// Reads the matrix; `None` for another text.
pub(super) fn parse(text: &str) -> Option<Matrix> {
    // Terminals that underline the header leave their codes in the text.
    let text = plain(text);
    let mut lines = text.lines();
    let header: Vec<u32> = lines.by_ref().find_map(|line| {
        let cards: Vec<u32> = line.split_whitespace().map_while(card).collect();
        // The first row of the matrix starts with a card too, but its second word is none.
        (!cards.is_empty() && line.split_whitespace().nth(1).is_none_or(|word| !is_cell(word))).then_some(cards)
    })?;
    let mut matrix = Matrix::default();
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(row) = words.next().and_then(card) else { continue };
        matrix.cards.push(row);
        for (column, word) in header.iter().zip(words) {
            if *column > row && is_cell(word) && word != "X" {
                matrix.links.push((row, *column, word.to_owned()));
            }
        }
    }
    (!matrix.cards.is_empty()).then_some(matrix)
}

/// Whether the word is a direct link.
pub(super) fn is_direct(word: &str) -> bool {
    word.strip_prefix("NV").is_some_and(|count| count.parse::<u32>().is_ok())
}

fn is_cell(word: &str) -> bool {
    ["X", "PIX", "PXB", "PHB", "NODE", "SYS"].contains(&word) || is_direct(word)
}

fn card(word: &str) -> Option<u32> {
    word.strip_prefix("GPU")?.parse().ok()
}

fn plain(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            let _ = chars.by_ref().find(|char| char.is_ascii_alphabetic());
        } else {
            left.push(char);
        }
    }
    left
}
