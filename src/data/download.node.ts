/** Fetches a data archive: transfer with progress, checksum before anything is unpacked, safe unpacking, one rename into place. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { mkdir, mkdtemp, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { extract } from "tar";
import { SheafError } from "../util/errors.ts";
import type { ArchiveSource } from "./catalog.ts";
import { listFolder } from "./find.node.ts";

export interface DownloadProgress {
  readonly receivedBytes: number;
  /** Undefined when the server does not say. */
  readonly totalBytes: number | undefined;
}

export interface DownloadOptions {
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The transfer is given up when nothing arrives for so long; 30 s unless given. */
  readonly idleMs?: number | undefined;
}

/** The innermost reason of a failed fetch, which wraps it ("fetch failed"). */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error) return reasonOf(cause);
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code && !error.message.includes(code) ? `${code} ${error.message}`.trim() : error.message;
}

/** What a person can do when the download does not work. */
function remedy({ url, folder }: ArchiveSource, cache: string): string {
  return (
    `try again later, or fetch ${url} by other means and unpack its folder ${folder} into ${cache} ` +
    `(or into a folder that --data or SHEAF_DATA names), or use --data-set glyphs, which works offline`
  );
}

/** Runs a step that writes to disk; its failure is a `storage` error. */
async function stored<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw new SheafError("storage", `Cannot write ${path} (${reasonOf(error)}); free some space or check its permissions.`, {
      cause: error,
    });
  }
}

/** Streams the archive into `file` and returns its checksum. */
async function transfer(source: ArchiveSource, cache: string, path: string, file: FileHandle, options: DownloadOptions): Promise<string> {
  const { onProgress, signal, idleMs = 30_000 } = options;
  const idle = new AbortController();
  const startTimer = (): NodeJS.Timeout => setTimeout(() => idle.abort(new Error(`nothing arrived for ${idleMs / 1000} s`)), idleMs);
  let timer = startTimer();
  let receivedBytes = 0;
  let totalBytes: number | undefined;
  const hash = createHash(source.checksum.type);
  try {
    const response = await fetch(source.url, {
      signal: signal ? AbortSignal.any([signal, idle.signal]) : idle.signal,
      // A server that compresses once more would make content-length useless.
      headers: { "accept-encoding": "identity" },
    });
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new SheafError("unavailable", `${source.url} answered ${response.status} ${response.statusText}; ${remedy(source, cache)}.`);
    }
    totalBytes = Number(response.headers.get("content-length")) || undefined;
    for await (const chunk of response.body) {
      clearTimeout(timer);
      timer = startTimer();
      hash.update(chunk);
      await stored(path, () => file.appendFile(chunk));
      receivedBytes += chunk.length;
      onProgress?.({ receivedBytes, totalBytes });
    }
  } catch (error) {
    if (error instanceof SheafError) throw error;
    if (signal?.aborted)
      throw new SheafError("interrupted", `The download of ${source.url} was interrupted; nothing was kept.`, { cause: error });
    const reason = reasonOf(idle.signal.aborted ? idle.signal.reason : error);
    const event =
      totalBytes === undefined && receivedBytes === 0
        ? `${source.url} could not be reached (${reason})`
        : `The transfer of ${source.url} broke off after ${receivedBytes} of ${totalBytes ?? "an unknown number of"} bytes (${reason})`;
    throw new SheafError("unavailable", `${event}; ${remedy(source, cache)}.`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
  return hash.digest("hex");
}

/** Unpacks the wanted files alone, as plain files; whatever else the archive holds is passed over. */
async function unpack(source: ArchiveSource, archive: string, into: string): Promise<void> {
  const { folder, files, endings = [], flat = false } = source;
  const inside = flat ? "" : `${folder}/`;
  const wanted = new Set(files.map((file) => `${inside}${file}`));
  const isWanted = (path: string): boolean =>
    wanted.has(path) || (path.startsWith(inside) && endings.some((ending) => path.endsWith(ending)));
  const cwd = flat ? join(into, folder) : into;
  try {
    await mkdir(cwd, { recursive: true });
    await extract({
      file: archive,
      cwd,
      strict: true,
      filter: (path, entry) => isWanted(path.replace(/^\.\//, "")) && "type" in entry && /^(Old|Contiguous)?File$/.test(entry.type),
    });
  } catch (error) {
    throw new SheafError("data", `The archive from ${source.url} cannot be unpacked (${reasonOf(error)}); check the disk and try again.`, {
      cause: error,
    });
  }
  const names = (await listFolder(join(into, source.folder))) ?? [];
  const missing = source.files.filter((file) => !names.includes(file));
  if (missing.length > 0) {
    throw new SheafError("data", `The archive from ${source.url} lacks ${missing.join(", ")} in its folder ${source.folder}.`);
  }
}

/**
 * Downloads an archive and puts its folder into `cache`; returns the folder's path. The checksum is verified before anything is unpacked,
 * and the folder appears complete or not at all. When another process put it there meanwhile, that one is used.
 * Throws `unavailable` when the address cannot be reached, answers with an error or breaks off, `data` for a wrong checksum or content,
 * `storage` when the disk refuses, `interrupted` on abort. Nothing is left behind then.
 */
export async function downloadArchive(source: ArchiveSource, cache: string, options: DownloadOptions = {}): Promise<string> {
  const target = join(cache, source.folder);
  await stored(cache, () => mkdir(cache, { recursive: true }));
  const work = await stored(cache, () => mkdtemp(join(cache, ".download-")));
  try {
    const archive = join(work, "archive.tar.gz");
    const file = await stored(archive, () => open(archive, "wx"));
    let got: string;
    try {
      got = await transfer(source, cache, archive, file, options);
    } finally {
      await file.close();
    }
    const { type, hex } = source.checksum;
    if (got !== hex) {
      throw new SheafError(
        "data",
        `The archive from ${source.url} has the wrong checksum: expected ${type === "md5" ? "MD5" : "SHA-256"} ${hex}, got ${got}; nothing was unpacked; ${remedy(source, cache)}.`,
      );
    }
    await unpack(source, archive, work);
    try {
      await rename(join(work, source.folder), target);
    } catch (error) {
      const present = (await listFolder(target)) ?? [];
      if (!source.files.every((name) => present.includes(name))) await stored(target, () => Promise.reject(error));
    }
    return target;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
