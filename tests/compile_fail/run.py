#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks that programs which misuse a type do not compile, and that the repaired ones do.

    run.py ROOT COMPILER... -- FILE.c...

Each FILE.c is compiled twice: as it is, which must fail with an error about types in that file, and
with -DFIXED, which must succeed. So a misspelled include cannot pass for a caught mistake. TAP.
"""
import subprocess
import sys


def compile_file(cc, root, path, *extra):
    cmd = [*cc, "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{root}",
           *extra, path]
    return subprocess.run(cmd, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})


def main():
    root, rest = sys.argv[1], sys.argv[2:]
    cut = rest.index("--")
    cc, files = rest[:cut], rest[cut + 1:]
    failed = 0
    for i, path in enumerate(files, 1):
        name = path.rsplit("/", 1)[-1]
        wrong, right = compile_file(cc, root, path), compile_file(cc, root, path, "-DFIXED")
        errors = [line for line in wrong.stderr.splitlines() if "error:" in line]
        about = [e for e in errors if name in e and "incompatible" in e]
        good = wrong.returncode != 0 and len(about) == len(errors) == 1 and right.returncode == 0
        failed += not good
        print(f"{'ok' if good else 'not ok'} {i} - {name} is refused, repaired it is accepted")
        print("# " + (errors[0].split("error:")[1].strip() if errors else "it compiled"))
        if not good:
            print("# " + "\n# ".join((wrong.stderr + right.stderr).splitlines()[:20]))
    print(f"1..{len(files)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
