import re

import pytest

from pavenet_core.evaluation.accuracy import measure
from pavenet_core.evaluation.report import ReportFacts, write_html
from pavenet_core.evaluation.temporal import TemporalRow
from pavenet_core.evaluation.windows import find_people, neighbours_of
from pavenet_core.runtime import PoseModel

pytest.importorskip('pycocotools')
pytest.importorskip('matplotlib')

FACTS = ReportFacts('pavenet evaluate --model "<a & b>"', 'stand-in 1', 'causal')


@pytest.fixture
def evaluated(stand_in, write_clip):
    dataset = write_clip([50, 100, 150, 200] * 5, range(20))
    model = PoseModel(stand_in)
    poses = find_people(model, dataset, neighbours_of('causal', model.metadata))
    return dataset, poses, measure(dataset, poses, model.metadata.postprocess)


def test_the_page_says_everything_and_needs_nothing(evaluated) -> None:
    row = TemporalRow('motion blur', 'lookahead', 0.5, 0.75, 0.6, 0.25, None)
    page = write_html(FACTS, *evaluated, [row])
    assert 'pavenet evaluate --model &quot;&lt;a &amp; b&gt;&quot;' in page
    assert re.search(r'onnxruntime \d', page)
    assert '<td>motion blur</td><td>lookahead</td><td>0.500</td><td>0.750</td>' in page
    assert page.count('<figure') == 8
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert len(page) < 3_000_000


def test_without_a_comparison_of_windows_there_is_no_table_of_it(evaluated) -> None:
    assert 'lookahead' not in write_html(FACTS, *evaluated)
