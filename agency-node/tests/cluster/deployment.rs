//! The example configuration is one that a node takes.

use std::path::Path;

use zkbureau_agency_node::config::Config;
use zkbureau_circuits::ids::AgencyId;

#[test]
fn the_example_configuration_is_read_as_it_is() {
    let text = include_str!("../../../deploy/agency.toml");
    let config = Config::parse(text, Path::new("/var/lib/agency-node")).unwrap();
    assert_eq!(config.agency, AgencyId(2));
    assert_eq!(config.p2p.peers.len(), 3);
    assert!(config.vault.passphrase && config.log.json);
    // What is commented out are the defaults.
    let all = text
        .replace("# connections", "connections")
        .replace("# trust_loopback", "trust_loopback")
        .replace("# [limits]", "[limits]");
    let all = all
        .replace("# batch_bytes", "batch_bytes")
        .replace("# agency_batch_bytes", "agency_batch_bytes");
    assert_ne!(all, text);
    let explicit = Config::parse(&all, Path::new("/var/lib/agency-node")).unwrap();
    assert_eq!(explicit, config);
}
