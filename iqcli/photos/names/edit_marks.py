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
    IMG_1234_original.jpg                           the other way round: IMG_1234 is its edit

A name alone never makes an edit: two cameras count alike, and people use the same words. What
besides it is needed depends on the `Mark`, see `evidence.is_edit`. IMG_E1234.JPG shares the key
of its original, see `keys`.
"""

from __future__ import annotations

import re
from enum import IntEnum, auto
from typing import TYPE_CHECKING

from iqcli.photos.formats import RAW

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator


class Mark(IntEnum):
    """How much the mark of an edit says: from what only an editor writes to what anything may mean.

    APPLE: `IMG_E`. WORD: a word for "edited", or a program's own. COPY: what file managers write,
    too. NUMBER: what cameras write for the next frame, too. OTHER: any word.
    """

    APPLE = auto()
    WORD = auto()
    COPY = auto()
    NUMBER = auto()
    OTHER = auto()


def _words(text: str) -> tuple[str, ...]:
    """The words of a text, where "_" is a space."""
    return tuple(word.replace("_", " ") for word in text.split())


# In lower case and composed, as names are compared. What begins so is "edited" in some language,
# in each of its forms: bearbeitet, modifié, modificata, редактировано.
EDITED = _words(
    "edit ha_edita bearbeit retusch modifi retouch bewerk aangepast edytow edycj uprav szerkeszt "
    "módosít rediger rediģ redaguo ändrad ændret endret muokat muutet muudet toimetat düzenle "
    "diedit disunting breytt uređen urejen spremenj izmijenj измен измењ отредактир редактир "
    "обработан відредаг редаг змінен επεξεργα τροποποι"
)
# Other scripts; effects that Google Photos makes of one photo; what programs sign with.
WORDS = _words(
    "đã_chỉnh_sửa تم_التعديل ویرایش_شده נערך ערוך معدل معدّل معدَّل संपादित แก้ไขแล้ว 編集済み 編集 "
    "수정됨 편집됨 편집 변경됨 已修改 已编辑 已編輯 编辑 編輯 修整 "
    "effects smile mix animated "
    "snapseed dxo nik luminar darktable rawtherapee photoshop lightroom vsco picsart remini "
    "afterlight polarr gimp li enhanced enhancer topaz denoiseai sharpenai gigapixel photoai"
)
COPIED = _words(
    "copy kopie copie copia cópia còpia kopi kopia kopio kópia kopya másolat копия копія αντίγραφο "
    "コピー のコピー 副本 的副本 복사본 拷贝 的拷贝"
)


def _any_of(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_WORDS = rf"(?:{_any_of(EDITED)})\w*|{_any_of(WORDS)}"
_COPIES = _any_of(COPIED)
# Where the stem of the original may end.
_CUTS = re.compile(r"[-_ .~(–—]+")
_NUMBER = r"(?P<number> ?\(\d{1,3}\))?"
# What file managers, cameras and programs that rename all write.
_BARE = re.compile(r"(?P<base>.+?)(?: ?\([1-9]\d?\)| [1-9]\d?)", re.DOTALL)
_PATTERNS = (
    # The program may add its steps, a time or a count: -topaz-denoise-sharpen, _edit_1714817472123
    (
        Mark.WORD,
        re.compile(rf"(?P<base>.+?)[-_ .]++\(?(?:{_WORDS})\)?(?:[-_ ][\w-]+)?{_NUMBER}", re.DOTALL),
    ),
    (Mark.WORD, re.compile(rf"(?P<base>.+)~\d{{1,2}}{_NUMBER}", re.DOTALL)),
    (
        Mark.COPY,
        re.compile(
            rf"(?P<base>.+?)[-_ –—]++\(?(?:\w++ )?(?:{_COPIES})(?:[-_ ]\d{{1,2}})?\)?{_NUMBER}",
            re.DOTALL,
        ),
    ),
    (Mark.COPY, re.compile(rf"(?P<base>.+?)(?:{_COPIES})", re.DOTALL)),
    (
        Mark.COPY,
        re.compile(
            rf"(?:{_COPIES})(?: \(\d+\))?(?: (?:of|von|van|de|di|da|av|af))? (?P<base>.+)",
            re.DOTALL,
        ),
    ),
    (Mark.COPY, _BARE),
    (Mark.NUMBER, re.compile(r"(?P<base>.+?)[-_]++(?:\d{1,2}|[a-z])", re.DOTALL)),
)
# Programs put the format of a raw file before their mark: IMG_1-CR2_DxO_DeepPRIME.dng
_FORMAT = re.compile(rf"[-_](?:{_any_of(RAW)})$")
# Names that are made of a time get a number where a camera takes two frames in one second.
_TIMED = re.compile(r"(?:\D*\d){10}")
# Google cuts the names of photos at so many characters, and with them its own mark.
_CUT_AT = range(45, 48)
_PART = re.compile(r"(?P<base>.+)-(?P<part>[^-_ .]*)")
_OTHER = re.compile(r"[-_ .]+(?=[^-_ .])")
_LONGEST_WORD = 40
# Marks of one name that are looked behind, where what is between them is gone: ~2-edited(1).
_MOST_MARKS = 3
# Of several photos, or a mere size: no edits of one.
NO_EDIT = re.compile(
    r"burst|cover|collage|animation|pano|hdr|stack|merge|bracket|thumb|preview|small|portrait"
    r"|original|\d{3,4}x\d{3,4}"
)
# But these are made of one press of the button where the name tells when it was.
_ONE_PRESS = {"hdr", "portrait"}
# The camera's picture beside an edit that kept its name.
ORIGINAL = ("original", "originale", "orig", "unedited", "sooc")
_ORIGINAL = re.compile(rf"(?P<edit>.+?)[-_ .]++\(?(?:{'|'.join(ORIGINAL)})\)?", re.DOTALL)


def originals(stem: str, known: Container[str]) -> Iterator[tuple[str, Mark]]:
    """The stems of `known` of which this one may be an edit, the likeliest first.

    Stems are as `keys.stem_of` gives them. Each comes once, with the mark that says most; of
    several marks the one that says least counts.
    """
    may_be = any(stem[: cut.start()] in known for cut in _CUTS.finditer(stem, 1))
    if not (may_be or stem.endswith((")", *COPIED)) or stem.startswith(COPIED)):
        return
    seen = {stem}
    left: list[tuple[str, Mark]] = [(stem, Mark.APPLE)]
    found = False
    for _ in range(_MOST_MARKS):
        behind = []
        for name, weakest in left:
            for base, mark in _originals(name):
                if base in seen:
                    continue
                seen.add(base)
                if base in known:
                    found = True
                    yield base, max(mark, weakest)
                elif mark is not Mark.OTHER:
                    behind.append((base, max(mark, weakest)))
        if found:
            return
        left = behind


def edited_of(stem: str) -> str | None:
    """The stem of the original by a mark that only an editor writes, None without such a mark."""
    words = (pattern.fullmatch(stem) for mark, pattern in _PATTERNS if mark is Mark.WORD)
    found = next(filter(None, words), None)
    return found and found["base"] + (found["number"] or "")


def edits_of_originals(stems: Iterable[str]) -> dict[str, str]:
    """The stems of edits to the stems that say that they are the originals."""
    several = [stem for stem in stems if stem.endswith((*ORIGINAL, ")"))]
    found = {stem: _ORIGINAL.fullmatch(stem) for stem in several}
    return {match["edit"]: stem for stem, match in found.items() if match}


def _originals(stem: str) -> Iterator[tuple[str, Mark]]:
    cut = _PART.fullmatch(stem) if len(stem) in _CUT_AT else None
    if cut and any(word.startswith(cut["part"]) for word in (*EDITED, *WORDS)):
        yield cut["base"], Mark.WORD
    for mark, pattern in _PATTERNS:
        if found := pattern.fullmatch(stem):
            parts = found.groupdict()
            base = parts["base"]
            if pattern is _BARE and _TIMED.match(base):
                mark = Mark.NUMBER
            if number := parts.get("number"):  # IMG_1-edited(1) is of IMG_1(1)
                yield base + number, mark
                yield stem.removesuffix(number), Mark.COPY
            yield base, mark
            if mark is Mark.WORD and (kind := _FORMAT.search(base)):
                yield base[: kind.start()], mark
    for at in _OTHER.finditer(stem):
        base, tail = stem[: at.start()], stem[at.end() :]
        is_word = len(tail) > 1 and any(char.isalpha() for char in tail)
        is_word &= not NO_EDIT.search(tail) or (tail in _ONE_PRESS and bool(_TIMED.match(base)))
        if is_word and len(tail) <= _LONGEST_WORD:
            yield base, Mark.OTHER
