"""Canonical encodings (spec: encoding.md): borsh bodies and hashes over length-prefixed parts."""

import hashlib

from ristretto import DecodeError, decode_scalar


class Reader:
    """Takes fields off the front of bytes; what is left at the end is an error."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if len(self.data) - self.at < count:
            raise DecodeError("truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self, size):
        return int.from_bytes(self.take(size), "little")

    def signed(self, size):
        return int.from_bytes(self.take(size), "little", signed=True)

    def string(self):
        try:
            return self.take(self.unsigned(4)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError("not UTF-8") from error

    def point(self):
        return self.take(32)

    def scalar(self):
        return decode_scalar(self.take(32))

    def items(self, read, limit):
        count = self.unsigned(4)
        if count > limit:
            raise DecodeError("list too long")
        return [read() for _ in range(count)]

    def end(self):
        if self.at != len(self.data):
            raise DecodeError("trailing bytes")


def write_string(text):
    data = text.encode("utf-8")
    return len(data).to_bytes(4, "little") + data


def write_list(items):
    return len(items).to_bytes(4, "little") + b"".join(items)


def _framed(domain, parts):
    return b"".join(len(p).to_bytes(8, "little") + p for p in (domain.encode(), *parts))


def hash_parts(domain, *parts):
    """SHA-256 of the domain string and the parts, each behind its length."""
    return hashlib.sha256(_framed(domain, parts)).digest()


def hash_parts_512(domain, *parts):
    return hashlib.sha512(_framed(domain, parts)).digest()
