"""A folder of files, and the shots that are found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iqcli.photos.find import find_shots

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.records import Shot


class PhotoFolder:
    """A folder of files, and the problems that finding in it reported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[tuple[str, str]] = []

    def put(self, *names: str, data: bytes = b"x") -> None:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def shots(self, *names: str, **options: Any) -> list[Shot]:
        def note(path: Path, why: str) -> None:
            self.problems.append((str(path.relative_to(self.root)), why))

        given = [self.root / name for name in names or ("",)]
        return list(find_shots(given, on_problem=note, **options))

    def found(self, *names: str, **options: Any) -> list[str]:
        shots = self.shots(*names, **options)
        return [str(shot.path.relative_to(self.root)) for shot in shots]
