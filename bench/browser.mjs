#!/usr/bin/env node
/**
 * Training in a browser: Sheaf's program on onnxruntime-web against TensorFlow.js, in one page of one Chromium, in turn.
 *
 *   npm run bench:browser                            five rounds with one thread, five with as many as the machine has cores
 *   npm run bench:browser -- --threads 1 --rounds 9 --seconds 2 --json
 *
 * Both train VGG-11 at a quarter of its width on 32x32 images, batch 32, Nesterov momentum, from the same weights on the same batches; the losses of
 * their first steps are compared. TensorFlow.js has three rows: its WebAssembly backend as it comes, where a step fails if a gradient kernel is
 * missing (those are named); the same with the gradient of the filters composed of operations that it has, which is work a user would have to do;
 * and its plain JavaScript backend, which has every kernel and one thread. A round times each engine for --seconds, at least a step.
 * --engines sheaf,tfjs-wasm-composed leaves the last out, which takes a minute a step.
 * The table shows medians over rounds; the ratio is Sheaf's images a second over theirs.
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { getRequestListener } from "@hono/node-server";
import { chromium } from "playwright-core";
import { openPages } from "../dist/coordinator/pages.node.js";
import { buildPage } from "../scripts/buildPage.mjs";

const { values } = parseArgs({
  options: {
    threads: { type: "string" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    engines: { type: "string", default: "sheaf,tfjs-wasm,tfjs-wasm-composed,tfjs-cpu" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    json: { type: "boolean", default: false },
  },
});
const threadCounts = values.threads?.split(",").map(Number) ?? [...new Set([1, Math.min(4, availableParallelism())])];
const [rounds, milliseconds] = [Number(values.rounds), 1000 * Number(values.seconds)];
const engines = values.engines.split(",");
/** Steps whose losses are compared; they warm the engines up, too. */
const firstSteps = 3;

const here = dirname(fileURLToPath(import.meta.url));
const packageFolder = (name, file) => dirname(createRequire(import.meta.url).resolve(`${name}/${file}`));

/** Serves the page, ONNX Runtime's files and TensorFlow.js's, cross-origin isolated. */
async function serve(folder) {
  const places = [
    ["/ort", openPages(packageFolder("onnxruntime-web", "ort-wasm-simd-threaded.wasm"))],
    ["/tfjs", openPages(packageFolder("@tensorflow/tfjs-backend-wasm", "dist/tfjs-backend-wasm.wasm"))],
    ["", openPages(folder)],
  ];
  const answer = async (request) => {
    const { pathname, origin } = new URL(request.url);
    const [prefix, pages] = places.find(([start]) => pathname.startsWith(`${start}/`));
    const response = await pages(new Request(`${origin}${pathname.slice(prefix.length)}`, request));
    if (!response) return new Response(null, { status: 404 });
    // TensorFlow.js starts its threads from an address in memory, which our policy forbids.
    response.headers.delete("content-security-policy");
    return response;
  };
  const server = createServer(getRequestListener(answer, { overrideGlobalObjects: false }));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};
const say = (text) => process.stderr.write(`${text}\n`);

/** All rounds with one count of threads, in a page of its own. */
async function measure(browser, url, threads) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => say(`In the page: ${error.message}`));
  await page.goto(url);
  await page.waitForFunction("globalThis.bench !== undefined");
  const { batchSize, macs, tfjs, isolated } = await page.evaluate("bench.describe()");
  if (threads > 1 && !isolated) throw new Error("The page is not cross-origin isolated, so that it has no threads.");
  const losses = {};
  const failures = {};
  for (const engine of engines) {
    const opened = await page.evaluate(`bench.open("${engine}", ${threads}, ${firstSteps})`);
    if (opened.failure) failures[engine] = opened.failure.split("\n")[0];
    else losses[engine] = opened.losses;
    say(
      `${engine}, threads ${threads}: ${opened.failure ? `cannot train: ${failures[engine]}` : `first losses ${opened.losses.map((loss) => loss.toFixed(5)).join(" ")}`}`,
    );
  }
  const times = Object.fromEntries(Object.keys(losses).map((engine) => [engine, []]));
  for (let round = 0; round < rounds; round++) {
    for (const engine of Object.keys(times)) times[engine].push(await page.evaluate(`bench.time("${engine}", ${milliseconds})`));
  }
  const missing = threads === threadCounts[0] ? await page.evaluate("bench.missing()") : undefined;
  await page.close();
  const sheafMs = median(times.sheaf);
  const rows = engines.map((engine) => {
    const common = { engine, threads: engine === "tfjs-cpu" ? 1 : threads, besideThreads: threads };
    if (failures[engine]) return { ...common, failure: failures[engine] };
    const ms = median(times[engine]);
    const lossDifference = Math.max(...losses[engine].map((loss, i) => Math.abs(loss - losses.sheaf[i]) / losses.sheaf[i]));
    return {
      ...common,
      msPerStep: ms,
      leastMs: Math.min(...times[engine]),
      imagesPerSecond: (1000 * batchSize) / ms,
      ratio: ms / sheafMs,
      lossDifference,
    };
  });
  return { rows, missing, batchSize, macs, tfjs };
}

const commit = execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { cwd: here, encoding: "utf8" }).trim();
const folder = await mkdtemp(join(tmpdir(), "sheaf-bench-"));
let server;
let browser;
try {
  await buildPage(join(here, "browser"), folder);
  server = await serve(folder);
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  browser = await chromium.launch({ executablePath: values.chromium, args });
  const url = `http://127.0.0.1:${server.address().port}/`;
  const measured = [];
  for (const threads of threadCounts) measured.push(await measure(browser, url, threads));
  const [{ missing, batchSize, macs, tfjs }] = measured;
  const setting = {
    network: "vgg11",
    width: 0.25,
    batchSize,
    macs,
    rounds,
    commit,
    chromium: browser.version(),
    tfjs,
    machine: cpus()[0]?.model,
    cores: cpus().length,
  };
  const rows = measured.flatMap((part) => part.rows);
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ ...setting, missingKernels: missing.missing, rows })}\n`);
  } else {
    const line = (...cells) => `${cells.map((cell, i) => (i === 0 ? String(cell).padEnd(20) : String(cell).padStart(12))).join("")}\n`;
    process.stdout.write(
      `VGG-11 at width 0.25, ${(macs / 1e6).toFixed(2)} million MACs an image, batch ${batchSize}; Chromium ${setting.chromium}, TensorFlow.js ${tfjs}; commit ${commit}\n`,
    );
    process.stdout.write(`Kernels of the step that TensorFlow.js's WebAssembly lacks: ${missing.missing.join(", ") || "none"}\n`);
    process.stdout.write(line("engine", "threads", "ms a step", "images/s", "ratio", "loss differs"));
    for (const row of rows) {
      if (row.failure) process.stdout.write(`${row.engine.padEnd(20)}${String(row.threads).padStart(12)}  cannot train: ${row.failure}\n`);
      else
        process.stdout.write(
          line(
            row.engine,
            row.threads,
            row.msPerStep.toFixed(1),
            row.imagesPerSecond.toFixed(1),
            row.ratio.toFixed(2),
            row.lossDifference.toExponential(1),
          ),
        );
    }
  }
} finally {
  await browser?.close();
  server?.close();
  await rm(folder, { recursive: true, force: true });
}
