"""Verifies the minutes of a ceremony (spec: params/spec/ceremony.md) in pure Python, written from the page:
`python3 verify_minutes.py FILE`, where FILE is a transcript, the verifying key of one (*.vk), or vectors (*.json): a key that
verifies, and changes of single bytes that must be refused.

Checks names, order, hashes, every proof of knowledge, the digests of what is in the file, and of a key that its alpha, beta,
gamma, delta and bases are the ceremony's. Whether the powers are powers, and the queries the circuit's, is for `params verify` to say.
Prints the hash of every contribution as `params verify` does; the exit code is 1 if anything is wrong."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "circuits", "reference"))

import bn254
from bn254 import Field1, Field2
from encoding import Reader, hash_parts
from merlin import Transcript
from ristretto import DecodeError

G = (1, 2)
H_BYTES = bytes.fromhex("edf692d95cbdde46ddda5ef7d422436779445c5e66006a42761e1f12efde0018c212f3aeb785e49712e7a9353349aaf1255dfb31b7bf60723a480d9293938e19")
VK_BYTES = 28_072
BASES = 870


class Refused(Exception):
    """With the step."""


def need(step, condition, what):
    if not condition:
        raise Refused(f"{step}: {what}")


def check_name(step, name):
    good = 1 <= len(name) <= 64 and all(0x20 <= ord(c) < 0x7F for c in name)
    need(step, good and name == name.strip(" ") and "  " not in name, "name")


def read_minutes(data):
    r = Reader(data)
    if r.unsigned(1) != 1:
        raise DecodeError("version")

    def contribution(points):
        def read():
            start = r.at
            c = {"name": r.string(), "previous": r.take(32), "state": r.take(32)}
            c["points"] = [r.take(32) for _ in range(points)]
            c["proofs"] = [(r.take(32), r.unsigned(32)) for _ in range(points)]
            c["bytes"] = r.data[start : r.at]
            return c

        return read

    m = {"title": r.string(), "log_size": r.unsigned(1)}
    m["powers"] = r.items(contribution(3), 256)
    m["two"] = None
    if r.unsigned(1):
        m["two"] = {"circuit": r.take(32), "start": [r.take(32) for _ in range(3)], "delta": r.items(contribution(1), 256)}
    r.end()
    return m


def verify_contribution(step, phase, number, c, before, previous, names):
    check_name(step, c["name"])
    need(step, c["name"].lower() not in names, "contributed before")
    need(step, c["previous"] == previous, "does not continue the step before it")
    names.append(c["name"].lower())
    after = [bn254.decode(Field1, p) for p in c["points"]]
    secrets = [b"tau", b"alpha", b"beta"] if phase == 1 else [b"delta"]
    t = Transcript(b"zkbureau/ceremony-knowledge/v1")
    t.u64(b"phase", phase)
    t.u64(b"number", number)
    for label, value in [(b"name", c["name"].encode()), (b"previous", c["previous"]), (b"state", c["state"])]:
        t.message(label, value)
    t.u64(b"secrets", len(secrets))
    for what, x, y in zip(secrets, before["bytes"], c["points"], strict=True):
        t.message(b"secret", what)
        t.message(b"from", x)
        t.message(b"to", y)
    for commitment, _ in c["proofs"]:
        t.message(b"R", commitment)
    for what, x, y, (commitment, s) in zip(secrets, before["points"], after, c["proofs"], strict=True):
        need(step, x != y, f"{what.decode()} is not changed")
        need(step, s < bn254.R, "a response is not reduced")
        challenge = int.from_bytes(t.bytes(b"c", 64), "little") % bn254.R
        left = bn254.multiply(Field1, s, x)
        right = bn254.add(Field1, bn254.decode(Field1, commitment), bn254.multiply(Field1, challenge, y))
        need(step, left == right, f"proof of knowledge of {what.decode()}")
    before["points"], before["bytes"] = after, c["points"]


def verify_minutes(m):
    """Gives the hashes, and where tau, alpha, beta and delta ended."""
    check_name("title", m["title"])
    need("title", 2 <= m["log_size"] <= 20, "size")
    one = G[0].to_bytes(32, "little")
    need("title", bn254.decode(Field1, one) == G, "the generator")
    last = hash_parts("zkbureau/ceremony-start/v1", m["title"].encode(), bytes([m["log_size"]]))
    hashes, powers = [], {"points": [G] * 3, "bytes": [one] * 3}
    names = []
    for i, c in enumerate(m["powers"], 1):
        verify_contribution(f"phase 1, contribution {i} ({c['name']})", 1, i, c, powers, last, names)
        last = hash_parts("zkbureau/ceremony-powers/v1", c["bytes"])
        hashes.append((1, i, last.hex(), c["name"]))
    delta = {"points": [G], "bytes": [one]}
    if m["two"]:
        need("phase 1", len(m["powers"]) >= 2, "too few contributions")
        last = hash_parts("zkbureau/ceremony-phase-two/v1", last, m["two"]["circuit"], *m["two"]["start"])
        names = []
        for i, c in enumerate(m["two"]["delta"], 1):
            verify_contribution(f"phase 2, contribution {i} ({c['name']})", 2, i, c, delta, last, names)
            last = hash_parts("zkbureau/ceremony-delta/v1", c["bytes"])
            hashes.append((2, i, last.hex(), c["name"]))
    return hashes, powers["points"] + delta["points"]


def state_digest(what, data):
    return hash_parts("zkbureau/ceremony-state/v1", what, data)


def verify_transcript(data):
    r = Reader(data)
    if r.take(8) != b"zkbparam" or r.unsigned(1) != 1:
        raise DecodeError("not a transcript of version 1")
    m = read_minutes(r.take(r.unsigned(4)))
    hashes, _ = verify_minutes(m)
    n = 1 << m["log_size"]
    powers = r.take(32 * (2 * n - 1) + 64 * n + 32 * n + 32 * n + 64)
    if m["powers"]:
        need("phase 1, powers", state_digest(b"powers", powers) == m["powers"][-1]["state"], "not what was signed")
    if m["two"]:
        witnesses = r.unsigned(4)
        queries = r.take(64 + 32 * (n - 1) + 32 * witnesses)
        if m["two"]["delta"]:
            signed = m["two"]["delta"][-1]["state"]
            need("phase 2, queries", state_digest(b"queries", queries) == signed, "not what was signed")
    r.end()
    return m, hashes


def key_hash(data):
    return hash_parts("zkbureau/scorecard-key/v1", data[:VK_BYTES], data[VK_BYTES:]).hex()


def verify_vectors(text):
    vectors = json.loads(text)
    data = bytes.fromhex(vectors["file"])
    need("vectors", key_hash(data) == vectors["hash"], "another content hash")
    for bad in vectors["bad"]:
        changed = bytearray(data)
        changed[bad["at"]] ^= bad["xor"]
        try:
            verify_key(bytes(changed))
        except (Refused, DecodeError, UnicodeDecodeError) as error:
            print(f'{bad["what"]}: {error}')
            continue
        raise Refused(f'vectors: {bad["what"]} was not refused')
    return verify_key(data)


def verify_key(data):
    # The origin of a key: version 1, variant 1 is a ceremony; minutes begin with a version, too.
    need("key", data[VK_BYTES : VK_BYTES + 2] == b"\x01\x01", "not of a ceremony")
    m = read_minutes(b"\x01" + data[VK_BYTES + 2 :])
    hashes, (_, alpha, beta, delta) = verify_minutes(m)
    need("phase 2", m["two"] is not None and len(m["two"]["delta"]) >= 2, "too few contributions")
    r = Reader(data[:VK_BYTES])
    need("key", bn254.decode(Field1, r.take(32)) == alpha, "alpha")
    beta_g2 = bn254.decode(Field2, r.take(64))
    gamma_g2 = r.take(64)
    need("key", gamma_g2 == H_BYTES, "gamma")
    delta_g2 = bn254.decode(Field2, r.take(64))
    h = bn254.decode(Field2, gamma_g2)
    need("key", delta_g2 != h, "delta = gamma")
    for what, one, two in [("beta", beta, beta_g2), ("delta", delta, delta_g2)]:
        same = bn254.pairing_product_is_one([(one, h), (bn254.negate(Field1, G), two)])
        need("key", same, what)
    bases = data[VK_BYTES - 32 * BASES : VK_BYTES]
    need("key", state_digest(b"inputs", bases) == m["two"]["start"][0], "the bases of public inputs")
    print("key     ", key_hash(data))
    return m, hashes


def main(path):
    with open(path, "rb") as file:
        data = file.read()
    try:
        if path.endswith(".json"):
            m, hashes = verify_vectors(data)
        else:
            m, hashes = (verify_transcript if data[:8] == b"zkbparam" else verify_key)(data)
    except (Refused, DecodeError, UnicodeDecodeError) as error:
        print("refused:", error)
        return 1
    print(f'ceremony "{m["title"]}", domain 2^{m["log_size"]}')
    for phase, number, value, name in hashes:
        print(f"phase {phase}  {number:>3}  {value}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
