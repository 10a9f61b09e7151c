"""A slow prover of the batch range argument and one cheat per constraint: `python3 attacks.py [FILE]`.

The prover follows the spec page (not the Rust code) and computes the sum-check naively. Each cheat gives
the verifier something that breaks exactly one constraint, keeps everything else consistent, and must be
refused; the honest prover must be accepted at every layout tried. FILE holds the same cases for other
verifiers; it is compared, or written when ZKBUREAU_BLESS=1.
"""

import hashlib
import itertools
import json
import os
import sys

import ristretto
import schema as schemas
from merlin import Transcript
from range_batch import Argument, Layout, Refused, Statement, begin, eq, verify
from ristretto import L, encode, sum_of

HALF = pow(2, -1, L)


class Coins:
    """Scalars from a seed; repeatable, for these programs only."""

    def __init__(self, seed):
        self.seed, self.counter = seed, itertools.count()

    def __call__(self):
        data = self.seed + b" %d" % next(self.counter)
        return int.from_bytes(hashlib.sha512(data).digest(), "little") % L


draw = Coins(b"attacks")


def attribute(name, cls, low, high, aggregate=0):
    return schemas.Attribute(name, cls, aggregate, low, high, "units", "")


def schema(*attributes):
    return schemas.Schema(1, [attribute("present", schemas.STOCK, 0, 1, 2), *attributes])


def decompose(a, x):
    top = a.bits - 1
    return [x >> l & 1 for l in range(top)] + [0] if x < 2**top else [
        *((x - a.weights[top]) >> l & 1 for l in range(top)), 1]


class Prover:
    """Bits and openings that cheats may bend before (or while) the argument is made."""

    def __init__(self, sch, slots):
        self.schema, self.layout = sch, Layout(sch, slots)
        lay = self.layout
        self.bits = [[0] * lay.columns for _ in range(2**lay.q)]
        self.values = []
        for k in range(slots):
            x = {}
            for position, a, offset in lay.ranged:
                x[position] = draw() % (a.range + 1)
                self.set_bits(k, position, decompose(a, x[position]))
            self.values.append(x)
        self.present = [1] * slots
        self.extra_claim = 0
        self.broken_round = None

    def place(self, k, position):
        lay = self.layout
        offset = next(o for p, _, o in lay.ranged if p == position)
        return k // lay.rho, k % lay.rho * lay.n + offset

    def set_bits(self, k, position, bits):
        row, column = self.place(k, position)
        self.bits[row][column : column + len(bits)] = bits

    def statement(self):
        sch = self.schema
        self.blindings = {c: [draw() for _ in self.values] for c in (schemas.STOCK, schemas.FLOW)}
        points = {}
        for cls in (schemas.STOCK, schemas.FLOW):
            points[cls] = [
                encode(schemas.commit(
                    sch, cls,
                    [self.present[k] if i == 0 else x[i] for i in sch.positions(cls)],
                    self.blindings[cls][k],
                ))
                for k, x in enumerate(self.values)
            ]
        return Statement(b"c" * 32, 3, 7, sch, b"b" * 32, points[schemas.STOCK], points[schemas.FLOW])

    def prove(self, s, transcript=Transcript, coins=None):
        """Makes an argument; the same `coins` twice make a prover that can be rewound."""
        draw = Coins(coins) if coins else globals()["draw"]
        lay, h, g = self.layout, schemas.generator_h(), schemas.generator_g()
        bases = lay.bit_generators()
        deltas = [draw() for _ in range(lay.m)]
        rows = [sum_of([*b, d], [*bases, h]) for b, d in zip(self.bits, deltas)]
        t = begin(s, transcript)
        t.points(b"rows", [encode(d) for d in rows])
        y = t.challenge(b"y")
        tau = t.challenges(b"tau", lay.q)
        powers = [pow(y, i + 1, L) for i in range(lay.columns)]

        # Sum-check over rows, by definition.
        table, beta, rounds, r = [list(b) for b in self.bits], 0, [], []
        for k in range(lay.q):
            half = len(table) // 2
            sums = [0, 0, 0]
            for j in range(half):
                low, high = table[j], table[j + half]
                weight = eq(tau[k + 1 :], j)
                for power, b0, b1 in zip(powers, low, high):
                    slope = b1 - b0
                    f = power * weight
                    sums[0] += f * (b0 * b0 - b0)
                    sums[1] += f * (2 * b0 * slope - slope)
                    sums[2] += f * slope * slope
            if self.broken_round == k:
                sums[1] += 1
            alphas = draw(), draw()
            pair = tuple(encode(sum_of([c, alpha], [g, h])) for c, alpha in zip(sums[1:], alphas))
            t.message(b"A1", pair[0])
            t.message(b"A2", pair[1])
            r_k = t.challenge(b"r")
            rounds.append(pair)
            r.append(r_k)
            beta += (r_k - tau[k]) * alphas[0] + (r_k * r_k - tau[k]) * alphas[1]
            table = [[(b0 + r_k * (b1 - b0)) % L for b0, b1 in zip(table[j], table[j + half])] for j in range(half)]
        u = table[0]

        sigma = t.challenges(b"sigma", lay.p)
        delta = sum(eq(r, j) * d for j, d in enumerate(deltas))
        omega = {
            c: sum(eq(sigma, k % lay.rho) * eq(r, k // lay.rho) * b for k, b in enumerate(self.blindings[c]))
            for c in (schemas.STOCK, schemas.FLOW)
        }
        mask = [draw() for _ in u]
        theta, kappa1, kappa0 = draw(), draw(), draw()
        phi = {c: draw() for c in (schemas.STOCK, schemas.FLOW)}
        linear = lay.linear(sigma, mask)
        e1 = sum(p * m * (2 * x - 1) for p, m, x in zip(powers, mask, u))
        e0 = sum(p * m * m for p, m in zip(powers, mask))
        points = [sum_of([*mask, theta], [*bases, h])]
        for c in (schemas.STOCK, schemas.FLOW):
            positions = [i for i in self.schema.positions(c) if i]
            points.append(sum_of(
                [*(linear[i] for i in positions), phi[c]],
                [*(schemas.generator_attribute(self.schema.attributes[i]) for i in positions), h]))
        points += [sum_of([e1 + self.extra_claim, kappa1], [g, h]), sum_of([e0, kappa0], [g, h])]
        points = [encode(p) for p in points]
        for label, point in zip((b"T", b"T-stocks", b"T-flows", b"E1", b"E0"), points):
            t.message(label, point)
        e = t.challenge(b"e")
        return Argument(
            [encode(d) for d in rows], rounds, *points,
            [(e * x + m) % L for x, m in zip(u, mask)],
            (e * delta + theta) % L,
            *((e * omega[c] + phi[c]) % L for c in (schemas.STOCK, schemas.FLOW)),
            (e * e * beta + e * kappa1 + kappa0) % L,
        )


MIXED = schema(
    attribute("balance", schemas.STOCK, -3, 2),
    attribute("paid", schemas.FLOW, 0, 4),
    attribute("late", schemas.FLOW, 0, 1),
)
STOCKS = schema(attribute("one", schemas.STOCK, 0, 1))
FLOWS = schema(attribute("paid", schemas.FLOW, 0, 2))


HONEST = (
    ("one record", STOCKS, 1), ("one row of two slots", STOCKS, 2), ("flows only", FLOWS, 5),
    ("stocks only, last row short", STOCKS, 9), ("one row, one slot", MIXED, 1),
    ("two slots a row, one missing", MIXED, 23), ("rows not a power of two", MIXED, 10),
)


def cheats():
    """(name, prover) pairs; 23 records of MIXED make 12 rows of 2 slots, the last slot missing."""

    def cheat(name, bend, sch=MIXED, slots=23):
        prover = Prover(sch, slots)
        bend(prover)
        return name, prover

    def bit(k, position, bits, value):
        def bend(p):
            p.set_bits(k, position, bits)
            p.values[k][position] = value % L
        return bend

    yield cheat("a bit is 2", bit(5, 1, [2, 0, 0], 2))
    yield cheat("a bit is -1", bit(5, 1, [-1, 0, 0], -1))
    yield cheat("a bit is 1/2", bit(5, 2, [0, HALF, 0], 1))
    yield cheat("a bit is 2 in the only row", bit(0, 1, [2], 2), STOCKS, 1)
    yield cheat("a value is max + 1", lambda p: p.values[4].update({1: 6}))
    yield cheat("a value is -1", lambda p: p.values[4].update({2: L - 1}))
    yield cheat("a flow differs from its bits", lambda p: p.values[22].update({3: 1 - p.values[22][3]}))
    yield cheat("present is 0", lambda p: p.present.__setitem__(9, 0))
    yield cheat("present is 2", lambda p: p.present.__setitem__(9, 2))
    yield cheat("two presents cancel", lambda p: (p.present.__setitem__(0, 0), p.present.__setitem__(1, 2)))
    yield cheat("a bit in a slot without a record", lambda p: p.set_bits(23, 1, [1, 0, 0]))
    yield cheat("slots swapped", lambda p: p.values.__setitem__(slice(0, 2), [{1: 1, 2: 4, 3: 1}, {1: 2, 2: 0, 3: 0}]))
    for k in range(4):
        yield cheat(f"claim chain broken in round {k + 1}", lambda p, k=k: setattr(p, "broken_round", k))
    yield cheat("a wrong cross term", lambda p: setattr(p, "extra_claim", 1))


def case(name, valid, prover):
    """Makes an argument, checks the verdict on it and returns all of it for other verifiers."""
    s = prover.statement()
    a = prover.prove(s)
    try:
        verify(s, a)
        accepted = True
    except Refused:
        accepted = False
    print("ok" if accepted == valid else "FAILED", "accept" if valid else "refuse", name)
    return accepted == valid, {
        "name": name,
        "accept": valid,
        "schema": s.schema.to_json(),
        "schema_digest": s.schema.digest().hex(),
        "chain": s.chain.hex(),
        "agency": s.agency,
        "batch": s.batch,
        "body": s.body.hex(),
        "stocks": [p.hex() for p in s.stocks],
        "flows": [p.hex() for p in s.flows],
        "argument": "01" + a.encode().hex(),
    }


def main(path=None):
    results = [case(name, True, Prover(sch, slots)) for name, sch, slots in HONEST]
    results += [case(name, False, prover) for name, prover in cheats()]
    good = all(ok for ok, _ in results)
    if path:
        text = json.dumps([vector for _, vector in results], indent=1) + "\n"
        if os.environ.get("ZKBUREAU_BLESS") == "1":
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with open(path, encoding="utf-8") as file:
            if file.read() != text:
                print("FAILED", path, "is not what this program makes")
                good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
