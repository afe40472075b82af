//! Parameters that are taken out one by one, so that what is left is what nobody knows.

use serde_json::{Map, Value};

/// The parameters of a watch that were not taken yet.
#[derive(Debug)]
pub struct Params(Map<String, Value>);

impl Params {
    /// None is taken yet.
    pub fn new(given: Map<String, Value>) -> Params {
        Params(given)
    }

    /// A text; empty when not given.
    ///
    /// # Errors
    /// Another type, in Consul's words.
    pub fn text(&mut self, name: &str) -> Result<String, String> {
        match self.0.remove(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("Expecting {name} to be a string")),
        }
    }

    /// A switch; off when not given.
    pub(super) fn switch(&mut self, name: &str) -> Result<bool, String> {
        match self.0.remove(name) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(on),
            Some(_) => Err(format!("Expecting {name} to be a boolean")),
        }
    }

    /// A list of texts, or one text.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        match self.0.remove(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => {
                let texts = items.into_iter().enumerate().map(|(index, item)| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(format!("Index {index} of {name} expected to be string")),
                });
                texts.collect()
            }
            Some(_) => Err(format!("Expecting {name} to be a string or []string")),
        }
    }

    /// Whatever was given.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// The names of what is left.
    pub fn end(self) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        Err(format!("Invalid parameters: [{}]", names.join(" ")))
    }
}
