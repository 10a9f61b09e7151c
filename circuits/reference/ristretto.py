"""ristretto255 (RFC 9496) over Python integers. Slow, plain, for checking; nothing here is constant time.

A point is a tuple (X, Y, Z, T) of extended coordinates on the curve -x^2 + y^2 = 1 + d·x^2·y^2.
"""

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493

D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578
ONE_MINUS_D_SQ = (1 - D * D) % P
D_MINUS_ONE_SQ = (D - 1) * (D - 1) % P
D2 = 2 * D % P

IDENTITY = (0, 1, 1, 0)


class DecodeError(Exception):
    """Bytes are not a canonical encoding."""


def negative(x):
    return x % P & 1


def magnitude(x):
    x %= P
    return P - x if x & 1 else x


def sqrt_ratio(u, v):
    """(was square, non-negative square root of u/v, or of i·u/v when u/v is not a square)."""
    u %= P
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    if check in ((-u) % P, -u * SQRT_M1 % P):
        r = r * SQRT_M1 % P
    return check in (u, (-u) % P), magnitude(r)


def decode(data):
    """The point of 32 bytes; DecodeError unless they are the canonical encoding of one."""
    s = int.from_bytes(data, "little")
    if len(data) != 32 or s >= P or s & 1:
        raise DecodeError("not a canonical non-negative field element")
    u1 = (1 - s * s) % P
    u2 = (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inv = sqrt_ratio(1, v * u2 * u2 % P)
    dx = inv * u2 % P
    x = magnitude(2 * s * dx)
    y = u1 * inv * dx * v % P
    t = x * y % P
    if not square or negative(t) or y == 0:
        raise DecodeError("not on the curve, or not the canonical representative")
    return (x, y, 1, t)


def encode(point):
    x0, y0, z0, t0 = point
    u1 = (z0 + y0) * (z0 - y0) % P
    u2 = x0 * y0 % P
    _, inv = sqrt_ratio(1, u1 * u2 * u2 % P)
    d1 = inv * u1 % P
    d2 = inv * u2 % P
    z_inv = d1 * d2 * t0 % P
    x, y, den = x0, y0, d2
    if negative(t0 * z_inv):
        x, y, den = y0 * SQRT_M1 % P, x0 * SQRT_M1 % P, d1 * INVSQRT_A_MINUS_D % P
    if negative(x * z_inv):
        y = -y
    return magnitude(den * (z0 - y)).to_bytes(32, "little")


def _map(t):
    r = SQRT_M1 * t * t % P
    u = (r + 1) * ONE_MINUS_D_SQ % P
    v = (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    c = -1
    if not square:
        s, c = -magnitude(s * t), r
    n = (c * (r - 1) * D_MINUS_ONE_SQ - v) % P
    w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
    return (w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P)


def from_uniform_bytes(data):
    """The one-way map of 64 bytes (RFC 9496, section 4.3.4)."""
    assert len(data) == 64
    halves = [(int.from_bytes(h, "little") & (2**255 - 1)) % P for h in (data[:32], data[32:])]
    return add(_map(halves[0]), _map(halves[1]))


def add(p, q):
    x1, y1, z1, t1 = p
    x2, y2, z2, t2 = q
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = t1 * D2 * t2 % P
    d = 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def double(p):
    x1, y1, z1, _ = p
    a, b = x1 * x1 % P, y1 * y1 % P
    h = a + b
    e = h - (x1 + y1) * (x1 + y1)
    g = a - b
    f = 2 * z1 * z1 + g
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def negate(p):
    return (-p[0] % P, p[1], p[2], -p[3] % P)


def equal(p, q):
    """Equality in the group: the same coset of the 4-torsion."""
    return (p[0] * q[1] - p[1] * q[0]) % P == 0 or (p[1] * q[1] - p[0] * q[0]) % P == 0


def sum_of(scalars, points):
    """Σ scalar·point, by windows of a few bits, each summed in buckets."""
    pairs = [(s % L, p) for s, p in zip(scalars, points, strict=True) if s % L]
    if not pairs:
        return IDENTITY
    bits = 6 if len(pairs) > 24 else 3 if len(pairs) > 2 else 1
    mask = (1 << bits) - 1
    total = IDENTITY
    for window in reversed(range(0, 253, bits)):
        for _ in range(bits):
            total = double(total)
        buckets = [None] * (mask + 1)
        for s, p in pairs:
            digit = s >> window & mask
            if digit:
                held = buckets[digit]
                buckets[digit] = p if held is None else add(held, p)
        # Σ digit·bucket as a sum of suffix sums.
        suffix = part = None
        for bucket in reversed(buckets[1:]):
            if bucket is not None:
                suffix = bucket if suffix is None else add(suffix, bucket)
            if suffix is not None:
                part = suffix if part is None else add(part, suffix)
        if part is not None:
            total = add(total, part)
    return total


def multiply(scalar, point):
    return sum_of([scalar], [point])


def decode_scalar(data):
    """A scalar below ℓ; DecodeError otherwise."""
    s = int.from_bytes(data, "little")
    if len(data) != 32 or s >= L:
        raise DecodeError("scalar is not reduced")
    return s
