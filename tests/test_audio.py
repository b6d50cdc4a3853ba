"""The type of a recording, told by its bytes."""

import pytest

from provisioning import audio

MPEG1 = b"\xff\xfb\x90\x00"  # layer III, 128 kbit/s, 44.1 kHz: frames of 417 bytes
MPEG2 = b"\xff\xf3\x42\x00"  # layer III, 32 kbit/s, 22.05 kHz, padded: frames of 105 bytes
WEBM = b"\x1a\x45\xdf\xa3\x8b\x42\x86\x81\x01\x42\x82\x84webm"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\x24\0\0\0AVI fmt ", None),
        (b"RIFF", None),
        (b"OggS\0\2", "audio/ogg"),
        (b"Oggs\0\2", None),
        (b"ID3\4\0\0\0\0\0\0", "audio/mpeg"),
        (MPEG1 + bytes(413) + MPEG1, "audio/mpeg"),
        (MPEG2 + bytes(101) + MPEG2, "audio/mpeg"),
        (MPEG1 + bytes(413), "audio/mpeg"),
        (MPEG1 + bytes(414) + MPEG1, None),
        (MPEG1 + bytes(1000), None),
        (b"\xff\xfb\xf0\x00" + bytes(1000), None),
        (b"\xff\xfb\x9c\x00" + bytes(1000), None),
        (b"\xff\xfe<\0h\0t\0m\0l\0>\0", None),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", None),
        (b"\xff", None),
        (WEBM, "audio/webm"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x07\x42\x82\x84webm", "audio/webm"),
        (WEBM.replace(b"\x84webm", b"\x88matroska").replace(b"\x8b", b"\x8f"), None),
        (b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\x01\x42\x82\x84webm", None),
        (WEBM[:5], None),
        (b"\x1a\x45\xdf\xa3" + bytes(5000), None),
        (b"<html>webm</html>", None),
        (b"", None),
    ],
)
def test_the_type_of_a_recording_is_told_by_its_bytes(content: bytes, told: str | None) -> None:
    assert audio.type_of(content) == told
