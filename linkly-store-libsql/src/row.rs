//! Rows and parameters, from and to the driver's.

use libsql::Result;
use libsql::params::Params;
use linkly_sql::{Row, Value};

/// A row of the driver's.
pub(crate) fn row_of(row: &libsql::Row) -> Result<Row> {
    let value = |column| {
        Ok(match row.get_value(column)? {
            libsql::Value::Null => Value::Null,
            libsql::Value::Integer(value) => Value::Integer(value),
            libsql::Value::Real(value) => Value::Real(value),
            libsql::Value::Text(value) => Value::Text(value),
            libsql::Value::Blob(value) => Value::Blob(value),
        })
    };
    (0..row.column_count()).map(value).collect::<Result<_>>().map(Row::new)
}

/// Parameters for the driver. They are moved.
pub(crate) fn values(parameters: Vec<Value>) -> Params {
    let value = |value| match value {
        Value::Null => libsql::Value::Null,
        Value::Integer(value) => libsql::Value::Integer(value),
        Value::Real(value) => libsql::Value::Real(value),
        Value::Text(value) => libsql::Value::Text(value),
        Value::Blob(value) => libsql::Value::Blob(value),
    };
    Params::Positional(parameters.into_iter().map(value).collect())
}
