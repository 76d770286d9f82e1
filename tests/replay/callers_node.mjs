// The vendors' official npm packages as callers: reads jobs as JSON lines, answers with JSON lines {id, …}. Job and answer are
// those of callers_python.py.
import readline from "node:readline";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI, ApiError } from "@google/genai";

const QUESTION = "What is the answer?";
const SCHEMA = { type: "object", properties: { value: { type: "string" } } };

const clients = new Map();
function client(job) {
  const key = [job.dialect, job.base, job.key].join(" ");
  if (!clients.has(key)) {
    const options = { apiKey: job.key, maxRetries: 0, timeout: 30000 };
    if (job.dialect === "chat" || job.dialect === "responses") clients.set(key, new OpenAI({ ...options, baseURL: job.base + (job.openai_path ?? "/v1") }));
    else if (job.dialect === "messages") clients.set(key, new Anthropic({ ...options, baseURL: job.base }));
    else clients.set(key, new GoogleGenAI({ apiKey: job.key, httpOptions: { baseUrl: job.base, timeout: 30000, retryOptions: { attempts: 1 } } }));
  }
  return clients.get(key);
}

async function chat(job, out) {
  const body = { model: job.model, messages: [{ role: "user", content: QUESTION }] };
  if (job.tools.length) body.tools = job.tools.map((name) => ({ type: "function", function: { name, description: "a tool", parameters: SCHEMA } }));
  if (job.n > 1) body.n = job.n;
  const c = client(job);
  if (!job.stream) {
    out.answer = await c.chat.completions.create(body);
    return;
  }
  // what the helper does not know it overwrites, where it should be joined: the reasoning is joined here
  const reasoning = [];
  let told;
  const stream = c.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
  stream.on("chunk", (chunk) => {
    told = chunk.usage ?? told;
    for (const choice of chunk.choices ?? []) {
      const more = choice.delta?.reasoning_content || choice.delta?.reasoning || "";
      reasoning[choice.index] = (reasoning[choice.index] ?? "") + more;
    }
  });
  out.answer = await stream.finalChatCompletion();
  out.answer.usage ??= told;
  for (const choice of out.answer.choices) {
    delete choice.message.reasoning;
    choice.message.reasoning_content = reasoning[choice.index] ?? "";
  }
}

async function responses(job, out) {
  const body = { model: job.model, input: QUESTION };
  if (job.tools.length) body.tools = job.tools.map((name) => ({ type: "function", name, description: "a tool", parameters: SCHEMA, strict: false }));
  const c = client(job);
  if (!job.stream) {
    out.answer = await c.responses.create(body);
    return;
  }
  const numbers = [];
  const stream = c.responses.stream(body);
  for await (const event of stream) {
    if (event.sequence_number !== undefined) numbers.push(event.sequence_number);
    if (event.type === "error") throw new OpenAI.APIError(undefined, event, event.message, undefined);
    if (event.response && /completed|incomplete|failed/.test(event.type)) out.answer = event.response;
    if (event.type === "response.failed") throw new OpenAI.APIError(undefined, event.response.error ?? {}, event.response.error?.message, undefined);
  }
  if (job.translated && numbers.some((n, i) => n !== i)) out.problems.push(`sequence numbers: ${numbers.slice(0, 20)}`);
  out.answer = await stream.finalResponse();
}

async function embeddings(job, out) {
  out.answer = await client(job).embeddings.create({ model: job.model, input: job.inputs, ...(job.encoding ? { encoding_format: job.encoding } : {}) });
}

async function rerank(job, out) {
  out.answer = await client(job).post("/rerank", { body: { model: job.model, query: QUESTION, documents: job.inputs } });
}

async function messages(job, out) {
  const body = { model: job.model, max_tokens: 1024, messages: [{ role: "user", content: QUESTION }] };
  if (job.tools.length) body.tools = job.tools.map((name) => ({ name, description: "a tool", input_schema: SCHEMA }));
  const c = client(job);
  if (!job.stream) {
    out.answer = await c.messages.create(body);
    return;
  }
  const stream = c.messages.stream(body);
  try {
    for await (const _ of stream);
  } finally {
    out.answer = stream.currentMessage ?? null;
  }
  out.answer = await stream.finalMessage();
}

async function count(job, out) {
  out.answer = await client(job).messages.countTokens({ model: job.model, messages: [{ role: "user", content: QUESTION }] });
}

async function google(job, out) {
  const config = {};
  if (job.tools.length) config.tools = [{ functionDeclarations: job.tools.map((name) => ({ name, description: "a tool", parametersJsonSchema: SCHEMA })) }];
  if (job.n > 1) config.candidateCount = job.n;
  const c = client(job);
  const body = { model: job.model, contents: QUESTION, config };
  if (!job.stream) {
    out.answer = [await c.models.generateContent(body)];
    return;
  }
  out.answer = [];
  for await (const chunk of await c.models.generateContentStream(body)) out.answer.push(chunk);
}

async function googleEmbeddings(job, out) {
  out.answer = await client(job).models.embedContent({ model: job.model, contents: job.inputs });
}

async function googleCount(job, out) {
  out.answer = await client(job).models.countTokens({ model: job.model, contents: QUESTION });
}

const calls = {
  "chat chat": chat, "responses chat": responses, "responses responses": responses, "messages chat": messages, "google chat": google,
  "chat embeddings": embeddings, "google embeddings": googleEmbeddings, "messages count": count, "google count": googleCount, "chat rerank": rerank,
};

async function call(job) {
  const out = { id: job.id, answer: null, problems: [], error: null };
  try {
    await calls[`${job.dialect} ${job.kind}`](job, out);
  } catch (e) {
    const known = e instanceof OpenAI.APIError || e instanceof Anthropic.APIError || e instanceof ApiError;
    out.error = { class: e.constructor.name, status: e.status ?? null, message: `${e.message} ${JSON.stringify(e.error ?? "")}`, unreadable: !known };
  }
  for (const chunk of Array.isArray(out.answer) ? out.answer : []) delete chunk.sdkHttpResponse;
  return out;
}

// an error that a helper raises beside the awaited promise is the same as the awaited one
process.on("unhandledRejection", () => {});
for await (const line of readline.createInterface({ input: process.stdin })) {
  if (line.trim()) call(JSON.parse(line)).then((out) => process.stdout.write(JSON.stringify(out) + "\n"));
}
