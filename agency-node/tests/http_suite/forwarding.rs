//! Two nodes with an agency each: what is for the other's agency goes over the network.

use std::time::{Duration, Instant};

use rand_core::OsRng;
use zkbureau_agency_node::agency::ask_context;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::ask::{ASK_SEAL, AgencyAsk};
use zkbureau_ledger::document::sealed::Sealed;

use crate::server::Served;
use crate::support::http::{Answer, post};

const OTHER: AgencyId = AgencyId(2);

#[test]
fn any_node_takes_asks_for_any_agency_and_names_one_that_is_not_there() {
    let [first, mut second] = Served::pair();
    // Sealed to the other agency as it should be, with nonsense inside; and not even sealed.
    let consortium = first.node.ledger.consortium();
    let key = &consortium.agency(OTHER).unwrap().sealing_key;
    let context = ask_context(first.node.ledger.chain_id(), OTHER);
    let sealed = Sealed::seal(key, ASK_SEAL, &context, b"not an ask", &mut OsRng).unwrap();
    for body in [sealed.to_bytes(), vec![1; 100], vec![]] {
        for route in ["asks", "audits"] {
            let path = format!("/v1/agencies/2/{route}");
            let through = first.post(&path, &body);
            let direct = second.post(&path, &body);
            assert_eq!(through.problem(400), direct.problem(400), "{path}");
        }
    }
    // What no agency could take is refused before it travels, and so is an agency that nobody knows.
    let long = vec![1; AgencyAsk::MAX_BYTES + 1000];
    first.post("/v1/agencies/2/asks", &long).problem(413);
    let problem = first.post("/v1/agencies/9/asks", &[1; 100]).problem(404);
    assert_eq!(problem["field"], "agency");

    let status = first.get("/v1/status").json();
    let peer = &status["node"]["peers"][0];
    assert_eq!(peer["name"], OTHER.to_string(), "{status}");
    assert_eq!(peer["connected"], true);
    let metrics = String::from_utf8(first.get("/metrics").body).unwrap();
    for line in [
        "zkbureau_network_peers{state=\"connected\"} 1.0",
        "zkbureau_network_peers{state=\"absent\"} 0.0",
        "zkbureau_network_queued_bytes{peer=\"2\"} 0.0",
        "zkbureau_network_frames_forged_total 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }

    second.leave();
    let start = Instant::now();
    let answer: Answer = post(&first.url, "/v1/agencies/2/asks", &sealed.to_bytes());
    let took = start.elapsed();
    let problem = answer.problem(504);
    assert_eq!(problem["type"], "urn:zkbureau:problem:unreachable");
    assert_eq!(problem["field"], "agency");
    assert_eq!(problem["limit"], 20);
    assert!(
        problem["detail"].as_str().unwrap().contains("agency 2"),
        "{problem}"
    );
    assert!(answer.header("retry-after").is_some());
    assert!(took < Duration::from_secs(45), "{took:?}");
}
