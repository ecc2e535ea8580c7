"""`iq cull --review`: a person looks through the decisions on a full screen, by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from iqcli import interrupts
from iqcli.errors import Interrupted, IqError
from iqcli.output import terminal_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.output.review_app import ImageWidget
    from iqcli.pipeline.thumbnails import ThumbnailStore
    from iqcli.records import Decision

OPTION = "--review"


def picture() -> ImageWidget:
    """The widget that draws on this terminal.

    Raises IqError where none can, so that a run asks before it measures photos.
    """
    renderer = terminal_images.image_renderer(OPTION)
    if not sys.stderr.isatty():  # it draws there
        raise IqError(f"{OPTION} needs a terminal, and stderr is none; leave it out there")
    try:
        from iqcli.output.review_app import image_widget
    except ImportError as error:
        raise terminal_images.missing_packages(OPTION) from error
    return image_widget(renderer)


def review(decisions: Sequence[Decision], store: ThumbnailStore) -> list[Decision]:
    """The decisions as a person left them.

    Raises Interrupted where they left without any, IqError where there is no terminal for it.
    """
    widget = picture()
    from iqcli.output.review_app import Review

    with interrupts.lent():
        chosen = Review(decisions, store.get, widget).run()
    if chosen is None:
        raise Interrupted(
            "nothing was applied; you quit --review and nothing has moved; run it again, "
            "and press A to accept"
        )
    return chosen
