"""The batch range argument, verifier's side (spec: range_batch.md), equation by equation."""

from dataclasses import dataclass

import schema as schemas
from encoding import Reader, write_list
from merlin import Transcript
from ristretto import IDENTITY, L, add, decode, equal, sum_of

# Limits of the decoder; every layout stays below them.
MAX_SLOTS = 32768
MAX_ROWS = MAX_COLUMNS = 16384
MAX_ROUNDS = 14


class Refused(Exception):
    """The argument does not prove the statement."""


@dataclass
class Statement:
    chain: bytes
    agency: int
    batch: int
    schema: schemas.Schema
    body: bytes
    stocks: list
    flows: list


@dataclass
class Argument:
    rows: list
    rounds: list
    t: bytes
    t_stocks: bytes
    t_flows: bytes
    e1: bytes
    e0: bytes
    z: list
    theta: int
    phi_stocks: int
    phi_flows: int
    kappa: int

    @classmethod
    def decode(cls, data):
        """Decodes the fields without a version byte."""
        reader = Reader(data)
        out = cls(
            reader.items(reader.point, MAX_ROWS),
            reader.items(lambda: (reader.point(), reader.point()), MAX_ROUNDS),
            *(reader.point() for _ in range(5)),
            reader.items(reader.scalar, MAX_COLUMNS),
            *(reader.scalar() for _ in range(4)),
        )
        reader.end()
        return out


    def encode(self):
        """The fields without a version byte."""
        masks = [self.t, self.t_stocks, self.t_flows, self.e1, self.e0]
        z, rest = ([v.to_bytes(32, "little") for v in part] for part in (
            self.z, (self.theta, self.phi_stocks, self.phi_flows, self.kappa)))
        return b"".join([
            write_list(self.rows), write_list([a + b for a, b in self.rounds]), *masks, write_list(z), *rest])


class Layout:
    """Sizes and places (spec: Layout)."""

    def __init__(self, schema, slots):
        self.ranged, n = [], 0
        for position, attribute in enumerate(schema.attributes[1:], start=1):
            self.ranged.append((position, attribute, n))
            n += attribute.bits
        if n == 0:
            raise Refused("nothing to prove")
        if not 1 <= slots <= MAX_SLOTS:
            raise Refused("number of slots")
        self.n, self.slots, self.p = n, slots, 0
        while n * 4 ** (self.p + 1) <= 2 * slots:
            self.p += 1
        self.rho = 2**self.p
        self.m = -(-slots // self.rho)
        self.q = (self.m - 1).bit_length()
        self.columns = self.rho * n

    def bit_generators(self):
        return [
            schemas.generator_bit(slot, position, bit)
            for slot in range(self.rho)
            for position, attribute, _ in self.ranged
            for bit in range(attribute.bits)
        ]

    def linear(self, sigma, v):
        """L(v): position in the schema -> Σ_s eq(σ,s)·Σ_l weight[a,l]·v[s,a,l]."""
        out = {}
        for position, attribute, offset in self.ranged:
            total = 0
            for slot in range(self.rho):
                first = slot * self.n + offset
                value = sum(w * b for w, b in zip(attribute.weights, v[first : first + attribute.bits], strict=True))
                total += eq(sigma, slot) * value
            out[position] = total % L
        return out


def eq(point, index):
    """eq(point, index): the first coordinate belongs to the most significant bit of the index."""
    out = 1
    for k, coordinate in enumerate(point):
        bit = index >> (len(point) - 1 - k) & 1
        out = out * (coordinate if bit else 1 - coordinate) % L
    return out


def begin(s, transcript=Transcript):
    """The transcript of a statement, up to the rows."""
    t = transcript(b"zkbureau/range-batch/v1")
    t.message(b"chain", s.chain)
    t.u64(b"agency", s.agency)
    t.u64(b"batch", s.batch)
    t.message(b"schema", s.schema.digest())
    t.u64(b"slots", len(s.stocks))
    t.message(b"body", s.body)
    t.points(b"stocks", s.stocks)
    t.points(b"flows", s.flows)
    return t


@dataclass
class Challenges:
    y: int
    tau: list
    r: list
    sigma: list
    e: int


def replay(s, a, lay, transcript=Transcript):
    """Runs the transcript over statement and argument; decodes nothing."""
    t = begin(s, transcript)
    t.points(b"rows", a.rows)
    y = t.challenge(b"y")
    tau = t.challenges(b"tau", lay.q)
    r = []
    for a1, a2 in a.rounds:
        t.message(b"A1", a1)
        t.message(b"A2", a2)
        r.append(t.challenge(b"r"))
    sigma = t.challenges(b"sigma", lay.p)
    for label, point in (
        (b"T", a.t), (b"T-stocks", a.t_stocks), (b"T-flows", a.t_flows), (b"E1", a.e1), (b"E0", a.e0),
    ):
        t.message(label, point)
    return Challenges(y, tau, r, sigma, t.challenge(b"e"))


def layout_of(s, a):
    """The statement's layout; Refused when a count is not the one it implies."""
    if len(s.stocks) != len(s.flows):
        raise Refused("one point per class and record")
    lay = Layout(s.schema, len(s.stocks))
    if (len(a.rows), len(a.rounds), len(a.z)) != (lay.m, lay.q, lay.columns):
        raise Refused("counts")
    return lay


def verify(s, a, transcript=Transcript):
    """Refused or DecodeError unless the argument `a` proves the statement `s`."""
    lay = layout_of(s, a)
    challenges = replay(s, a, lay, transcript)
    y, tau, r, sigma, e = (getattr(challenges, name) for name in ("y", "tau", "r", "sigma", "e"))

    values = {schemas.STOCK: [decode(v) for v in s.stocks], schemas.FLOW: [decode(v) for v in s.flows]}
    rows = [decode(d) for d in a.rows]
    rounds = [(decode(a1), decode(a2)) for a1, a2 in a.rounds]
    mask, mask_stocks, mask_flows, e1, e0 = (decode(v) for v in (a.t, a.t_stocks, a.t_flows, a.e1, a.e0))
    h, g = schemas.generator_h(), schemas.generator_g()

    # Rows: <z,Bit> + θ'·H = e·U + T.
    u = sum_of([eq(r, j) for j in range(lay.m)], rows)
    left = sum_of([*a.z, a.theta], [*lay.bit_generators(), h])
    if not equal(left, sum_of([e, 1], [u, mask])):
        raise Refused("rows")

    # Links: Σ_a L(z)[a]·G[a] + φ'·H = e·W + T[c].
    weights = [eq(sigma, k % lay.rho) * eq(r, k // lay.rho) % L for k in range(lay.slots)]
    linear = lay.linear(sigma, a.z)
    for cls, phi, mask_c in ((schemas.STOCK, a.phi_stocks, mask_stocks), (schemas.FLOW, a.phi_flows, mask_flows)):
        w = sum_of(weights, values[cls])
        if cls == schemas.STOCK:
            present = schemas.generator_attribute(s.schema.attributes[0])
            w = add(w, sum_of([-sum(weights)], [present]))
        positions = [i for i in s.schema.positions(cls) if i != 0]
        bases = [schemas.generator_attribute(s.schema.attributes[i]) for i in positions]
        left = sum_of([*(linear[i] for i in positions), phi], [*bases, h])
        if not equal(left, sum_of([e, 1], [w, mask_c])):
            raise Refused("link of " + ("stocks", "flows")[cls])

    # The chain of committed claims. The first is the identity: the claim is 0.
    claim = IDENTITY
    for (a1, a2), r_k, tau_k in zip(rounds, r, tau, strict=True):
        claim = add(claim, sum_of([r_k - tau_k, r_k * r_k - tau_k], [a1, a2]))

    # Bits: (Σ y^(i+1)·(z_i^2 - e·z_i))·G + κ'·H = e^2·Q + e·E1 + E0.
    total, power = 0, 1
    for z in a.z:
        power = power * y % L
        total += power * (z * z - e * z)
    if not equal(sum_of([total, a.kappa], [g, h]), sum_of([e * e, e, 1], [claim, e1, e0])):
        raise Refused("bits")
