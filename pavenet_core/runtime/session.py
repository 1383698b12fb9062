"""One ONNX graph, opened and checked."""

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from pavenet_core.bundle import BundleError

# On the host, or wherever onnxruntime has put it.
Tensor: TypeAlias = NDArray[Any] | ort.OrtValue

# Best first; what one provider can't run goes to the next.
PROVIDERS = {
    'tensorrt': 'TensorrtExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'cpu': 'CPUExecutionProvider',
}
DEVICES = ('auto', *PROVIDERS)
MAX_THREADS = 256  # onnxruntime starts as many as it is told, and stands still with too many
# On a CPU the sum and norm that this makes one step take six times as long as the two.
SLOWER = ['SkipLayerNormFusion']
# What onnxruntime's own words begin with: a line of its source, and the signature of a function.
_SOURCE_LINE = re.compile(r'^.*?\.(cc|h):\d+ .*?[)\]] (?=[A-Z])')
_ORT_ERRORS = (
    *(ort_state.Fail, ort_state.InvalidArgument, ort_state.NoSuchFile, ort_state.NoModel),
    *(ort_state.EngineError, ort_state.RuntimeException, ort_state.InvalidProtobuf),
    *(ort_state.NotImplemented, ort_state.InvalidGraph, ort_state.EPFail, RuntimeError),
    UnicodeDecodeError,  # of what a damaged file has for a name
)
# Of two threads that turn the standard output aside at once, one would never turn it back.
_LOADING_CUDA = Lock()


@dataclass(frozen=True)
class SessionConfig:
    """
    Where and how hard the graphs run.

    device          one of `DEVICES`; auto takes the best that this onnxruntime offers and starts
    num_threads     of one graph, 1 to `MAX_THREADS`; 0 lets onnxruntime decide
    spinning        let the threads wait busily while a graph runs: quicker on free cores
    tensorrt_cache  folder that keeps TensorRT's engines; without it each start builds them anew
    tensorrt_fp16   let TensorRT compute in half precision
    """

    device: str = 'cpu'
    num_threads: int = 0
    spinning: bool = True
    tensorrt_cache: Path | None = None
    tensorrt_fp16: bool = False

    def __post_init__(self) -> None:
        """Refuse what onnxruntime would misread."""
        if self.device not in DEVICES:
            raise ValueError(f'device must be one of {list(DEVICES)}, got {self.device!r}')
        if not (isinstance(self.num_threads, int) and 0 <= self.num_threads <= MAX_THREADS):
            raise ValueError(
                f'num_threads must be 0 (automatic) to {MAX_THREADS}, got {self.num_threads!r}'
            )

    def options(self) -> ort.SessionOptions:
        """Return the same in onnxruntime's words."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.num_threads
        options.log_severity_level = 3
        options.add_session_config_entry(
            'session.intra_op.allow_spinning', str(int(self.spinning))
        )
        # Three graphs take turns: one that spins on after its turn slows the next down by half.
        options.add_session_config_entry('session.force_spinning_stop', '1')
        return options


def tensorrt_options(graph: Path, config: SessionConfig) -> dict[str, str]:
    """
    Return TensorRT's options for one graph, in onnxruntime's words.

    onnxruntime tells engines apart by the names in a graph, not by its weights: each file's are
    kept in a folder of their own, so that a model trained anew never runs with old weights, nor
    with engines that another onnxruntime built.
    """
    options = {'trt_fp16_enable': str(config.tensorrt_fp16)}
    if config.tensorrt_cache is not None:
        digest = hashlib.sha256(ort.__version__.encode() + graph.read_bytes()).hexdigest()[:16]
        folder = str(config.tensorrt_cache.expanduser().absolute() / f'{graph.stem}-{digest}')
        for kind in ('engine', 'timing'):
            options |= {f'trt_{kind}_cache_enable': 'True', f'trt_{kind}_cache_path': folder}
    return options


def choose_providers(device: str, available: Sequence[str]) -> list[str]:
    """Return the providers to ask for, best first; raise `ValueError` if the device is absent."""
    if device == 'auto':
        return [provider for provider in PROVIDERS.values() if provider in available]
    if PROVIDERS[device] not in available:
        raise ValueError(
            f'device {device!r} is not there: this onnxruntime offers {list(available)}; '
            'install one that has it (onnxruntime-gpu), or choose auto or cpu'
        )
    usable = list(PROVIDERS)[list(PROVIDERS).index(device) :]
    return [PROVIDERS[name] for name in usable if PROVIDERS[name] in available]


class OnnxGraph:
    """
    A graph that takes and gives tensors by name; `BundleError` if the file is not that graph.

    What it gives is onnxruntime's own memory, where the graph ran. Another graph takes it as it
    is; its `numpy()` copies it to the host, or on a CPU only shows it.
    """

    def __init__(
        self, path: Path, *, inputs: Sequence[str], outputs: Sequence[str], config: SessionConfig
    ) -> None:
        self.path = path
        self._outputs = list(outputs)
        wanted = choose_providers(config.device, ort.get_available_providers())
        self._session, reason = _open(path, wanted, config)
        self._check_names('inputs', inputs, [node.name for node in self._session.get_inputs()])
        self._check_names('outputs', outputs, [node.name for node in self._session.get_outputs()])
        self._check_device(config.device, reason)
        self.not_started = tuple(name for name in wanted if name not in self.providers)
        self._memory = 'cuda' if PROVIDERS['cuda'] in self.providers else 'cpu'

    @property
    def providers(self) -> tuple[str, ...]:
        """Return the providers really in use."""
        return tuple(self._session.get_providers())

    def __call__(self, tensors: Mapping[str, Tensor]) -> dict[str, ort.OrtValue]:
        """Run the graph once."""
        binding = self._session.io_binding()
        try:
            for name, tensor in tensors.items():
                if isinstance(tensor, ort.OrtValue):
                    binding.bind_ortvalue_input(name, tensor)
                else:
                    binding.bind_cpu_input(name, tensor)
            for name in self._outputs:
                binding.bind_output(name, self._memory)
            self._session.run_with_iobinding(binding)
        except _ORT_ERRORS as error:
            raise BundleError(
                f'{self.path} does not fit the other graphs, or this device: {error}'
            ) from error
        return dict(zip(self._outputs, binding.get_outputs(), strict=True))

    def check_size(self, output: str, axis: int, size: int) -> None:
        """Raise `BundleError` if the graph fixes this axis to another size."""
        shapes = {node.name: node.shape for node in self._session.get_outputs()}
        found = shapes[output][axis] if axis < len(shapes[output]) else None
        if found != size and (found is None or isinstance(found, int)):
            raise BundleError(
                f'{self.path} gives {output!r} of shape {shapes[output]}, but metadata.json says '
                f'{size} on axis {axis}; export the model again'
            )

    def _check_names(self, kind: str, expected: Sequence[str], found: Sequence[str]) -> None:
        missing = sorted(set(expected) - set(found))
        unknown = sorted(set(found) - set(expected))
        if missing or unknown:
            raise BundleError(
                f'{self.path} has other {kind} than metadata.json promises: '
                f'missing {missing}, unknown {unknown}; export the model again'
            )

    def _check_device(self, device: str, reason: str = '') -> None:
        if device != 'auto' and PROVIDERS[device] not in self.providers:
            raise ValueError(
                f'device {device!r} could not be started{reason and f" ({reason})"}, onnxruntime '
                f'would run on {list(self.providers)}; python3 -m pavenet_core.cli info --system '
                'says what is missing, or choose auto or cpu'
            )


def _open(
    path: Path, providers: Sequence[str], config: SessionConfig
) -> tuple[ort.InferenceSession, str]:
    """Return the graph on the best provider that starts, and why a better one did not."""
    reason = ''
    for first in range(len(providers)):
        try:
            return _start(path, providers[first:], config), reason
        except _ORT_ERRORS as error:
            if first == len(providers) - 1:
                raise BundleError(f'{path} is not a graph that can be opened: {error}') from error
            reason = reason or _SOURCE_LINE.sub('', str(error).splitlines()[0])
    raise ValueError(f'this onnxruntime offers none of {list(PROVIDERS.values())}')


def _start(path: Path, providers: Sequence[str], config: SessionConfig) -> ort.InferenceSession:
    if PROVIDERS['cuda'] in providers:
        with _LOADING_CUDA:
            _load_cuda()
    return ort.InferenceSession(
        path,
        config.options(),
        providers=list(providers),
        provider_options=_provider_options(providers, path, config),
        disabled_optimizers=SLOWER if providers == [PROVIDERS['cpu']] else None,
        enable_fallback=0,  # it would forget the options, and try one other device only
    )


def _provider_options(
    providers: Sequence[str], graph: Path, config: SessionConfig
) -> list[dict[str, str]]:
    """Return each provider's options, once the folders they name are there."""
    if PROVIDERS['tensorrt'] not in providers:
        return [{} for _ in providers]
    options = tensorrt_options(graph, config)
    if folder := options.get('trt_engine_cache_path'):
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f'tensorrt_cache {str(config.tensorrt_cache)!r} is no folder to write to: {error}'
            ) from error
    return [options if name == PROVIDERS['tensorrt'] else {} for name in providers]


@cache
def _load_cuda() -> None:
    """Find CUDA and cuDNN where pip puts them; onnxruntime before 1.21 can't."""
    if hasattr(ort, 'preload_dlls'):
        with redirect_stdout(sys.stderr):  # where it prints which libraries it lacks
            ort.preload_dlls()
