"""What a keypoint index means: names, limbs, mirror pairs and OKS spreads."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

DEFAULT_SIGMA = 0.08  # of keypoints that nobody has measured; the mean of COCO's limbs

# How names tell a side: by a word, or by a letter that stands alone or next to a capital.
OTHER_SIDE = {'left': 'right', 'Left': 'Right', 'LEFT': 'RIGHT'}
OTHER_SIDE |= {right: left for left, right in OTHER_SIDE.items()}
WORD = re.compile('|'.join(OTHER_SIDE))
LETTER = re.compile(r'(?<![A-Za-z0-9])[lL](?![a-z0-9])|(?<=[a-z0-9])L(?![A-Za-z0-9])')
SIDED = re.compile('(?<![A-Za-z])(?:left|LEFT|right|RIGHT)|Left|Right')  # and nothing else


@dataclass(frozen=True)
class Skeleton:
    """
    An ordered set of K keypoints.

    names       K names; left and right are the person's own
    edges       pairs of keypoint indices to join when drawing
    flip_pairs  pairs of keypoint indices, left and right, that swap in a mirrored image
    sigmas      K spreads of the object keypoint similarity (OKS), above 0
    """

    name: str
    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse facts that contradict each other."""
        if len(self.sigmas) != len(self.names):
            raise ValueError(
                f'skeleton {self.name} has {len(self.names)} names but {len(self.sigmas)} sigmas'
            )
        if not all(sigma > 0 for sigma in self.sigmas):
            raise ValueError(f'skeleton {self.name} needs sigmas above 0, got {self.sigmas}')
        indices = [i for pair in (*self.edges, *self.flip_pairs) for i in pair]
        if indices and not 0 <= min(indices) <= max(indices) < len(self.names):
            raise ValueError(f'skeleton {self.name} joins keypoints that it does not have')
        swapped = [self.names[i] for pair in self.flip_pairs for i in pair]
        twice = sorted({name for name in swapped if swapped.count(name) > 1})
        if twice:
            raise ValueError(f'skeleton {self.name} swaps {twice[0]} with two keypoints')

    def __len__(self) -> int:
        """Return the number of keypoints."""
        return len(self.names)

    @property
    def mirror(self) -> tuple[int, ...]:
        """Return for each keypoint the index that it takes in a mirrored image."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    @property
    def sides(self) -> tuple[str, ...]:
        """Return for each keypoint 'left', 'right' or '', that of neither side."""
        sides = [''] * len(self)
        for left, right in self.flip_pairs:
            sides[left], sides[right] = 'left', 'right'
        return tuple(sides)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> 'Skeleton':
        """Read what `to_json` wrote."""
        return cls(
            name=str(data['name']),
            names=tuple(data['names']),
            edges=tuple((int(a), int(b)) for a, b in data['edges']),
            flip_pairs=tuple((int(a), int(b)) for a, b in data['flip_pairs']),
            sigmas=tuple(float(s) for s in data['sigmas']),
        )

    @classmethod
    def of_names(
        cls,
        name: str,
        names: Sequence[str],
        edges: Sequence[tuple[int, int]] = (),
        sigmas: Sequence[float] | None = None,
    ) -> 'Skeleton':
        """
        Make a skeleton from its keypoints' names.

        `left` and `right` in the names tell the mirror pairs, or `l` and `r` set off as in
        l_wrist, LWrist and wrist_l; a letter means nothing unless both names are there. Without
        sigmas a keypoint takes that of a known skeleton's keypoint of its name, else
        `DEFAULT_SIGMA`. Raise `ValueError` for two of one name, and for a `left` without its
        `right` or the other way round.
        """
        if len(set(names)) != len(names):
            raise ValueError(f'skeleton {name} has two keypoints of one name: {", ".join(names)}')
        if sigmas is None:
            known = {
                n: s for k in SKELETONS.values() for n, s in zip(k.names, k.sigmas, strict=True)
            }
            sigmas = [known.get(n, DEFAULT_SIGMA) for n in names]
        pairs = _flip_pairs(names)
        paired = {index for pair in pairs for index in pair}
        for index, lonely in enumerate(names):
            if index not in paired and SIDED.search(lonely):
                raise ValueError(
                    f'keypoint {lonely} of skeleton {name} has no {_other_side(lonely)} to swap '
                    'with in a mirrored picture; add it, labelled or not, or rename the one'
                )
        return cls(name, tuple(names), tuple(edges), tuple(pairs), tuple(sigmas))


def _flip_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    places = {name: index for index, name in enumerate(names)}
    pairs = []
    for index, name in enumerate(names):
        right = next((places[twin] for twin in _right_twins(name) if twin in places), None)
        if right is not None:
            pairs.append((index, right))
    return pairs


def _right_twins(name: str) -> Iterator[str]:
    """Yield what the right twin of a left keypoint may be called."""
    word = WORD.search(name)
    if word:
        if word[0].lower() == 'left':
            yield _other_side(name)
        return
    for letter in LETTER.finditer(name):
        right = 'r' if letter[0] == 'l' else 'R'
        yield f'{name[: letter.start()]}{right}{name[letter.end() :]}'


def _other_side(name: str) -> str:
    return WORD.sub(lambda word: OTHER_SIDE[word[0]], name)


# Keypoints, limbs and sigmas of the COCO keypoint challenge (cocodataset.org).
COCO17 = Skeleton(
    name='coco17',
    names=(
        'nose',
        *('left_eye', 'right_eye', 'left_ear', 'right_ear'),
        *('left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow'),
        *('left_wrist', 'right_wrist', 'left_hip', 'right_hip'),
        *('left_knee', 'right_knee', 'left_ankle', 'right_ankle'),
    ),
    edges=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6)),
        *((5, 7), (6, 8), (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4)),
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)

# PoseTrack's 15 keypoints in the order of the paper's models; the sigmas are those of the
# authors' matching cost and OKS-NMS (docs/parity.md).
POSETRACK15 = Skeleton(
    name='posetrack15',
    names=(
        *('nose', 'head_bottom', 'head_top'),
        *('left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow'),
        *('left_wrist', 'right_wrist', 'left_hip', 'right_hip'),
        *('left_knee', 'right_knee', 'left_ankle', 'right_ankle'),
    ),
    edges=(
        *((0, 2), (0, 1), (1, 3), (1, 4), (3, 5), (4, 6), (3, 9), (4, 10)),
        *((5, 7), (6, 8), (9, 11), (10, 12), (11, 13), (12, 14)),
    ),
    flip_pairs=((3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14)),
    sigmas=(
        *(0.026, 0.079, 0.079, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, POSETRACK15)}

# PoseTrack's files have COCO's 17 places: head_bottom and head_top in those of the eyes, nothing
# in those of the ears. These are the places of POSETRACK15's keypoints, in its order.
POSETRACK_SLOTS = (0, 1, 2, *range(5, 17))
POSETRACK_SLOT_NAMES = (*POSETRACK15.names[:3], *COCO17.names[3:])
