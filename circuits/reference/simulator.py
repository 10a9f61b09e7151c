"""The simulator and the extractor of range_batch.md, run: `python3 simulator.py`.

Simulator: from challenges alone, for commitments that nobody can open, it makes arguments that
satisfy every equation. Extractor: from accepting transcripts of one prover under many challenges it
computes the openings of rows and records, by linear algebra as in the soundness proof.
"""

import hashlib
import sys

import attacks
import ristretto
import schema as schemas
from merlin import Transcript
from range_batch import Argument, Layout, Refused, Statement, eq, verify
from ristretto import IDENTITY, L, add, encode, sum_of


def oracle(challenges):
    """A transcript whose challenges are given by label; the honest verifier of the interactive argument."""

    class Oracle(Transcript):
        def __init__(self, _label):
            self.left = {label: list(values) for label, values in challenges.items()}

        def message(self, _label, _data):
            pass

        def challenge(self, label):
            return self.left[label].pop(0)

    return Oracle


def draw_challenges(lay):
    counts = {b"y": 1, b"tau": lay.q, b"r": lay.q, b"sigma": lay.p, b"e": 1}
    return {label: [attacks.draw() for _ in range(count)] for label, count in counts.items()}


def random_point():
    data = attacks.draw().to_bytes(64, "little")
    return ristretto.from_uniform_bytes(hashlib.sha512(data).digest())


def simulate(s, challenges):
    lay, h, g = Layout(s.schema, len(s.stocks)), schemas.generator_h(), schemas.generator_g()
    (y,), tau, r, sigma, (e,) = (challenges[k] for k in (b"y", b"tau", b"r", b"sigma", b"e"))
    rows = [random_point() for _ in range(lay.m)]
    rounds = [(random_point(), random_point()) for _ in range(lay.q)]
    e1 = random_point()
    z = [attacks.draw() for _ in range(lay.columns)]
    theta, phi_stocks, phi_flows, kappa = (attacks.draw() for _ in range(4))

    u = sum_of([eq(r, j) for j in range(lay.m)], rows)
    t = sum_of([*z, theta, -e], [*lay.bit_generators(), h, u])
    weights = [eq(sigma, k % lay.rho) * eq(r, k // lay.rho) for k in range(lay.slots)]
    linear, links = lay.linear(sigma, z), []
    for cls, points, phi in ((schemas.STOCK, s.stocks, phi_stocks), (schemas.FLOW, s.flows, phi_flows)):
        w = sum_of(weights, [ristretto.decode(p) for p in points])
        if cls == schemas.STOCK:
            w = add(w, sum_of([-sum(weights)], [schemas.generator_attribute(s.schema.attributes[0])]))
        positions = [i for i in s.schema.positions(cls) if i]
        bases = [schemas.generator_attribute(s.schema.attributes[i]) for i in positions]
        links.append(sum_of([*(linear[i] for i in positions), phi, -e], [*bases, h, w]))
    q = IDENTITY
    for r_k, tau_k, (a1, a2) in zip(r, tau, rounds):
        q = add(q, sum_of([r_k - tau_k, r_k * r_k - tau_k], [a1, a2]))
    value = sum(pow(y, i + 1, L) * (v * v - e * v) for i, v in enumerate(z))
    e0 = sum_of([value, kappa, -e * e, -e], [g, h, q, e1])
    points = [encode(p) for p in (t, *links, e1, e0)]
    pairs = [(encode(a1), encode(a2)) for a1, a2 in rounds]
    return Argument([encode(d) for d in rows], pairs, *points, z, theta, phi_stocks, phi_flows, kappa)


def simulator_works():
    for sch, slots in ((attacks.STOCKS, 1), (attacks.STOCKS, 9), (attacks.MIXED, 23)):
        points = [[encode(random_point()) for _ in range(slots)] for _ in range(2)]
        s = Statement(b"c" * 32, 1, 1, sch, b"b" * 32, *points)
        challenges = draw_challenges(Layout(sch, slots))
        a = simulate(s, challenges)
        verify(s, a, oracle(challenges))
        # The same bytes are no argument when the challenges come from the transcript.
        try:
            verify(s, a)
        except Refused:
            continue
        raise AssertionError("a simulated argument passed as a real one")


def solve(matrix, right):
    """Solves matrix·x = right modulo ℓ; `right` is a list of rows."""
    rows = [list(m) + list(b) for m, b in zip(matrix, right)]
    size = len(rows)
    for i in range(size):
        pivot = next(j for j in range(i, size) if rows[j][i] % L)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        inverse = pow(rows[i][i], -1, L)
        rows[i] = [v * inverse % L for v in rows[i]]
        for j in range(size):
            if j != i and rows[j][i]:
                factor = rows[j][i]
                rows[j] = [(a - factor * b) % L for a, b in zip(rows[j], rows[i])]
    return [row[size:] for row in rows]


def tree(depth, prefix=()):
    """Leaves of a binary tree whose siblings differ, fresh values at every node."""
    if depth == 0:
        yield prefix
        return
    for _ in range(2):
        yield from tree(depth - 1, (*prefix, attacks.draw()))


def extractor_works():
    """Rows and links (steps 1 and 2): the prover is a black box with fixed coins per prefix of challenges."""
    sch, slots = attacks.MIXED, 23
    prover = attacks.Prover(sch, slots)
    lay = prover.layout
    s = prover.statement()
    fixed = draw_challenges(lay)
    leaves, matrix, opened = list(tree(lay.q + lay.p)), [], []
    for leaf in leaves:
        answers = []
        for _ in range(2):
            challenges = {**fixed, b"r": leaf[: lay.q], b"sigma": leaf[lay.q :], b"e": [attacks.draw()]}
            a = prover.prove(s, oracle(challenges), coins=b"fixed")
            verify(s, a, oracle(challenges))
            answers.append((challenges[b"e"][0], a))
        (e, a), (f, b) = answers
        assert (a.rows, a.t) == (b.rows, b.t)
        inverse = pow(e - f, -1, L)
        u = [(v - w) * inverse % L for v, w in zip([*a.z, a.theta, a.phi_stocks, a.phi_flows],
                                                  [*b.z, b.theta, b.phi_stocks, b.phi_flows])]
        matrix.append([eq(leaf, k) for k in range(2 ** (lay.q + lay.p))])
        opened.append((leaf, u, a.rows))
    rows = opened[0][2]
    assert all(r == rows for _, _, r in opened)

    # Rows: one leaf per r, any σ.
    per_r = {leaf[: lay.q]: u for leaf, u, _ in opened}
    found = solve([[eq(r, j) for j in range(2**lay.q)] for r in per_r],
                  [u[: lay.columns + 1] for u in per_r.values()])
    h, bases = schemas.generator_h(), lay.bit_generators()
    for j, row in enumerate(found):
        assert row[:-1] == prover.bits[j], f"bits of row {j}"
        point = encode(sum_of(row, [*bases, h]))
        assert point == (rows[j] if j < lay.m else bytes(32)), f"row {j}"

    # Links: values and blindings of every record, zero where there is none.
    right = []
    for leaf, u, _ in opened:
        linear = lay.linear(leaf[lay.q :], u[: lay.columns])
        right.append([linear[p] for p, _, _ in lay.ranged] + u[lay.columns + 1 :])
    for k, values in enumerate(solve(matrix, right)):
        if k >= slots:
            assert not any(values), f"slot {k}"
            continue
        x = {p: v for (p, _, _), v in zip(lay.ranged, values)}
        assert x == prover.values[k], f"record {k}"
        for cls, points, blinding in ((schemas.STOCK, s.stocks, values[-2]), (schemas.FLOW, s.flows, values[-1])):
            opening = [1 if i == 0 else x[i] for i in sch.positions(cls)]
            assert encode(schemas.commit(sch, cls, opening, blinding)) == points[k], f"commitment {k}"


def main():
    for check in (simulator_works, extractor_works):
        check()
        print(f"ok {check.__name__}")


if __name__ == "__main__":
    sys.exit(main())
