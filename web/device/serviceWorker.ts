/**
 * Keeps the join page's own files, so that it opens without a line and a device goes on with what it has. Only files of the build: no answers of the
 * interface, no data, nothing that has a token. Answers are kept with their headers, so that a page from here is isolated and bound by the same policy.
 */
export {};

/** Put in by the build: a name that changes with any of the files, and those that are kept from the start. */
declare const __SHELL__: { readonly version: string; readonly files: readonly string[] };
declare const self: ServiceWorkerGlobalScope;

const prefix = "sheaf-shell-";
const cacheName = `${prefix}${__SHELL__.version}`;
/** Names below change with what is in them. */
const lasting = ["/assets/", "/ort/"];
const files = new Set(__SHELL__.files);

/** By its path alone: what stands behind `#` or `?` is never written down. */
const kept = async (path: string): Promise<Response | undefined> => (await caches.open(cacheName)).match(path);

async function keep(path: string, response: Response): Promise<void> {
  try {
    await (await caches.open(cacheName)).put(path, response);
  } catch {
    // No room: it is fetched again when it is needed.
  }
}

/** Files whose name is their content: as they are kept, or fetched once. */
async function lastingFile(request: Request, path: string): Promise<Response> {
  const found = await kept(path);
  if (found) return found;
  const response = await fetch(request);
  if (response.status === 200) await keep(path, response.clone());
  return response;
}

/** The page and its like: the newest, or without a line what is kept. */
async function newest(request: Request, path: string): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const found = await kept(path);
    if (found) return found;
    throw error;
  }
}

self.addEventListener("install", (event) => {
  // The next version waits until no page of the last is open, whose files it would take away.
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll([...files])));
});

self.addEventListener("activate", (event) => {
  const clean = async (): Promise<void> => {
    for (const name of await caches.keys()) if (name.startsWith(prefix) && name !== cacheName) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin || request.headers.has("authorization")) return;
  const path = pathname === "/join/" ? "/join" : pathname;
  if (lasting.some((start) => path.startsWith(start))) event.respondWith(lastingFile(request, path));
  else if (files.has(path)) event.respondWith(newest(request, path));
});
