//! Vaults: what opens them, and what a damaged one looks like.

use rand_core::OsRng;
use rocksdb::{DB, IteratorMode, Options};
use zkbureau_agency_node::agency::{Agency, DifferenceKind, VaultCheck};
use zkbureau_agency_node::vault::{AgencyKeys, KeyError, Vault, VaultError, VaultKey};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ChainId;

use super::world::{KEY, World, crowd, vault_key};

const MONTH: &str = "2024-03";

#[test]
fn a_vault_opens_with_its_passphrase_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vault");
    let (chain, agency) = (ChainId([1; 32]), AgencyId(1));
    let keys = AgencyKeys::random(&mut OsRng);
    let right = VaultKey::passphrase("correct horse").unwrap();
    let open = |key: &VaultKey| Vault::open(&path, key, &chain, agency);
    assert!(matches!(open(&right), Err(VaultError::Missing(_))));
    drop(Vault::create(&path, &right, &chain, agency, &keys).unwrap());
    assert!(matches!(
        Vault::create(&path, &right, &chain, agency, &keys),
        Err(VaultError::Exists(_))
    ));
    let vault = open(&right).unwrap();
    assert_eq!(vault.keys().validator().public(), keys.validator().public());
    assert_eq!(vault.keys().vrf().public(), keys.vrf().public());
    assert_eq!(vault.keys().sealing().public(), keys.sealing().public());
    assert!(
        matches!(open(&right), Err(VaultError::InUse(_))),
        "held by this process"
    );
    drop(vault);
    let wrong = VaultKey::passphrase("correct horsf").unwrap();
    assert!(matches!(open(&wrong), Err(VaultError::WrongKey)));
    assert!(matches!(
        open(&vault_key()),
        Err(VaultError::WrongKeyKind(_))
    ));
    assert!(matches!(
        Vault::open(&path, &right, &ChainId([2; 32]), agency),
        Err(VaultError::OtherChain { .. })
    ));
    assert!(matches!(
        Vault::open(&path, &right, &chain, AgencyId(2)),
        Err(VaultError::OtherAgency { .. })
    ));
    assert!(open(&right).is_ok());
}

#[test]
fn a_vault_opens_with_its_key_file_only() {
    let world = World::new(1).stop();
    let chain = world.chain.genesis.chain_id();
    let open = |key: &VaultKey| Vault::open(&world.vault_path(1), key, &chain, AgencyId(1));
    let mut other = KEY.to_owned();
    other.replace_range(..2, "ff");
    assert!(matches!(
        open(&VaultKey::from_hex(&other).unwrap()),
        Err(VaultError::WrongKey)
    ));
    let phrase = VaultKey::passphrase("x").unwrap();
    assert!(matches!(open(&phrase), Err(VaultError::WrongKeyKind(_))));
    let file = world.dir.path().join("vault.key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    assert!(open(&VaultKey::from_key_file(&file).unwrap()).is_ok());
    for text in ["", "00", &format!("{KEY}00"), &KEY.replace('0', "g")] {
        assert_eq!(VaultKey::from_hex(text).unwrap_err(), KeyError::Hex);
    }
    assert_eq!(VaultKey::passphrase("").unwrap_err(), KeyError::Passphrase);
    assert_eq!(format!("{:?}", vault_key()), "VaultKey(file)");
    let text = VaultKey::generate_hex(&mut OsRng);
    assert!(VaultKey::from_hex(&text).is_ok());
}

#[test]
fn another_agency_s_ledger_keys_are_noticed() {
    let world = World::new(1);
    let dir = tempfile::tempdir().unwrap();
    let keys = AgencyKeys::random(&mut OsRng);
    let chain = world.chain.genesis.chain_id();
    let vault = Vault::create(dir.path(), &vault_key(), &chain, AgencyId(1), &keys).unwrap();
    assert!(Agency::open(vault, world.chain.ledger()).is_err());
}

/// Changes the first value of a family with `change`, checks the vault, and puts the value back.
fn damage(
    world: &World,
    family: &str,
    change: impl Fn(&mut Vec<u8>),
) -> Result<VaultCheck, String> {
    let path = world.vault_path(1);
    let key = edit(&path, family, None, &change);
    let vault = Vault::open(
        &path,
        &vault_key(),
        &world.chain.genesis.chain_id(),
        AgencyId(1),
    );
    let result = vault.map_err(|e| e.to_string()).and_then(|vault| {
        let agency = Agency::open(vault, world.chain.ledger()).unwrap();
        agency.verify(&|_| {}).map_err(|e| e.to_string())
    });
    let (key, value) = key;
    edit(&path, family, Some(key), &|bytes| bytes.clone_from(&value));
    result
}

/// Edits one value of a closed vault; gives its key and what it was.
fn edit(
    path: &std::path::Path,
    family: &str,
    key: Option<Vec<u8>>,
    change: &dyn Fn(&mut Vec<u8>),
) -> (Vec<u8>, Vec<u8>) {
    let options = Options::default();
    let families = DB::list_cf(&options, path).unwrap();
    let db = DB::open_cf(&options, path, families).unwrap();
    let cf = db.cf_handle(family).unwrap();
    let key = key.unwrap_or_else(|| {
        let (key, _) = db
            .iterator_cf(cf, IteratorMode::Start)
            .next()
            .unwrap()
            .unwrap();
        key.to_vec()
    });
    let before = db.get_cf(cf, &key).unwrap().unwrap();
    let mut value = before.clone();
    change(&mut value);
    db.put_cf(cf, &key, &value).unwrap();
    (key, before)
}

#[test]
fn changed_values_are_found_and_named() {
    let world = World::new(1);
    world.publish(1, "2024-02", &crowd(20, "2024-02"));
    world.publish(1, MONTH, &crowd(20, MONTH));
    world.is_clean(1);
    let world = world.stop();
    let cases = [
        ("subjects", DifferenceKind::Subject),
        ("heads", DifferenceKind::Head),
        ("entries", DifferenceKind::Entry),
    ];
    for (family, kind) in cases {
        for position in [0, 30, 45] {
            let check = damage(&world, family, |value| value[position] ^= 4).unwrap();
            assert!(!check.is_clean(), "{family}");
            assert_eq!(check.first[0].kind, kind, "{family}");
            assert_eq!(check.first[0].index.is_none(), family == "subjects");
        }
    }
    // A value that is whole but stands elsewhere.
    let moved = damage(&world, "entries", |value| value.rotate_left(1)).unwrap();
    assert!(!moved.is_clean());
    // The column's opening: the last one is what counts, the first one is only history.
    let check = damage(&world, "columns", |value| value[40] ^= 1).unwrap();
    assert!(check.is_clean());
    // The vault's own keys.
    let error = damage(&world, "meta", |value| value[30] ^= 1).unwrap_err();
    assert!(error.contains("meta"), "{error}");
    let error = damage(&world, "header", |value| value[60] ^= 1).unwrap_err();
    assert!(error.contains("does not open"), "{error}");
    let error = damage(&world, "header", |value| value[0] ^= 2).unwrap_err();
    assert!(error.contains("format"), "{error}");
    let clean = damage(&world, "entries", |_| {}).unwrap();
    assert!(clean.is_clean(), "everything was put back: {clean:?}");
    assert_eq!(
        (clean.subjects, clean.entries, clean.commitments),
        (20, 40, 80)
    );
}

#[test]
fn nothing_readable_is_on_disk() {
    let world = World::new(1);
    let rows = "ACCOUNT77,SUBJECTXYZ,2024-03,123456,0,77\n";
    world.publish(1, MONTH, rows);
    let world = world.stop();
    let mut bytes = 0;
    for entry in std::fs::read_dir(world.vault_path(1)).unwrap() {
        let contents = std::fs::read(entry.unwrap().path()).unwrap();
        bytes += contents.len();
        for secret in ["SUBJECTXYZ", "ACCOUNT77", "person"] {
            let found = contents
                .windows(secret.len())
                .any(|w| w == secret.as_bytes());
            assert!(!found, "{secret}");
        }
    }
    assert!(bytes > 1000);
}
