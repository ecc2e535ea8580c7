"""The tree of errors. Each becomes one sentence on stderr and one exit code, in `cli/app.py` alone.

    IqError               2  the run cannot start or go on: usage, configuration, environment
    ├── NothingFound      3  the paths hold no photo
    ├── PlanConflict      4  the plan no longer fits the disk; nothing was applied
    ├── Interrupted     130  stopped while photos were moving
    └── PhotoError        1  one photo cannot be rated; inside a run it becomes a value
        ├── TooLarge      1  more pixels than may be decoded
        └── TooSlow       1  decoding takes longer than it may

A message states the fact, the path and the way out, in one line and without a full stop at the end.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    NOTHING_FOUND = 3
    CONFLICT = 4
    INTERRUPTED = 130


class IqError(Exception):
    """An error that the user can act on; its text is the whole message.

    `details` are lines to show before it, where one sentence cannot name everything.
    """

    exit_code = Exit.USAGE
    details: tuple[str, ...] = ()


class NothingFound(IqError):
    """The paths given hold no photo."""

    exit_code = Exit.NOTHING_FOUND


class PlanConflict(IqError):
    """The disk differs from the plan; nothing was (or nothing stays) applied."""

    exit_code = Exit.CONFLICT


class Interrupted(IqError):
    """The user stopped the run while photos were moving; the message names their place."""

    exit_code = Exit.INTERRUPTED


class PhotoError(IqError):
    """This one photo cannot be rated; the reason is the message."""

    exit_code = Exit.SOME_FAILED


class TooLarge(PhotoError):
    """The picture has more pixels than may be decoded now."""


class TooSlow(PhotoError):
    """Decoding the picture takes longer than it may now."""
