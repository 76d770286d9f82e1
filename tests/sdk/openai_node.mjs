// The official `openai` package of npm against the gateway.
import OpenAI, { toFile } from "openai";
import assert from "node:assert";

const { AIGW_URL, AIGW_KEY, AIGW_LIMITED_KEY, AIGW_UPSTREAM } = process.env;
const messages = [{ role: "user", content: "hi" }];
const client = (more = {}) => new OpenAI({ baseURL: AIGW_URL, apiKey: AIGW_KEY, maxRetries: 0, ...more });
const create = (model, more = {}, c = client()) => c.chat.completions.create({ model, messages, ...more });
const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }];

async function raises(cls, call) {
  try {
    await call();
  } catch (e) {
    assert(e instanceof cls, `${e.constructor.name}: ${e.message}`);
    return e;
  }
  assert.fail(`${cls.name} was not raised`);
}
async function collect(stream) {
  const out = [];
  for await (const chunk of stream) out.push(chunk);
  return out;
}

const cases = {
  async chat() {
    const a = await create("m");
    assert.equal(a.choices[0].message.content, "w".repeat(40));
    assert(a._request_id);
  },
  async chat_stream() {
    const chunks = await collect(await create("m-chunks7", { stream: true }));
    assert.equal(chunks.map((c) => c.choices[0].delta.content ?? "").join(""), [0, 1, 2, 3, 4, 5, 6].map((i) => i + "wwwww").join(""));
  },
  async chat_stream_usage() {
    const chunks = await collect(await create("m-chunks3", { stream: true, stream_options: { include_usage: true } }));
    assert.equal(chunks.at(-1).usage.completion_tokens, 3);
  },
  async stream_helper() {
    const s = client().chat.completions.stream({ model: "m-chunks3", messages });
    assert((await s.finalChatCompletion()).choices[0].message.content);
  },
  async tools() {
    const a = await create("m-tools", { tools, tool_choice: "required" });
    assert.equal(a.choices[0].message.tool_calls.length, 2);
  },
  async embeddings() {
    const a = await client().embeddings.create({ model: "m", input: ["a", "b"], encoding_format: "float" });
    assert.equal(a.data.length, 2);
  },
  async models_list() {
    const ids = [];
    for await (const m of client().models.list()) ids.push(m.id);
    assert.deepEqual(ids, ["m*"]);
  },
  async files_upload() {
    const f = await client().files.create({ file: await toFile(Buffer.from('{"a":1}\n'.repeat(1000)), "a.jsonl"), purpose: "batch" });
    assert.equal(f.id, "file-1");
  },
  async aborted_stream() {
    const stats = async () => (await fetch(AIGW_UPSTREAM)).json();
    const before = (await stats()).aborted;
    const stream = await create("m-chunks1000-gap20", { stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    const end = Date.now() + 1000;
    while ((await stats()).aborted === before) assert(Date.now() < end, "the provider call was not aborted");
  },
  async stream_error() {
    await raises(OpenAI.APIError, async () => collect(await create("m-chunks5-cut2", { stream: true })));
  },
  async authentication_error() {
    const e = await raises(OpenAI.AuthenticationError, () => create("m", {}, client({ apiKey: "sk-wrong-key-wrong-key" })));
    assert.equal(e.code, "invalid_api_key");
  },
  async rate_limit_error() {
    const c = client({ apiKey: AIGW_LIMITED_KEY });
    const e = await raises(OpenAI.RateLimitError, async () => {
      await create("m", {}, c);
      await create("m", {}, c);
    });
    assert.equal(e.code, "rate_limit_exceeded");
  },
  async bad_request_error() {
    await raises(OpenAI.BadRequestError, () => create("m-status400"));
    await raises(OpenAI.BadRequestError, () => create("m", { stream: "yes" }));
  },
  async not_found_error() {
    await raises(OpenAI.NotFoundError, () => create("no-such-model"));
  },
  async internal_server_error() {
    await raises(OpenAI.InternalServerError, () => create("m-status500"));
  },
  async timeout_error() {
    await raises(OpenAI.APIConnectionTimeoutError, () => create("m-hang", {}, client({ timeout: 300 })));
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log("ok", name);
  } catch (e) {
    console.log("not ok", `${name}: ${e.message?.replaceAll("\n", " ").slice(0, 300)}`);
  }
}
process.exit(0);
