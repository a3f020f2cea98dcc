"""The official Google SDK against generateContent."""
import json
from google import genai
from google.genai import errors, types
from pydantic import BaseModel
from check import KEY, URL, check, end, raises, same

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))
HELLO = "Hello there, café 🦀."
WEATHER = types.Tool(function_declarations=[types.FunctionDeclaration(
    name="get_weather", parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]))])
MANUAL = types.AutomaticFunctionCallingConfig(disable=True)


def ask(text, **config):
    return dict(model="m", contents=text, config=types.GenerateContentConfig(automatic_function_calling=MANUAL, **config))


@check
def text():
    answer = client.models.generate_content(**ask("plain"))
    same((answer.text, answer.candidates[0].finish_reason.name), (HELLO, "STOP"))
    usage = answer.usage_metadata
    same((usage.prompt_token_count, usage.cached_content_token_count, usage.total_token_count), (21, 5, 30))
    chunks = list(client.models.generate_content_stream(**ask("plain")))
    same("".join(c.text or "" for c in chunks), HELLO)
    same([c.candidates[0].finish_reason.name for c in chunks if c.candidates[0].finish_reason], ["STOP"])


@check
def tools_round_trip():
    whole = client.models.generate_content(**ask("parallel", tools=[WEATHER]))
    parts = [p for c in client.models.generate_content_stream(**ask("parallel", tools=[WEATHER])) for p in c.candidates[0].content.parts or []]
    for calls in (whole.candidates[0].content.parts, parts):
        calls = [p for p in calls if p.function_call]
        same([(p.function_call.name, p.function_call.args) for p in calls], [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})])
        back = [types.Content(role="user", parts=[types.Part(text="parallel")]), types.Content(role="model", parts=calls),
                types.Content(role="user", parts=[types.Part(function_response=types.FunctionResponse(
                    id=p.function_call.id, name="get_weather", response={"output": "sun"})) for p in calls])]
        done = client.models.generate_content(**ask(back, tools=[WEATHER]))
        same(done.text.count("sun"), 2)


@check
def functions_are_called_by_the_sdk_itself():
    seen = []

    def get_weather(city: str) -> str:
        """The weather of a city."""
        seen.append(city)
        return "sun in " + city

    answer = client.models.generate_content(model="m", contents="parallel", config=types.GenerateContentConfig(tools=[get_weather]))
    same(seen, ["Paris", "Oslo"])
    assert "sun in Oslo" in answer.text, answer.text


@check
def reasoning_is_a_thought():
    answer = client.models.generate_content(**ask("think", thinking_config=types.ThinkingConfig(include_thoughts=True)))
    parts = answer.candidates[0].content.parts
    same([(p.text, bool(p.thought)) for p in parts], [("Let me see.", True), ("Done thinking.", False)])
    same(answer.text, "Done thinking.")


@check
def structured_output():
    class Answer(BaseModel):
        answer: int
    made = client.models.generate_content(**ask("json", response_mime_type="application/json", response_schema=Answer))
    same(made.parsed, Answer(answer=7))


@check
def system_and_settings_arrive():
    echoed = json.loads(client.models.generate_content(**ask("echo", system_instruction="Be brief.", temperature=0.5, max_output_tokens=400, stop_sequences=["END"])).text)
    same([m["role"] for m in echoed["messages"]], ["system", "user"])
    same((echoed["temperature"], echoed["stop"]), (0.5, ["END"]))


@check
def finish_reasons():
    same(client.models.generate_content(**ask("short")).candidates[0].finish_reason.name, "MAX_TOKENS")
    same(client.models.generate_content(**ask("refuse")).candidates[0].finish_reason.name, "SAFETY")


@check
def errors_have_their_classes():
    stranger = genai.Client(api_key="wrong", http_options=types.HttpOptions(base_url=URL))
    error = raises(errors.ClientError, lambda: stranger.models.generate_content(**ask("plain")))
    same((error.code, error.status), (401, "UNAUTHENTICATED"))
    error = raises(errors.ClientError, lambda: client.models.generate_content(**ask("overflow")))
    same((error.code, error.status), (400, "INVALID_ARGUMENT"))
    once = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL, retry_options=types.HttpRetryOptions(attempts=1)))
    error = raises(errors.ClientError, lambda: once.models.generate_content(**ask("limited")))
    same((error.code, error.status), (429, "RESOURCE_EXHAUSTED"))
    raises(errors.APIError, lambda: list(client.models.generate_content_stream(**ask("broken"))))


@check
def counting():
    assert client.models.count_tokens(model="m", contents="one two three").total_tokens > 0


end()
