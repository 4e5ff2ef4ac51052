import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "tar";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ArchiveSource } from "./catalog.ts";
import { datasetCatalog } from "./catalog.ts";
import { samplesByClass } from "./dataset.ts";
import type { DownloadProgress } from "./download.node.ts";
import { downloadArchive } from "./download.node.ts";
import { cacheFolder, findDataset } from "./find.node.ts";
import { loadDataset } from "./load.node.ts";
import { openMemorySamples } from "./samples.ts";

const folderName = "cifar-10-batches-bin";
const names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/** `count` records; record i has label i % 10 and every pixel `fill` + i. */
function batch(count: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(count * 3073);
  for (let i = 0; i < count; i++) bytes.fill(fill + i, i * 3073, (i + 1) * 3073).fill(i % 10, i * 3073, i * 3073 + 1);
  return bytes;
}

async function writeCifar10(parent: string, batches: readonly number[]): Promise<string> {
  const folder = join(parent, folderName);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "batches.meta.txt"), `${names.join("\n")}\n\n`);
  for (const n of batches) await writeFile(join(folder, `data_batch_${n}.bin`), batch(20, 10 * n));
  await writeFile(join(folder, "test_batch.bin"), batch(10, 200));
  return folder;
}

let root: string;
let place: string;
let env: { XDG_CACHE_HOME: string; SHEAF_DATA?: string };
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-data-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  place = await mkdtemp(join(root, "test-"));
  env = { XDG_CACHE_HOME: join(place, "xdg") };
});

describe("findDataset", () => {
  test("looks in the given folder, SHEAF_DATA, then the cache; each holds the set's folder or is it", async () => {
    expect(await findDataset("cifar10", { env })).toBeUndefined();
    const cached = await writeCifar10(cacheFolder(env), [1]);
    expect(await findDataset("cifar10", { env })).toEqual({ origin: "cache", folder: cached });
    const named = await writeCifar10(join(place, "named"), [1]);
    const withEnv = { ...env, SHEAF_DATA: join(place, "named") };
    expect(await findDataset("cifar10", { env: withEnv })).toEqual({ origin: "environment", folder: named });
    const given = await writeCifar10(join(place, "given"), [1]);
    expect(await findDataset("cifar10", { env: withEnv, dir: join(place, "given") })).toEqual({ origin: "option", folder: given });
    expect(await findDataset("cifar10", { env: withEnv, dir: given })).toEqual({ origin: "option", folder: given });
    expect(await findDataset("cifar100", { env: withEnv, dir: given })).toBeUndefined();
  });

  test("a generated set needs no folder", async () => {
    expect(await findDataset("glyphs", { env })).toEqual({ origin: "generated" });
  });

  test("an unknown name is refused with the names there are; so is a folder that does not exist", async () => {
    await expect(findDataset("mnist", { env })).rejects.toThrow(
      /"mnist"; choose one of cifar10, cifar100, speech-commands, speech-commands-12, glyphs/,
    );
    await expect(findDataset("cifar10", { env, dir: join(place, "no") })).rejects.toMatchObject({ code: "data" });
  });

  test("the cache folder follows XDG and ignores a relative path", () => {
    expect(cacheFolder({ XDG_CACHE_HOME: "/x/cache", HOME: "/home/u" })).toBe("/x/cache/sheaf");
    expect(cacheFolder({ XDG_CACHE_HOME: "cache", HOME: "/home/u" })).toBe("/home/u/.cache/sheaf");
    expect(cacheFolder({ HOME: "/home/u" })).toBe("/home/u/.cache/sheaf");
  });
});

describe("loadDataset", () => {
  test("joins batches in the order of their numbers, not of their names", async () => {
    await writeCifar10(place, [10, 2, 1]);
    const { train, test: held } = await loadDataset("cifar10", { dir: place, env });
    expect(train.classNames).toEqual(names);
    expect(train.labels).toHaveLength(60);
    expect([0, 20, 40].map((sample) => openMemorySamples(train).record(sample)[0])).toEqual([10, 20, 100]);
    expect(held.labels).toHaveLength(10);
    expect(held.mean).toEqual(train.mean);
    expect(train.mean[0]).toBeCloseTo((10 + 20 + 100) / 3 + 9.5, 9);
    expect(train.provenance.source).toBe(
      "CIFAR-10, data_batch_1.bin, data_batch_2.bin, data_batch_10.bin: 60 samples (the full set has 50000)",
    );
  });

  test("the content hash is that of labels and pixels, whatever the files", async () => {
    await writeCifar10(place, [1]);
    const { test: held } = await loadDataset("cifar10", { dir: place, env, testCount: 5 });
    const hash = createHash("sha256").update(Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((label) => [label, 0])));
    for (let i = 0; i < 10; i++) hash.update(new Uint8Array(3072).fill(200 + i));
    expect(held.provenance.sha256).toBe(hash.digest("hex"));
    expect(held.provenance.source).toContain("5 of 10 samples");
  });

  test("counts give stratified subsets", async () => {
    await writeCifar10(place, [1, 2]);
    const { train } = await loadDataset("cifar10", { dir: place, env, trainCount: 20 });
    expect(samplesByClass(train.labels, 10).map((group) => group.length)).toEqual(new Array(10).fill(2));
    await expect(loadDataset("cifar10", { dir: place, env, trainCount: 41 })).rejects.toThrow(/1 to 40 samples.*got 41/);
  });

  test("a file cut short, a missing file and a folder without batches are named", async () => {
    const folder = await writeCifar10(place, [1]);
    await writeFile(join(folder, "data_batch_1.bin"), batch(2, 0).subarray(0, 5000));
    await expect(loadDataset("cifar10", { dir: place, env })).rejects.toThrow(/data_batch_1\.bin: expected a multiple of 3073.*got 5000/);
    await rm(join(folder, "data_batch_1.bin"));
    await expect(loadDataset("cifar10", { dir: place, env })).rejects.toThrow(/holds no data_batch_N\.bin/);
    await rm(join(folder, "batches.meta.txt"));
    await expect(loadDataset("cifar10", { dir: place, env })).rejects.toThrow(/batches\.meta\.txt is missing/);
  });

  test("with downloads off, an absent set is an error that says where it was looked for", async () => {
    const error = loadDataset("cifar10", { dir: place, env, download: false });
    await expect(error).rejects.toMatchObject({ code: "data" });
    await expect(error).rejects.toThrow(`${place} or ${cacheFolder(env)}`);
  });

  test("glyphs come in any number, by seed, with statistics of the training split", async () => {
    const options = { seed: 4, trainCount: 30, testCount: 20 };
    const { train, test: held } = await loadDataset("glyphs", options);
    expect([train.labels.length, held.labels.length]).toEqual([30, 20]);
    expect(held.mean).toEqual(train.mean);
    const again = await loadDataset("glyphs", options);
    expect(again.train.provenance).toEqual(train.provenance);
    expect((await loadDataset("glyphs", { ...options, seed: 5 })).train.provenance.sha256).not.toBe(train.provenance.sha256);
    await expect(loadDataset("glyphs", { trainCount: 0 })).rejects.toMatchObject({ code: "config" });
  });
});

/** Serves until `use` ends. */
async function serving<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/cifar.tar.gz`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("download", () => {
  let archive: Buffer;
  let source: Omit<ArchiveSource, "url">;
  let cache: string;
  beforeAll(async () => {
    const from = join(root, "archive");
    await writeCifar10(from, [1, 2, 3, 4, 5]);
    await writeFile(join(from, folderName, "readme.html"), "not wanted");
    await writeFile(join(from, "outside.txt"), "not wanted");
    await create({ gzip: true, cwd: from, file: join(root, "archive.tar.gz") }, [folderName, "outside.txt"]);
    archive = await readFile(join(root, "archive.tar.gz"));
    source = { ...datasetCatalog.cifar10.archive, checksum: { type: "md5", hex: createHash("md5").update(archive).digest("hex") } };
  });
  beforeEach(() => {
    cache = cacheFolder(env);
  });
  const whole: RequestListener = (_, response) => {
    response.writeHead(200, { "content-length": archive.length }).end(archive);
  };

  test("an absent set is fetched with progress, verified, unpacked into the cache, and found there next time", async () => {
    const seen: DownloadProgress[] = [];
    const { train } = await serving(whole, (url) =>
      loadDataset("cifar10", { env, archive: { ...source, url }, onProgress: (progress) => seen.push(progress) }),
    );
    expect(train.labels).toHaveLength(100);
    expect(seen.at(-1)).toEqual({ receivedBytes: archive.length, totalBytes: archive.length });
    expect(await readdir(cache)).toEqual([folderName]);
    expect((await readdir(join(cache, folderName))).sort()).toEqual([...source.files].sort());
    expect((await loadDataset("cifar10", { env, download: false })).train.provenance).toEqual(train.provenance);
  });

  test("two downloads at once end in one complete folder", async () => {
    await serving(whole, (url) => Promise.all([1, 2].map(() => downloadArchive({ ...source, url }, cache))));
    expect(await readdir(cache)).toEqual([folderName]);
  });

  test("a wrong checksum is refused before anything is unpacked", async () => {
    const checksum = { type: "md5", hex: "0".repeat(32) } as const;
    const failed = serving(whole, (url) => downloadArchive({ ...source, checksum, url }, cache));
    await expect(failed).rejects.toMatchObject({ code: "data", message: expect.stringMatching(/expected MD5 0{32}, got [0-9a-f]{32}/) });
    expect(await readdir(cache)).toEqual([]);
  });

  test("a cut transfer is told with how far it came", async () => {
    const half = archive.subarray(0, archive.length >> 1);
    const cut: RequestListener = (_, response) => {
      response.writeHead(200, { "content-length": archive.length }).write(half, () => setTimeout(() => response.destroy(), 50));
    };
    const failed = serving(cut, (url) => downloadArchive({ ...source, url }, cache));
    await expect(failed).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining(`broke off after ${half.length} of ${archive.length} bytes`),
    });
    expect(await readdir(cache)).toEqual([]);
  });

  test("a transfer that stalls is given up", async () => {
    const stalling: RequestListener = (_, response) => {
      response.writeHead(200, { "content-length": archive.length }).write(archive.subarray(0, 100));
    };
    const failed = serving(stalling, (url) => downloadArchive({ ...source, url }, cache, { idleMs: 200 }));
    await expect(failed).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("nothing arrived for 0.2 s") });
  });

  test("an error of the server is told with its number and what to do", async () => {
    const absent: RequestListener = (_, response) => {
      response.writeHead(404).end("no");
    };
    const failed = serving(absent, (url) => loadDataset("cifar10", { env, archive: { ...source, url } }));
    await expect(failed).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("answered 404 Not Found") });
    expect(await readdir(cache)).toEqual([]);
  });

  test("an address out of reach is told with the address, the places for the files, and the set that works offline", async () => {
    const url = await serving(whole, (address) => Promise.resolve(address)); // closed again
    const failed = downloadArchive({ ...source, url }, cache);
    await expect(failed).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining(`${url} could not be reached (`) });
    await expect(failed).rejects.toThrow(`${folderName} into ${cache}`);
    await expect(failed).rejects.toThrow("--data-set glyphs, which works offline");
  });

  test("an abort is an interruption and leaves nothing behind", async () => {
    const controller = new AbortController();
    const stalling: RequestListener = (_, response) => {
      response.writeHead(200, { "content-length": archive.length }).write(archive.subarray(0, 100));
    };
    const options = { signal: controller.signal, onProgress: () => controller.abort() };
    const failed = serving(stalling, (url) => downloadArchive({ ...source, url }, cache, options));
    await expect(failed).rejects.toMatchObject({ code: "interrupted" });
    expect(await readdir(cache)).toEqual([]);
  });

  test("an archive that lacks a file is refused", async () => {
    const files = [...source.files, "data_batch_6.bin"];
    const failed = serving(whole, (url) => downloadArchive({ ...source, url, files }, cache));
    await expect(failed).rejects.toThrow(/lacks data_batch_6\.bin/);
    expect(await readdir(cache)).toEqual([]);
  });

  test("a link in the place of a file is not unpacked", async () => {
    const from = join(place, "links");
    await mkdir(join(from, folderName), { recursive: true });
    await symlink(join(root, "archive.tar.gz"), join(from, folderName, "test_batch.bin"));
    await create({ gzip: true, cwd: from, file: join(place, "links.tar.gz") }, [folderName]);
    const bytes = await readFile(join(place, "links.tar.gz"));
    const checksum = { type: "md5", hex: createHash("md5").update(bytes).digest("hex") } as const;
    const failed = serving(
      (_, response) => response.end(bytes),
      (url) => downloadArchive({ ...source, checksum, url, files: ["test_batch.bin"] }, cache),
    );
    await expect(failed).rejects.toThrow(/lacks test_batch\.bin/);
  });

  test("bytes that are no archive are refused though their checksum is right", async () => {
    const bytes = Buffer.from("<html>login first</html>");
    const checksum = { type: "md5", hex: createHash("md5").update(bytes).digest("hex") } as const;
    const failed = serving(
      (_, response) => response.end(bytes),
      (url) => downloadArchive({ ...source, checksum, url }, cache),
    );
    await expect(failed).rejects.toMatchObject({ code: "data" });
  });
});

const real = process.env.SHEAF_DATA;
describe.skipIf(!real)("real files (SHEAF_DATA; skipped when it is not set)", () => {
  test("CIFAR-10 has the well-known channel statistics", async () => {
    const { train } = await loadDataset("cifar10", { dir: real, download: false });
    // Published for the full training split: mean 125.3, 123.0, 113.9; deviation 63.0, 62.1, 66.7.
    [125.3, 123.0, 113.9].forEach((mean, channel) => {
      expect(Math.abs((train.mean[channel] ?? 0) - mean)).toBeLessThan(1);
    });
    [63.0, 62.1, 66.7].forEach((std, channel) => {
      expect(Math.abs((train.std[channel] ?? 0) - std)).toBeLessThan(1);
    });
  });

  test("CIFAR-100 has both labellings", async () => {
    const { train } = await loadDataset("cifar100", { dir: real, download: false });
    expect(train.classNames).toHaveLength(100);
    expect(train.coarse?.classNames).toHaveLength(20);
    // Every fine class lies in one coarse class.
    const coarseOf = new Map<number, number>();
    train.labels.forEach((fine, i) => {
      const coarse = train.coarse?.labels[i] ?? -1;
      expect(coarseOf.get(fine) ?? coarse).toBe(coarse);
      coarseOf.set(fine, coarse);
    });
  });
});
