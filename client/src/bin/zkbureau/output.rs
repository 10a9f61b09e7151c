//! Results as text and as JSON.

use std::io::Write as _;

use serde_json::{Value, json};

/// What a command has to say.
pub struct Output {
    code: u8,
    json: Value,
    text: String,
}

impl Output {
    /// A result of a kind such as `verify`. The fields of `body` stand beside kind and exit code.
    pub fn new(kind: &str, code: u8, body: Value, text: Text) -> Self {
        let mut json = json!({ "kind": format!("zkbureau.{kind}/v1"), "exit_code": code });
        if let (Some(fields), Value::Object(body)) = (json.as_object_mut(), body) {
            fields.extend(body);
        }
        Self {
            code,
            json,
            text: text.0,
        }
    }

    /// Prints it; gives the exit code.
    pub fn print(self, json: bool) -> u8 {
        let text = if json {
            format!("{:#}\n", self.json)
        } else {
            self.text
        };
        // A reader that has gone away is no reason to fail.
        let _ = std::io::stdout().write_all(text.as_bytes());
        self.code
    }
}

/// Text for people: titles, paragraphs, lists, tables.
#[derive(Default)]
pub struct Text(String);

impl Text {
    pub fn new() -> Self {
        Self::default()
    }

    /// A line.
    pub fn line(mut self, line: impl AsRef<str>) -> Self {
        self.0.push_str(line.as_ref().trim_end());
        self.0.push('\n');
        self
    }

    /// A title after an empty line.
    pub fn title(mut self, title: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(title)
    }

    /// Indented lines with a dash, long ones broken.
    pub fn list<S: AsRef<str>>(mut self, items: impl IntoIterator<Item = S>) -> Self {
        for item in items {
            for (i, line) in wrap(item.as_ref(), 92).into_iter().enumerate() {
                let mark = if i == 0 { "  - " } else { "    " };
                self = self.line(format!("{mark}{line}"));
            }
        }
        self
    }

    /// Rows with aligned columns; numbers to the right.
    pub fn table(mut self, rows: &[Vec<String>]) -> Self {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            rows.iter()
                .filter_map(|r| r.get(c))
                .map(|t| t.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let mut line = String::new();
            for (c, cell) in row.iter().enumerate() {
                line.push_str("  ");
                let blanks = " ".repeat(widths[c] - cell.chars().count());
                if is_number(cell) {
                    line.push_str(&blanks);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&blanks);
                }
            }
            self = self.line(line);
        }
        self
    }
}

/// Whether a cell is an amount.
fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b',' || b == b'.')
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("never empty");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// The first digits of an identifier.
pub fn short(hex: &str) -> &str {
    hex.get(..12).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_long_items_break() {
        let rows = [
            vec!["a".into(), "1,000".into()],
            vec!["bcd".into(), "-2".into(), "x".into()],
        ];
        let text = Text::new()
            .title("T")
            .table(&rows)
            .title("U")
            .list(["x ".repeat(60).trim()]);
        let lines: Vec<&str> = text.0.lines().collect();
        assert_eq!(lines[..3], ["T", "  a    1,000", "  bcd     -2  x"]);
        assert_eq!(lines[3..5], ["", "U"]);
        assert!(lines[5].starts_with("  - x") && lines[6].starts_with("    x"));
        assert!(lines.iter().all(|l| l.chars().count() <= 96));
    }
}
