//! Columns: cells that end with a tab are made equally wide, as docker's tabwriter does it.

/// The least width of a column, and the blank space behind its widest cell: docker's own figures.
const LEAST: usize = 10;
const GAP: usize = 3;

/// Aligns lines whose cells end with tabs; the last cell of a line stays as it is.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let ended = lines.iter().filter(|cells| cells.len() > column + 1);
            let widest = ended.map(|cells| cells[column].chars().count() + GAP).max();
            widest.unwrap_or(0).max(LEAST)
        })
        .collect();
    let mut aligned = String::with_capacity(text.len() * 2);
    for (number, cells) in lines.iter().enumerate() {
        if number > 0 {
            aligned.push('\n');
        }
        let last = cells.len() - 1;
        for (cell, width) in cells.iter().zip(&widths).take(last) {
            aligned.push_str(cell);
            aligned.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        aligned.push_str(cells[last]);
    }
    aligned
}
