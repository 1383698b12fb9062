"""A bundle: the folder of exported graphs and facts that the runtime opens."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from os.path import expanduser
from pathlib import Path
from typing import Any

from pavenet_core.postprocess_config import PAPER_POSTPROCESS, PostprocessConfig
from pavenet_core.skeleton import Skeleton

FORMAT = 1
GRAPHS = ('spatial_encoder', 'pose_decoder', 'joint_decoder')  # the last one may be left out
KEY_FEATURES = ('query', 'reference_poses', 'valid_ratios')
PEAK_FEATURES = ('query', 'reference_poses', 'logits', 'warmth')  # of each frame of a pyramid
# The integers among a model's facts, and what each is at least.
LEAST = {
    **dict.fromkeys(('num_frames', 'input_long_side', 'input_alignment', 'num_levels'), 1),
    **{'num_pose_layers': 1, 'num_joint_layers': 0, 'max_people': 1},
}
SHIPPED = Path(__file__).parent / 'bundles'


class BundleError(ValueError):
    """A model folder that is missing, broken, or made for another version."""


@dataclass(frozen=True)
class BundleMetadata:
    """
    Every model fact that the runtime needs; `metadata.json` holds just these.

    num_frames        T, odd; the key frame is the middle one
    input_long_side   pixels of the resized image's longer side
    input_alignment   width and height are padded to multiples of this
    num_joint_layers  0 without a joint decoder
    max_people        pose queries, so the most people that can come out
    postprocess       from the network's numbers to people
    frame_interval_s  time between frames in training
    pyramid           all decoder layers read the same maps of a frame, queries have scores, and
                      people are linked by likeness: an older frame may stand in for a later one
    pose_levels, joint_levels  which maps a decoder reads; all where empty
    """

    name: str
    version: str
    skeleton: Skeleton
    num_frames: int
    input_long_side: int
    input_alignment: int
    num_levels: int
    num_pose_layers: int
    num_joint_layers: int
    max_people: int
    postprocess: PostprocessConfig = PAPER_POSTPROCESS
    frame_interval_s: float = 0.04
    precision: str = 'float32'
    licence: str = ''
    training: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT
    pyramid: bool = False
    pose_levels: tuple[int, ...] = ()
    joint_levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no model can have, naming the value."""
        for name, low in LEAST.items():
            if not isinstance(value := getattr(self, name), int) or value < low:
                raise ValueError(f'{name} must be an integer of {low} or more, got {value!r}')
        if self.num_frames % 2 == 0:
            raise ValueError(f'num_frames must be odd, got {self.num_frames}')

    @property
    def key_frame(self) -> int:
        """Return the index of the frame whose people are asked for."""
        return self.num_frames // 2

    @property
    def graphs(self) -> tuple[str, ...]:
        """Return which of `GRAPHS` the bundle has."""
        return GRAPHS if self.num_joint_layers else GRAPHS[:-1]

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> 'BundleMetadata':
        """Read what `to_json` wrote."""
        postprocess = PostprocessConfig(**data.get('postprocess', {}))
        skeleton = Skeleton.from_json(data['skeleton'])
        levels = {name: tuple(data.get(name, ())) for name in ('pose_levels', 'joint_levels')}
        return cls(**{**data, **levels, 'skeleton': skeleton, 'postprocess': postprocess})


def query_inputs(metadata: BundleMetadata) -> list[tuple[str, int, str]]:
    """
    Return the pose decoder's inputs beside value maps: name, frame in the window, encoder's name.

    They are of the key frame alone; of a pyramid, whose frames are linked, of each frame.
    """
    key = metadata.key_frame
    if not metadata.pyramid:
        return [(name, key, name) for name in KEY_FEATURES]
    frames = range(metadata.num_frames)
    linked = [(f'frame{t}.{name}', t, name) for t in frames for name in PEAK_FEATURES]
    return [*linked, ('valid_ratios', key, 'valid_ratios')]


def encoder_names(metadata: BundleMetadata) -> list[str]:
    """Return the names of all that the spatial encoder says of a frame."""
    values = [*value_names('pose', metadata), *value_names('joint', metadata)]
    names = [*PEAK_FEATURES, 'valid_ratios'] if metadata.pyramid else KEY_FEATURES
    return [*names, *dict.fromkeys(values)]


def pose_decoder_outputs(metadata: BundleMetadata) -> list[str]:
    """Return what the pose decoder gives; spreads only if no joint decoder follows to do so."""
    return ['scores', 'poses', *(['sigmas'] if not metadata.num_joint_layers else [])]


def value_names(kind: str, metadata: BundleMetadata) -> list[str]:
    """Return the names of a frame's value maps for one decoder, `pose` or `joint`."""
    num_layers = metadata.num_pose_layers if kind == 'pose' else metadata.num_joint_layers
    if metadata.pyramid:
        chosen = metadata.pose_levels if kind == 'pose' else metadata.joint_levels
        chosen = chosen or tuple(range(metadata.num_levels))
        return [f'map.{level}' for level in chosen if num_layers]
    levels = range(metadata.num_levels)
    return [f'{kind}_value.{layer}.{level}' for layer in range(num_layers) for level in levels]


@dataclass(frozen=True)
class Bundle:
    """A model folder that was found whole."""

    path: Path
    metadata: BundleMetadata

    def graph(self, name: str) -> Path:
        """Return the file of one of its graphs."""
        return self.path / f'{name}.onnx'


def shipped_bundles() -> list[str]:
    """Return the names of the bundles that come with the package."""
    return sorted(p.parent.name for p in SHIPPED.glob('*/metadata.json'))


def load_bundle(name_or_path: str | Path) -> Bundle:
    """
    Open a shipped bundle by name, or any bundle folder by path, which may begin with ~.

    A folder of a shipped bundle's name is opened as './name'.

    Raise `BundleError` in one sentence if it is not there, not whole or not of this format.
    """
    is_shipped = str(name_or_path) in shipped_bundles()
    path = SHIPPED / name_or_path if is_shipped else Path(expanduser(name_or_path))
    if not path.is_dir():
        raise BundleError(
            f'no model {str(name_or_path)!r}: it is neither a folder nor one of the shipped '
            f'bundles {shipped_bundles()}; make one with: pavenet export'
        )
    metadata = _read_metadata(path / 'metadata.json')
    missing = [f'{name}.onnx' for name in metadata.graphs if not (path / f'{name}.onnx').is_file()]
    if missing:
        raise BundleError(f'{path} lacks {missing}; make it again with: pavenet export')
    return Bundle(path, metadata)


def _read_metadata(path: Path) -> BundleMetadata:
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
        if data.get('format') != FORMAT:
            raise BundleError(
                f'{path} is of bundle format {data.get("format")!r}, this version reads {FORMAT}; '
                'export the model again'
            )
        return BundleMetadata.from_json(data)
    except BundleError:
        raise
    except FileNotFoundError as error:
        raise BundleError(
            f'{path} is not a readable bundle description: there is no such file; give the folder '
            'of a bundle, as pavenet export makes it'
        ) from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f'{path} is not a readable bundle description: {error!r}') from error


def save_metadata(path: Path, metadata: BundleMetadata) -> None:
    """Write `metadata.json` into the folder."""
    text = json.dumps(metadata.to_json(), indent=1, ensure_ascii=False)
    (path / 'metadata.json').write_text(text + '\n', encoding='utf-8')
