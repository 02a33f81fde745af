//! The place in the store's change log up to which the cache was told.
//!
//! It stands under a key of the cache's name, on the server that knows the name, and so ends when the cache is
//! cleared and when that server's process does. It needs no more care than an entry: where it was evicted the cache
//! is cleared by the next node that starts.

use linkly_core::ChangeCursor;
use redis::{Pipeline, Value};

use super::super::answers::refused;
use super::super::error::Failure;
use super::{LONGEST_LIFE, Scope, Session};

/// Raised when what follows is another thing than a cursor.
const FORMAT: u8 = 1;

const ADVANCE: &str = include_str!("../advance.lua");

impl Session {
    /// As of [`Cache::position`](linkly_core::Cache::position).
    pub(in super::super) async fn position(&self, scope: &Scope) -> Result<Option<ChangeCursor>, Failure> {
        let mut question = Pipeline::new();
        question.cmd("GET").arg(self.position_key(scope));
        match self.ask_one(scope, question).await? {
            Value::Nil => Ok(None),
            Value::BulkString(value) => Ok(decode(&value)),
            other => Err(refused(other, "GET was answered with no text")),
        }
    }

    /// As of [`Cache::advance`](linkly_core::Cache::advance).
    pub(in super::super) async fn advance(
        &self,
        scope: &Scope,
        from: Option<&ChangeCursor>,
        to: &ChangeCursor,
    ) -> Result<(), Failure> {
        let mut script = Pipeline::new();
        // Once in a while and a few lines: not worth being loaded.
        script.cmd("EVAL").arg(ADVANCE).arg(1).arg(self.position_key(scope));
        script.arg(from.map(encode).unwrap_or_default()).arg(encode(to)).arg(LONGEST_LIFE.as_millis() as u64);
        match self.ask_one(scope, script).await? {
            Value::Int(_) => Ok(()),
            other => Err(refused(other, "the script gave another answer than its own")),
        }
    }

    async fn ask_one(&self, scope: &Scope, question: Pipeline) -> Result<Value, Failure> {
        let (mut answers, _) = self.ask_in(scope, question).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// No code's key: those have a colon before the brace. In a cluster it is in the slot of the key in the braces.
    fn position_key(&self, scope: &Scope) -> String {
        let (prefix, run, epoch) = (&self.config.prefix, &self.run, &*scope.epoch);
        format!("{prefix}{}{}{run}@{{{}}}", epoch.drawn, epoch.holder, self.config.epoch_key())
    }
}

fn encode(cursor: &ChangeCursor) -> Vec<u8> {
    [&[FORMAT], cursor.as_str().as_bytes()].concat()
}

/// `None` for what another release wrote.
fn decode(value: &[u8]) -> Option<ChangeCursor> {
    let (&format, text) = value.split_first()?;
    (format == FORMAT).then_some(())?;
    Some(ChangeCursor::new(std::str::from_utf8(text).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_another_format_is_none() {
        for text in ["", "3:7:5/8"] {
            let cursor = ChangeCursor::new(text);
            assert_eq!(decode(&encode(&cursor)), Some(cursor));
        }
        for other in [&b""[..], b"\x02abc", b"\x01\xff"] {
            assert_eq!(decode(other), None, "{other:?}");
        }
    }
}
