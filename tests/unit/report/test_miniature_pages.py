"""What the miniature's pages say of the paper: notes on what is seen in a table."""

from tests.helpers.report_inputs import spaced
from workflow_scripts.vgg.report import pages as rendered


def test_notes_of_the_miniature_stand_where_the_table_has_them(evaluations, config):
    note = "Depth: <deep> nets are not trained out."
    pages = (
        lambda: rendered.render_table(evaluations, config),
        lambda: rendered.render_index([evaluations], {"claims": []}, [], config),
    )
    for page in pages:
        assert note not in spaced(page())
    evaluations["miniature_notes"] = [note]
    for page in pages:
        assert note in spaced(page())
    assert "Seen in the miniature" in spaced(pages[0]())
    evaluations["miniature_notes"] = []
    assert "Seen in the miniature" not in spaced(pages[0]())
