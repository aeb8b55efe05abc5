#!/usr/bin/python3
"""Counts what a suite of tests found, for quickstart.

    summary.py check BUILD TEST...   the results of these that `make check` left in BUILD
    summary.py junit FILE            what pytest wrote by --junitxml

The last line is "N passed, M failed"; a test that crashed, was skipped or found nothing to run
has failed. Exit status 0 if none did.
"""

import re
import sys
import xml.etree.ElementTree
from pathlib import Path

# How the programs among the tests tell their counts: cmocka for each group, ours in one line.
CMOCKA = re.compile(r"^\[  (PASSED|FAILED)  \] (\d+) test\(s\)", re.M)
OURS = re.compile(r"^.*?(\d+) passed, (\d+) failed$", re.M)


def program(test):
    """(passed, failed, output) of one program of `make check`, from NAME.trs and NAME.log."""
    try:
        result = re.search(r"^:test-result: (\w+)", Path(f"{test}.trs").read_text(), re.M)
        text = Path(f"{test}.log").read_text(errors="replace")
    except OSError as error:
        return 0, 1, f"it has not run: {error}"
    passed = failed = 0
    for word, count in CMOCKA.findall(text):
        if word == "PASSED":
            passed += int(count)
        else:
            failed += int(count)
    for good, bad in OURS.findall(text)[-1:]:
        passed, failed = passed + int(good), failed + int(bad)
    if result is None or result[1] != "PASS":
        return passed, max(failed, 1), text
    if passed + failed == 0:
        # A script is one test; a program of unit tests that ran none has failed.
        return (0, 1, text) if Path(test).name.startswith("test_") else (1, 0, text)
    return passed, failed, text


def check(build, *tests):
    total = [0, 0]
    for test in tests:
        passed, failed, text = program(Path(build, test))
        total[0] += passed
        total[1] += failed
        print(f"{test}: {passed} passed, {failed} failed")
        if failed:
            print(f"---- the end of {Path(build, test)}.log:")
            print("\n".join(text.splitlines()[-60:]))
    return total


def junit(path):
    passed = failed = 0
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        print(f"pytest told nothing: {error}")
        return 0, 1
    for suite in root.iter("testsuite"):
        count = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        bad = count["failures"] + count["errors"] + count["skipped"]
        passed += count["tests"] - bad
        failed += bad
    return passed, failed


def main():
    how = {"check": check, "junit": junit}.get(sys.argv[1]) if len(sys.argv) > 2 else None
    if how is None:
        sys.exit(__doc__)
    passed, failed = how(*sys.argv[2:])
    if passed + failed == 0:
        failed = 1
    print(f"in all: {passed} passed, {failed} failed")
    sys.exit(failed != 0)


main()
