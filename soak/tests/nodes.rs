//! Several nodes for a short time; `linkly-soak nodes --seconds N` takes longer.

use std::process::Command;

#[test]
fn no_node_sees_a_stale_or_deleted_link_past_the_bound_whatever_fails() {
    let soak = Command::new(env!("CARGO_BIN_EXE_linkly-soak")).args(["nodes", "--seconds", "20"]).output().unwrap();
    let (told, error) = (String::from_utf8_lossy(&soak.stdout), String::from_utf8_lossy(&soak.stderr));
    assert!(soak.status.success() && told.contains(" 0 findings"), "{told}{error}");
}
