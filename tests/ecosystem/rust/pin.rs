//! Nothing: the manifest beside it pins a crate whose own tests are run.
