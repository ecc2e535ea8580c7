"""What a person excludes from a walk, by the rules of gitignore: `--exclude`, `.iqignore` files.

The patterns of `--exclude` and of the settings count from each root, those of an `.iqignore` (or of
PhotoPrism's `.ppignore`) from its own folder; it holds for all that lies below, also where a walk
begins below it. The last pattern that fits decides, that of a deeper file before that of a higher
one, `.iqignore` before `.ppignore`, and `--exclude` before those of all files.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.text import display_path, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# The files of rules, the stronger last.
IGNORE_FILES, NO_MEDIA = (".ppignore", ".iqignore"), ".nomedia"
OPTION = "--exclude"
# What lies beside photos may come from a stranger. The time that a pattern takes grows with the
# length of a name to the power of its stars.
FILE_BYTES, MOST_STARS = 2**16, 4


class RuleSet:
    """Patterns in their order, and where they come from: `--exclude` or the name of a file."""

    def __init__(self, patterns: Sequence[str], source: str) -> None:
        """Raises ValueError for a pattern that is none."""
        from pathspec import GitIgnoreSpec  # deferred: most folders are walked without rules

        self.source = source
        found = GitIgnoreSpec.from_lines(patterns).patterns
        self._last_first = [
            (_itself(each.regex), each.include) for each in reversed(list(found)) if each.regex
        ]

    def verdict(self, path: str) -> bool | None:
        """Whether a path is excluded (True) or included again (False); None: no pattern fits.

        A folder's ends in "/".
        """
        return next((verdict for fits, verdict in self._last_first if fits(path)), None)


def _itself(regex: re.Pattern[str]) -> Callable[[str], object]:
    """Whether a path fits itself, not only because a folder above it does.

    pathspec judges paths without a walk, so what it makes of a pattern fits all that lies below,
    too. A walk enters no excluded folder; below one that is included again, each name counts alone.
    """
    if "ps_d" in regex.groupindex:  # how pathspec marks the end of the name that fits
        return re.compile(regex.pattern + r"\Z", regex.flags).search

    def below(path: str) -> bool:  # `*` and `folder/**`, which is not about the folder
        match = regex.search(path)
        return match is not None and not (path.endswith("/") and match.end() == len(path))

    return below


@dataclass(frozen=True, slots=True)
class Ignore:
    """The rules that hold in one folder, each with the way to it from where they count."""

    sets: tuple[tuple[RuleSet, str], ...] = ()

    @classmethod
    def at(cls, root: Path, exclude: RuleSet | None) -> Ignore:
        """The rules for a root that is walked: those given, and those of files above it.

        A file that excludes the root itself does not hold: the root was named. Raises IqError.
        """
        above = []
        real = root.resolve()
        for folder in real.parents:
            for name in reversed(IGNORE_FILES):
                if not os.path.lexists(folder / name):
                    continue
                rules = read_rules(folder / name)
                ways = [f"{each.as_posix()}/" for each in _down(real.relative_to(folder))]
                if not any(map(rules.verdict, ways)):
                    above.append((rules, ways[-1]))
        return cls((*([(exclude, "")] if exclude else []), *above))

    @classmethod
    def of(cls, folder: Path, exclude: Sequence[str]) -> Ignore:
        """The rules for one folder alone: the patterns given, its own file, and those above it."""
        rules = cls.at(folder, RuleSet(exclude, OPTION) if exclude else None)
        for name in IGNORE_FILES:
            if os.path.lexists(folder / name):
                rules = rules.joined(folder / name)
        return rules

    def inside(self, name: str) -> Ignore:
        """The rules for a subfolder."""
        return Ignore(tuple((rules, f"{way}{name}/") for rules, way in self.sets))

    def joined(self, file: Path) -> Ignore:
        """With a file of rules in this folder. Raises IqError for one that cannot be used."""
        first = self.sets[:1] if self.sets and self.sets[0][0].source == OPTION else ()
        return Ignore((*first, (read_rules(file), ""), *self.sets[len(first) :]))

    def source(self, name: str) -> str | None:
        """What excludes this entry of the folder, None for nothing; a folder's name ends in "/"."""
        for rules, way in self.sets:
            if (verdict := rules.verdict(way + name)) is not None:
                return rules.source if verdict else None
        return None


def _down(path: Path) -> list[Path]:
    """The folders on a relative way down, the whole way last."""
    return [*reversed([each for each in path.parents if each.name]), path]


def read_rules(file: Path) -> RuleSet:
    """The rules of such a file. Raises IqError for one that cannot be used."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is no plain file")
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise ValueError(f"it is larger than {FILE_BYTES >> 10} KiB")
        patterns = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")).splitlines()
        check_foreign(patterns)
        return RuleSet(patterns, file.name)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        where = display_path(file)
        raise IqError(f"cannot use the rules in {where}: {why}; mend or remove it") from error


def check_foreign(patterns: Sequence[str]) -> None:
    """Refuse patterns that take too long, where they lie beside photos. Raises ValueError."""
    for pattern in patterns:
        if not pattern.startswith("#") and len(re.findall(r"\*+", pattern)) > MOST_STARS:
            raise ValueError(f"{shorten(pattern)} has more than {MOST_STARS} *")


def check_patterns(patterns: Sequence[str]) -> None:
    """Refuse what is no pattern. Raises ValueError that names it."""
    for pattern in patterns:
        try:
            RuleSet([pattern], OPTION)
        except ValueError:
            raise ValueError(f"{shorten(pattern)} is no pattern as in .gitignore") from None
