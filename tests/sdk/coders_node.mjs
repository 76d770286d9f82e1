// Coding agents, unmodified, as their users start them: Claude Code and the Gemini CLI, against models of every vendor. The models are
// mock/vendors.py, who refuse what the real ones would; each calls two tools of the agent's twice and then tells their results.
import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { AIGW_ROOT: root, AIGW_KEY: key } = process.env;
const bin = (name) => join(import.meta.dirname ?? ".", "node_modules", ".bin", name);
const TAIL = " – ça va? 日本 🚀";
const MODELS = ["mistral-large", "claude-opus-4-5", "gemini-3-pro", "amazon.nova-pro-v1:0", "command-a-03-2025"];
const home = mkdtempSync(join(tmpdir(), "aigw-coders-"));
const project = join(home, "project");
mkdirSync(join(home, ".gemini"));
mkdirSync(project);
const settings = { security: { auth: { selectedType: "gemini-api-key" } }, privacy: { usageStatisticsEnabled: false }, general: { disableAutoUpdate: true } };
writeFileSync(join(home, ".gemini", "settings.json"), JSON.stringify(settings));

// What it prints. It has a minute.
function run(program, args, env) {
  return new Promise((resolve) => {
    const { PATH, LANG } = process.env;
    const child = spawn(bin(program), args, { cwd: project, env: { PATH, LANG, HOME: home, NO_COLOR: "1", ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (d) => (out += d));
    child.stderr.on("data", (d) => (err += d));
    const timer = setTimeout(() => child.kill("SIGKILL"), 60000);
    child.on("error", (e) => resolve({ out: "", err: String(e) }));
    child.on("close", () => (clearTimeout(timer), resolve({ out, err })));
  });
}

const claude = (model, args, base = root) =>
  run("claude", ["-p", "look", "--model", model, ...args], {
    ANTHROPIC_BASE_URL: base,
    ANTHROPIC_AUTH_TOKEN: key,
    ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    CLAUDE_CODE_MAX_RETRIES: "0",
  });
const gemini = (model, args) => run("gemini", ["-m", model, "-p", "look", ...args], { GOOGLE_GEMINI_BASE_URL: root, GEMINI_API_KEY: key, GEMINI_CLI_TRUST_WORKSPACE: "true" });

const tools = ["--tools", "Read,Glob", "--allowedTools", "Read,Glob"];
const schema = { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city", "days"], additionalProperties: false };
const cases = [];
for (const model of MODELS) {
  cases.push([`claude code, tools ${model}`, async () => told(await claude(model + "--rounds2", tools))]);
  cases.push([`gemini cli, tools ${model}`, async () => told(await gemini(model + "--rounds2", ["--yolo"]))]);
}
for (const model of ["llama-3", "eu.anthropic.claude-sonnet-4-5-v1:0"])
  cases.push([`claude code, schema ${model}`, async () => structured(await claude(model, ["--tools", "", "--json-schema", JSON.stringify(schema), "--output-format", "json"]))]);
cases.push(["claude code, a base URL with its version", async () => told(await claude("gpt-4o--rounds2", tools, root + "/v1"))]);

function told({ out, err }) {
  if (!out.includes("Results: ") || !out.trimEnd().endsWith(TAIL)) throw new Error(out + err);
}

function structured({ out, err }) {
  const last = [JSON.parse(out)].flat().at(-1);
  if (typeof last.structured_output?.city !== "string" || !Number.isInteger(last.structured_output?.days)) throw new Error(out + err);
}

const only = process.argv.slice(2);
const wanted = cases.filter(([name]) => only.every((word) => name.includes(word)));
async function worker() {
  for (let c = wanted.shift(); c; c = wanted.shift()) {
    try {
      await c[1]();
      console.log("ok", c[0]);
    } catch (e) {
      console.log("not ok", `${c[0]}: ${String(e.message).replaceAll("\n", " ").slice(0, 500)}`);
    }
  }
}
await Promise.all([worker(), worker(), worker()]);
rmSync(home, { recursive: true, force: true, maxRetries: 5 });
process.exit(0);
