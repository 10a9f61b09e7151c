//! The signature base: the text that an RFC 9421 signature is over, rebuilt from the request that
//! arrived and the list of components that its signer covered.

use axum::http::{HeaderMap, HeaderName, Method};

use super::fields::InnerList;

/// The parts of a request that a signature can cover.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The method.
    pub method: &'a Method,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port as the client names them, in lower case.
    pub authority: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query, as sent, without its question mark.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// A component that cannot be rebuilt: unknown, absent, twice, or with parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentError(pub String);

/// The signature base of a list of covered components.
///
/// Components with parameters are refused: none that a request needs has any.
pub fn signature_base(message: &Message<'_>, list: &InnerList) -> Result<String, ComponentError> {
    let mut base = String::new();
    for (i, (name, params)) in list.members.iter().enumerate() {
        let bad = || ComponentError(name.chars().take(64).collect());
        let twice = list.members[..i].iter().any(|(other, _)| other == name);
        if twice || !params.is_empty() {
            return Err(bad());
        }
        let value = component(message, name).ok_or_else(bad)?;
        base.push('"');
        base.push_str(name);
        base.push_str("\": ");
        base.push_str(&value);
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(&list.write());
    Ok(base)
}

fn component(message: &Message<'_>, name: &str) -> Option<String> {
    let query = || message.query.map_or(String::new(), |q| format!("?{q}"));
    match name {
        "@method" => Some(message.method.as_str().to_owned()),
        "@scheme" => Some(message.scheme.to_owned()),
        "@authority" => Some(message.authority.to_owned()),
        "@path" => Some(message.path.to_owned()),
        // An absent query is the empty one: the question mark alone.
        "@query" => Some(format!("?{}", message.query.unwrap_or_default())),
        "@request-target" => Some(format!("{}{}", message.path, query())),
        "@target-uri" => Some(format!(
            "{}://{}{}{}",
            message.scheme,
            message.authority,
            message.path,
            query()
        )),
        _ if name.starts_with('@') => None,
        _ => field(message.headers, name),
    }
}

/// All values of a header field, each without blanks at its ends, with a comma between.
fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    // Names are in lower case in a list of components.
    let key = HeaderName::from_bytes(name.as_bytes()).ok()?;
    if key.as_str() != name {
        return None;
    }
    let mut values = Vec::new();
    for value in headers.get_all(&key) {
        values.push(value.to_str().ok()?.trim_matches([' ', '\t']));
    }
    (!values.is_empty()).then(|| values.join(", "))
}
