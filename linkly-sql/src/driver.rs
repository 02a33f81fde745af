//! What a driver does for a store, and what passes between them.

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use linkly_core::Result;

/// What an SQLite database can do for a store. Implemented once for each driver.
///
/// # Contract
///
/// - `write` and `write_returning` run one statement that commits by itself, to its end: it has happened whole or
///   not at all, also when the future is dropped.
/// - A statement is never sent a second time behind the store's back, unless it is known not to have run.
/// - What they or `transaction` committed is seen by every `read` that starts later, through any handle on
///   the same database.
/// - Errors are mapped, those of SQLite itself by [`sqlite_error`](crate::sqlite_error).
pub trait Driver: Debug + Send + Sync + 'static {
    /// The name in errors, and in front of cursors: `sqlite`.
    fn backend(&self) -> &'static str;

    /// Whether the app closed it: then nobody waits for it to come back.
    fn is_closed(&self) -> bool;

    /// Reads what is committed.
    fn read(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// Reads lists and statistics, which a replica may answer, with the lag that its store states. By default
    /// [`read`](Self::read).
    fn read_replica(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>>> + Send {
        self.read(statement)
    }

    /// Runs one statement on the connection that writes, and says how many rows it changed itself: those that
    /// triggers changed are not counted.
    fn write(&self, statement: Statement) -> impl Future<Output = Result<u64>> + Send;

    /// The same for a statement that returns rows. A migration also reads by it.
    fn write_returning(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// Runs statements without parameters, divided by `;`, all or nothing, with no writer beside it from the
    /// first to the last. It may take longer than other calls.
    fn transaction(&self, script: Sql) -> impl Future<Output = Result<()>> + Send;

    /// Has the connection that writes read the schema again, and with it the planner's statistics, and trims the log
    /// of writes. By default nothing.
    fn optimize(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// SQL, as a text of the program or one that was put together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sql {
    /// A text of the program.
    Static(&'static str),
    /// A text that was put together: by a prefix, or by what a list is asked for.
    Built(Arc<str>),
}

impl Deref for Sql {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Built(text) => text,
        }
    }
}

/// SQL with its parameters, `?1` first.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statement {
    /// The text: one statement.
    pub sql: Sql,
    /// The parameters. A batch is one of them, a JSON text, and is moved all the way.
    pub parameters: Vec<Value>,
}

impl Statement {
    /// A statement without parameters.
    pub fn new(sql: Sql) -> Self {
        Self { sql, parameters: Vec::new() }
    }

    /// With one parameter more.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.parameters.push(value.into());
        self
    }

    /// Without the last parameters, as far as the text does not name them: SQLite refuses to bind those. A text
    /// that is put together names some of its parameters only.
    pub(crate) fn trimmed(mut self) -> Self {
        while !self.parameters.is_empty() && !self.sql.contains(&format!("?{}", self.parameters.len())) {
            self.parameters.pop();
        }
        self
    }
}

/// A value of SQLite.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// A text. No statement of a store answers with one that may not be UTF-8.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer.
///
/// Texts that other programs may have written leave SQLite as bytes: they need not be UTF-8, and what a
/// driver makes of one that is not differs (libsql 0.10 panics, and ends a text at its first NUL). Such a
/// text is read with replacement characters: it fails the rules of its own field, and not the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(Vec<Value>);

impl Row {
    /// A row of these values.
    pub fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// The integer of a column; `None` for anything else.
    pub fn integer(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// The bytes of a column, a text's too; `None` for anything else.
    pub fn bytes(&self, column: usize) -> Option<&[u8]> {
        match self.0.get(column) {
            Some(Value::Blob(value)) => Some(value),
            Some(Value::Text(value)) => Some(value.as_bytes()),
            _ => None,
        }
    }

    /// The text of a column, with replacement characters where it is not UTF-8; `None` for anything else.
    pub fn text(&self, column: usize) -> Option<Cow<'_, str>> {
        self.bytes(column).map(String::from_utf8_lossy)
    }

    /// The text of the first column, without a copy; empty for anything else.
    pub fn into_text(self) -> String {
        match self.0.into_iter().next() {
            Some(Value::Text(text)) => text,
            Some(Value::Blob(bytes)) => {
                String::from_utf8(bytes).unwrap_or_else(|found| String::from_utf8_lossy(found.as_bytes()).into_owned())
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_keeps_no_parameter_behind_the_last_that_it_names() {
        let trimmed = |text, count: i64| {
            let statement = Statement::new(Sql::Static(text));
            (0..count).fold(statement, Statement::bind).trimmed().parameters.len()
        };
        assert_eq!((trimmed("SELECT ?1, ?3", 5), trimmed("SELECT ?10", 11), trimmed("SELECT 1", 2)), (3, 10, 0));
    }

    #[test]
    fn a_text_that_is_not_utf8_is_read_with_replacement_characters() {
        let bytes = vec![b'a', 0xff, 0, b'b'];
        let row = Row::new(vec![Value::Blob(bytes), Value::Null, Value::Integer(7)]);
        assert_eq!(row.text(0).as_deref(), Some("a\u{fffd}\0b"));
        assert_eq!((row.text(1), row.integer(2), row.integer(3)), (None, Some(7), None));
        assert_eq!(row.into_text(), "a\u{fffd}\0b");
    }
}
