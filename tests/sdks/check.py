"""Names what holds and what does not, and ends with 1 when anything did not."""
import os, sys, traceback

URL = os.environ["LLMUP_SDK_URL"]
KEY = os.environ["LLMUP_SDK_KEY"]
failed = []


def check(function):
    """Runs the function at once; its name is the check's."""
    try:
        function()
        print(f"PASS  {function.__name__}")
    except BaseException:
        failed.append(function.__name__)
        print(f"FAIL  {function.__name__}\n{traceback.format_exc(limit=-2)}")


def same(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


def raises(kind, function):
    try:
        got = function()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {got!r}")


def end():
    sys.exit(1 if failed else 0)
