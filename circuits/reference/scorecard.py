"""Scorecard proofs (spec: scorecard.md): cards, tables, the transcript, the verifier, and Poseidon."""

import hashlib

import bn254
import ristretto
from bn254 import Field1, Field2
from encoding import Reader, hash_parts, write_list, write_string
from merlin import Transcript
from ristretto import DecodeError

VARIABLES, BINS = 32, 12
INPUTS = 869
R = bn254.R

B_ENCODED = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
B = ristretto.decode(B_ENCODED)
B_BLINDING = ristretto.from_uniform_bytes(hashlib.sha3_512(B_ENCODED).digest())


def signed(value, size=8):
    return value.to_bytes(size, "little", signed=True)


def unsigned(value, size):
    return value.to_bytes(size, "little")


# Cards.


def encode_reference(r):
    span = b"\x00" if r["span"] == "total" else b"\x01" + unsigned(r["span"]["agency"], 4)
    measure = {"level": b"\x00", "flow": b"\x01"}[r["measure"]]
    return write_string(r["attribute"]) + unsigned(r["lag"], 4) + measure + span


def encode_variable(v):
    bins = [signed(b["from"]) + signed(b["to"]) + signed(b["points"]) + write_string(b["label"]) for b in v["bins"]]
    return write_string(v["name"]) + encode_reference(v["reference"]) + write_string(v["reason"]) + write_list(bins)


def encode_card(card):
    head = b"\x01" + write_string(card["name"]) + unsigned(card["scale"], 4) + signed(card["base"])
    return head + bytes([card["reasons"]]) + write_list([encode_variable(v) for v in card["variables"]])


def card_hash(card):
    return hash_parts("zkbureau/card/v1", encode_card(card))


def check_card(card):
    """The rules on which soundness rests."""
    assert 1 <= len(card["variables"]) <= VARIABLES
    for v in card["variables"]:
        bins = v["bins"]
        assert 1 <= len(bins) <= BINS, v["name"]
        assert all(b["from"] < b["to"] for b in bins), v["name"]
        assert all(a["to"] == b["from"] for a, b in zip(bins, bins[1:])), v["name"]
        assert bins[-1]["to"] - bins[0]["from"] <= 2**40, v["name"]
        assert all(best(v) - b["points"] < 2**32 for b in bins), v["name"]


def best(v):
    return max(b["points"] for b in v["bins"])


def table(card):
    inputs = []
    for v in card["variables"]:
        low, high = v["bins"][0]["from"], v["bins"][-1]["to"]
        ends = [b["from"] - low for b in v["bins"]]
        inputs += ends + [high - low] * (BINS + 1 - len(ends))
        shortfalls = [best(v) - b["points"] for b in v["bins"]]
        inputs += shortfalls + [0] * (BINS - len(shortfalls))
    unused = [0] + [1] * BINS + [0] * BINS
    return inputs + unused * (VARIABLES - len(card["variables"]))


# Statements.


def bounds(card, claim):
    """Smallest and largest total shortfall for which the claim holds; None if there is none."""
    top = card["base"] + sum(best(v) for v in card["variables"])
    worst = sum(max(best(v) - b["points"] for b in v["bins"]) for v in card["variables"])
    ((kind, value),) = claim.items()
    lower, upper = {
        "at_least": (0, top - value),
        "below": (top - value + 1, worst),
        "exactly": (top - value, top - value),
    }[kind]
    lower, upper = max(lower, 0), min(upper, worst)
    return (lower, upper) if lower <= upper else None


def encode_claim(claim):
    ((kind, value),) = claim.items()
    return bytes([["at_least", "below", "exactly"].index(kind)]) + signed(value)


def encode_reasons(reasons):
    return b"\x00" if reasons is None else b"\x01" + bytes([reasons["most"]]) + unsigned(reasons["set"], 4)


class Proof:
    """256 bytes."""

    def __init__(self, data):
        reader = Reader(data)
        if reader.take(1) != b"\x01":
            raise DecodeError("version")
        self.a = bn254.decode(Field1, reader.take(32))
        self.b = bn254.decode(Field2, reader.take(64))
        self.c = bn254.decode(Field1, reader.take(32))
        self.p = reader.unsigned(32)
        if self.p >= R:
            raise DecodeError("P is not reduced")
        self.mask = reader.point()
        self.z = reader.unsigned(31)
        self.s = reader.scalar()
        reader.end()


class Key:
    """A verifying key: alpha, beta, gamma, delta, bases; then its origin, here the seed of a test key."""

    def __init__(self, data):
        reader = Reader(data)
        self.alpha = bn254.decode(Field1, reader.take(32))
        self.beta, self.gamma, self.delta = (bn254.decode(Field2, reader.take(64)) for _ in range(3))
        if reader.unsigned(8) != INPUTS + 1:
            raise DecodeError("another number of public inputs")
        self.bases = [bn254.decode(Field1, reader.take(32)) for _ in range(INPUTS + 1)]
        own = reader.at
        if reader.take(2) != b"\x01\x00":
            raise DecodeError("not a test key")
        self.seed = reader.unsigned(8)
        reader.end()
        if self.gamma == self.delta:
            raise DecodeError("delta equals gamma")
        self.hash = hash_parts("zkbureau/scorecard-key/v1", data[:own], data[own:])


def weights(key, card, case, proof):
    t = Transcript(b"zkbureau/scorecard/v1")
    t.message(b"context", bytes.fromhex(case["context"]))
    t.message(b"key", key.hash)
    t.message(b"card", card_hash(card))
    t.message(b"claim", encode_claim(case["claim"]))
    t.message(b"reasons", encode_reasons(case["reasons"]))
    t.points(b"C", [bytes.fromhex(c) for c in case["commitments"]])
    t.message(b"P", proof.p.to_bytes(32, "little"))
    t.message(b"K", proof.mask)
    return [int.from_bytes(t.bytes(b"c", 16), "little") for _ in card["variables"]]


def verify(key, card, case):
    """Whether a statement is proven; DecodeError for bytes that are no proof."""
    check_card(card)
    n, reasons = len(card["variables"]), case["reasons"]
    if len(case["commitments"]) != n:
        return False
    limits = bounds(card, case["claim"])
    if limits is None:
        return False
    flags, full = 0, 1
    if reasons is not None:
        flags, most = reasons["set"], reasons["most"]
        shown = bin(flags).count("1")
        if not card["reasons"] or not 1 <= most <= 8 or shown > most or flags >> n:
            return False
        full = int(shown == most)
    proof = Proof(bytes.fromhex(case["proof"]))
    if not 2**173 <= proof.z < 2**248:
        return False
    c = weights(key, card, case, proof)

    # z·B + s·B' = K + Σ c·C.
    commitments = [ristretto.decode(bytes.fromhex(x)) for x in case["commitments"]]
    left = ristretto.sum_of([proof.z, proof.s], [B, B_BLINDING])
    right = ristretto.add(ristretto.decode(proof.mask), ristretto.sum_of(c, commitments))
    if not ristretto.equal(left, right):
        return False

    inputs = [proof.p, proof.z, *limits, full]
    inputs += [flags >> a & 1 for a in range(VARIABLES)]
    inputs += c + [0] * (VARIABLES - n) + table(card)
    assert len(inputs) == INPUTS
    committed = key.bases[0]
    for x, base in zip(inputs, key.bases[1:], strict=True):
        if x:
            committed = bn254.add(Field1, committed, bn254.multiply(Field1, x, base))
    minus = bn254.negate
    return bn254.pairing_product_is_one(
        [
            (proof.a, proof.b),
            (minus(Field1, key.alpha), key.beta),
            (minus(Field1, committed), key.gamma),
            (minus(Field1, proof.c), key.delta),
        ]
    )
