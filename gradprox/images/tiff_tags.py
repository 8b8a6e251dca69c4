"""Tags of TIFF files: those that describe a photo, and those that are not carried over."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import ExifTags

_DESCRIPTIVE = (
    *("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright"),
    *("Rating", "XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
)
COMPRESSION = 259
# The first directory of Exif describes the photo by these; in a TIFF file it also says how the pixels are stored.
DESCRIPTIVE = tuple(int(ExifTags.Base[name]) for name in _DESCRIPTIVE)
XMP, PROFILE, EXIF, GPS = 700, 34675, 34665, 34853
# Layout, compression and colors of the pixels (TIFF 6.0 and its supplements), which reading uses up.
_LAYOUT = {
    *(
        254,
        255,
        256,
        257,
        258,
        259,
        262,
        263,
        264,
        265,
        266,
        273,
        274,
        277,
        278,
        279,
        280,
        281,
        282,
        283,
        284,
    ),
    *(288, 289, 292, 293, 296, 297, 317, 320, 322, 323, 324, 325, 338, 339, 340, 341, 347),
    *(512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532),
}

# Further tags of the pages of stacks, which are copied from stack to stack: the kind of a page, names, numbers and
# positions, and the metadata of ImageJ (50838, 50839) and Micro-Manager (51123), which contain no offsets.
PAGE_TAGS = (254, 269, 285, 286, 287, 297, 50838, 50839, 51123)
# The code, the type and the bytes of a tag, in the byte order of its file.
PageTag = tuple[int, int, bytes]


def names_of(tags: Iterable[int]) -> list[str]:
    """Return names for the tags of a page of a stack that only a TIFF file has a place for."""
    return [f"TIFF tag {tag}" for tag in tags if tag in PAGE_TAGS and tag not in _LAYOUT]


def unread_tags(tags: Iterable[int], *, directories: bool = True, pages: bool = False) -> list[str]:
    """Return names for the tags of a TIFF file that are not carried over.

    Args:
        tags: all that the file has.
        directories: whether the directories of Exif (camera settings, place) are carried over.
        pages: whether the tags of pages are carried over.
    """
    handled = {*_LAYOUT, *DESCRIPTIVE, XMP, PROFILE, EXIF, GPS, *(PAGE_TAGS if pages else ())}
    others = sorted(set(tags) - handled)
    names = [f"TIFF tag {tag}" for tag in others]
    if not directories and {EXIF, GPS} & set(tags):
        names.append("Exif")
    return names
