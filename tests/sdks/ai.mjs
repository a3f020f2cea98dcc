// The AI SDK, whose schemas check every byte of the wire: the providers named on the command line.
import { HELLO, KEY, URL_, assert, check, end, load, raises, same } from "./check.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const { APICallError, Output, generateText, jsonSchema, stepCountIs, streamText, tool } = await load("ai");
const makers = {
  anthropic: async () => (await load("@ai-sdk/anthropic")).createAnthropic({ baseURL: `${URL_}/v1`, apiKey: KEY })("m"),
  "openai-chat": async () => (await load("@ai-sdk/openai")).createOpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY }).chat("m"),
  "openai-responses": async () => (await load("@ai-sdk/openai")).createOpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY }).responses("m"),
  google: async () => (await load("@ai-sdk/google")).createGoogleGenerativeAI({ baseURL: `${URL_}/v1beta`, apiKey: KEY })("m"),
  compatible: async () =>
    (await load("@ai-sdk/openai-compatible")).createOpenAICompatible({ name: "llmup", baseURL: `${URL_}/v1`, apiKey: KEY, supportsStructuredOutputs: true, includeUsage: true })("m"),
};
const options = { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } }, google: { thinkingConfig: { includeThoughts: true } },
  openai: { store: false, forceReasoning: true, reasoningSummary: "auto" } };

for (const name of process.argv.slice(2)) {
  const model = await makers[name]();
  const ask = (prompt, more = {}) => ({ model, prompt, maxRetries: 0, ...more });
  const streamed = async (request) => {
    const errors = [];
    const result = streamText({ ...request, onError: ({ error }) => errors.push(error) });
    const parts = [];
    for await (const part of result.fullStream) parts.push(part);
    return { parts, errors, text: parts.filter((p) => p.type === "text-delta").map((p) => p.text).join("") };
  };
  await check(`${name}: text, whole and streamed`, async () => {
    const whole = await generateText(ask("plain"));
    same([whole.text, whole.finishReason, whole.usage.inputTokens, whole.usage.outputTokens], [HELLO, "stop", 21, 9]);
    const stream = await streamed(ask("plain"));
    same([stream.text, stream.errors], [HELLO, []]);
    const finish = stream.parts.at(-1);
    same([finish.type, finish.finishReason, finish.totalUsage.inputTokens], ["finish", "stop", 21]);
  });
  await check(`${name}: tools, run by the SDK`, async () => {
    for (const run of [generateText, streamText]) {
      const seen = [];
      const inputSchema = jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false });
      const get_weather = tool({ description: "d", inputSchema, execute: ({ city }) => (seen.push(city), `sun in ${city}`) });
      const result = await run(ask("parallel", { tools: { get_weather }, stopWhen: stepCountIs(3) }));
      const text = await result.text;
      assert(/^results: .*sun in Paris.* \| .*sun in Oslo/.test(text), text);
      same(seen.sort(), ["Oslo", "Paris"]);
    }
  });
  if (name !== "openai-chat") {
    await check(`${name}: reasoning`, async () => {
      const request = ask("think", { providerOptions: options });
      same([(await generateText(request)).reasoningText, (await generateText(request)).text], ["Let me see.", "Done thinking."]);
      const stream = await streamed(request);
      same(stream.errors, []);
      same(stream.parts.filter((p) => p.type === "reasoning-delta").map((p) => p.text).join(""), "Let me see.");
    });
  }
  await check(`${name}: structured output`, async () => {
    const schema = jsonSchema({ type: "object", properties: { answer: { type: "integer" } }, required: ["answer"], additionalProperties: false });
    same((await generateText(ask("json", { output: Output.object({ schema }) }))).output, { answer: 7 });
  });
  await check(`${name}: errors`, async () => {
    same((await raises(APICallError, () => generateText(ask("overflow")))).statusCode, 400);
    const limited = await raises(APICallError, () => generateText(ask("limited")));
    same([limited.statusCode, limited.isRetryable], [429, true]);
    const broken = await streamed(ask("broken"));
    assert(broken.parts.some((p) => p.type === "error"), JSON.stringify(broken.parts));
  });
}
end();
