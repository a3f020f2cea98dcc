// The official Anthropic SDK for JavaScript against /v1/messages.
import { HELLO, KEY, URL_, assert, check, end, load, raises, same } from "./check.mjs";

const { default: module } = await load("@anthropic-ai/sdk");
const Anthropic = module.default ?? module;
const client = new Anthropic({ baseURL: URL_, apiKey: KEY, maxRetries: 0 });
const ask = (text, more = {}) => ({ model: "m", max_tokens: 500, messages: [{ role: "user", content: text }], ...more });
const weather = { name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } };

await check("text, whole and streamed", async () => {
  const whole = await client.messages.create(ask("plain"));
  const stream = client.messages.stream(ask("plain"));
  let seen = "";
  stream.on("text", (delta) => (seen += delta));
  const final = await stream.finalMessage();
  same(seen, HELLO);
  for (const answer of [whole, final]) {
    same(answer.content.map((b) => b.text), [HELLO]);
    same([answer.stop_reason, answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens], ["end_turn", 16, 5, 9]);
  }
});
await check("tools, round trip", async () => {
  const request = ask("parallel", { tools: [weather] });
  for (const answer of [await client.messages.create(request), await client.messages.stream(request).finalMessage()]) {
    same(answer.stop_reason, "tool_use");
    const calls = answer.content.filter((b) => b.type === "tool_use");
    same(calls.map((c) => [c.name, c.input]), [["get_weather", { city: "Paris" }], ["get_weather", { city: "Oslo" }]]);
    const results = calls.map((c) => ({ type: "tool_result", tool_use_id: c.id, content: "sun" }));
    const messages = [...request.messages, { role: "assistant", content: answer.content }, { role: "user", content: results }];
    same((await client.messages.create({ ...request, messages })).content[0].text, "results: sun | sun");
  }
});
await check("reasoning is a thinking block", async () => {
  const request = ask("think", { max_tokens: 4000, thinking: { type: "enabled", budget_tokens: 2048 } });
  for (const answer of [await client.messages.create(request), await client.messages.stream(request).finalMessage()]) {
    same(answer.content.map((b) => b.type), ["thinking", "text"]);
    same([answer.content[0].thinking, typeof answer.content[0].signature], ["Let me see.", "string"]);
  }
});
await check("errors have their classes", async () => {
  const stranger = new Anthropic({ baseURL: URL_, apiKey: "wrong", maxRetries: 0 });
  await raises(Anthropic.AuthenticationError, () => stranger.messages.create(ask("plain")));
  const error = await raises(Anthropic.BadRequestError, () => client.messages.create(ask("overflow")));
  assert(error.message.includes("prompt is too long: 70000 tokens > 65536 maximum"), error.message);
  await raises(Anthropic.RateLimitError, () => client.messages.create(ask("limited")));
  await raises(Anthropic.NotFoundError, () => client.models.retrieve("nothing"));
  for (const text of ["broken", "cut"]) {
    await raises(Anthropic.AnthropicError, () => client.messages.stream(ask(text)).finalMessage());
  }
});
await check("counting and models", async () => {
  assert((await client.messages.countTokens(ask("one two three", { max_tokens: undefined }))).input_tokens > 0);
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  same(names, ["m"]);
});
end();
