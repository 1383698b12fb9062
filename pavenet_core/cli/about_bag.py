"""What `pavenet predict` tells of a bag beyond its people: accuracy, drops, a page."""

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from pavenet_core.bag.compare import Comparison
    from pavenet_core.bag.frame import BagFrame
    from pavenet_core.bag.read import BagSource
    from pavenet_core.bundle import BundleMetadata
    from pavenet_core.poses import Poses


class AboutBag:
    """Collects while every image passes by, and tells at the end; use it with `with`."""

    def __init__(
        self,
        args: argparse.Namespace,
        command: str,
        metadata: 'BundleMetadata',
        source: 'BagSource',
    ) -> None:
        """Refuse, before the work, labels and recordings that don't fit the bag or the model."""
        from pavenet_core.bag.live import read_live

        self._report, self._command = args.report, command
        self._metadata, self._source = metadata, source
        size = len(metadata.skeleton)
        self._recordings = read_live(args.against, size) if args.against else []
        self._here: dict[int, tuple[int, Poses]] = {}  # by stamp: the index and the people
        self._diary = None
        self._stack = ExitStack()
        if args.report:
            import matplotlib  # noqa: F401 - fails now, not after the images are through

            from pavenet_core.bag.diary import BagDiary

            self._diary = BagDiary(source.num_frames, metadata.skeleton)
        self._labels = None
        if args.annotations:
            from pavenet_core.bag.labels import BagLabels

            labels = BagLabels(args.annotations, source.num_frames, metadata)
            self._labels = self._stack.enter_context(labels)

    def __enter__(self) -> 'AboutBag':
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: 'type[BaseException] | None',
        error: 'BaseException | None',
        trace: 'TracebackType | None',
    ) -> None:
        """Throw away what was kept on disk."""
        self._stack.close()

    def take(self, index: int, frame: 'BagFrame', poses: 'Poses', spent_s: float) -> None:
        """Note the people of an image; `spent_s` went into reading it and finding them."""
        if self._recordings:
            self._here.setdefault(frame.header.stamp_ns, (index, poses))
        if self._labels:
            self._labels.take(index, frame.image, poses)
        if self._diary:
            self._diary.take(frame, poses, spent_s)

    def tell(self) -> list[str]:
        """Write the page, if wanted, and return the rest as lines of text."""
        accuracy = self._labels.measure() if self._labels else None
        comparison = self._comparison()
        lines = self._labels.lines(accuracy) if self._labels and accuracy else []
        lines += comparison.lines() if comparison else []
        if self._diary:
            from pavenet_core.bag.report import BagReport, write_bag_report

            parts = self._labels.parts(accuracy) if self._labels and accuracy else []
            model = f'{self._metadata.name} {self._metadata.version}'
            report = BagReport(self._command, model, self._source, self._diary, comparison, parts)
            self._report.write_text(write_bag_report(report), encoding='utf-8')
        return lines

    def _comparison(self) -> 'Comparison | None':
        from pavenet_core.bag.compare import compare
        from pavenet_core.bag.live import recording_of

        if not self._recordings:
            return None
        return compare(recording_of(self._recordings, self._here.keys()), self._here)
