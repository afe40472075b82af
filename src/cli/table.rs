//! Tables as Consul prints them.

/// Rows of cells in columns that are as wide as their widest cell, two spaces apart; nothing after the last cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    aligned(rows, 2).lines().map(|l| format!("{}\n", l.trim_end())).collect()
}

/// Names and values, six spaces apart. A name without a value keeps its padding, but for the end of the whole.
pub(crate) fn pairs(rows: &[[String; 2]]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.to_vec()).collect();
    format!("{}\n", aligned(&rows, 6).trim_end())
}

fn aligned(rows: &[Vec<String>], gap: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if index + 1 < row.len() {
                let padding = widths[index] + gap - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', padding));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [row(&["Node", "Address", "DC"]), row(&["längster", "1", "dc1"]), row(&["x", "", ""])];
        assert_eq!(table(&rows), "Node      Address  DC\nlängster  1        dc1\nx\n");
    }

    #[test]
    fn pairs_keep_the_padding_of_empty_values_but_the_last() {
        let pair = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(pairs(&[pair("consul", ""), pair("web", "a,b")]), "consul      \nweb         a,b\n");
        assert_eq!(pairs(&[pair("web", "a,b"), pair("consul", "")]), "web         a,b\nconsul\n");
    }
}
