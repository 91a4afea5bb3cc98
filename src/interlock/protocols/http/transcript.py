"""What was recorded of an HTTP session, as lines for people."""

from collections.abc import Iterable

from interlock.core.printable import printable
from interlock.core.recording import Frame, SealedRequest, TranscriptKind, TranscriptLine


class HttpTranscriber:
    """Implements ``Transcript``."""

    def request(self, at_us: int, number: int, request: SealedRequest) -> Iterable[TranscriptLine]:
        text = request.text + (b"\n" + request.parameters if request.parameters else b"")
        yield TranscriptLine(at_us, number, TranscriptKind.REQUEST, printable(text.decode("utf-8", "replace")))

    def frame(self, frame: Frame) -> Iterable[TranscriptLine]:
        text = printable(frame.data.decode("utf-8", "replace"))
        yield TranscriptLine(frame.at_us, frame.number, TranscriptKind.DATA, text)

    def finish(self) -> Iterable[TranscriptLine]:
        return ()
