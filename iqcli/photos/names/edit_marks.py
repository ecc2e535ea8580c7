"""Names of edits: what programs put behind the stem of the original.

    IMG_1234-edited.jpg, IMG_1234-bearbeitet.jpg    Google Photos, in the language of the account
    IMG_1234_edited.jpg, IMG_1234 (edited).jpg      osxphotos, Photos
    PXL_20240504_101112123~2.jpg, …~3.jpg           Pixel, Samsung
    20240504_101112_edit_1714817472123.jpg          Xiaomi, Huawei
    IMG_1234-Edit.tif, IMG_1234-Enhanced-NR.dng     Lightroom
    IMG_1234_DxO.jpg, IMG_1234-topaz-denoise.tif    others that sign their files
    IMG_1234 copy.jpg, IMG_1234 2.jpg, …(1).jpg     copies, which may have been edited
    IMG_1234-01.jpeg, IMG_1234_01.jpg, IMG_1234-2.jpg   Snapseed, darktable, Lightroom
    IMG_1234_warm.jpg                               a person's own mark

A name alone never makes an edit: two cameras count alike, and people use the same words. What
besides it is needed depends on the `Mark`, see `evidence.is_edit`. IMG_E1234.JPG shares the key
of its original, see `keys`.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator


class Mark(Enum):
    """How much the mark of an edit says: from what only an editor writes to what anything may mean.

    APPLE: `IMG_E`. WORD: a word for "edited", or a program's own. COPY: what file managers write,
    too. NUMBER: what cameras write for the next frame, too. OTHER: any word.
    """

    APPLE = auto()
    WORD = auto()
    COPY = auto()
    NUMBER = auto()
    OTHER = auto()


# In lower case and composed, as names are compared.
EDITED = (
    # Google Photos and other programs, by language
    *("edited", "edit", "editado", "editada", "ha editado", "editat", "bearbeitet", "bewerkt"),
    *("modifié", "modifiée", "modifie", "retouché", "modificato", "modificata", "edytowane"),
    *("edytowany", "upraveno", "upravené", "szerkesztett", "szerkesztve", "redigerad", "redigeret"),
    *("redigert", "muokattu", "düzenlendi", "diedit", "disunting", "đã chỉnh sửa", "uređeno"),
    *("urejeno", "redaguota", "rediģēts", "muudetud", "изменено", "измененный", "отредактировано"),
    *("відредаговано", "змінено", "редактирано", "επεξεργασία", "επεξεργασμένη", "נערך", "معدل"),
    *(
        "ویرایش شده",
        "संपादित",
        "แก้ไขแล้ว",
        "編集済み",
        "수정됨",
        "편집됨",
        "已修改",
        "已编辑",
        "已編輯",
        "编辑",
    ),
    # effects that Google Photos makes of one photo
    *("effects", "smile", "mix"),
    # what programs sign with
    *("snapseed", "dxo", "nik", "luminar", "darktable", "rawtherapee", "photoshop", "lightroom"),
    *("vsco", "picsart", "remini", "afterlight", "polarr", "gimp", "retouched", "retouch", "li"),
    *("enhanced", "enhancer", "topaz", "denoiseai", "sharpenai", "gigapixel", "photoai"),
)
COPIED = (
    *("copy", "kopie", "copie", "copia", "cópia", "còpia", "kopi", "kopia", "kopio", "kópia"),
    *(
        "kopya",
        "másolat",
        "копия",
        "копія",
        "αντίγραφο",
        "コピー",
        "のコピー",
        "副本",
        "복사본",
        "拷贝",
    ),
)
_WORDS = "|".join(sorted(map(re.escape, EDITED), key=len, reverse=True))
_COPIES = "|".join(sorted(map(re.escape, COPIED), key=len, reverse=True))
_BEFORE = ("copy of ", "kopie von ", "kopie van ", "copia de ", "copia di ", "copie de ")
# Where the stem of the original may end.
_CUTS = re.compile(r"[-_ .~(]+")
_NUMBER = r"(?P<number> ?\(\d{1,3}\))?"
_PATTERNS = (
    # The program may add its steps, a time or a count: -topaz-denoise-sharpen, _edit_1714817472123
    (
        Mark.WORD,
        re.compile(rf"(?P<base>.+?)[-_ .]+\(?(?:{_WORDS})\)?(?:[-_ ][\w-]+)?{_NUMBER}", re.DOTALL),
    ),
    (Mark.WORD, re.compile(r"(?P<base>.+)~\d{1,2}", re.DOTALL)),
    (
        Mark.COPY,
        re.compile(rf"(?P<base>.+?)[-_ ]+(?:{_COPIES})(?:[-_ ]\d{{1,2}})?{_NUMBER}", re.DOTALL),
    ),
    (Mark.COPY, re.compile(rf"(?P<base>.+?)(?:{_COPIES})", re.DOTALL)),
    (Mark.COPY, re.compile(rf"(?:{'|'.join(_BEFORE)})(?P<base>.+)", re.DOTALL)),
    (Mark.COPY, re.compile(r"(?P<base>.+?)(?: ?\([1-9]\d?\)| [2-9])", re.DOTALL)),
    (Mark.NUMBER, re.compile(r"(?P<base>.+)[-_]\d{1,2}", re.DOTALL)),
)
# Cameras number the frames of one second so: 20240504_101112(1).jpg is no edit by that.
_TIMED = re.compile(r".*\d{8}[-_]?\d{6}", re.DOTALL)
_OTHER = re.compile(r"[-_ .]+(?=[^-_ .])")
_LONGEST_WORD = 40
# Of several photos, or a mere size: no edits of one.
NO_EDIT = re.compile(
    r"burst|cover|collage|animation|pano|hdr|stack|merge|bracket|thumb|preview|small|portrait"
    r"|\d{3,4}x\d{3,4}"
)


def originals(stem: str, known: Container[str]) -> Iterator[tuple[str, Mark]]:
    """The stems of `known` of which this one may be an edit, the likeliest first.

    Stems are as `keys.stem_of` gives them. Each comes once, with the mark that says most.
    """
    may_be = any(stem[: cut.start()] in known for cut in _CUTS.finditer(stem, 1))
    if not (may_be or stem.endswith((")", *COPIED)) or stem.startswith(_BEFORE)):
        return
    given = set()
    for base, mark in _originals(stem):
        if base != stem and base in known and base not in given:
            given.add(base)
            yield base, mark


def _originals(stem: str) -> Iterator[tuple[str, Mark]]:
    for mark, pattern in _PATTERNS:
        if found := pattern.fullmatch(stem):
            parts = found.groupdict()
            base = parts["base"]
            if mark is Mark.COPY and _TIMED.fullmatch(base) and stem.endswith(")"):
                mark = Mark.NUMBER
            if number := parts.get("number"):  # IMG_1-edited(1) is of IMG_1(1)
                yield base + number, mark
                yield stem.removesuffix(number), Mark.COPY
            yield base, mark
    for at in _OTHER.finditer(stem):
        tail = stem[at.end() :]
        is_word = any(char.isalpha() for char in tail) and not NO_EDIT.search(tail)
        if is_word and len(tail) <= _LONGEST_WORD:
            yield stem[: at.start()], Mark.OTHER
