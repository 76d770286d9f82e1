// Cached answers, read by the vendors' official packages: what was asked for whole or as a stream comes from the cache in
// both forms, and the SDK's own accumulators make the same of both. The models are mock/vendors.py.
import assert from "node:assert";
import { randomUUID } from "node:crypto";

import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const { AIGW_ROOT: root, AIGW_KEY: apiKey, AIGW_ADMIN: admin, AIGW_ADMIN_TOKEN: token } = process.env;
const MODELS = ["gpt-4o", "deepseek-reasoner", "claude-sonnet-4-5", "gemini-2.5-flash", "gemini-3-pro", "eu.anthropic.claude-sonnet-4-5-v1:0", "command-a-03-2025"];
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const closed = { ...schema, additionalProperties: false };
const thinks = (model) => !/^(gpt|command)/.test(model);
const plain = (v) => JSON.parse(JSON.stringify(v));
const without = (o, ...names) => Object.fromEntries(Object.entries(o).filter(([k, v]) => !names.includes(k) && v !== undefined));

// every SDK calls through this
const verdicts = [];
const fetched = globalThis.fetch;
globalThis.fetch = async (...args) => {
  const response = await fetched(...args);
  if (!String(args[0]?.url ?? args[0]).startsWith(admin)) verdicts.push(response.headers.get("x-aigw-cache"));
  return response;
};

async function entries() {
  return (await (await fetched(`${admin}/v1/cache/stats`, { headers: { authorization: `Bearer ${token}` } })).json()).entries;
}

const gpt = new OpenAI({ baseURL: `${root}/v1`, apiKey, maxRetries: 0, fetch: globalThis.fetch });
const claude = new Anthropic({ baseURL: root, apiKey, maxRetries: 0, fetch: globalThis.fetch });
const google = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: root } });

const asks = {
  async chat(model, text, stream) {
    const args = { model, messages: [{ role: "user", content: text }], tools: [{ type: "function", function: { name: "f", strict: true, parameters: closed } }] };
    if (thinks(model)) args.reasoning_effort = "low";
    const a = stream ? await gpt.chat.completions.stream({ ...args, stream_options: { include_usage: true } }).finalChatCompletion() : await gpt.chat.completions.create(args);
    const m = a.choices[0].message;
    const calls = m.tool_calls.map((c) => [c.id, c.type, c.function.name, c.function.arguments]);
    return { content: m.content, refusal: m.refusal, calls, rest: [a.id, a.model, a.choices[0].finish_reason, a.usage] };
  },
  async responses(model, text, stream) {
    const args = { model, input: text, store: false, tools: [{ type: "function", name: "f", description: "x", strict: true, parameters: closed }] };
    if (thinks(model)) Object.assign(args, { reasoning: { effort: "low", summary: "auto" }, include: ["reasoning.encrypted_content"] });
    const a = stream ? await gpt.responses.stream(args).finalResponse() : await gpt.responses.create(args);
    const output = a.output.map((o) => ({ ...without(o, "parsed_arguments"), content: o.content?.map((p) => without(p, "parsed")) }));
    return { output, rest: [a.id, a.model, a.status, a.usage] };
  },
  async messages(model, text, stream) {
    const args = { model, max_tokens: 4096, messages: [{ role: "user", content: text }], tools: [{ name: "f", description: "x", input_schema: schema }] };
    if (thinks(model)) args.thinking = { type: "enabled", budget_tokens: 1024 };
    const a = stream ? await claude.messages.stream(args).finalMessage() : await claude.messages.create(args);
    return { content: a.content.map((b) => without(b, "parsed_output")), rest: [a.id, a.model, a.stop_reason, a.stop_sequence, a.usage] };
  },
  async generate(model, text, stream) {
    const config = { tools: [{ functionDeclarations: [{ name: "f", description: "x", parametersJsonSchema: schema }] }] };
    if (thinks(model)) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 1024 };
    const chunks = [];
    if (stream) for await (const c of await google.models.generateContentStream({ model, contents: text, config })) chunks.push(c);
    else chunks.push(await google.models.generateContent({ model, contents: text, config }));
    const parts = chunks.flatMap((c) => c.candidates?.[0]?.content?.parts ?? []);
    const last = chunks.at(-1);
    return {
      text: parts.map((p) => (p.thought ? "" : p.text ?? "")).join(""),
      thinking: parts.map((p) => (p.thought ? p.text ?? "" : "")).join(""),
      signed: parts.filter((p) => p.thoughtSignature).map((p) => p.thoughtSignature),
      calls: parts.filter((p) => p.functionCall).map((p) => [p.functionCall.name, p.functionCall.args]),
      rest: [last.candidates[0].finishReason, last.modelVersion, last.usageMetadata],
    };
  },
};

// asked for in one form, then had from the cache in both, as often as one likes
async function eitherForm(ask, model, first) {
  const text = `hello ${randomUUID()}`;
  verdicts.length = 0;
  const before = await entries();
  const until = Date.now() + 10000;
  const told = plain(await ask(model, text, first));
  while ((await entries()) === before) {
    assert(Date.now() < until, "it was not stored");
    await new Promise((done) => setTimeout(done, 10));
  }
  for (const stream of [false, true, true]) assert.deepEqual(plain(await ask(model, text, stream)), told);
  assert.deepEqual(verdicts, ["miss", "hit", "hit", "hit"]);
  assert(JSON.stringify(told).includes("city"));
}

const only = process.argv.slice(2);
for (const [name, ask] of Object.entries(asks))
  for (const model of MODELS)
    for (const first of [false, true]) {
      const title = `${name} ${model} ${first ? "stream" : "whole"} first`;
      if (only.length > 0 && !only.every((word) => title.includes(word))) continue;
      try {
        await eitherForm(ask, model, first);
        console.log("ok", title);
      } catch (e) {
        console.log("not ok", `${title}: ${e.message.replaceAll("\n", " ").slice(0, 500)}`);
        if (only.length > 0) console.log(e.stack);
      }
    }
process.exit(0);
