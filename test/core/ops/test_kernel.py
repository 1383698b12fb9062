"""Whether the kernel is built, and what is said when it cannot be."""

import logging

import pytest

torch = pytest.importorskip('torch', reason='needs torch')

from pavenet_core.ops import kernel


@pytest.fixture(autouse=True)
def ask_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kernel.SWITCH, raising=False)
    monkeypatch.setattr(kernel, '_is_available', kernel._is_available.__wrapped__)


@pytest.mark.parametrize(
    ('cuda', 'gpu', 'sentence'),
    [
        (None, False, 'this torch is built without CUDA'),
        ('13.0', False, 'no GPU to build it for'),
        ('13.0', True, 'install the CUDA 13.0 toolkit'),
    ],
)
def test_why_there_is_no_kernel_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cuda: str | None,
    gpu: bool,
    sentence: str,
) -> None:
    monkeypatch.delenv('TORCH_CUDA_ARCH_LIST', raising=False)
    monkeypatch.setattr(torch.version, 'cuda', cuda)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(kernel, '_toolkit', lambda guess: None)
    with caplog.at_level(logging.WARNING):
        assert not kernel.is_available()
    assert len(caplog.records) == 1
    assert sentence in caplog.text


def test_the_kernel_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernel.SWITCH, '0')
    monkeypatch.setattr(kernel, 'build', lambda: pytest.fail('built'))
    assert not kernel.is_available()


def test_asking_does_not_break_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, 'build', lambda: None)

    def f(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if kernel.is_available() else x - 1

    compiled = torch.compile(f, fullgraph=True, backend='eager')
    assert compiled(torch.zeros(1)).item() == 1
