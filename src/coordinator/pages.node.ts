/** The coordinator's pages from a folder of built files: what there is is listed once, so that no path from outside ever becomes a path on the disk. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

/** Answers a request for a page or a file of one; undefined where there is none. */
export type Pages = (request: Request) => Promise<Response | undefined>;

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};
/** Files that shrink; the others are small or compressed already. */
const shrinking = new Set([".html", ".js", ".mjs", ".css", ".json", ".webmanifest", ".wasm", ".svg", ".txt"]);

/**
 * What a page may do. Scripts and styles are files of ours alone; WebAssembly may be compiled, which is not `eval`; pictures and sounds that the person
 * brings are shown from memory. Nothing goes to another origin.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Of every file: cross-origin isolation lets WebAssembly use threads, and keeps others out of our memory. */
const headers = {
  "content-security-policy": policy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

type Encoding = "br" | "gzip" | "identity";

const compress: { readonly [E in Encoding]: (bytes: Buffer) => Promise<Buffer> } = {
  // The middle of the scale: a tenth larger than the best, and done in a second where that takes a minute.
  br: (bytes) => promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  gzip: (bytes) => promisify(gzip)(bytes),
  identity: (bytes) => Promise.resolve(bytes),
};

function encodingFor(request: Request, extension: string): Encoding {
  if (!shrinking.has(extension)) return "identity";
  const accepted = (request.headers.get("accept-encoding") ?? "").split(",").map((part) => part.trim().split(";"));
  const takes = (name: string): boolean => accepted.some(([coding, q]) => coding === name && !/q=0(\.0*)?$/.test(q?.trim() ?? ""));
  return takes("br") ? "br" : takes("gzip") ? "gzip" : "identity";
}

/** Where the build puts the pages: beside the compiled library, or in `dist/` of a checkout. */
export function builtPages(): string {
  const beside = fileURLToPath(new URL("../web", import.meta.url));
  return existsSync(join(beside, "join", "index.html")) ? beside : fileURLToPath(new URL("../../dist/web", import.meta.url));
}

interface Served {
  readonly body: Buffer;
  readonly etag: string;
}

/**
 * Opens the pages of a folder; without the folder there are none. `/NAME` and `/NAME/` answer with `NAME/index.html`. Files in `assets/`, whose names
 * change with their content, are kept by browsers for good, all others are asked about again.
 * @example openServer({ ..., pages: openPages(builtPages()) })
 */
export function openPages(folder: string): Pages {
  const files = new Map<string, string>();
  if (existsSync(folder)) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const name = `/${relative(folder, path).split(sep).join("/")}`;
      files.set(name, path);
      if (!name.endsWith("/index.html")) continue;
      const place = name.slice(0, -"index.html".length);
      files.set(place, path);
      if (place !== "/") files.set(place.slice(0, -1), path);
    }
  }
  // Compressed once, when first asked for.
  const kept = new Map<string, Promise<Served>>();
  const load = async (path: string, encoding: Encoding): Promise<Served> => {
    const body = await compress[encoding](await readFile(path));
    return { body, etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"` };
  };
  return async (request) => {
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") return undefined;
    const name = new URL(request.url).pathname;
    const path = files.get(name);
    if (path === undefined) return undefined;
    const extension = extname(path);
    const encoding = encodingFor(request, extension);
    const key = `${encoding} ${path}`;
    const loading = kept.get(key) ?? load(path, encoding);
    kept.set(key, loading);
    loading.catch(() => kept.delete(key));
    const { body, etag } = await loading;
    const all = new Headers(headers);
    all.set("content-type", types[extension] ?? "application/octet-stream");
    all.set("cache-control", name.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
    all.set("etag", etag);
    all.set("vary", "accept-encoding");
    if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers: all });
    if (encoding !== "identity") all.set("content-encoding", encoding);
    all.set("content-length", String(body.length));
    return new Response(method === "HEAD" ? null : new Uint8Array(body), { headers: all });
  };
}
