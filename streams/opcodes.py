"""What a pickle may consist of, checked before any of it runs.

The list is what Python's own pickler writes in protocol 5, and nothing else: no opcode of older
protocols (they name things as text, address the memo as they like), no extension codes, no
persistent ids, no buffers from elsewhere. So what a payload can cost is bounded by what it has:
its opcodes, its bytes, and how deep they nest.
"""

from __future__ import annotations

import re

from streams.errors import SnapshotError

OPCODES_MAX = 32_000_000
NESTED_MAX = 1_000  # about where Python's pickler gives up

PROTO, FRAME, STOP = 0x80, 0x95, 0x2E
MARK, MEMOIZE, POP, POP_MARK = 0x28, 0x94, 0x30, 0x31
BINGET, LONG_BINGET = 0x68, 0x6A
LONG1 = 0x8A
# Opcodes that push a value without parts: None, True, False, (), [], {}, set(), integers, a float.
# By far most are these (a random generator has 625 of them), so they are matched many at a time.
SCALAR = rb"[N\x88\x89)\]}\x8f]|K.|M..|J.{4}|G.{8}|\x8a\x05.{5}"
SCALARS = re.compile(rb"(?s:(?:" + SCALAR + rb"){1,1000}+)")
ONE_SCALAR = re.compile(rb"(?s:" + SCALAR + rb")")
# Opcodes that push as many bytes as they say: the length of that count.
COUNTED = {
    LONG1: 1,
    0x8B: 4,  # LONG4
    0x8C: 1,  # texts of three lengths
    ord("X"): 4,
    0x8D: 8,
    ord("C"): 1,  # bytes
    ord("B"): 4,
    0x8E: 8,
    0x96: 8,  # bytearray
}
# Opcodes that make one value of those above it, or change the one below them: how many they take.
TAKEN = {
    0x85: 1,  # tuples of one, two and three
    0x86: 2,
    0x87: 3,
    ord("a"): 2,  # append
    ord("s"): 3,  # set an entry
    ord("b"): 2,  # set the state
    ord("R"): 2,  # call
    0x81: 2,  # make an object
    0x92: 3,  # the same, with keywords
    0x93: 2,  # name a class
}
# The same for all values since the mark: whether they change the one below it.
TAKEN_SINCE_MARK = {ord("t"): 0, 0x91: 0, ord("e"): 1, ord("u"): 1, 0x90: 1}
LONG_BYTES_MAX = 1_000  # of an integer: reading one takes time that grows with its square


def check_opcodes(payload: bytes) -> None:
    """Raise SnapshotError unless a payload is one whole pickle of the opcodes above, in bounds."""
    try:
        end = _run(payload)
    except IndexError:
        raise SnapshotError("the payload is cut off, or takes what it did not put there") from None
    if end != len(payload):
        raise SnapshotError(f"the payload ends at byte {end}; it has {len(payload)}")


def _run(payload: bytes) -> int:
    """Go through the opcodes with a stack of how deep each value nests; where the pickle ends."""
    stack: list[int] = []
    marks: list[int] = []
    memo: list[int] = []
    at = count = 0
    while count < OPCODES_MAX:
        count += 1
        code = payload[at]
        run = SCALARS.match(payload, at)
        if run is not None:
            more = len(ONE_SCALAR.findall(payload, at, run.end()))
            stack += [0] * more
            count += more - 1
            at = run.end()
        elif code in COUNTED:
            at = _counted(payload, at, code)
            stack.append(0)
        elif code == MEMOIZE:
            memo.append(stack[-1])
            at += 1
        elif code == BINGET:
            stack.append(memo[payload[at + 1]])
            at += 2
        elif code == LONG_BINGET:
            stack.append(memo[int.from_bytes(payload[at + 1 : at + 5], "little")])
            at += 5
        elif code == STOP:
            if len(stack) != 1 or marks:
                raise SnapshotError(f"the payload leaves {len(stack)} values; one was expected")
            return at + 1
        else:
            at = _gather(payload, at, code, stack, marks)
            if stack and stack[-1] > NESTED_MAX:
                raise SnapshotError(f"the payload nests deeper than {NESTED_MAX}")
    raise SnapshotError(f"the payload has more than {OPCODES_MAX} opcodes")


def _counted(payload: bytes, at: int, code: int) -> int:
    """The place after an opcode that says how many bytes follow; they must be there."""
    start = at + 1 + COUNTED[code]
    count = int.from_bytes(payload[at + 1 : start], "little")
    if code in (LONG1, 0x8B) and count > LONG_BYTES_MAX:
        raise SnapshotError(
            f"the payload has an integer of {count} bytes; {LONG_BYTES_MAX} are taken at most"
        )
    if start + count > len(payload):
        raise IndexError
    return start + count


def _gather(payload: bytes, at: int, code: int, stack: list[int], marks: list[int]) -> int:
    """One opcode that makes a value of others; the place after it."""
    if code in TAKEN:
        count = TAKEN[code]
        if len(stack) - count < (marks[-1] if marks else 0):
            raise IndexError
        depth = max(stack[-count:]) + 1
        stack[-count:] = [depth if code != 0x93 else 0]
    elif code in TAKEN_SINCE_MARK:
        start = marks.pop() - TAKEN_SINCE_MARK[code]
        if start < (marks[-1] if marks else 0):
            raise IndexError
        stack[start:] = [max(stack[start:], default=0) + 1]
    elif code == MARK:
        marks.append(len(stack))
    elif code == POP_MARK:
        del stack[marks.pop() :]
    elif code == POP:
        stack.pop()
    elif code == FRAME:
        end = at + 9 + int.from_bytes(payload[at + 1 : at + 9], "little")
        if end > len(payload):
            raise IndexError
        return at + 9
    elif code == PROTO and at == 0 and payload[1] == 5:
        return at + 2
    else:
        raise SnapshotError(f"the payload has the opcode {code:#04x} at byte {at}, not one of ours")
    return at + 1
