"""The official Anthropic SDK against /v1/messages."""
import json
import anthropic
from check import KEY, URL, check, end, raises, same

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
HELLO = "Hello there, café 🦀."
WEATHER = {"name": "get_weather", "description": "The weather.",
           "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def ask(text, **more):
    return dict(model="m", max_tokens=500, messages=[{"role": "user", "content": text}], **more)


@check
def whole_text():
    answer = client.messages.create(**ask("plain"))
    same([b.type for b in answer.content], ["text"])
    same(answer.content[0].text, HELLO)
    same(answer.stop_reason, "end_turn")
    same((answer.type, answer.role), ("message", "assistant"))
    # 21 prompt tokens, 5 of them cached: Anthropic counts those apart.
    same((answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens), (16, 5, 9))
    assert answer.id.startswith("msg"), answer.id


@check
def streamed_text():
    with client.messages.stream(**ask("plain")) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    same(text, HELLO)
    same(answer.content[0].text, HELLO)
    same((answer.stop_reason, answer.usage.output_tokens, answer.usage.input_tokens), ("end_turn", 9, 16))


@check
def tools_round_trip():
    for streamed in (False, True):
        request = ask("parallel please", tools=[WEATHER], tool_choice={"type": "auto"})
        if streamed:
            with client.messages.stream(**request) as stream:
                answer = stream.get_final_message()
        else:
            answer = client.messages.create(**request)
        same(answer.stop_reason, "tool_use")
        calls = [b for b in answer.content if b.type == "tool_use"]
        same([(c.name, c.input) for c in calls], [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})])
        assert len({c.id for c in calls}) == 2
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": [{"type": "text", "text": f"sun in {c.input['city']}"}]} for c in calls]
        results[1]["is_error"] = True
        request["messages"] += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
        answer = client.messages.create(**request)
        text = answer.content[0].text
        assert text.startswith("results: sun in Paris | ") and text.endswith("sun in Oslo"), text


@check
def named_tool_whose_engine_says_stop():
    answer = client.messages.create(**ask("one call", tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"}))
    same((answer.stop_reason, answer.content[-1].name, answer.content[-1].input), ("tool_use", "get_weather", {"city": "Paris"}))


@check
def reasoning_is_a_thinking_block_and_goes_back():
    request = ask("think", thinking={"type": "enabled", "budget_tokens": 2048})
    request["max_tokens"] = 4000
    answer = client.messages.create(**request)
    same([b.type for b in answer.content], ["thinking", "text"])
    same(answer.content[0].thinking, "Let me see.")
    assert isinstance(answer.content[0].signature, str)
    with client.messages.stream(**request) as stream:
        seen = [e for e in stream if e.type == "thinking"]
        final = stream.get_final_message()
    same("".join(e.thinking for e in seen), "Let me see.")
    same(final.content[0].thinking, "Let me see.")
    request["messages"] += [{"role": "assistant", "content": final.content}, {"role": "user", "content": "echo"}]
    echoed = json.loads(client.messages.create(**request).content[0].text)
    same([m["role"] for m in echoed["messages"]], ["user", "assistant", "user"])


@check
def structured_output():
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"], "additionalProperties": False}
    answer = client.messages.create(**ask("json"), output_config={"format": {"type": "json_schema", "schema": schema}})
    same(json.loads(answer.content[0].text), {"answer": 7})


@check
def system_and_images_arrive():
    request = ask("x", system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}], stop_sequences=["END"])
    request["messages"] = [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}, {"type": "text", "text": "echo"}]}]
    echoed = json.loads(client.messages.create(**request).content[0].text)
    same(echoed["messages"][0], {"role": "system", "content": "Be brief."})
    same(echoed["messages"][1]["content"][0], {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}})
    same((echoed["stop"], echoed["max_tokens"]), (["END"], 500))


@check
def stop_reasons():
    same(client.messages.create(**ask("short")).stop_reason, "max_tokens")
    same(client.messages.create(**ask("refuse")).stop_reason, "refusal")
    empty = client.messages.create(**ask("empty"))
    same((empty.stop_reason, [b for b in empty.content if getattr(b, "text", "x") == ""]), ("end_turn", []))


@check
def errors_have_their_classes():
    stranger = anthropic.Anthropic(base_url=URL, api_key="wrong", max_retries=0)
    error = raises(anthropic.AuthenticationError, lambda: stranger.messages.create(**ask("plain")))
    same(error.body["error"]["type"], "authentication_error")
    error = raises(anthropic.BadRequestError, lambda: client.messages.create(**ask("overflow")))
    same(error.body["error"]["message"], "prompt is too long: 70000 tokens > 65536 maximum")
    error = raises(anthropic.RateLimitError, lambda: client.messages.create(**ask("limited")))
    same(error.response.headers.get("retry-after"), "7")
    raises(anthropic.NotFoundError, lambda: client.models.retrieve("nothing"))
    raises(anthropic.BadRequestError, lambda: client.messages.create(model="m", max_tokens=5, messages="none"))


@check
def failures_inside_a_stream_are_raised():
    for text in ("broken", "cut"):
        def run():
            with client.messages.stream(**ask(text)) as stream:
                return stream.get_final_message()
        raises(anthropic.APIError, run)
        raises(anthropic.APIError, lambda: client.messages.create(**ask(text)))


@check
def bearer_token():
    other = anthropic.Anthropic(base_url=URL, auth_token=KEY, api_key=None, max_retries=0)
    same(other.messages.create(**ask("plain")).content[0].text, HELLO)


@check
def counting_and_models():
    counted = client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "one two three"}], tools=[WEATHER])
    assert counted.input_tokens > 0
    models = list(client.models.list())
    same([(m.id, m.type) for m in models], [("m", "model")])
    assert models[0].created_at.year >= 2026 and models[0].display_name
    same(client.models.retrieve("m").id, "m")


end()
