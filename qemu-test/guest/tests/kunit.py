# SPDX-License-Identifier: GPL-2.0
"""The KUnit suites in the module, on kernels that have KUnit.

They run when the module is loaded and leave their results in debugfs. Each case counts as a test, by
the name of its suite and its own. The host reads these names off the sources, so that a case that did
not run is missed.
"""

from __future__ import annotations

import os
import re
from functools import partial

import module
from runner import Failure, Test, check_equal, test_with

_RESULTS = "/sys/kernel/debug/kunit"
_CASE = re.compile(r"^    (ok|not ok) \d+ (\S+)( # SKIP.*)?$", re.MULTILINE)


def _suites() -> list[str]:
    return sorted(name for name in os.listdir(_RESULTS) if name.startswith("nsinspect_"))


def _results(suite: str) -> str:
    with open(f"{_RESULTS}/{suite}/results", encoding="utf-8") as file:
        return file.read()


def _check_case(suite: str, case: str) -> None:
    module.ensure_loaded()
    text = _results(suite)
    verdicts = [found[0] + found[2] for found in _CASE.findall(text) if found[1] == case]
    if verdicts != ["ok"]:
        raise Failure(f"KUnit says {verdicts} of {case} in {suite}:", text)


def case_test(name: str) -> Test | None:
    """The test that is a case of a suite, if that is how it is named."""
    suite, dot, case = name.partition(".")
    if not dot or not suite.startswith("nsinspect_"):
        return None
    return Test(name, partial(_check_case, suite, case))


@test_with(on="debug uml")
def kunit_suites() -> None:
    """Each KUnit suite in the module says that it passed, and that it has cases."""
    module.ensure_unloaded()
    module.load()
    suites = _suites()
    if not suites:
        raise Failure(f"no suite of the module's is in {_RESULTS}")
    for suite in suites:
        text = _results(suite)
        check_equal(f"verdict of {suite}", re.findall(r"^(ok|not ok) ", text, re.MULTILINE), ["ok"])
        if not _CASE.search(text):
            raise Failure(f"{suite} has no case:", text)
