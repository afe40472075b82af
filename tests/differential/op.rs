//! One request of a plan, and what is remembered of its answer.

/// The name of the node on both servers.
pub(crate) const NODE: &str = "differential";

/// A request. In path and body `<<name>>` stands for what the server has answered earlier, which differs from server
/// to server; `<<index:KEY>>` stands for the ModifyIndex that a key has now, 0 without it; `<<run>>` for the seed, in
/// names whose past (delays of locks) must not reach the next one.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) method: &'static str,
    /// Encoded, with the query.
    pub(crate) path: String,
    pub(crate) body: String,
    /// The name under which the `ID` of the answer is remembered.
    pub(crate) remember: Option<String>,
    /// How the answer is compared.
    pub(crate) order: Order,
    /// Whether an answer that differs is asked for again.
    pub(crate) settles: bool,
}

/// Whether the order of a list in the answer means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Matters,
    /// By an id of the server's own choice, or random.
    Free,
    /// Random, and cut off: only how many there are means something.
    Chosen,
}

impl Op {
    pub(crate) fn get(path: impl Into<String>) -> Op {
        Op {
            method: "GET",
            path: path.into(),
            body: String::new(),
            remember: None,
            order: Order::Matters,
            settles: false,
        }
    }

    pub(crate) fn put(path: impl Into<String>, body: impl Into<String>) -> Op {
        Op { method: "PUT", body: body.into(), ..Op::get(path) }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Op {
        Op { method: "DELETE", ..Op::get(path) }
    }

    pub(crate) fn in_any_order(self) -> Op {
        Op { order: Order::Free, ..self }
    }

    pub(crate) fn chosen(self) -> Op {
        Op { order: Order::Chosen, ..self }
    }

    /// An agent brings what it knows to the catalog in its own time, and a cache what has changed.
    pub(crate) fn settles(self) -> Op {
        Op { settles: true, ..self }
    }

    pub(crate) fn remember(self, name: String) -> Op {
        Op { remember: Some(name), ..self }
    }

    pub(crate) fn reads(&self) -> bool {
        self.method == "GET"
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.method, self.path)?;
        if self.body.is_empty() { Ok(()) } else { write!(out, " {}", self.body) }
    }
}
