"""
Pack what `prepare_training_pack.py` wrote into few megabytes, and restore it elsewhere.

For a training machine that is reached by small transfers only: stills become WebP, the labelled
frames of a clip with one neighbour on either side an H.264 video (needs imageio-ffmpeg), the
labels one compressed file. Restoring needs OpenCV alone, and uses every core.

    python scripts/pack_training.py pack DATA PACKED
    python scripts/pack_training.py restore PACKED DATA
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2

SPLIT = 'train'
STILL_QUALITY = 50  # of WebP
CLIP_QUALITY = 28  # x264's rate factor
JPEG_QUALITY = 92  # of what is restored
Coco = dict[str, Any]


def main() -> None:
    """Read the command line, and pack or restore."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('verb', choices=('pack', 'restore'))
    parser.add_argument('source', type=Path)
    parser.add_argument('target', type=Path)
    options = parser.parse_args()
    {'pack': pack, 'restore': restore}[options.verb](options.source, options.target)


def pack(data: Path, packed: Path) -> None:
    """Write stills, videos and labels."""
    labels = thinned(json.loads((data / f'{SPLIT}.json').read_text()))
    packed.mkdir(parents=True, exist_ok=True)
    with gzip.open(packed / f'{SPLIT}.json.gz', 'wt') as file:
        json.dump(labels, file)
    stills, clips = by_kind(labels)
    with ProcessPoolExecutor() as pool:
        list(pool.map(pack_still, *zip(*((data / s, packed / s) for s in stills), strict=True)))
        jobs = [([data / name for name in names], packed / clip) for clip, names in clips.items()]
        list(pool.map(pack_clip, *zip(*jobs, strict=True)))
    size = sum(path.stat().st_size for path in packed.rglob('*') if path.is_file())
    print(f'{len(stills)} stills, {len(clips)} clips: {size / 2**20:.1f} MiB')


def restore(packed: Path, data: Path) -> None:
    """Write the pictures under their old names."""
    with gzip.open(packed / f'{SPLIT}.json.gz', 'rt') as file:
        labels = json.load(file)
    stills, clips = by_kind(labels)
    with ProcessPoolExecutor() as pool:
        found = pool.map(
            restore_still, *zip(*((packed / s, data / s) for s in stills), strict=True)
        )
        jobs = [(packed / clip, [data / name for name in names]) for clip, names in clips.items()]
        count = sum(found) + sum(pool.map(restore_clip, *zip(*jobs, strict=True)))
    (data / f'{SPLIT}.json').write_text(json.dumps(labels))
    print(f'{count} pictures of {len(stills)} stills and {len(clips)} clips')


def thinned(labels: Coco) -> Coco:
    """Drop the frames of clips that are no direct neighbour of a labelled one."""
    labelled = {
        (image['video_id'], image['frame_id'])
        for image in labels['images']
        if 'video_id' in image and image['is_labeled']
    }
    images = [
        image
        for image in labels['images']
        if 'video_id' not in image
        or any((image['video_id'], image['frame_id'] + step) in labelled for step in (-1, 0, 1))
    ]
    return labels | {'images': images}


def by_kind(labels: Coco) -> tuple[list[str], dict[str, list[str]]]:
    """Return the stills' names, and the frames' names of each clip's video, in order."""
    stills: list[str] = []
    clips: dict[str, set[str]] = defaultdict(set)
    for image in labels['images']:
        name = image['file_name']
        if 'video_id' in image:
            clips[f'{Path(name).parent}.mp4'].add(name)
        else:
            stills.append(name)
    return stills, {clip: sorted(names) for clip, names in clips.items()}


def pack_still(source: Path, target: Path) -> None:
    """Write a picture as WebP, whatever its name says."""
    _write(target, cv2.imread(str(source)), '.webp', [cv2.IMWRITE_WEBP_QUALITY, STILL_QUALITY])


def restore_still(source: Path, target: Path) -> int:
    """Write a packed picture as JPEG."""
    _write(target, cv2.imread(str(source)), '.jpg', [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return 1


def pack_clip(sources: Iterable[Path], target: Path) -> None:
    """Write pictures of one size as a video."""
    import imageio_ffmpeg

    images = [cv2.imread(str(source)) for source in sources]
    # H.264 has even sides only.
    height, width = (side - side % 2 for side in images[0].shape[:2])
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = imageio_ffmpeg.write_frames(
        str(target),
        (width, height),
        pix_fmt_in='bgr24',
        quality=None,
        macro_block_size=2,
        output_params=['-crf', str(CLIP_QUALITY), '-preset', 'slow'],
    )
    writer.send(None)
    for image in images:
        writer.send(image[:height, :width].copy())
    writer.close()


def restore_clip(source: Path, targets: Iterable[Path]) -> int:
    """Write a video's frames as JPEG under their names."""
    capture = cv2.VideoCapture(str(source))
    for count, target in enumerate(targets):
        there, image = capture.read()
        if not there:
            raise SystemExit(f'{source} ends at frame {count}; pack it again')
        _write(target, image, '.jpg', [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return count + 1


def _write(path: Path, image: Any, kind: str, options: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(kind, image, options)[1].tobytes())


if __name__ == '__main__':
    main()
