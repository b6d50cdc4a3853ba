"""Audio: of which of the accepted types a content is, told by its bytes alone."""

from typing import Final

SUFFIXES: Final = {"audio/wav": "wav", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/webm": "webm"}
# Layer III in kbit/s by the header's four bits, of MPEG 1 and of MPEG 2 and 2.5: ISO/IEC 11172-3, 13818-3.
_BITRATES: Final = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def type_of(content: bytes) -> str | None:
    """The media type of a WAV, MP3, OGG or WebM file; None for all else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "audio/wav"
    if content[:4] == b"OggS":
        return "audio/ogg"
    if content[:4] == b"\x1a\x45\xdf\xa3" and _doc_type(content[:4096]) == b"webm":
        return "audio/webm"
    if content[:3] == b"ID3" or _is_mp3(content):
        return "audio/mpeg"
    return None


def _is_mp3(content: bytes) -> bool:
    """One header may be chance; a second one where the first frame ends is none."""
    length = _frame_length(content)
    return length > 0 and (length >= len(content) or _frame_length(content[length : length + 4]) > 0)


def _frame_length(header: bytes) -> int:
    """The bytes of the frame that begins here; 0 where none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version not in _RATES or layer != 1 or bitrate in {0, 15} or rate == 3:
        return 0
    factor, bitrates = (144, _BITRATES[0]) if version == 3 else (72, _BITRATES[1])
    return factor * 1000 * bitrates[bitrate] // _RATES[version][rate] + padding


def _doc_type(content: bytes) -> bytes:
    """What the EBML header at the beginning says that follows it (RFC 8794)."""
    try:
        size, at = _size(content, 4)
        end = at + size
        while at < end:
            name_end = at + _width(content[at])
            size, start = _size(content, name_end)
            if content[at:name_end] == b"\x42\x82":
                return content[start : start + size].rstrip(b"\0")
            at = start + size
    except IndexError:
        pass
    return b""


def _width(first: int) -> int:
    """How many bytes a number of EBML has, by its first: one more than that has leading zeros."""
    return 9 - first.bit_length()


def _size(content: bytes, at: int) -> tuple[int, int]:
    """The number at this place, and where it ends."""
    width = _width(content[at])
    value = int.from_bytes(content[at : at + width], "big")
    return value & ((1 << 7 * width) - 1), at + width
