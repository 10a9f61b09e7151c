"""BN254 and its optimal ate pairing over Python integers. Slow, plain, for checking.

Fq2 = Fq[i]/(i^2 + 1), a pair (c0, c1). Fq12 = Fq2[w]/(w^6 - xi) with xi = 9 + i, a list of six of Fq2.
G1: y^2 = x^3 + 3 over Fq. G2: y^2 = x^3 + 3/xi over Fq2, order R; (x, y) there is (x·w^2, y·w^3) on G1's curve.
Points are affine pairs, the identity is None.
"""

from ristretto import DecodeError

Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583
R = 21888242871839275222246405745257275088548364400416034343698204186575808495617
X = 4965661367192848881
assert Q == 36 * X**4 + 36 * X**3 + 24 * X**2 + 6 * X + 1
assert R == 36 * X**4 + 36 * X**3 + 18 * X**2 + 6 * X + 1

XI = (9, 1)


def add2(a, b):
    return ((a[0] + b[0]) % Q, (a[1] + b[1]) % Q)


def sub2(a, b):
    return ((a[0] - b[0]) % Q, (a[1] - b[1]) % Q)


def mul2(a, b):
    return ((a[0] * b[0] - a[1] * b[1]) % Q, (a[0] * b[1] + a[1] * b[0]) % Q)


def inv2(a):
    n = pow(a[0] * a[0] + a[1] * a[1], -1, Q)
    return (a[0] * n % Q, -a[1] * n % Q)


def pow2(a, n):
    out = (1, 0)
    for bit in bin(n)[2:]:
        out = mul2(out, out)
        if bit == "1":
            out = mul2(out, a)
    return out


class Field1:
    """Fq, for points of G1."""

    b = 3
    zero = 0
    add = staticmethod(lambda a, b: (a + b) % Q)
    sub = staticmethod(lambda a, b: (a - b) % Q)
    mul = staticmethod(lambda a, b: a * b % Q)
    inv = staticmethod(lambda a: pow(a, -1, Q))

    @staticmethod
    def sqrt(a):
        root = pow(a, (Q + 1) // 4, Q)
        return root if root * root % Q == a % Q else None

    @staticmethod
    def key(a):
        return a


class Field2:
    """Fq2, for points of G2."""

    b = mul2((3, 0), inv2(XI))
    zero = (0, 0)
    add = staticmethod(add2)
    sub = staticmethod(sub2)
    mul = staticmethod(mul2)
    inv = staticmethod(inv2)

    @staticmethod
    def sqrt(a):
        if a[1] == 0:
            root = Field1.sqrt(a[0])
            return (root, 0) if root is not None else (0, Field1.sqrt(-a[0] % Q))
        norm = Field1.sqrt((a[0] * a[0] + a[1] * a[1]) % Q)
        if norm is None:
            return None
        for sign in (norm, -norm):
            x = Field1.sqrt((a[0] + sign) * pow(2, -1, Q) % Q)
            if x:
                return (x, a[1] * pow(2 * x, -1, Q) % Q)
        return None

    @staticmethod
    def key(a):
        return (a[1], a[0])


def slope(f, p, q):
    """Of the line through p and q, or the tangent; None for a vertical line."""
    if p[0] == q[0]:
        if f.add(p[1], q[1]) == f.zero:
            return None
        square = f.mul(p[0], p[0])
        return f.mul(f.add(square, f.add(square, square)), f.inv(f.add(p[1], p[1])))
    return f.mul(f.sub(q[1], p[1]), f.inv(f.sub(q[0], p[0])))


def add(f, p, q):
    if p is None or q is None:
        return q if p is None else p
    m = slope(f, p, q)
    if m is None:
        return None
    x = f.sub(f.sub(f.mul(m, m), p[0]), q[0])
    return (x, f.sub(f.mul(m, f.sub(p[0], x)), p[1]))


def negate(f, p):
    return None if p is None else (p[0], f.sub(f.zero, p[1]))


def multiply(f, k, p):
    out = None
    for bit in bin(k)[2:]:
        out = add(f, out, out)
        if bit == "1":
            out = add(f, out, p)
    return out


def decode(f, data):
    """A compressed point: x little-endian, top bit of the last byte for the larger y, next bit for the identity.
    Refused: identity, x not reduced, not on the curve, not in the group of order R."""
    flags = data[-1] >> 6
    data = data[:-1] + bytes([data[-1] & 0x3F])
    parts = [int.from_bytes(data[i : i + 32], "little") for i in range(0, len(data), 32)]
    if flags & 1 or any(part >= Q for part in parts):
        raise DecodeError("identity, or a coordinate is not reduced")
    x = parts[0] if f is Field1 else tuple(parts)
    y = f.sqrt(f.add(f.mul(f.mul(x, x), x), f.b))
    if y is None or f.mul(y, y) != f.add(f.mul(f.mul(x, x), x), f.b):
        raise DecodeError("not on the curve")
    other = f.sub(f.zero, y)
    low, high = sorted((y, other), key=f.key)
    point = (x, high if flags & 2 else low)
    if f is Field2 and multiply(f, R, point) is not None:
        raise DecodeError("not in the group")
    return point


ONE12 = [(1, 0)] + [(0, 0)] * 5


def mul12(a, b):
    out = [(0, 0)] * 11
    for i, x in enumerate(a):
        if x != (0, 0):
            for j, y in enumerate(b):
                if y != (0, 0):
                    out[i + j] = add2(out[i + j], mul2(x, y))
    return [add2(out[i], mul2(XI, out[i + 6])) if i < 5 else out[i] for i in range(6)]


def line(t, q, p):
    """The line through t and q of G2, at p of G1: y_p - m·x_p·w + (m·x_t - y_t)·w^3."""
    m = slope(Field2, t, q)
    assert m is not None, "no vertical lines on the way"
    out = [(0, 0)] * 6
    out[0] = (p[1], 0)
    out[1] = mul2(m, (-p[0] % Q, 0))
    out[3] = sub2(mul2(m, t[0]), t[1])
    return out


# (x·w^2)^Q = conj(x)·w^2·xi^((Q-1)/3), likewise y.
FROBENIUS = (pow2(XI, (Q - 1) // 3), pow2(XI, (Q - 1) // 2))


def frobenius(p):
    conjugates = [(c[0], -c[1] % Q) for c in p]
    return tuple(mul2(c, g) for c, g in zip(conjugates, FROBENIUS))


def miller(p, q):
    """The Miller loop of the optimal ate pairing: 6X + 2, then two lines with Frobenius images."""
    if p is None or q is None:
        return ONE12
    f, t = ONE12, q
    for bit in bin(6 * X + 2)[3:]:
        f = mul12(mul12(f, f), line(t, t, p))
        t = add(Field2, t, t)
        if bit == "1":
            f = mul12(f, line(t, q, p))
            t = add(Field2, t, q)
    first = frobenius(q)
    second = negate(Field2, frobenius(first))
    f = mul12(f, line(t, first, p))
    t = add(Field2, t, first)
    return mul12(f, line(t, second, p))


def final(f):
    out = ONE12
    for bit in bin((Q**12 - 1) // R)[2:]:
        out = mul12(out, out)
        if bit == "1":
            out = mul12(out, f)
    return out


def pairing_product_is_one(pairs):
    """Whether the product of e(p, q) over pairs of G1 and G2 is 1."""
    f = ONE12
    for p, q in pairs:
        f = mul12(f, miller(p, q))
    return final(f) == ONE12


def selftest():
    g1 = (1, 2)
    x = 1
    while True:
        x += 1
        y = Field2.sqrt(add2(mul2(mul2((x, 0), (x, 0)), (x, 0)), Field2.b))
        if y is not None:
            # Clear the cofactor 2Q - R.
            g2 = multiply(Field2, 2 * Q - R, ((x, 0), y))
            break
    assert multiply(Field1, R, g1) is None and multiply(Field2, R, g2) is None
    a, b = 1234567, 7654321
    pairs = [(multiply(Field1, a, g1), multiply(Field2, b, g2))]
    assert not pairing_product_is_one(pairs)
    pairs.append((negate(Field1, multiply(Field1, a * b, g1)), g2))
    assert pairing_product_is_one(pairs)
