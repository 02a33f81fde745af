//! Parameters written into a statement's text.
//!
//! libsql 0.10 gives the rows of a statement with parameters by a *cursor* alone, and gives that up before it has
//! read the answer's last bytes. The connection is closed by that in two of three calls (2,088 of 3,000, tried): on
//! the way to a server elsewhere a handshake each time, and at some hundred calls a second no ports are left. And
//! the server may take it for a client that is gone, and interrupt the next statement on the stream (tried). A
//! batch has none of this, and takes one request instead of two, but no parameters.

use linkly_sql::{Statement, Value};

/// The text of a statement with its parameters in it: those named `?1`, and `?` for the next one.
pub(super) fn with_literals(statement: &Statement) -> String {
    let sql: &str = &statement.sql;
    let mut text = String::with_capacity(sql.len() + statement.parameters.iter().map(length).sum::<usize>());
    let mut highest = 0_usize;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if first != '?' {
            let (token, behind) = rest.split_at(token_length(rest, first));
            text.push_str(token);
            rest = behind;
            continue;
        }
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = rest[1..=digits].parse().unwrap_or(highest.saturating_add(1));
        highest = highest.max(number);
        // SQLite takes a parameter that nothing was bound to for NULL.
        push_literal(&mut text, number.checked_sub(1).and_then(|place| statement.parameters.get(place)));
        rest = &rest[1 + digits..];
    }
    text
}

/// How far what begins here goes: quoted text and comments, in which a question mark is only that, are one token.
fn token_length(text: &str, first: char) -> usize {
    let ended_by = |end: &str| text[first.len_utf8()..].find(end).map(|at| first.len_utf8() + at + end.len());
    let end = match first {
        // A quote that stands for itself is doubled: the second one begins a text anew.
        '\'' | '"' | '`' => ended_by(first.encode_utf8(&mut [0; 4])),
        '[' => ended_by("]"),
        '-' if text.starts_with("--") => ended_by("\n"),
        '/' if text.starts_with("/*") => text[2..].find("*/").map(|at| at + 4),
        _ => Some(first.len_utf8()),
    };
    end.unwrap_or(text.len())
}

/// About how long a value is as a literal.
fn length(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() + text.len() / 16 + 2,
        Value::Blob(bytes) => bytes.len() * 2 + 3,
        _ => 24,
    }
}

fn push_literal(sql: &mut String, value: Option<&Value>) {
    match value {
        None | Some(Value::Null) => sql.push_str("NULL"),
        // In brackets: two minus signs would begin a comment.
        Some(Value::Integer(value)) => sql.push_str(&format!("({value})")),
        Some(Value::Real(value)) if value.is_nan() => sql.push_str("NULL"),
        Some(Value::Real(value)) if value.is_infinite() => {
            sql.push_str(if *value > 0.0 { "(9e999)" } else { "(-9e999)" });
        }
        Some(Value::Real(value)) => sql.push_str(&format!("({value:?})")),
        // A NUL would end the statement.
        Some(Value::Text(text)) if text.contains('\0') => {
            sql.push_str("CAST(");
            push_hex(sql, text.as_bytes());
            sql.push_str(" AS TEXT)");
        }
        Some(Value::Text(text)) => {
            sql.push('\'');
            sql.push_str(&text.replace('\'', "''"));
            sql.push('\'');
        }
        Some(Value::Blob(bytes)) => push_hex(sql, bytes),
    }
}

fn push_hex(sql: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    sql.push_str("x'");
    for byte in bytes {
        sql.push(DIGITS[usize::from(byte >> 4)].into());
        sql.push(DIGITS[usize::from(byte & 15)].into());
    }
    sql.push('\'');
}

#[cfg(test)]
mod tests {
    use linkly_sql::Sql;

    use super::*;

    fn text(sql: &'static str, parameters: Vec<Value>) -> String {
        let statement = Statement::new(Sql::Static(sql));
        with_literals(&parameters.into_iter().fold(statement, Statement::bind))
    }

    #[test]
    fn each_parameter_becomes_its_literal() {
        let parameters = vec![
            Value::Integer(-7),
            Value::from("it's"),
            Value::Blob(vec![0x00, 0xff]),
            Value::Null,
            Value::Real(1.5),
            Value::from("a\0'b"),
        ];
        let sql = "SELECT 1 -?1, ?2 || ?2, ?3, ?4, ?5, ?6, ?7";
        let wanted = "SELECT 1 -(-7), 'it''s' || 'it''s', x'00ff', NULL, (1.5), CAST(x'61002762' AS TEXT), NULL";
        assert_eq!(text(sql, parameters), wanted);
        let extremes = vec![Value::Integer(i64::MIN), Value::Real(f64::NEG_INFINITY), Value::Real(f64::NAN)];
        assert_eq!(text("?, ?, ?", extremes), "(-9223372036854775808), (-9e999), NULL");
    }

    #[test]
    fn a_question_mark_without_a_number_is_the_next_parameter() {
        let numbers = || (1..=5).map(Value::Integer).collect();
        assert_eq!(text("?, ?3, ?, ?1", numbers()), "(1), (3), (4), (1)");
        assert_eq!(text("?10", numbers()), "NULL");
        assert_eq!(text(concat!("?", "18446744073709551615", " ?"), numbers()), "NULL NULL");
        assert_eq!(text("?0", numbers()), "NULL");
    }

    #[test]
    fn a_question_mark_in_a_text_or_a_comment_is_only_that() {
        for sql in ["'?1 it''s ?1'", "\"?1\"", "`?1`", "[?1]", "-- ?1\n", "/* ?1 */", "-- ?1", "'?1", "é '?1' ß"] {
            assert_eq!(text(sql, vec![Value::Integer(1)]), sql);
        }
        assert_eq!(text("'a'?1'b' -?1/?1", vec![Value::Integer(1)]), "'a'(1)'b' -(1)/(1)");
    }
}
