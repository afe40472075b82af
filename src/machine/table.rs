//! An ordered, persistent map from a key inside the value to the shared value: one `Arc` per row, no second copy of
//! the key. A clone is cheap and shares everything.

use equivalent::Comparable;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// A value that carries its own key.
pub trait Keyed {
    /// What a lookup is made with.
    type Lookup: ?Sized;
    /// Order of two values.
    fn compare(&self, other: &Self) -> Ordering;
    /// Order of this value and a key that is looked for.
    fn compare_key(&self, key: &Self::Lookup) -> Ordering;
}

/// Rows in order of their keys.
pub struct Table<T: Keyed>(imbl::OrdSet<Row<T>>);

struct Row<T>(Arc<T>);

struct Key<'a, T: Keyed>(&'a T::Lookup);

impl<T> Clone for Row<T> {
    fn clone(&self) -> Self {
        Row(self.0.clone())
    }
}
impl<T: Keyed> PartialEq for Row<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<T: Keyed> Eq for Row<T> {}
impl<T: Keyed> PartialOrd for Row<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T: Keyed> Ord for Row<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.compare(&other.0)
    }
}
impl<T: Keyed> equivalent::Equivalent<Row<T>> for Key<'_, T> {
    fn equivalent(&self, row: &Row<T>) -> bool {
        row.0.compare_key(self.0).is_eq()
    }
}
impl<T: Keyed> Comparable<Row<T>> for Key<'_, T> {
    fn compare(&self, row: &Row<T>) -> Ordering {
        row.0.compare_key(self.0).reverse()
    }
}

impl<T: Keyed> Table<T> {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row with this key.
    pub fn get(&self, key: &T::Lookup) -> Option<&Arc<T>> {
        self.0.get(&Key::<T>(key)).map(|row| &row.0)
    }

    /// All rows in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> {
        self.0.iter().map(|row| &row.0)
    }

    /// Rows from this key on, in order.
    pub fn from<'a>(&'a self, key: &T::Lookup) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        self.0.range::<_, Key<'_, T>>((Bound::Included(Key(key)), Bound::Unbounded)).map(|row| &row.0)
    }

    /// Rows after this key, in order.
    pub fn after<'a>(&'a self, key: &T::Lookup) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        self.0.range::<_, Key<'_, T>>((Bound::Excluded(Key(key)), Bound::Unbounded)).map(|row| &row.0)
    }

    /// Stores a row and returns the one that had its key.
    pub fn insert(&mut self, value: Arc<T>) -> Option<Arc<T>> {
        self.0.insert(Row(value)).map(|row| row.0)
    }

    /// Removes the row with this key.
    pub fn remove(&mut self, key: &T::Lookup) -> Option<Arc<T>> {
        self.0.remove(&Key::<T>(key)).map(|row| row.0)
    }
}

impl<T: Keyed> Clone for Table<T> {
    fn clone(&self) -> Self {
        Table(self.0.clone())
    }
}
impl<T: Keyed> Default for Table<T> {
    fn default() -> Self {
        Table(imbl::OrdSet::new())
    }
}
impl<T: Keyed + fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
impl<T: Keyed + PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
    }
}
