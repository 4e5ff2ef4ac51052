/** The join page as an installed application: it opens without a line, isolated and bound by its policy, keeps nothing but its own files, and takes the next version. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtPages, openPages } from "../../src/coordinator/pages.node.ts";
import { hasChromium, openChromium } from "./browser.ts";

const token = `sheafjoin-${"t".repeat(43)}`;

describe.skipIf(!hasChromium)("the join page, installed", () => {
  let server: Server;
  let browser: Browser;
  let context: BrowserContext;
  let version = "";
  let isAway = false;
  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  /** What is kept, by cache. */
  const kept = (page: Page): Promise<Record<string, readonly string[]>> =>
    page.evaluate(`(async () => {
      const found = {};
      for (const name of await caches.keys()) found[name] = (await (await caches.open(name)).keys()).map(({ url }) => url);
      return found;
    })()`);
  const open = async (path = "/join"): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(`${url()}${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    return page;
  };

  beforeAll(async () => {
    const pages = openPages(builtPages());
    const answer = async (request: Request): Promise<Response> => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/v1/")) return Response.json({ serverId: "s", runs: [] });
      const found = await pages(request);
      if (!found || pathname !== "/sw.js" || version === "") return found ?? new Response(null, { status: 404 });
      const { status, headers } = found;
      headers.delete("content-length");
      headers.delete("content-encoding");
      const plain = await pages(new Request(request.url));
      return new Response((await plain?.text())?.replace(/version:"\w+"/, `version:"${version}"`), {
        status: status === 304 ? 200 : status,
        headers,
      });
    };
    const listener = getRequestListener(answer, { overrideGlobalObjects: false });
    server = createServer((incoming, outgoing) => (isAway ? incoming.destroy() : void listener(incoming, outgoing)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await openChromium();
    context = await browser.newContext();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });

  it("has a manifest with a start page and an icon that are there", async () => {
    const page = await open();
    const manifest = (await (await page.request.get(`${url()}/manifest.webmanifest`)).json()) as {
      start_url: string;
      display: string;
      icons: readonly { src: string }[];
    };
    expect(manifest).toMatchObject({ start_url: "/join", display: "standalone" });
    for (const path of [manifest.start_url, ...manifest.icons.map(({ src }) => src)]) {
      expect((await page.request.get(`${url()}${path}`)).status(), path).toBe(200);
    }
    await page.close();
  }, 60_000);

  it("opens without a line, and keeps neither answers nor the token", async () => {
    const page = await open(`/join#${token}`);
    await page.evaluate("navigator.serviceWorker.ready");
    await page.reload();
    await page.evaluate(`fetch("/v1/openapi.json").then((answer) => answer.text())`);
    const caches = await kept(page);
    const urls = Object.values(caches).flat();
    expect(Object.keys(caches)).toHaveLength(1);
    expect(urls).toContain(`${url()}/join`);
    expect(urls.filter((each) => /\/v1\/|#|\?|sheafjoin/.test(each) || each.includes(token))).toEqual([]);
    expect(await page.evaluate("navigator.serviceWorker.controller !== null")).toBe(true);

    isAway = true;
    server.closeAllConnections();
    await page.reload();
    await page.getByRole("heading", { level: 1 }).waitFor();
    expect(await page.evaluate("crossOriginIsolated")).toBe(true);
    // The policy came with the page: a script that is not the page's own does not run.
    const isBlocked = await page.evaluate(`(() => {
      const script = document.createElement("script");
      script.textContent = "globalThis.wasRun = true";
      document.head.append(script);
      return globalThis.wasRun === undefined;
    })()`);
    expect(isBlocked).toBe(true);
    await expect(page.evaluate(`fetch("/v1/openapi.json")`)).rejects.toThrow();
    isAway = false;
    await page.close();
  }, 120_000);

  it("takes the next version once no page of the last is open, and forgets the last's files", async () => {
    const first = await open();
    const before = Object.keys(await kept(first));
    version = "next";
    await first.evaluate("navigator.serviceWorker.getRegistration().then((found) => found.update())");
    await expect.poll(async () => Object.keys(await kept(first)).length, { timeout: 20_000 }).toBe(2);
    await first.close();
    // A page that is opened before the browser has let the last one go still belongs to the last version, as long as it is open.
    const keptNow = async (): Promise<readonly string[]> => {
      const page = await open();
      const names = Object.keys(await kept(page));
      await page.close();
      return names;
    };
    await expect.poll(keptNow, { timeout: 60_000, interval: 500 }).toEqual(["sheaf-shell-next"]);
    expect(before).not.toContain("sheaf-shell-next");
  }, 120_000);
});
