//! What can be filtered: the static description of an object's fields, and access to their values.
//!
//! Owns: the seam between the language and the types of this project. A description is checked when the expression
//! is parsed; evaluation then walks the object by [`Fields::visit`], which allocates nothing.

/// A selectable field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name, case-sensitive; Consul's JSON name for the objects of the gateway.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

impl Field {
    /// A field of that name and type.
    pub const fn new(name: &'static str, kind: Kind) -> Field {
        Field { name, kind }
    }
}

/// The type of a field: it decides which operators apply and how the value in the expression is read.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `==`, `!=`, `in`/`contains` (a part of it), `matches`.
    Text,
    /// `==`, `!=`.
    Bool,
    /// `==`, `!=`.
    Int,
    /// `in`/`contains`, `is empty`.
    Texts,
    /// `in`/`contains` (its keys), `is empty`; `.key` or `["key"]` selects a value of the type named here.
    Map(&'static Kind),
    /// No operator of its own; `.Name` selects one of its fields.
    Struct(&'static [Field]),
    /// `is empty`; `.Name` selects a field of every element, and a test holds when it holds for any of them.
    Structs(&'static [Field]),
}

/// A value met by a selector.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A map has no such key. Also the answer to a name that the description does not hold.
    Absent,
    /// Of [`Kind::Text`].
    Text(&'a str),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Texts`]; also the keys of a map. For a list of structs only the number of items counts.
    Items(&'a dyn Items),
}

/// A collection of strings. Any closure that returns an iterator over strings is one: `&|| tags.iter()`.
pub trait Items {
    /// Whether it has no item.
    fn is_empty(&self) -> bool;
    /// Whether one of the items is `text`.
    fn contains(&self, text: &str) -> bool;
}

impl<F, I> Items for F
where
    F: Fn() -> I,
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    fn is_empty(&self) -> bool {
        self().into_iter().next().is_none()
    }

    fn contains(&self, text: &str) -> bool {
        self().into_iter().any(|item| item.as_ref() == text)
    }
}

/// What [`Fields::visit`] calls with a value; true means that the test holds and the visit can stop.
pub type Test<'t> = &'t dyn Fn(Value<'_>) -> bool;

/// An object that can be filtered.
pub trait Fields {
    /// Calls `test` with the value that `path` selects, or with each of them in turn where the path passes through a
    /// list, until it returns true. Returns whether it did.
    ///
    /// The path fits the description that the filter was parsed with. An implementation takes its first step with
    /// [`Path::next`] and matches on the name:
    ///
    /// ```
    /// use lictor::model::filter::{Fields, Path, Test, Value};
    ///
    /// struct Node { name: String, meta: std::collections::BTreeMap<String, String> }
    ///
    /// impl Fields for Node {
    ///     fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
    ///         match path.next() {
    ///             Some(("Node", _)) => test(Value::Text(&self.name)),
    ///             Some(("Meta", rest)) => {
    ///                 rest.text_map(|| self.meta.keys(), |key| self.meta.get(key).map(String::as_str), test)
    ///             }
    ///             _ => test(Value::Absent),
    ///         }
    ///     }
    /// }
    /// ```
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool;
}

impl<T: Fields + ?Sized> Fields for std::sync::Arc<T> {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        (**self).visit(path, test)
    }
}

/// The steps of a selector that are still to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    steps: &'a [String],
}

impl<'a> Path<'a> {
    pub(super) fn new(steps: &'a [String]) -> Path<'a> {
        Path { steps }
    }

    /// The next step and the path behind it; none at the end.
    pub fn next(self) -> Option<(&'a str, Path<'a>)> {
        self.steps.split_first().map(|(step, steps)| (step.as_str(), Path { steps }))
    }

    /// Visits a map of strings: its keys at the end of the path, else the value of the next step.
    pub fn text_map<'m, I>(self, keys: impl Fn() -> I, get: impl Fn(&str) -> Option<&'m str>, test: Test<'_>) -> bool
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        match self.next() {
            None => test(Value::Items(&keys)),
            Some((key, _)) => test(get(key).map_or(Value::Absent, Value::Text)),
        }
    }

    /// Visits a map of structs: its keys at the end of the path, else the struct of the next step.
    pub fn struct_map<'m, I, F>(self, keys: impl Fn() -> I, get: impl Fn(&str) -> Option<&'m F>, test: Test<'_>) -> bool
    where
        I: IntoIterator<Item: AsRef<str>>,
        F: Fields + 'm,
    {
        match self.next() {
            None => test(Value::Items(&keys)),
            Some((key, rest)) => match get(key) {
                Some(item) => item.visit(rest, test),
                None => test(Value::Absent),
            },
        }
    }

    /// Visits a list of structs: their number at the end of the path, else each of them.
    pub fn structs<'m, I, F>(self, items: impl Fn() -> I, test: Test<'_>) -> bool
    where
        I: IntoIterator<Item = &'m F>,
        F: Fields + 'm,
    {
        match self.steps {
            [] => test(Value::Items(&|| items().into_iter().map(|_| ""))),
            _ => items().into_iter().any(|item| item.visit(self, test)),
        }
    }
}
