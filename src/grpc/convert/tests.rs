//! Bad input of every kind is refused with its field, and none of it panics.
