//! Structured fields (RFC 9651), as far as signatures need them: dictionaries of inner lists and of
//! byte sequences, with parameters. Strict: what a signer of ours would never write is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A bare item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An integer of at most 15 digits.
    Integer(i64),
    /// A quoted string.
    String(String),
    /// A token.
    Token(String),
    /// A byte sequence.
    Bytes(Vec<u8>),
    /// A boolean.
    Boolean(bool),
}

/// Parameters in their order, each name once.
pub type Params = Vec<(String, Item)>;

/// An inner list of strings with their parameters, and those of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerList {
    /// The members.
    pub members: Vec<(String, Params)>,
    /// Parameters of the whole list.
    pub params: Params,
}

/// A member of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// An inner list.
    List(InnerList),
    /// An item. Its parameters are read and dropped: nothing here gives them a meaning.
    Item(Item),
}

/// Not a structured field as it is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError;

type Result<T> = std::result::Result<T, FieldError>;

/// Most members, parameters or list entries.
const MAX_PARTS: usize = 32;

/// Reads a dictionary.
pub fn dictionary(text: &str) -> Result<Vec<(String, Member)>> {
    let mut reader = Reader(text.trim_matches(' ').as_bytes());
    let mut members: Vec<(String, Member)> = Vec::new();
    while !reader.0.is_empty() {
        let key = reader.key()?;
        let member = if !reader.eat(b'=') {
            reader.params()?;
            Member::Item(Item::Boolean(true))
        } else if reader.peek() == Some(b'(') {
            Member::List(reader.inner_list()?)
        } else {
            let item = reader.item()?;
            reader.params()?;
            Member::Item(item)
        };
        if members.len() == MAX_PARTS || members.iter().any(|(k, _)| *k == key) {
            return Err(FieldError);
        }
        members.push((key, member));
        reader.blanks(true);
        if reader.0.is_empty() {
            break;
        }
        if !reader.eat(b',') {
            return Err(FieldError);
        }
        reader.blanks(true);
        if reader.0.is_empty() {
            return Err(FieldError);
        }
    }
    Ok(members)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or(FieldError)?;
        self.0 = rest;
        Ok(*first)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn blanks(&mut self, tabs: bool) {
        while let Some(b) = self.peek()
            && (b == b' ' || tabs && b == b'\t')
        {
            self.0 = &self.0[1..];
        }
    }

    fn take_while(&mut self, allowed: impl Fn(u8) -> bool) -> String {
        let end = self
            .0
            .iter()
            .position(|b| !allowed(*b))
            .unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken.iter().map(|b| char::from(*b)).collect()
    }

    fn key(&mut self) -> Result<String> {
        if !self
            .peek()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'*')
        {
            return Err(FieldError);
        }
        Ok(self
            .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b)))
    }

    fn inner_list(&mut self) -> Result<InnerList> {
        if !self.eat(b'(') {
            return Err(FieldError);
        }
        let mut members = Vec::new();
        loop {
            self.blanks(false);
            if self.eat(b')') {
                break;
            }
            let Item::String(name) = self.item()? else {
                return Err(FieldError);
            };
            let params = self.params()?;
            if members.len() == MAX_PARTS || !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(FieldError);
            }
            members.push((name, params));
        }
        let params = self.params()?;
        Ok(InnerList { members, params })
    }

    fn params(&mut self) -> Result<Params> {
        let mut params = Params::new();
        while self.eat(b';') {
            self.blanks(false);
            let key = self.key()?;
            let item = if self.eat(b'=') {
                self.item()?
            } else {
                Item::Boolean(true)
            };
            if params.len() == MAX_PARTS || params.iter().any(|(k, _)| *k == key) {
                return Err(FieldError);
            }
            params.push((key, item));
        }
        Ok(params)
    }

    fn item(&mut self) -> Result<Item> {
        match self.peek().ok_or(FieldError)? {
            b'"' => self.string().map(Item::String),
            b':' => self.bytes().map(Item::Bytes),
            b'?' => {
                self.next()?;
                match self.next()? {
                    b'0' => Ok(Item::Boolean(false)),
                    b'1' => Ok(Item::Boolean(true)),
                    _ => Err(FieldError),
                }
            }
            b'-' | b'0'..=b'9' => {
                let negative = self.eat(b'-');
                let digits = self.take_while(|b| b.is_ascii_digit());
                // A decimal is nothing that signatures use.
                if digits.len() > 15 || self.peek() == Some(b'.') {
                    return Err(FieldError);
                }
                let number: i64 = digits.parse().map_err(|_| FieldError)?;
                Ok(Item::Integer(if negative { -number } else { number }))
            }
            b if b.is_ascii_alphabetic() || b == b'*' => {
                Ok(Item::Token(self.take_while(|b| {
                    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b)
                })))
            }
            _ => Err(FieldError),
        }
    }

    fn string(&mut self) -> Result<String> {
        self.next()?;
        let mut out = String::new();
        loop {
            match self.next()? {
                b'"' => return Ok(out),
                b'\\' => match self.next()? {
                    b @ (b'"' | b'\\') => out.push(char::from(b)),
                    _ => return Err(FieldError),
                },
                b @ 0x20..=0x7e => out.push(char::from(b)),
                _ => return Err(FieldError),
            }
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        self.next()?;
        let text = self.take_while(|b| b != b':');
        self.next()?;
        STANDARD.decode(text).map_err(|_| FieldError)
    }
}

/// Writes an item.
pub fn write_item(item: &Item, out: &mut String) {
    match item {
        Item::Integer(n) => out.push_str(&n.to_string()),
        Item::Token(t) => out.push_str(t),
        Item::Boolean(b) => out.push_str(if *b { "?1" } else { "?0" }),
        Item::Bytes(bytes) => {
            out.push(':');
            out.push_str(&STANDARD.encode(bytes));
            out.push(':');
        }
        Item::String(text) => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        }
    }
}

fn write_params(params: &Params, out: &mut String) {
    for (name, item) in params {
        out.push(';');
        out.push_str(name);
        if *item != Item::Boolean(true) {
            out.push('=');
            write_item(item, out);
        }
    }
}

impl InnerList {
    /// Writes the list in its canonical form.
    pub fn write(&self) -> String {
        let mut out = String::from("(");
        for (i, (name, params)) in self.members.iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            write_item(&Item::String(name.clone()), &mut out);
            write_params(params, &mut out);
        }
        out.push(')');
        write_params(&self.params, &mut out);
        out
    }

    /// A parameter of the list.
    pub fn param(&self, name: &str) -> Option<&Item> {
        self.params
            .iter()
            .find_map(|(n, item)| (n == name).then_some(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same_way() {
        let text =
            r#"sig=("@method"   "a\"b";req);created=12;on;off=?0;nonce="x\\y";t=tok;b=:AQI=:"#;
        let members = dictionary(text).expect("a dictionary");
        let [(label, Member::List(list))] = members.as_slice() else {
            panic!("one list: {members:?}");
        };
        assert_eq!(label, "sig");
        assert_eq!(list.param("created"), Some(&Item::Integer(12)));
        assert_eq!(list.param("on"), Some(&Item::Boolean(true)));
        assert_eq!(
            list.write(),
            r#"("@method" "a\"b";req);created=12;on;off=?0;nonce="x\\y";t=tok;b=:AQI=:"#
        );
        let two = dictionary(" a=:AQI=: ,\tb=:Aw==: ").expect("two");
        assert_eq!(two[1], ("b".into(), Member::Item(Item::Bytes(vec![3]))));
        assert_eq!(dictionary(""), Ok(vec![]));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "A=1",
            "a=",
            "a=(",
            "a=(\"x\"",
            "a=(x)",
            "a=(\"x\"\"y\")",
            "a=1,",
            "a=1 b=2",
            "a=1,a=2",
            "a=1.5",
            "a=1234567890123456",
            "a=:?:",
            "a=:AQI=",
            "a=\"x",
            "a=\"\\x\"",
            "a=\"\u{1}\"",
            "a=?2",
            "a=();b;b",
            "a=-",
            ",",
            "a=(\"x\");=1",
            "a=\u{e9}",
        ] {
            assert_eq!(dictionary(bad), Err(FieldError), "{bad:?}");
        }
        let many: Vec<String> = (0..40).map(|i| format!("a{i}=1")).collect();
        assert_eq!(dictionary(&many.join(",")), Err(FieldError));
    }
}
