"""The official OpenAI SDK against /v1/responses."""
import json
import openai
from pydantic import BaseModel
from check import KEY, URL, check, end, raises, same

client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
HELLO = "Hello there, café 🦀."
WEATHER = {"type": "function", "name": "get_weather", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}


def ask(text, **more):
    return dict(model="m", input=text, store=False, **more)


def both(**request):
    """The same, whole and streamed."""
    with client.responses.stream(**request) as stream:
        events = list(stream)
        # The SDK's own final response exists for completed ones only.
        final = stream.get_final_response() if events[-1].type == "response.completed" else events[-1].response
    same([e.sequence_number for e in events if hasattr(e, "sequence_number")], list(range(len(events))))
    return client.responses.create(**request), final


@check
def text():
    for answer in both(**ask("plain")):
        same((answer.output_text, answer.status), (HELLO, "completed"))
        usage = answer.usage
        same((usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens), (21, 5, 9))
        assert usage.output_tokens_details.reasoning_tokens in (0, 3)


@check
def tools_round_trip():
    for answer in both(**ask("parallel", tools=[WEATHER])):
        calls = [i for i in answer.output if i.type == "function_call"]
        same([(c.name, json.loads(c.arguments)) for c in calls], [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})])
        back = [{"role": "user", "content": "parallel"}]
        back += [{k: v for k, v in i.model_dump(exclude_none=True).items() if k != "parsed_arguments"} for i in answer.output]
        back += [{"type": "function_call_output", "call_id": c.call_id, "output": "sun"} for c in calls]
        done = client.responses.create(**ask(back, tools=[WEATHER]))
        same(done.output_text, "results: sun | sun")


@check
def freeform_and_grouped_tools():
    custom = {"type": "custom", "name": "apply_patch", "description": "Edits.", "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}}
    for answer in both(**ask("one call", tools=[custom])):
        same([(i.type, i.name, i.input) for i in answer.output], [("custom_tool_call", "apply_patch", "Paris")])
    group = {"type": "namespace", "name": "maps", "description": "Places.", "tools": [dict(WEATHER, name="find")]}
    answer = client.responses.create(**ask("one call", tools=[group]))
    same([(i.type, i.name, i.namespace) for i in answer.output], [("function_call", "find", "maps")])


@check
def reasoning_goes_back():
    for answer in both(**ask("think", include=["reasoning.encrypted_content"], reasoning={"effort": "high", "summary": "auto"})):
        same([i.type for i in answer.output], ["reasoning", "message"])
        reasoning = answer.output[0]
        shown = "".join(p.text for p in reasoning.summary) or "".join(p.text for p in reasoning.content or [])
        same(shown, "Let me see.")
        back = [{"role": "user", "content": "think"}] + [i.model_dump(exclude_none=True) for i in answer.output]
        echoed = client.responses.create(**ask(back + [{"role": "user", "content": "echo"}], instructions="Be brief."))
        roles = [m["role"] for m in json.loads(echoed.output_text)["messages"]]
        same(roles, ["system", "user", "assistant", "user"])


@check
def structured_output():
    class Answer(BaseModel):
        answer: int
    same(client.responses.parse(**ask("json"), text_format=Answer).output_parsed, Answer(answer=7))


@check
def incomplete_and_empty():
    for answer in both(**ask("short")):
        same((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))
    for answer in both(**ask("empty")):
        same((answer.status, answer.output_text), ("completed", ""))


@check
def errors_have_their_classes():
    error = raises(openai.BadRequestError, lambda: client.responses.create(**ask("overflow")))
    same(error.code, "context_length_exceeded")
    error = raises(openai.RateLimitError, lambda: client.responses.create(**ask("limited")))
    same(error.response.headers.get("retry-after"), "7")
    raises(openai.APIStatusError, lambda: client.responses.create(**ask("x", previous_response_id="resp_unknown")))
    for text in ("broken", "cut"):
        events = list(client.responses.create(**ask(text), stream=True))
        same((events[-1].type, events[-1].response.status), ("response.failed", "failed"))
        assert events[-1].response.error.message


end()
