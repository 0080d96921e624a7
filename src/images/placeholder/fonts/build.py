"""Cuts the fonts for placeholders from Debian's packages: the letters that names begin with. They go into
fonts.zz, a zlib stream of the fonts one after the other, each behind its length in four bytes.

    apt-get install fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji
    pip install fonttools==4.60.0
    python3 src/images/placeholder/fonts/build.py
"""

import io
import pathlib
import zlib

from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont

HERE = pathlib.Path(__file__).parent
NOTO = pathlib.Path("/usr/share/fonts/truetype/noto")
CJK = pathlib.Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")

SCRIPTS = {
    "NotoSans-Regular": [(0x20, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x1E00, 0x1FFF)],
    "NotoSans-Bold": [(0x20, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x1E00, 0x1FFF)],
    "NotoSansArmenian-Regular": [(0x530, 0x58F)],
    "NotoSansHebrew-Regular": [(0x590, 0x5FF)],
    "NotoSansArabic-Regular": [(0x600, 0x6FF), (0x750, 0x77F)],
    "NotoSansDevanagari-Regular": [(0x900, 0x97F)],
    "NotoSansBengali-Regular": [(0x980, 0x9FF)],
    "NotoSansGurmukhi-Regular": [(0xA00, 0xA7F)],
    "NotoSansGujarati-Regular": [(0xA80, 0xAFF)],
    "NotoSansOriya-Regular": [(0xB00, 0xB7F)],
    "NotoSansTamil-Regular": [(0xB80, 0xBFF)],
    "NotoSansTelugu-Regular": [(0xC00, 0xC7F)],
    "NotoSansKannada-Regular": [(0xC80, 0xCFF)],
    "NotoSansMalayalam-Regular": [(0xD00, 0xD7F)],
    "NotoSansSinhala-Regular": [(0xD80, 0xDFF)],
    "NotoSansThai-Regular": [(0xE00, 0xE7F)],
    "NotoSansLao-Regular": [(0xE80, 0xEFF)],
    "NotoSansMyanmar-Regular": [(0x1000, 0x109F)],
    "NotoSansGeorgian-Regular": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)],
    "NotoSansEthiopic-Regular": [(0x1200, 0x135A)],
    "NotoSansKhmer-Regular": [(0x1780, 0x17FF)],
}

# Faces, hearts, hands, flowers, stars: what people put before their names.
EMOJI = [
    (0x2600, 0x2600), (0x263A, 0x263A), (0x2665, 0x2665), (0x26A1, 0x26A1), (0x26BD, 0x26BD), (0x2705, 0x2705),
    (0x270C, 0x270C), (0x2728, 0x2728), (0x2744, 0x2744), (0x2764, 0x2764), (0x2B50, 0x2B50),
    (0x1F308, 0x1F308), (0x1F319, 0x1F319), (0x1F31F, 0x1F31F), (0x1F337, 0x1F33B), (0x1F340, 0x1F340),
    (0x1F381, 0x1F382), (0x1F389, 0x1F389), (0x1F393, 0x1F393), (0x1F3B5, 0x1F3B5), (0x1F3C6, 0x1F3C6),
    (0x1F3E0, 0x1F3E0), (0x1F40D, 0x1F40D), (0x1F41D, 0x1F41E), (0x1F42F, 0x1F431), (0x1F436, 0x1F436),
    (0x1F44B, 0x1F44D), (0x1F451, 0x1F451), (0x1F466, 0x1F469), (0x1F476, 0x1F476), (0x1F478, 0x1F478),
    (0x1F47B, 0x1F47C), (0x1F480, 0x1F480), (0x1F48B, 0x1F48B), (0x1F490, 0x1F490), (0x1F493, 0x1F49E),
    (0x1F4A5, 0x1F4A5), (0x1F4AA, 0x1F4AB), (0x1F525, 0x1F525), (0x1F5A4, 0x1F5A4), (0x1F600, 0x1F60F),
    (0x1F618, 0x1F61C), (0x1F621, 0x1F622), (0x1F62D, 0x1F62D), (0x1F631, 0x1F634), (0x1F643, 0x1F643),
    (0x1F64B, 0x1F64F), (0x1F680, 0x1F680), (0x1F910, 0x1F917), (0x1F929, 0x1F92D), (0x1F970, 0x1F970),
    (0x1F973, 0x1F973), (0x1F981, 0x1F981), (0x1F984, 0x1F984), (0x1F98B, 0x1F98B),
]


def ranged(ranges):
    return {code for first, last in ranges for code in range(first, last + 1)}


def charset(codec, leads, trails):
    """The characters of a double-byte character set's rows, the common ones."""
    found = set()
    for lead in leads:
        for trail in trails:
            try:
                text = bytes([lead, trail]).decode(codec)
            except UnicodeDecodeError:
                continue
            found.update(ord(char) for char in text)
    return found


def cut(name, font, codes):
    options = subset.Options()
    options.hinting = False
    options.layout_features = ["*"]
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    options.notdef_outline = False
    options.glyph_names = False
    options.drop_tables += ["GPOS"] if "CBDT" in font else []
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=codes)
    cutter.subset(font)
    # The same cut is the same file.
    font["head"].created = font["head"].modified = 0
    font.recalcTimestamp = False
    cut = io.BytesIO()
    font.save(cut)
    print(f"{len(cut.getvalue()):>9} {name}")
    return len(cut.getvalue()).to_bytes(4, "big") + cut.getvalue()


fonts = [cut(name, TTFont(NOTO / f"{name}.ttf"), ranged(ranges)) for name, ranges in SCRIPTS.items()]

# The common characters of mainland China, Japan and Korea; of Taiwan's those that Korea writes, too.
taiwan = charset("big5", range(0xA4, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)])
han = (
    charset("gb2312", range(0xB0, 0xD8), range(0xA1, 0xFF))
    | charset("shift_jis", range(0x88, 0x99), range(0x40, 0xFD))
    | charset("euc_kr", range(0xB0, 0xC9), range(0xA1, 0xFF))
    | taiwan & charset("euc_kr", range(0xCA, 0xFE), range(0xA1, 0xFF))
)
kana = ranged([(0x3041, 0x3096), (0x30A1, 0x30FA)])
family = TTCollection(CJK).fonts
simplified = next(font for font in family if font["name"].getDebugName(1) == "Noto Sans CJK SC")
fonts.append(cut("NotoSansCJKsc-Regular", simplified, han | kana))
fonts.append(cut("NotoColorEmoji", TTFont(NOTO / "NotoColorEmoji.ttf"), ranged(EMOJI)))

(HERE / "fonts.zz").write_bytes(zlib.compress(b"".join(fonts), 9))
print(f"{(HERE / 'fonts.zz').stat().st_size:>9} in all")
