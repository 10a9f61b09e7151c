"""Merlin transcripts: STROBE-128 over Keccak-f[1600], the operations that merlin version 1.0 uses."""

from ristretto import L

_ROUNDS = 24
_MASK = 2**64 - 1


def _round_constants():
    """The constants of Keccak's ι step, from its linear feedback shift register."""
    register, out = 1, []
    for _ in range(_ROUNDS):
        constant = 0
        for j in range(7):
            if register & 1:
                constant |= 1 << (2**j - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        out.append(constant)
    return out


def _rotations():
    """Offsets of the ρ step by lane x + 5y."""
    offsets, x, y = [0] * 25, 1, 0
    for t in range(24):
        offsets[x + 5 * y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return offsets


_CONSTANTS = _round_constants()
_OFFSETS = _rotations()


def _rotate(word, n):
    return ((word << n) | (word >> (64 - n))) & _MASK if n else word


def keccak_f1600(state):
    """Permutes a bytearray of 200 bytes in place."""
    a = [int.from_bytes(state[8 * i : 8 * i + 8], "little") for i in range(25)]
    for constant in _CONSTANTS:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x - 1) % 5] ^ _rotate(c[(x + 1) % 5], 1) for x in range(5)]
        b = [0] * 25
        for x in range(5):
            for y in range(5):
                b[y + 5 * ((2 * x + 3 * y) % 5)] = _rotate(a[x + 5 * y] ^ d[x], _OFFSETS[x + 5 * y])
        a = [b[i] ^ (~b[(i + 1) % 5 + i // 5 * 5] & b[(i + 2) % 5 + i // 5 * 5] & _MASK) for i in range(25)]
        a[0] ^= constant
    state[:] = b"".join(lane.to_bytes(8, "little") for lane in a)


_RATE = 166
_I, _A, _C, _M = 1, 2, 4, 16


class Strobe:
    """STROBE-128 with the operations AD, meta-AD and PRF."""

    def __init__(self, protocol):
        self.state = bytearray(200)
        self.state[:18] = bytes([1, _RATE + 2, 1, 0, 1, 96]) + b"STROBEv1.0.2"
        keccak_f1600(self.state)
        self.position = self.begin = 0
        self.meta_ad(protocol)

    def _permute(self):
        self.state[self.position] ^= self.begin
        self.state[self.position + 1] ^= 4
        self.state[_RATE + 1] ^= 0x80
        keccak_f1600(self.state)
        self.position = self.begin = 0

    def _absorb(self, data):
        for byte in data:
            self.state[self.position] ^= byte
            self.position += 1
            if self.position == _RATE:
                self._permute()

    def _operate(self, flags):
        before = self.begin
        self.begin = self.position + 1
        self._absorb(bytes([before, flags]))
        if flags & _C and self.position:
            self._permute()

    def meta_ad(self, data):
        self._operate(_M | _A)
        self._absorb(data)

    def ad(self, data):
        self._operate(_A)
        self._absorb(data)

    def prf(self, count):
        self._operate(_I | _A | _C)
        out = bytearray()
        for _ in range(count):
            out.append(self.state[self.position])
            self.state[self.position] = 0
            self.position += 1
            if self.position == _RATE:
                self._permute()
        return bytes(out)


class Transcript:
    """A merlin transcript with the project's messages: points, lists of points, scalar challenges."""

    POINTS_PER_MESSAGE = 1024

    def __init__(self, label):
        self.strobe = Strobe(b"Merlin v1.0")
        self.message(b"dom-sep", label)

    def message(self, label, data):
        self.strobe.meta_ad(label + len(data).to_bytes(4, "little"))
        self.strobe.ad(data)

    def u64(self, label, value):
        self.message(label, value.to_bytes(8, "little"))

    def points(self, label, encodings):
        self.u64(label, len(encodings))
        for start in range(0, len(encodings), self.POINTS_PER_MESSAGE):
            self.message(label, b"".join(encodings[start : start + self.POINTS_PER_MESSAGE]))

    def bytes(self, label, count):
        self.strobe.meta_ad(label + count.to_bytes(4, "little"))
        return self.strobe.prf(count)

    def challenge(self, label):
        return int.from_bytes(self.bytes(label, 64), "little") % L

    def challenges(self, label, count):
        return [self.challenge(label) for _ in range(count)]
