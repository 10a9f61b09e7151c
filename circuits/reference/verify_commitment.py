"""Checks the vectors of schemas, generators, blindings and commitments (spec: commitment.md):
`python3 verify_commitment.py FILE`. One line each; the exit code is 1 if any is wrong."""

import json
import sys

import schema as schemas
from ristretto import IDENTITY, L, add, decode, encode

CLASSES = (("stocks", schemas.STOCK), ("flows", schemas.FLOW))


def check_generators(data):
    assert encode(schemas.generator_h()).hex() == data["blinding_generator"], "H"
    assert encode(schemas.generator_g()).hex() == data["scalar_generator"], "G"
    for bit in data["bit_generators"]:
        point = schemas.generator_bit(bit["slot"], bit["attribute"], bit["bit"])
        assert encode(point).hex() == bit["point"], bit


def check_ranges(schema, data):
    assert [a.weights for a in schema.attributes] == data["weights"], "weights"
    for d in data["decompositions"]:
        a = schema.attributes[d["attribute"]]
        bits = [d["bits"] >> l & 1 for l in range(a.bits)]
        assert d["bits"] < 2**a.bits, d
        assert sum(b * w for b, w in zip(bits, a.weights)) == d["x"] <= a.range, d
        assert bits[-1] == (d["x"] >= 2 ** (a.bits - 1)), d
    for a in schema.attributes:
        if a.bits <= 12:
            sums = {0}
            for w in a.weights:
                sums |= {s + w for s in sums}
            assert sums == set(range(a.range + 1)), a.name


def check_schema(data):
    schema = schemas.Schema.from_json(data["schema"])
    encoding = bytes.fromhex(data["encoding"])
    assert schema.encode() == encoding, "encoding"
    assert schemas.Schema.decode(encoding).encode() == encoding, "decoding"
    digest = schema.digest()
    assert digest.hex() == data["digest"], "digest"
    found = [encode(schemas.generator_attribute(a)).hex() for a in schema.attributes]
    assert found == data["attribute_generators"], "attribute generators"
    check_ranges(schema, data)

    sums = {name: [[0] * len(schema.positions(cls)), 0, IDENTITY] for name, cls in CLASSES}
    for record in data["records"]:
        assert len(record["values"]) == len(schema.attributes) - 1, "values"
        x = [1, *(v - a.min for v, a in zip(record["values"], schema.attributes[1:]))]
        assert all(0 <= v <= a.range for v, a in zip(x, schema.attributes)), "range"
        for name, cls in CLASSES:
            values = [x[i] for i in schema.positions(cls)]
            r = schemas.blinding(
                bytes.fromhex(record["salt"]), bytes.fromhex(data["chain"]), data["agency"], cls, digest,
                data["batch"], bytes.fromhex(record["index"]), values,
            )
            assert r.to_bytes(32, "little").hex() == record[f"{name}_blinding"], f"{name} blinding"
            point = schemas.commit(schema, cls, values, r)
            assert encode(point).hex() == record[name], name
            total = sums[name]
            total[0] = [a + b for a, b in zip(total[0], values)]
            total[1] = (total[1] + r) % L
            total[2] = add(total[2], decode(bytes.fromhex(record[name])))
    for name, cls in CLASSES:
        values, r, point = sums[name]
        claimed = data[f"{name}_sum"]
        assert (values, r.to_bytes(32, "little").hex()) == (claimed["x"], claimed["blinding"]), f"sum of {name}"
        assert encode(point).hex() == claimed["point"], f"sum of {name}"
        assert encode(schemas.commit(schema, cls, values, r)).hex() == claimed["point"], f"opening of the sum of {name}"


def main(path):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    checks = [("generators", lambda: check_generators(data))]
    checks += [(f"schema: {s['name']}", lambda s=s: check_schema(s)) for s in data["schemas"]]
    failures = 0
    for name, check in checks:
        try:
            check()
            print("ok", name)
        except AssertionError as error:
            failures += 1
            print("FAILED", name, error)
    return 1 if failures or len(checks) < 2 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
