"""Judges the vectors of the batch range argument: `python3 verify_range_batch.py FILE`.

One line each, with the reason of a refusal. The exit code is 1 if a verdict, a schema's digest or a
challenge is not what the file says.
"""

import json
import sys

import schema as schemas
from range_batch import Argument, Refused, Statement, layout_of, replay, verify
from ristretto import DecodeError


def number(text):
    return int.from_bytes(bytes.fromhex(text), "little")


def statement(v):
    return Statement(
        bytes.fromhex(v["chain"]), v["agency"], v["batch"], schemas.Schema.from_json(v["schema"]),
        bytes.fromhex(v["body"]), *([bytes.fromhex(p) for p in v[c]] for c in ("stocks", "flows")),
    )


def argument(v):
    data = bytes.fromhex(v["argument"])
    if data[:1] != b"\x01":
        raise DecodeError("version")
    return Argument.decode(data[1:])


def judge(v):
    """(accepted, why not); AssertionError when the file contradicts the replayed transcript."""
    s = statement(v)
    assert s.schema.digest().hex() == v["schema_digest"], "digest of the schema"
    expected = v.get("challenges")
    try:
        a = argument(v)
        drawn = replay(s, a, layout_of(s, a))
        if expected:
            for name in ("y", "tau", "r", "sigma", "e"):
                text = expected[name]
                values = [number(c) for c in text] if isinstance(text, list) else number(text)
                assert getattr(drawn, name) == values, f"challenge {name}"
        verify(s, a)
        return True, ""
    except (DecodeError, Refused) as error:
        return False, str(error)


def main(path):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    # The Rust code writes {"vectors": […]} with `valid`, attacks.py a list with `accept`.
    vectors = data if isinstance(data, list) else data["vectors"]
    failures, seen = 0, set()
    for v in vectors:
        valid = v["valid"] if "valid" in v else v["accept"]
        try:
            accepted, reason = judge(v)
            agreed = accepted == valid
        except AssertionError as error:
            accepted, reason, agreed = None, str(error), False
        seen.add(valid)
        failures += not agreed
        verdict = {True: "accepted", False: "refused", None: "contradiction"}[accepted]
        print("ok" if agreed else "FAILED", verdict, v["name"], f"({reason})" if reason else "")
    if seen != {True, False}:
        print("FAILED the file needs good and bad vectors")
        return 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
