/** The same training program natively in Node, and in Chromium on WebAssembly and on WebGPU. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { getRequestListener } from "@hono/node-server";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPage } from "../../scripts/buildPage.mjs";
import { openPages } from "../../src/coordinator/pages.node.ts";
import { openSession } from "../../src/runtime/session.node.ts";
import { hasChromium, openChromium, openPage } from "./browser.ts";
import { type Scratch, scratch } from "./sheaf.ts";
import { lossesOf, type Trained } from "./trainingPage/steps.ts";

const steps = 50;
/** A software imitation of a graphics processor is slow; `npm run browser` takes all steps. */
const gpuSteps = process.env.SHEAF_BROWSER === "full" ? steps : 10;

describe.skipIf(!hasChromium)("the same training program", () => {
  let folder: Scratch;
  let server: Server;
  let browser: Browser;
  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const open = async (): Promise<Page> => {
    const page = await openPage(browser);
    await page.goto(url());
    return page;
  };
  const losses = (page: Page, trained: Trained, count: number, provider: string, threads: number): Promise<readonly number[]> =>
    page.evaluate(`train("${trained}", ${count}, "${provider}", ${threads})`);
  /** Largest difference from Node's losses, relative to the loss. */
  const difference = async (got: readonly number[], trained: Trained): Promise<number> => {
    const native = await lossesOf(openSession, trained, got.length, {});
    expect(native.length).toBe(got.length);
    return Math.max(...native.map((loss, step) => Math.abs((got[step] as number) - loss) / loss));
  };

  beforeAll(async () => {
    folder = await scratch("training");
    await buildPage(fileURLToPath(new URL("trainingPage", import.meta.url)), folder.path);
    const built = openPages(folder.path);
    // ONNX Runtime's own files as they lie in its package.
    const runtime = openPages(fileURLToPath(new URL("../../node_modules/onnxruntime-web/dist", import.meta.url)));
    const answer = async (request: Request): Promise<Response> => {
      const { pathname, origin } = new URL(request.url);
      const inRuntime = pathname.startsWith("/ort/") ? new Request(`${origin}${pathname.slice(4)}`, request) : undefined;
      return (await (inRuntime ? runtime(inRuntime) : built(request))) ?? new Response(null, { status: 404 });
    };
    server = createServer(getRequestListener(answer, { overrideGlobalObjects: false }));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await openChromium("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader");
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    await folder?.remove();
  });

  it.each([1, 2])("has the same losses on WebAssembly with %d threads", async (threads) => {
    const page = await open();
    expect(await page.evaluate("crossOriginIsolated")).toBe(true);
    const got = await losses(page, "vgg11", steps, "wasm", threads);
    expect(await difference(got, "vgg11")).toBeLessThan(1e-4);
    expect(got.at(-1)).toBeLessThan(got[0] as number);
    await page.context().close();
  });

  it("has nearly the same losses on WebGPU", async ({ skip }) => {
    const page = await open();
    const adapter = await page.evaluate("navigator.gpu?.requestAdapter().then((found) => found !== null)");
    skip(adapter !== true, "This Chromium has no WebGPU adapter, not even in software.");
    const got = await losses(page, "tiny", gpuSteps, "webgpu", 1);
    expect(got.length).toBe(gpuSteps);
    expect(await difference(got, "tiny")).toBeLessThan(1e-3);
    await page.context().close();
  });
});
