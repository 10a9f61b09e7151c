"""Schemas, generators, commitments and blindings (spec: commitment.md)."""

import functools
import hashlib
import hmac
import re
from dataclasses import dataclass

import ristretto
from encoding import Reader, hash_parts, hash_parts_512, write_string
from ristretto import DecodeError

STOCK, FLOW = 0, 1
CLASSES = {"stock": STOCK, "flow": FLOW}
AGGREGATES = {"sum": 0, "count": 1, "max": 2, "min": 3}


@dataclass(frozen=True)
class Attribute:
    name: str
    cls: int
    aggregate: int
    min: int
    max: int
    unit: str
    description: str

    @property
    def range(self):
        return self.max - self.min

    @property
    def bits(self):
        return self.range.bit_length()

    @property
    def weights(self):
        """Powers of two below the top bit, whose weight makes the subset sums exactly 0..range."""
        top = self.bits - 1
        return [2**l for l in range(top)] + [self.range - 2**top + 1]

    def encode(self):
        return (
            write_string(self.name)
            + bytes([self.cls, self.aggregate])
            + self.min.to_bytes(8, "little", signed=True)
            + self.max.to_bytes(8, "little", signed=True)
            + write_string(self.unit)
            + write_string(self.description)
        )


class Schema:
    def __init__(self, version, attributes):
        self.version, self.attributes = version, attributes
        present = attributes[0] if attributes else None
        if not present or len(attributes) > 64:
            raise DecodeError("1 to 64 attributes")
        if (present.name, present.cls, present.aggregate, present.min, present.max) != ("present", STOCK, 2, 0, 1):
            raise DecodeError("the first attribute is the stock `present`")
        if len({a.name for a in attributes}) != len(attributes):
            raise DecodeError("a name occurs twice")
        for a in attributes:
            if not re.fullmatch("[a-z][a-z0-9_]{0,63}", a.name):
                raise DecodeError("name")
            if not (a.cls in (STOCK, FLOW) and 0 <= a.aggregate <= 3):
                raise DecodeError("class or aggregate")
            if not (1 <= a.range < 2**40 and a.min >= -(2**50) and a.max <= 2**50):
                raise DecodeError("range")
            if a.cls == FLOW and (a.min != 0 or a.aggregate > 1):
                raise DecodeError("a flow starts at 0 and adds up")
            if len(a.unit.encode()) > 32 or len(a.description.encode()) > 512:
                raise DecodeError("unit or description")

    @classmethod
    def from_json(cls, data):
        return cls(
            data["version"],
            [
                Attribute(
                    a["name"], CLASSES[a["class"]], AGGREGATES[a["aggregate"]],
                    a["min"], a["max"], a["unit"], a["description"],
                )
                for a in data["attributes"]
            ],
        )

    def to_json(self):
        classes, aggregates = ({v: k for k, v in names.items()} for names in (CLASSES, AGGREGATES))
        return {
            "version": self.version,
            "attributes": [
                {
                    "name": a.name, "class": classes[a.cls], "aggregate": aggregates[a.aggregate],
                    "min": a.min, "max": a.max, "unit": a.unit, "description": a.description,
                }
                for a in self.attributes
            ],
        }

    @classmethod
    def decode(cls, data):
        reader = Reader(data)

        def attribute():
            return Attribute(
                reader.string(), reader.unsigned(1), reader.unsigned(1),
                reader.signed(8), reader.signed(8), reader.string(), reader.string(),
            )

        schema = cls(reader.unsigned(4), reader.items(attribute, 64))
        reader.end()
        return schema

    def encode(self):
        return (
            self.version.to_bytes(4, "little")
            + len(self.attributes).to_bytes(4, "little")
            + b"".join(a.encode() for a in self.attributes)
        )

    def digest(self):
        return hash_parts("zkbureau/schema/v1", self.encode())

    def positions(self, cls):
        return [i for i, a in enumerate(self.attributes) if a.cls == cls]


@functools.cache
def hash_to_group(domain, *parts):
    return ristretto.from_uniform_bytes(hash_parts_512(domain, *parts))


def generator_h():
    return hash_to_group("zkbureau/generator/H/v1")


def generator_g():
    return hash_to_group("zkbureau/generator/G/v1")


def generator_attribute(a):
    return hash_to_group(
        "zkbureau/generator/attribute/v1",
        a.name.encode(), bytes([a.cls]), a.min.to_bytes(8, "little", signed=True), a.unit.encode(),
    )


def generator_bit(slot, position, bit):
    return hash_to_group("zkbureau/generator/bit/v1", *(v.to_bytes(4, "little") for v in (slot, position, bit)))


def commit(schema, cls, values, blinding):
    """Commits to encoded values of one class, one per attribute of the class."""
    generators = [generator_attribute(schema.attributes[i]) for i in schema.positions(cls)]
    return ristretto.sum_of([*values, blinding], [*generators, generator_h()])


def blinding(salt, chain, agency, cls, schema_digest, batch, index, values):
    """The blinding of a record's commitment, from the subject's salt."""
    data = (
        b"zkbureau/blinding/v1" + chain + agency.to_bytes(4, "little") + bytes([cls]) + schema_digest
        + batch.to_bytes(8, "little") + index + b"".join(v.to_bytes(8, "little") for v in values)
    )
    return int.from_bytes(hmac.new(salt, data, hashlib.sha512).digest(), "little") % ristretto.L
