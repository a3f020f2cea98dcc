// The official OpenAI SDK for JavaScript against /v1/chat/completions and /v1/embeddings.
import { HELLO, KEY, URL_, check, end, load, raises, same } from "./check.mjs";

const { default: module } = await load("openai");
const OpenAI = module.default ?? module;
const client = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY, maxRetries: 0 });
const ask = (text, more = {}) => ({ model: "m", messages: [{ role: "user", content: text }], ...more });
const weather = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } } };

await check("text, whole and streamed", async () => {
  same((await client.chat.completions.create(ask("plain"))).choices[0].message.content, HELLO);
  const runner = client.chat.completions.stream(ask("plain", { stream_options: { include_usage: true } }));
  same((await runner.finalChatCompletion()).choices[0].message.content, HELLO);
  same((await runner.totalUsage()).prompt_tokens, 21);
});
await check("tools, run by the SDK", async () => {
  const seen = [];
  const run = (args) => (seen.push(args.city), `sun in ${args.city}`);
  const tool = { type: "function", function: { ...weather.function, function: run, parse: JSON.parse } };
  const runner = client.chat.completions.runTools(ask("parallel", { tools: [tool] }));
  same(await runner.finalContent(), "results: sun in Paris | sun in Oslo");
  same(seen, ["Paris", "Oslo"]);
});
await check("tools, streamed", async () => {
  const final = await client.chat.completions.stream(ask("in order", { tools: [weather] })).finalChatCompletion();
  same(final.choices[0].message.tool_calls.map((c) => JSON.parse(c.function.arguments).city), ["Paris", "Oslo"]);
});
await check("errors have their classes", async () => {
  const stranger = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: "wrong", maxRetries: 0 });
  await raises(OpenAI.AuthenticationError, () => stranger.chat.completions.create(ask("plain")));
  const error = await raises(OpenAI.BadRequestError, () => client.chat.completions.create(ask("overflow")));
  same(error.code, "context_length_exceeded");
  await raises(OpenAI.RateLimitError, () => client.chat.completions.create(ask("limited")));
  await raises(OpenAI.NotFoundError, () => client.models.retrieve("nothing"));
  await raises(OpenAI.OpenAIError, () => client.chat.completions.stream(ask("broken")).finalChatCompletion());
});
await check("embeddings and models", async () => {
  const made = await client.embeddings.create({ model: "m", input: ["a", "b"] }); // base64 on the wire
  same(made.data.map((e) => [...e.embedding]), [[0.5, -1.25, 3], [0.5, -1.25, 3]]);
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  same(names, ["m"]);
});
end();
