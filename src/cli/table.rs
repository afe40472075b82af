//! Tables as Consul prints them.

/// Rows of cells in columns that are as wide as their widest cell, two spaces apart; nothing after the last cell. Cells
/// lose the blanks around them. As in Consul, the width of a column counts bytes and its padding characters.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(|cell| cell.trim()).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().filter_map(|r| r.get(c)).map(|t| t.len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index + 1 < row.len() {
                text += &format!("{cell:width$}  ", width = widths[index]);
            } else {
                text += cell;
            }
        }
        text.push('\n');
    }
    text
}

/// Names and values, six spaces apart. A name without a value keeps its padding, but for the end of the whole.
pub(crate) fn pairs(rows: &[[String; 2]]) -> String {
    let width = rows.iter().map(|[name, _]| name.chars().count()).max().unwrap_or(0) + 6;
    let text: String = rows.iter().map(|[name, value]| format!("{name:width$}{value}\n")).collect();
    format!("{}\n", text.trim_end())
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
        assert_eq!(table(&rows), "Node       Address  DC\nlängster   1        dc1\nx                   \n");
    }

    #[test]
    fn pairs_keep_the_padding_of_empty_values_but_the_last() {
        let pair = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(pairs(&[pair("consul", ""), pair("web", "a,b")]), "consul      \nweb         a,b\n");
        assert_eq!(pairs(&[pair("web", "a,b"), pair("consul", "")]), "web         a,b\nconsul\n");
    }
}
