"""What leaves for a model outside: masked, decided on as it leaves, and else byte for byte."""

import json
from typing import Any

from interlock.core.catalogue import Catalogue
from interlock.core.masking import ColumnMask, Masking, MaskKind
from interlock.core.settings.http import HttpTarget
from interlock.protocols.http.dialects.base import Reading, Request
from interlock.protocols.http.dialects.openai import OpenAiDialect
from tests.protocols.http.dialects.requests import request

CARD = "4111 1111 1111 1111"
OUTSIDE = HttpTarget(outside=True)


def call(path: str = "/v1/responses", **body: Any) -> Request:
    sent = json.dumps({"model": "gpt-5", **body}).encode()
    return request("POST", path, content_type="application/json", body=sent)


def read(asked: Request, masking: Masking | None, target: HttpTarget = OUTSIDE) -> Reading:
    return OpenAiDialect(target).read(asked, masking)


def test_prompts_messages_and_outputs_of_tools_are_masked(masking: Masking) -> None:
    output = json.dumps([{"salary": 5000, "name": "Ann"}, {"note": CARD}])
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": f"charge {CARD}"}]},
        {"type": "function_call_output", "call_id": "call_1", "output": output},
    ]
    reading = read(call(instructions=f"use {CARD}", input=items), masking)
    leaving = json.loads(reading.body or b"")
    assert leaving["instructions"] == "use ***"
    assert leaving["input"][0]["content"][0]["text"] == "charge ***"
    assert json.loads(leaving["input"][1]["output"]) == [{"salary": None, "name": "Ann"}, {"note": "***"}]
    assert leaving["input"][1]["call_id"] == "call_1"
    chat = read(call("/v1/chat/completions", messages=[{"role": "tool", "content": output}]), masking)
    assert json.loads(json.loads(chat.body or b"")["messages"][0]["content"])[0]["salary"] is None


def test_what_no_mask_is_about_stays_byte_for_byte(masking: Masking) -> None:
    asked = call(input="nothing to see", temperature=0.10)
    assert read(asked, masking).body is None
    assert read(call(input=CARD), None).body is None
    assert read(call(input=CARD), Masking("v1", Catalogue("c1"))).body is None


def test_inside_nothing_is_masked_on_the_way_out(masking: Masking) -> None:
    assert read(call(input=CARD), masking, HttpTarget()).body is None


def test_what_is_decided_on_is_what_leaves() -> None:
    masking = Masking("v1", Catalogue("c1"), fields={"name": ColumnMask(MaskKind.HASH)}, key=b"k")
    tools = [{"type": "function", "name": "run_sql"}]
    reading = read(call(input="hi", tools=tools), masking)
    facts = reading.meaning.facts["model"]
    assert isinstance(facts, dict)
    assert facts["functions"] == (json.loads(reading.body or b"")["tools"][0]["name"],)
    assert facts["functions"] != ("run_sql",)


def test_a_forbidden_field_and_what_cannot_be_looked_into_stay_here(masking: Masking) -> None:
    forbidding = Masking("v1", Catalogue("c1"), fields={"ssn": ColumnMask(MaskKind.FORBID, rules=("r",))})
    forbidden = read(call(input=[{"output": '{"ssn": "1"}'}]), forbidding)
    assert "must not leave" in (forbidden.meaning.refusal or "")
    deep = "{}"
    for _ in range(6):
        deep = json.dumps([deep])
    assert "must not leave" in (read(call(input=deep), masking).meaning.refusal or "")
