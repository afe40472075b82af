//! HCL 1, the language of Consul's configuration files, into the tree that JSON files give too.
//!
//! ```text
//! items  := (item [","])*                 comments: # … and // … to the end of the line, /* … */
//! item   := key "=" value | key key* "{" items "}"
//! key    := identifier | string
//! value  := number | "true" | "false" | string | heredoc | "[" [value ("," value)* [","]] "]" | "{" items "}"
//! ```
//!
//! Owns: the text to tree step (`grammar`, `tokens`), how blocks become values (`lower`), and the place of every key,
//! so that later errors can name it. A block or object is a list of one map, a repeated one a longer list, and each
//! label of a block a map around it, as in the library that Consul uses; a text that begins with `{` is JSON.
//!
//! Must never: know which settings exist, or read a file. Nesting and numbers are bounded; no text makes it panic.

mod error;
mod grammar;
mod lower;
mod tokens;

pub(crate) use error::HclError;
pub(crate) use lower::Document;

/// Blocks and lists may be nested this deep.
const DEPTH_MAX: usize = 64;

/// Reads a document.
pub(crate) fn parse(text: &str) -> Result<Document, HclError> {
    if text.trim_start().starts_with('{') {
        let fault = |e: serde_json::Error| HclError::json(&e);
        return serde_json::from_str(text).map(Document::plain).map_err(fault);
    }
    grammar::parse(text).map(|items| lower::lower(text, items))
}

#[cfg(test)]
mod tests;
