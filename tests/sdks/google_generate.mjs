// The official Google SDK for JavaScript against generateContent.
import { HELLO, KEY, URL_, assert, check, end, load, raises, same } from "./check.mjs";

const { GoogleGenAI, ApiError } = await load("@google/genai");
const make = (apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: URL_ } });
const client = make(KEY);
const ask = (contents, config = {}) => ({ model: "m", contents, config });
const weather = { functionDeclarations: [{ name: "get_weather", parameters: { type: "OBJECT", properties: { city: { type: "STRING" } } } }] };
const streamed = async (request) => {
  const chunks = [];
  for await (const chunk of await client.models.generateContentStream(request)) chunks.push(chunk);
  return chunks;
};

await check("text, whole and streamed", async () => {
  const answer = await client.models.generateContent(ask("plain"));
  same([answer.text, answer.candidates[0].finishReason, answer.usageMetadata.totalTokenCount], [HELLO, "STOP", 30]);
  const chunks = await streamed(ask("plain"));
  same(chunks.map((c) => c.text ?? "").join(""), HELLO);
  same(chunks.at(-1).candidates[0].finishReason, "STOP");
});
await check("tools, round trip", async () => {
  const whole = await client.models.generateContent(ask("parallel", { tools: [weather] }));
  const parts = (await streamed(ask("parallel", { tools: [weather] }))).flatMap((c) => c.candidates[0].content?.parts ?? []);
  for (const all of [whole.candidates[0].content.parts, parts]) {
    const calls = all.filter((p) => p.functionCall);
    same(calls.map((p) => [p.functionCall.name, p.functionCall.args]), [["get_weather", { city: "Paris" }], ["get_weather", { city: "Oslo" }]]);
    const responses = calls.map((p) => ({ functionResponse: { id: p.functionCall.id, name: "get_weather", response: { output: "sun" } } }));
    const contents = [{ role: "user", parts: [{ text: "parallel" }] }, { role: "model", parts: calls }, { role: "user", parts: responses }];
    const done = await client.models.generateContent(ask(contents, { tools: [weather] }));
    same(done.text.match(/sun/g).length, 2);
  }
});
await check("reasoning is a thought", async () => {
  const answer = await client.models.generateContent(ask("think", { thinkingConfig: { includeThoughts: true } }));
  same(answer.candidates[0].content.parts.map((p) => [p.text, !!p.thought]), [["Let me see.", true], ["Done thinking.", false]]);
});
await check("structured output", async () => {
  const responseJsonSchema = { type: "object", properties: { answer: { type: "integer" } }, required: ["answer"] };
  const answer = await client.models.generateContent(ask("json", { responseMimeType: "application/json", responseJsonSchema }));
  same(JSON.parse(answer.text), { answer: 7 });
});
await check("errors have their class", async () => {
  same((await raises(ApiError, () => make("wrong").models.generateContent(ask("plain")))).status, 401);
  same((await raises(ApiError, () => client.models.generateContent(ask("overflow")))).status, 400);
  same((await raises(ApiError, () => client.models.generateContent(ask("limited")))).status, 429);
  await raises(Error, () => streamed(ask("broken")));
});
await check("counting", async () => {
  assert((await client.models.countTokens({ model: "m", contents: "one two three" })).totalTokens > 0);
});
end();
