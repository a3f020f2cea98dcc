// The official OpenAI SDK for JavaScript against /v1/responses.
import { HELLO, KEY, URL_, check, end, load, raises, same } from "./check.mjs";

const { default: module } = await load("openai");
const OpenAI = module.default ?? module;
const client = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY, maxRetries: 0 });
const ask = (input, more = {}) => ({ model: "m", input, store: false, ...more });
const weather = { type: "function", name: "get_weather", strict: false, parameters: { type: "object", properties: { city: { type: "string" } } } };
const both = async (request) => [await client.responses.create(request), await client.responses.stream(request).finalResponse()];

await check("text", async () => {
  for (const answer of await both(ask("plain"))) same([answer.output_text, answer.status, answer.usage.input_tokens], [HELLO, "completed", 21]);
});
await check("tools, round trip", async () => {
  for (const answer of await both(ask("parallel", { tools: [weather] }))) {
    const calls = answer.output.filter((i) => i.type === "function_call");
    same(calls.map((c) => [c.name, JSON.parse(c.arguments).city]), [["get_weather", "Paris"], ["get_weather", "Oslo"]]);
    const outputs = calls.map((c) => ({ type: "function_call_output", call_id: c.call_id, output: "sun" }));
    const input = [{ role: "user", content: "parallel" }, ...answer.output.map(({ parsed_arguments, ...item }) => item), ...outputs];
    same((await client.responses.create(ask(input, { tools: [weather] }))).output_text, "results: sun | sun");
  }
});
await check("reasoning", async () => {
  for (const answer of await both(ask("think", { reasoning: { effort: "high", summary: "auto" } }))) {
    same(answer.output.map((i) => i.type), ["reasoning", "message"]);
    same([...answer.output[0].summary, ...(answer.output[0].content ?? [])].map((p) => p.text)[0], "Let me see.");
  }
});
await check("errors have their classes", async () => {
  same((await raises(OpenAI.BadRequestError, () => client.responses.create(ask("overflow")))).code, "context_length_exceeded");
  await raises(OpenAI.RateLimitError, () => client.responses.create(ask("limited")));
  let last;
  for await (const event of await client.responses.create(ask("broken", { stream: true }))) last = event;
  same([last.type, last.response.status], ["response.failed", "failed"]);
});
end();
