#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the PKCS#7 signature of a PE image, such as a kernel for UEFI, to standard output.

The image's optional header has a table of directories; the fifth is of certificates, and gives their place in
the file and their size. Each begins with its length, a revision and a type.
"""

import struct
import sys
from pathlib import Path

CERTIFICATES = 4
PE32_PLUS = 0x20B

image = Path(sys.argv[1]).read_bytes()
(header,) = struct.unpack_from("<I", image, 0x3C)
optional = header + 24
(magic,) = struct.unpack_from("<H", image, optional)
directories = optional + (112 if magic == PE32_PLUS else 96)
place, size = struct.unpack_from("<II", image, directories + 8 * CERTIFICATES)
if not size:
    sys.exit(f"{sys.argv[1]} is not signed")
length, _revision, _kind = struct.unpack_from("<IHH", image, place)
sys.stdout.buffer.write(image[place + 8 : place + length])
