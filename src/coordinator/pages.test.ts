import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPages, type Pages } from "./pages.node.ts";

let outside: string;
let pages: Pages;
const script = "console.log(1);\n".repeat(200);

beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), "sheaf-pages-"));
  const folder = join(outside, "web");
  await mkdir(join(folder, "join"), { recursive: true });
  await mkdir(join(folder, "assets"));
  await writeFile(join(outside, "secret.txt"), "secret");
  await writeFile(join(folder, "index.html"), "<p>first</p>");
  await writeFile(join(folder, "join", "index.html"), "<p>join</p>");
  await writeFile(join(folder, "assets", "page-abc.js"), script);
  await writeFile(join(folder, "picture.png"), "png");
  pages = openPages(folder);
});
afterAll(() => rm(outside, { recursive: true, force: true }));

const get = (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response | undefined> =>
  pages(new Request(`http://coordinator${path}`, { method, headers }));

describe("openPages", () => {
  it.each([
    ["/", "<p>first</p>"],
    ["/join", "<p>join</p>"],
    ["/join/", "<p>join</p>"],
    ["/join?x=1", "<p>join</p>"],
  ])("answers %s with its page", async (path, text) => {
    const answer = await get(path);
    expect(answer?.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(answer?.headers.get("cache-control")).toBe("no-cache");
    expect(await answer?.text()).toBe(text);
  });

  it.each([
    "/nothing",
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/join/..%2f..%2fsecret.txt",
    "/assets",
    "/assets/",
    "/join/index.html/",
    "//join",
  ])("has no %s", async (path) => {
    expect(await get(path)).toBeUndefined();
  });

  it("takes no other methods", async () => {
    expect(await get("/join", {}, "POST")).toBeUndefined();
    const head = await get("/join", {}, "HEAD");
    expect(head?.headers.get("content-length")).toBe("11");
    expect(await head?.text()).toBe("");
  });

  it("allows no inline scripts or styles, no other origin, and isolates", async () => {
    const { headers } = (await get("/join")) as Response;
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|https?:|\*/);
    expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
    expect(headers.get("cross-origin-embedder-policy")).toBe("require-corp");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  });

  it("compresses what shrinks, as the browser takes it", async () => {
    const path = "/assets/page-abc.js";
    const decode = { br: brotliDecompressSync, gzip: gunzipSync } as const;
    for (const coding of ["br", "gzip"] as const) {
      const answer = (await get(path, { "accept-encoding": `${coding};q=0.8, deflate` })) as Response;
      expect(answer.headers.get("content-encoding")).toBe(coding);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      expect(bytes.length).toBeLessThan(script.length / 10);
      expect(decode[coding](bytes).toString()).toBe(script);
    }
    expect((await get(path, { "accept-encoding": "br;q=0" }))?.headers.get("content-encoding")).toBeNull();
    expect((await get("/picture.png", { "accept-encoding": "br" }))?.headers.get("content-encoding")).toBeNull();
    expect((await get(path))?.headers.get("cache-control")).toContain("immutable");
  });

  it("says when nothing has changed", async () => {
    const etag = (await get("/join"))?.headers.get("etag") ?? "";
    const again = await get("/join", { "if-none-match": etag });
    expect(again?.status).toBe(304);
    expect(await again?.text()).toBe("");
  });

  it("is empty where nothing was built", async () => {
    expect(await openPages(join(outside, "nowhere"))(new Request("http://coordinator/join"))).toBeUndefined();
  });
});
