#!/usr/bin/env python3
"""The recordings of all patients judged again, without privileges or namespaces, on any kernel (TAP).

    replay.py                     records/NAME.sick.facts.gz: the same leading finding and certainty as when it was recorded;
                                  records/NAME.healthy.facts.gz: no finding

`patients.py --record tests/patients/records` makes them anew.
"""
import gzip, os, subprocess, sys, tempfile

import beds
from patients import HERE, ROWS, WEIR, faults_of_sick, faults_of_twin, name_of

RECORDS = os.path.join(HERE, "records")


def judge(path):
    with tempfile.NamedTemporaryFile() as f:
        with gzip.open(path) as packed:
            f.write(packed.read())
        f.flush()
        return beds.doctor(WEIR, "--from", f.name)


def without_patient():
    """Rules that no patient of patients.py shows."""
    said = subprocess.run([WEIR, "doctor", "--rules"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
    rules = [line.split()[0] for line in said.splitlines() if line[:1].isalpha()]
    return [rule for rule in rules if rule not in {r.rule for r in ROWS}] if rules else ["--rules says nothing"]


def main():
    found = sorted(f for f in os.listdir(RECORDS) if f.endswith(".gz"))
    known = {name_of(r, sick) + ".gz": (r, sick) for r in ROWS for sick in (True, False)}
    print("1..%d" % (1 + len(found)))
    lonely = without_patient()
    print("%sok 1 - every rule has a patient" % ("not " if lonely else ""))
    for rule in lonely:
        print("#   not %s" % rule)
    failed = bool(lonely)
    for count, name in enumerate(found, 2):
        r, sick = known.get(name, (None, False))
        got = judge(os.path.join(RECORDS, name)) if r else {"error": "no patient of this name"}
        bad = [got["error"]] if "error" in got else (faults_of_sick if sick else faults_of_twin)(r, got)
        failed += bool(bad)
        print("%sok %d - %s" % ("not " if bad else "", count, name))
        for line in bad:
            print("#   %s" % line)
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
