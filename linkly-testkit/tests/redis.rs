//! What the kit adds to Redis.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use linkly_testkit::{Redis, RedisCluster, eventually};

/// Sends a command and returns the first line of the answer.
fn ask(redis: &Redis, command: &str) -> String {
    let mut stream = TcpStream::connect(redis.address()).expect("it runs");
    write!(stream, "{command}\r\n").expect("it reads");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("it answers");
    answer.trim_end().to_owned()
}

#[test]
fn a_killed_server_comes_back_with_what_it_acknowledged() {
    let redis = Redis::start();
    assert_eq!(ask(&redis, "RPUSH kept one two"), ":2");
    redis.kill();
    redis.restart();
    assert_eq!(ask(&redis, "LLEN kept"), ":2");
    redis.restart();
    assert_eq!(ask(&redis, "LLEN kept"), ":2");
}

#[test]
fn prefixes_of_the_shared_server_are_never_the_same() {
    let redis = Redis::shared();
    assert_ne!(redis.new_prefix(), redis.new_prefix());
    assert!(std::ptr::eq(redis, Redis::shared()));
}

#[test]
fn further_arguments_win() {
    let redis = Redis::start_with(&["--appendonly", "no"]);
    ask(&redis, "SET gone 1");
    redis.restart();
    assert_eq!(ask(&redis, "EXISTS gone"), ":0");
}

#[test]
fn a_cluster_has_its_keys_on_three_nodes() {
    let cluster = RedisCluster::start();
    // The slots of these keys are 12182, 5061 and 4813: on the third node, and twice on the first.
    let answers =
        |key: &str| -> Vec<String> { cluster.nodes().iter().map(|node| ask(node, &format!("GET {key}"))).collect() };
    let third = cluster.nodes()[2].address();
    assert_eq!(answers("foo"), [format!("-MOVED 12182 {third}"), format!("-MOVED 12182 {third}"), "$-1".to_owned()]);
    let first = cluster.nodes()[0].address();
    assert_eq!(answers("bar"), ["$-1".to_owned(), format!("-MOVED 5061 {first}"), format!("-MOVED 5061 {first}")]);
    assert_eq!(cluster.urls().len(), 3);
}

#[test]
fn a_cluster_without_one_node_is_down_and_whole_again_when_it_is_back() {
    let cluster = RedisCluster::start();
    let [first, second, _] = cluster.nodes() else { panic!("there are three") };
    assert_eq!(ask(first, "SET bar kept"), "+OK");
    first.kill();
    eventually("a cluster that is down", || ask(second, "GET hello").starts_with("-CLUSTERDOWN"));
    first.restart();
    cluster.wait_until_whole();
    assert_eq!(ask(first, "STRLEN bar"), ":4");
}
