"""Checks the vectors of scorecards (spec: scorecard.md): `python3 verify_scorecard.py KEY GOOD BAD`.
One line each; the exit code is 1 if any is wrong."""

import json
import sys

import bn254
import ristretto
import scorecard


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def check_good(key, data):
    card, case = data["card"], data["case"]
    assert key.hash.hex() == data["key"], "hash of the key"
    assert scorecard.encode_card(card).hex() == data["card_bytes"], "bytes of the card"
    assert scorecard.card_hash(card).hex() == data["card_hash"], "hash of the card"
    assert [str(x) for x in scorecard.table(card)] == data["table"], "table"
    openings = zip(card["variables"], data["values"], data["blindings"], case["commitments"], strict=True)
    for v, value, blinding, commitment in openings:
        shifted = value - v["bins"][0]["from"]
        rho = int.from_bytes(bytes.fromhex(blinding), "little")
        point = ristretto.sum_of([shifted, rho], [scorecard.B, scorecard.B_BLINDING])
        assert ristretto.encode(point).hex() == commitment, v["name"]
    proof = scorecard.Proof(bytes.fromhex(case["proof"]))
    assert [str(c) for c in scorecard.weights(key, card, case, proof)] == data["weights"], "weights"
    assert scorecard.verify(key, card, case), case["what"]


def refused(key, card, case):
    try:
        return not scorecard.verify(key, card, case)
    except ristretto.DecodeError:
        return True


def main(key_path, good_path, bad_path):
    bn254.selftest()
    key = scorecard.Key(bytes.fromhex(load(key_path)["verifying_key"]))
    check_good(key, load(good_path))
    print("ok", "score proven")
    failures, bad = 0, load(bad_path)
    for case in bad["cases"]:
        right = refused(key, bad["card"], case)
        failures += not right
        print("ok" if right else "FAILED", "refused:", case["what"])
    return 1 if failures or len(bad["cases"]) < 14 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
