//! Clients of a test network: wallets with certificates.

use rand_core::OsRng;
use zkbureau_circuits::directory::SubjectId;
use zkbureau_client::files::{read_document, read_genesis, write_document};
use zkbureau_client::time::now;
use zkbureau_client::wallet::{Cost, Wallet};
use zkbureau_ledger::document::enrolment::EnrolmentCertificate;

use super::{Net, assert_success, binary};

/// A passphrase's cost that tests can bear.
pub const CHEAP: Cost = Cost {
    memory_kib: 64,
    passes: 1,
};

/// A wallet whose enrolment request was signed by the command `enrol`.
pub fn enrolled(net: &Net, name: &str, person: &str) -> Wallet {
    let genesis = read_genesis(&net.data().join("genesis.json")).unwrap();
    let id = SubjectId::new("person", person).unwrap();
    let path = net.file(name);
    let mut wallet = Wallet::create(&path, b"secret", CHEAP, genesis, id, &mut OsRng).unwrap();
    let certificate = certify(net, name, &wallet, "365");
    wallet.store_certificate(certificate, now()).unwrap();
    wallet
}

/// A certificate for so many days.
pub fn certify(net: &Net, name: &str, wallet: &Wallet, days: &str) -> EnrolmentCertificate {
    let (request, certificate) = (
        net.file(&format!("{name}-enrol.zkb")),
        net.file(&format!("{name}-{days}.zkb")),
    );
    write_document(&request, &wallet.enrolment_request()).unwrap();
    let output = binary()
        .arg("enrol")
        .arg(&request)
        .arg("--data")
        .arg(net.data())
        .args(["--days", days, "--out"])
        .arg(&certificate)
        .output()
        .unwrap();
    assert_success(&output);
    read_document(&certificate).unwrap()
}
