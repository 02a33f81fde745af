//! What the kit adds to sqld.

use linkly_testkit::Sqld;
use serde_json::{Value, json};

/// Runs one statement and returns the HTTP status and the rows.
fn execute(sqld: &Sqld, token: Option<&str>, sql: &str) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.post(format!("{}/v2/pipeline", sqld.url()));
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let statement = json!({"requests": [{"type": "execute", "stmt": {"sql": sql}}, {"type": "close"}]});
    let mut answer = request.send_json(statement).expect("it answers");
    let status = answer.status().as_u16();
    let body: Value = answer.body_mut().read_json().unwrap_or_default();
    (status, body["results"][0]["response"]["result"]["rows"].clone())
}

#[test]
fn a_killed_server_comes_back_with_its_rows() {
    let sqld = Sqld::start();
    execute(&sqld, None, "CREATE TABLE kept (word)");
    assert_eq!(execute(&sqld, None, "INSERT INTO kept VALUES ('one')").0, 200);
    sqld.kill();
    sqld.restart();
    let (_, rows) = execute(&sqld, None, "SELECT word FROM kept");
    assert_eq!(rows, json!([[{"type": "text", "value": "one"}]]));
}

#[test]
fn a_server_with_a_key_lets_in_its_token_alone() {
    let [sqld, other] = [Sqld::start_with_jwt(), Sqld::start_with_jwt()];
    let status = |token| execute(&sqld, token, "CREATE TABLE IF NOT EXISTS t (n)").0;
    assert_eq!(status(Some(sqld.token())), 200);
    assert_eq!(status(Some(sqld.expired_token())), 401);
    assert_eq!(status(Some(other.token())), 401);
    assert_eq!(status(None), 401);
    assert!(!format!("{sqld:?}").contains(sqld.token()));
}

#[test]
fn prefixes_of_the_shared_server_are_never_the_same() {
    let sqld = Sqld::shared();
    assert_ne!(sqld.new_prefix(), sqld.new_prefix());
    let (status, _) = execute(sqld, None, &format!("CREATE TABLE {}t (n)", sqld.new_prefix()));
    assert_eq!(status, 200);
    assert!(std::ptr::eq(sqld, Sqld::shared()));
}
