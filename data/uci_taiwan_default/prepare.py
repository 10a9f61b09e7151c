#!/usr/bin/env python3
"""Writes one long CSV per agency and month from the card data: see README.md beside this file.

usage: prepare.py OUTPUT_DIRECTORY
"""

import csv
import gzip
import hashlib
import pathlib
import sys

AGENCIES = 4
MONTHS = {6: "2005-04", 5: "2005-05", 4: "2005-06", 3: "2005-07", 2: "2005-08", 1: "2005-09"}
COLUMNS = ["account", "subject", "period", "balance", "credit_limit", "pay", "payment"]
SINGLE_CARD_PEOPLE = 10_000
CARDS_PER_PERSON = 4


def person(card: int) -> str:
    if card <= SINGLE_CARD_PEOPLE:
        number = card
    else:
        number = SINGLE_CARD_PEOPLE + 1 + (card - SINGLE_CARD_PEOPLE - 1) // CARDS_PER_PERSON
    return f"P{number:05}"


def agency(card: int) -> int:
    return hashlib.sha256(str(card).encode()).digest()[0] % AGENCIES + 1


def source_rows(here: pathlib.Path):
    raw = gzip.decompress((here / "default_clients_int.csv.gz").read_bytes())
    expected = (here / "SHA256SUMS").read_text().split()[0]
    if hashlib.sha256(raw).hexdigest() != expected:
        sys.exit("default_clients_int.csv.gz: the checksum differs from SHA256SUMS")
    return csv.DictReader(raw.decode("ascii").splitlines())


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    here = pathlib.Path(__file__).resolve().parent
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    files, writers = [], {}
    for a in range(1, AGENCIES + 1):
        for month, period in MONTHS.items():
            file = (out / f"agency-{a}-{period}.csv").open("w", newline="")
            files.append(file)
            writers[a, month] = csv.writer(file, lineterminator="\n")
            writers[a, month].writerow(COLUMNS)
    cards = 0
    for row in source_rows(here):
        card = int(row["ID"])
        cards += 1
        for month, period in MONTHS.items():
            pay = row["PAY_0" if month == 1 else f"PAY_{month}"]
            writers[agency(card), month].writerow(
                [f"C{card:05}", person(card), period, row[f"BILL_AMT{month}"], row["LIMIT_BAL"], pay, row[f"PAY_AMT{month}"]]
            )
    for file in files:
        file.close()
    print(f"{cards} cards, {cards * len(MONTHS)} rows, {len(files)} files in {out}")


if __name__ == "__main__":
    main()
