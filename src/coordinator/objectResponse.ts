/** An object over HTTP: whole, a range of it (206), only its headers, or nothing because the caller has it (304). */
import { parseRange } from "./requests.ts";
import type { ObjectStore } from "./store.ts";

/** Undefined when there is no such object. Throws `rangeNotSatisfiable`. */
export async function objectResponse(objects: ObjectStore, sha256: string, request: Request): Promise<Response | undefined> {
  const stored = await objects.find(sha256);
  if (!stored) return undefined;
  const tag = `"${sha256}"`;
  const headers = new Headers({
    "accept-ranges": "bytes",
    "cache-control": "private, max-age=31536000, immutable",
    "content-type": "application/octet-stream",
    etag: tag,
  });
  if (request.headers.get("if-none-match") === tag) return new Response(null, { status: 304, headers });
  const condition = request.headers.get("if-range");
  const range = condition === null || condition === tag ? parseRange(request.headers.get("range"), stored.bytes) : undefined;
  headers.set("content-length", String(range ? range.end - range.start : stored.bytes));
  if (range) headers.set("content-range", `bytes ${range.start}-${range.end - 1}/${stored.bytes}`);
  const body = request.method === "HEAD" ? null : await objects.read(sha256, range);
  return body === undefined ? undefined : new Response(body, { status: range ? 206 : 200, headers });
}
