// Agents' frameworks and the vendors' own agent helpers, unmodified, against models of other vendors: Vercel's `ai`,
// the streams and the tool runner of @anthropic-ai/sdk, the chats of @google/genai. The models are mock/vendors.py, who
// refuse what the real ones would.
import assert from "node:assert";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { FunctionCallingConfigMode, GoogleGenAI } from "@google/genai";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const { AIGW_ROOT: root, AIGW_KEY: apiKey } = process.env;
globalThis.AI_SDK_LOG_WARNINGS = false;
const TAIL = " – ça va? 日本 🚀";
const THOUGHT = "Let me see – which of them? Voilà: 東京, 🚀.";
const RESULTS = "Results: get_weather=rainy in Paris, get_weather=rainy in Zürich" + TAIL;
const OPENAI = ["gpt-4o", "gpt-4.1", "mistral-large", "deepseek-reasoner", "llama-3"];
const ANTHROPIC = ["claude-sonnet-4-5", "claude-opus-4-5"];
const GOOGLE = ["gemini-2.5-flash", "gemini-3-pro", "gemini-2.5-pro"];
const BEDROCK = ["eu.anthropic.claude-sonnet-4-5-v1:0", "amazon.nova-pro-v1:0"];
const MODELS = [...OPENAI, ...ANTHROPIC, ...GOOGLE, ...BEDROCK, "command-a-03-2025"];
const THINKERS = [...ANTHROPIC, ...GOOGLE, BEDROCK[0], "command-a-03-2025", "deepseek-reasoner"];
const rainy = ({ city }) => `rainy in ${city}`;
const city = z.object({ city: z.string() });
const Trip = z.object({ city: z.string(), days: z.array(z.number().int()), mood: z.enum(["gay", "sad"]) });
const trip = { city: "Paris", days: [3, 4], mood: "gay" };

// ---------------------------------------------------------------- ai

const openai = createOpenAI({ baseURL: `${root}/v1`, apiKey });
const PROVIDERS = {
  chat: (m) => openai.chat(m),
  responses: (m) => openai.responses(m),
  anthropic: createAnthropic({ baseURL: `${root}/v1`, apiKey }),
  google: createGoogleGenerativeAI({ baseURL: `${root}/v1beta`, apiKey }),
};
// nothing is kept at the vendor: the conversation comes whole each time
const OPTIONS = { responses: { openai: { store: false } } };
const THINKING = {
  responses: { openai: { store: false, reasoningEffort: "low", reasoningSummary: "auto", forceReasoning: true } },
  anthropic: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
  google: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } },
};
// @ai-sdk/google wraps a result in an object of its own
const is_results = (p, text) => (p === "google" ? assert(/get_weather=.*rainy in Paris.*, get_weather=.*rainy in Z.*/.test(text) && text.endsWith(TAIL), text) : assert.equal(text, RESULTS));
const weather = tool({ description: "tells the weather of a city", inputSchema: city, execute: rainy });
const call = (p, model, more = {}) => ({ model: PROVIDERS[p](model), maxRetries: 0, providerOptions: OPTIONS[p], ...more });
const looped = (p, model, more) => call(p, model + "--rounds2", { tools: { get_weather: weather }, stopWhen: stepCountIs(6), prompt: "How's the weather?", ...more });

const ai = {
  async text(p, model) {
    const a = await generateText(call(p, model, { instructions: "Be terse.", prompt: "hello" }));
    assert.equal(a.text, "You said: hello [system=Be terse.] (turn 1)" + TAIL);
    assert.equal(a.finishReason, "stop");
    assert.deepEqual([a.usage.inputTokens, a.usage.outputTokens], [120, 30]);
  },
  async stream(p, model) {
    const s = streamText(call(p, model, { prompt: "hello", onError() {} }));
    let text = "";
    for await (const t of s.textStream) text += t;
    assert.equal(text, "You said: hello (turn 1)" + TAIL);
    const u = await s.usage;
    assert.deepEqual([u.inputTokens, u.outputTokens, await s.finishReason], [120, 30, "stop"]);
  },
  async loop(p, model) {
    const a = await generateText(looped(p, model));
    is_results(p, a.text);
    assert.deepEqual(a.steps.map((s) => s.toolCalls.length), [2, 2, 0]);
    assert.deepEqual(a.steps.map((s) => s.finishReason), ["tool-calls", "tool-calls", "stop"]);
  },
  async loop_streamed(p, model) {
    const s = streamText(looped(p, model, { onError() {} }));
    const kinds = new Set();
    for await (const part of s.fullStream) {
      if (part.type === "error") throw part.error;
      kinds.add(part.type);
    }
    is_results(p, await s.text);
    assert.equal((await s.steps).length, 3);
    assert(kinds.has("tool-input-delta") || p === "google", [...kinds].join());
  },
  async object(p, model) {
    assert.deepEqual((await generateObject(call(p, model, { schema: Trip, prompt: "Where to? Answer in JSON." }))).object, trip);
  },
  async object_streamed(p, model) {
    const s = streamObject(call(p, model, { schema: Trip, prompt: "Where to? Answer in JSON.", onError() {} }));
    for await (const _ of s.partialObjectStream);
    assert.deepEqual(await s.object, trip);
  },
  async image(p, model) {
    const image = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC", "base64");
    const a = await generateText(call(p, model, { messages: [{ role: "user", content: [{ type: "text", text: "Look!" }, { type: "file", mediaType: "image/png", data: image }] }] }));
    assert(a.text.includes("[media=image/png "), a.text);
  },
};
const SQL = "SELECT \"ä\",\n\t'🚀' -- \\";
const custom = (p, model, more) =>
  call(p, model, {
    tools: { ask_sql: { ...openai.tools.customTool({ description: "Asks.", format: { type: "grammar", syntax: "regex", definition: "SELECT .+" } }), execute: (query) => `<${query}>` } },
    stopWhen: stepCountIs(4),
    prompt: `Please call ask_sql with ${JSON.stringify({ input: SQL })}`,
    ...more,
  });
const ai_custom = {
  async custom(p, model) {
    const a = await generateText(custom(p, model));
    assert.equal(a.steps[0].toolCalls[0].input, SQL);
    assert.equal(a.text, `Results: ask_sql=<${SQL}>${TAIL}`);
  },
  async custom_streamed(p, model) {
    const s = streamText(custom(p, model, { onError() {} }));
    let input = "";
    for await (const part of s.fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "tool-input-delta") input += part.delta;
    }
    assert.equal((await s.steps)[0].toolCalls[0].input, SQL);
    assert.equal(await s.text, `Results: ask_sql=<${SQL}>${TAIL}`);
    assert(input.includes("SELECT"), input);
  },
};
const ai_thinking = {
  async thinking_loop(p, model) {
    const a = await generateText(looped(p, model, { providerOptions: THINKING[p] }));
    is_results(p, a.text);
    assert.equal(a.steps[0].reasoningText, THOUGHT);
  },
  async thinking_loop_streamed(p, model) {
    const s = streamText(looped(p, model, { providerOptions: THINKING[p], onError() {} }));
    for await (const part of s.fullStream) if (part.type === "error") throw part.error;
    is_results(p, await s.text);
    assert.equal((await s.steps)[0].reasoningText, THOUGHT);
  },
};

// ---------------------------------------------------------------- @anthropic-ai/sdk

const claude = new Anthropic({ baseURL: root, apiKey, maxRetries: 0 });
const ask = (model, more) => ({ model, max_tokens: 4096, messages: [{ role: "user", content: "hello" }], ...more });
const weather_tool = betaZodTool({ name: "get_weather", description: "tells the weather of a city", inputSchema: city, run: rainy });

const anthropic = {
  async stream(model) {
    const s = claude.messages.stream(ask(model, { system: "Be terse." }));
    let text = "";
    s.on("text", (t) => (text += t));
    const final = await s.finalMessage();
    assert.equal(text, "You said: hello [system=Be terse.] (turn 1)" + TAIL);
    assert.equal(final.content.at(-1).text, text);
    assert.equal(await s.finalText(), text);
    const u = final.usage;
    assert.deepEqual([final.stop_reason, u.output_tokens, u.input_tokens + (u.cache_read_input_tokens ?? 0) + (u.cache_creation_input_tokens ?? 0)], ["end_turn", 30, 120]);
  },
  async stream_events(model) {
    const tools = [{ name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];
    const s = claude.messages.stream(ask(model, { tools }));
    const kinds = [];
    let json;
    s.on("inputJson", (_, snapshot) => (json = snapshot));
    for await (const e of s) kinds.push(e.type);
    const final = await s.finalMessage();
    assert.deepEqual(final.content.filter((b) => b.type === "tool_use").map((b) => b.input), [{ city: "Paris" }, { city: "Zürich" }]);
    assert.deepEqual(json, { city: "Zürich" });
    assert.deepEqual([kinds[0], kinds.at(-1), final.stop_reason], ["message_start", "message_stop", "tool_use"]);
  },
  async runner(model, more = {}) {
    const final = await claude.beta.messages.toolRunner(ask(model + "--rounds2", { tools: [weather_tool], ...more }));
    assert.equal(final.content.at(-1).text, RESULTS);
  },
  async runner_streamed(model, more = {}) {
    const runner = claude.beta.messages.toolRunner(ask(model + "--rounds2", { tools: [weather_tool], stream: true, ...more }));
    let final;
    for await (const s of runner) {
      for await (const _ of s);
      final = await s.finalMessage();
    }
    assert.equal(final.content.at(-1).text, RESULTS);
  },
};
const thinking = { thinking: { type: "enabled", budget_tokens: 1024 } };
const anthropic_thinking = {
  thinking_runner: (model) => anthropic.runner(model, thinking),
  thinking_runner_streamed: (model) => anthropic.runner_streamed(model, thinking),
};

// ---------------------------------------------------------------- @google/genai

const genai = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: root } });
const declared = { functionDeclarations: [{ name: "get_weather", description: "tells the weather", parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }] };
const answer_to = (calls) => calls.map((c) => ({ functionResponse: { id: c.id, name: c.name, response: { output: rainy(c.args) } } }));

async function drained(stream) {
  const out = { text: "", calls: [], thoughts: "" };
  for await (const chunk of await stream) {
    for (const part of chunk.candidates?.[0]?.content?.parts ?? []) {
      if (part.thought) out.thoughts += part.text;
      else out.text += part.text ?? "";
    }
    out.calls.push(...(chunk.functionCalls ?? []));
    out.usage = chunk.usageMetadata ?? out.usage;
  }
  return out;
}

const google = {
  async chat(model) {
    const chat = genai.chats.create({ model, config: { systemInstruction: "Be terse." } });
    assert.equal((await chat.sendMessage({ message: "hello" })).text, "You said: hello [system=Be terse.] (turn 1)" + TAIL);
    const a = await chat.sendMessage({ message: "again" });
    assert.equal(a.text, "You said: again [system=Be terse.] (turn 3)" + TAIL);
    assert.deepEqual([a.usageMetadata.promptTokenCount, a.usageMetadata.totalTokenCount], [120, 150]);
  },
  async chat_streamed(model) {
    const chat = genai.chats.create({ model });
    assert.equal((await drained(chat.sendMessageStream({ message: "hello" }))).text, "You said: hello (turn 1)" + TAIL);
    const a = await drained(chat.sendMessageStream({ message: "again" }));
    assert.equal(a.text, "You said: again (turn 3)" + TAIL);
    assert.equal(a.usage.totalTokenCount, 150);
  },
  async functions(model, config = {}) {
    const chat = genai.chats.create({ model: model + "--rounds2", config: { tools: [declared], ...config } });
    let a = await chat.sendMessage({ message: "How's the weather?" });
    for (let i = 0; i < 2; i++) {
      assert.equal(a.functionCalls.length, 2);
      a = await chat.sendMessage({ message: answer_to(a.functionCalls) });
    }
    assert.equal(a.text, RESULTS);
  },
  async functions_streamed(model, config = {}) {
    const chat = genai.chats.create({ model: model + "--rounds2", config: { tools: [declared], ...config } });
    let a = await drained(chat.sendMessageStream({ message: "How's the weather?" }));
    if (config.thinkingConfig) assert.equal(a.thoughts, THOUGHT);
    for (let i = 0; i < 2; i++) {
      assert.equal(a.calls.length, 2);
      a = await drained(chat.sendMessageStream({ message: answer_to(a.calls) }));
    }
    assert.equal(a.text, RESULTS);
  },
  async forced(model) {
    const config = { tools: [declared], toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ["get_weather"] } } };
    const a = await genai.models.generateContent({ model, contents: "?", config });
    assert.equal(a.functionCalls[0].name, "get_weather");
  },
  async object(model) {
    const a = await genai.models.generateContent({ model, contents: "Where to?", config: { responseMimeType: "application/json", responseJsonSchema: z.toJSONSchema(Trip) } });
    assert.deepEqual(JSON.parse(a.text), trip);
  },
};
const thoughtful = { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } };
const google_thinking = {
  thinking_functions: (model) => google.functions(model, thoughtful),
  thinking_functions_streamed: (model) => google.functions_streamed(model, thoughtful),
};

// ---------------------------------------------------------------- all of them

const cases = [];
const add = (group, table, models, ...before) => {
  for (const model of models) for (const [name, run] of Object.entries(table)) cases.push([[group, name, ...before, model].join(" "), () => run(...before, model)]);
};
for (const p of Object.keys(PROVIDERS)) {
  add("ai", ai, MODELS, p);
  if (THINKING[p]) add("ai", ai_thinking, THINKERS, p);
}
add("ai", ai_custom, MODELS.filter((m) => m !== "gpt-4o"), "responses"); // gpt-4o's pass, to a mock that has none of this
add("anthropic", anthropic, MODELS);
add("anthropic", anthropic_thinking, THINKERS);
add("google", google, MODELS);
add("google", google_thinking, THINKERS);

const only = process.argv.slice(2);
for (const [name, run] of cases) {
  if (only.length > 0 && !only.every((word) => name.includes(word))) continue;
  try {
    await run();
    console.log("ok", name);
  } catch (e) {
    console.log("not ok", `${name}: ${`${e.message} ${e.responseBody ?? e.lastError?.responseBody ?? ""}`.replaceAll("\n", " ").slice(0, 500)}`);
    if (only.length > 0) console.log(e.stack);
  }
}
process.exit(0);
