"""Pictures for the README's example: two classes of noisy 48 × 48 PNGs. Needs nothing but Python."""
import pathlib
import random
import struct
import sys
import zlib


def png(pixels, side):
    rows = b"".join(b"\0" + bytes(pixels[y * side * 3:(y + 1) * side * 3]) for y in range(side))
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main(folder):
    rng = random.Random(1)
    side = 48
    for label, tint in (("cat", (190, 120, 90)), ("dog", (90, 120, 190))):
        directory = pathlib.Path(folder) / label
        directory.mkdir(parents=True)
        for i in range(30):
            pixels = [min(255, max(0, int(rng.gauss(tint[c], 70)))) for _ in range(side * side) for c in range(3)]
            (directory / f"{label}_{i:02}.png").write_bytes(png(pixels, side))


main(sys.argv[1])
