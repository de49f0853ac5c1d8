"""What all widgets share: an output that holds its own code and data, and no text that could act.
"""

import base64
import json
import re

from lddm_lite import Trace
from lddm_lite.widgets import Scrubber

HOSTILE = ["</script><img src=x onerror=alert(1)>", "<b>", '"quoted"', "שלום", "🙂", "x" * 10_000, "a&amp;b"]


def test_an_output_needs_no_manager_and_holds_no_raw_text(tmp_path):
    t = Trace([[*range(7)]], [[1] * 7], [[1] * 7], [(1, 0), (0, 0)], HOSTILE, 7, model="<script>alert(1)</script>")
    s = Scrubber(t, title="<img src=x onerror=alert(2)>")
    data = s._repr_mimebundle_()
    assert set(data) == {"text/html", "text/plain"}
    page = s.to_html(tmp_path / "a" / "x.html").read_text()
    for text in (data["text/html"], page):
        assert len(re.findall("<script", text)) == len(re.findall("</script", text)) == 1
        assert "onerror=alert" not in text.replace("&lt;img src=x onerror=alert(2)&gt;", "")
        assert re.search(r'<img class="lddm-still"[^>]* src="data:image/png;base64,[\w+/=]+">', text)
        assert not re.search(r'(src|href)="(?!data:)|https?://(?!www\.w3\.org/2000/svg)', text), "nothing is fetched"
    assert not list(tmp_path.rglob("*.part"))


def test_the_bytes_in_the_page_are_those_of_the_model(traces):
    s = Scrubber(traces[0])
    given = s._repr_mimebundle_()["text/html"].rsplit("const given = ", 1)[1].split(";\n", 1)[0]
    uid, kind, block, state, bus = json.loads(given)
    assert kind == "scrubber" and state == {"step": s.last, "sample": 0} and bus == s.bus and uid != bus
    assert base64.b64decode(block) == s.data
