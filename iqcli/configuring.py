"""Writing into a person's own config: one line changes, every other one and all comments stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli import settings
from iqcli.errors import IqError
from iqcli.fs import files
from iqcli.fs.files import shown
from iqcli.text import readable

if TYPE_CHECKING:
    from pathlib import Path


def put(key: str, value: str) -> Path:
    """Set a key of the person's config, which is made if need be; returns where it lies.

    Raises IqError, nothing changed, for a config that cannot be read or written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = settings.user_config()
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        config = tomlkit.parse(text)
    except (OSError, ValueError, TOMLKitError) as error:
        raise IqError(f"cannot read the settings in {shown(path)}: {error}; mend it") from error
    if config.get(key) == value:
        return path
    config[key] = value
    try:
        data = tomlkit.dumps(config).encode()
    except UnicodeEncodeError as error:
        raise IqError(f"{readable(value)} cannot stand in {shown(path)}; rename it") from error
    try:
        files.make_folders(path.parent)
        files.write_atomic(path, data)
    except OSError as error:
        raise IqError(f"cannot write {shown(path)}: {error.strerror}; mend that") from error
    return path
