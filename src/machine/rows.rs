//! The state as rows: what the checkpoint stores.
