"""The official OpenAI SDK against /v1/chat/completions, /v1/embeddings and /v1/models."""
import json
import openai
from pydantic import BaseModel
from check import KEY, URL, check, end, raises, same

client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
HELLO = "Hello there, café 🦀."
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}, "strict": True}}


def ask(text, **more):
    return dict(model="m", messages=[{"role": "user", "content": text}], **more)


@check
def whole_text():
    answer = client.chat.completions.create(**ask("plain"))
    same((answer.choices[0].message.content, answer.choices[0].finish_reason), (HELLO, "stop"))
    same((answer.usage.prompt_tokens, answer.usage.completion_tokens), (21, 9))


@check
def streamed_text():
    chunks = list(client.chat.completions.create(**ask("plain"), stream=True, stream_options={"include_usage": True}))
    same("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), HELLO)
    same(chunks[-1].usage.prompt_tokens_details.cached_tokens, 5)
    same(len({c.id for c in chunks}), 1)


@check
def tools_round_trip():
    # The SDK's own accumulator cannot take calls whose pieces come in turn, so the engine sends them in order here.
    with client.chat.completions.stream(**ask("in order"), tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    whole = client.chat.completions.create(**ask("parallel"), tools=[WEATHER])
    for choice in (answer.choices[0], whole.choices[0]):
        same(choice.finish_reason, "tool_calls")
        same([json.loads(c.function.arguments) for c in choice.message.tool_calls], [{"city": "Paris"}, {"city": "Oslo"}])
        messages = ask("parallel")["messages"] + [choice.message.model_dump(exclude_none=True, exclude={"parsed"})]
        for call in messages[-1]["tool_calls"]:
            call["function"].pop("parsed_arguments", None)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": "sun"})
        done = client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
        same(done.choices[0].message.content, "results: sun | sun")


@check
def reasoning_is_visible():
    message = client.chat.completions.create(**ask("think")).choices[0].message
    same((message.reasoning_content, message.content), ("Let me see.", "Done thinking."))


@check
def structured_output():
    class Answer(BaseModel):
        answer: int
    same(client.chat.completions.parse(**ask("json"), response_format=Answer).choices[0].message.parsed, Answer(answer=7))


@check
def errors_have_their_classes():
    stranger = openai.OpenAI(base_url=URL + "/v1", api_key="wrong", max_retries=0)
    raises(openai.AuthenticationError, lambda: stranger.chat.completions.create(**ask("plain")))
    error = raises(openai.BadRequestError, lambda: client.chat.completions.create(**ask("overflow")))
    same(error.code, "context_length_exceeded")
    assert "maximum context length is 65536 tokens" in error.message
    error = raises(openai.RateLimitError, lambda: client.chat.completions.create(**ask("limited")))
    same(error.response.headers.get("retry-after"), "7")
    raises(openai.NotFoundError, lambda: client.models.retrieve("nothing"))
    raises(openai.NotFoundError, lambda: client.files.list())
    raises(openai.APIError, lambda: list(client.chat.completions.create(**ask("broken"), stream=True)))


@check
def embeddings():
    made = client.embeddings.create(model="m", input=["a", "b"])  # base64 on the wire
    same([e.embedding for e in made.data], [[0.5, -1.25, 3.0]] * 2)
    same(client.embeddings.create(model="m", input="a", encoding_format="float").data[0].embedding, [0.5, -1.25, 3.0])


@check
def models():
    same([m.id for m in client.models.list()], ["m"])
    same(client.models.retrieve("m").object, "model")


end()
