import { existsSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAppend, readError, readFileChecked, storageError, writeFileAtomic } from "./files.node.ts";
import { sha256Hex, sha256HexOfFile } from "./hash.node.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-files-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const systemError = (code: string): Error => Object.assign(new Error(`${code}: something`), { code });
/** The device on which every write fails for want of space. */
const fullDevice = "/dev/full";

describe("writeFileAtomic", () => {
  it("writes, makes folders, replaces, and leaves nothing else", async () => {
    const path = join(folder, "a", "b", "model.onnx");
    await writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    await writeFileAtomic(path, "second");
    expect(await readFile(path, "utf8")).toBe("second");
    expect(await readdir(join(folder, "a", "b"))).toEqual(["model.onnx"]);
  });

  it("keeps one whole content when several write at once", async () => {
    const path = join(folder, "shared");
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
    await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
    expect(contents).toContain(await readFile(path, "utf8"));
    expect(await readdir(folder)).toEqual(["shared"]);
  });

  it("removes the temporary file when the last step fails, and touches nothing else", async () => {
    await mkdir(join(folder, "taken"));
    await writeFile(join(folder, "taken", "inside"), "kept");
    await expect(writeFileAtomic(join(folder, "taken"), "x")).rejects.toMatchObject({
      code: "storage",
      message: `Cannot write ${join(folder, "taken")}: a folder of that name is in the way; remove it or choose another name.`,
    });
    expect(await readdir(folder)).toEqual(["taken"]);
    expect(await readFile(join(folder, "taken", "inside"), "utf8")).toBe("kept");
  });

  it("says so when the path leads through a file", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(writeFileAtomic(join(folder, "file", "x"), "x")).rejects.toMatchObject({ code: "storage" });
  });
});

describe("storageError and readError", () => {
  it.each([
    ["ENOSPC", "the disk is full"],
    ["EACCES", "permission is denied"],
    ["EROFS", "the file system is read-only"],
    ["EODD", "EODD: something"],
  ])("%s becomes one sentence with the path", (code, cause) => {
    const error = storageError(systemError(code), "/disk/model.onnx");
    expect(error).toMatchObject({ code: "storage", cause: { code } });
    expect(error.message).toContain(`Cannot write /disk/model.onnx: ${cause}`);
  });

  it("keeps an error that is a sentence already", () => {
    const first = storageError(systemError("ENOSPC"), "/disk/a");
    expect(storageError(first, "/disk/b")).toBe(first);
    expect(readError(first, "/disk/b", "model")).toBe(first);
  });
});

describe("readFileChecked", () => {
  it("gives the bytes, aligned so that any typed array can view them", async () => {
    await writeFile(join(folder, "f"), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const bytes = await readFileChecked(join(folder, "f"), "weights");
    expect([...bytes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(bytes.byteOffset % 8).toBe(0);
  });

  it("names what is missing", async () => {
    await expect(readFileChecked(join(folder, "none.yaml"), "configuration")).rejects.toMatchObject({
      code: "data",
      message: `Cannot read configuration from ${join(folder, "none.yaml")}: no such file; check the path.`,
    });
    await expect(readFileChecked(folder, "configuration")).rejects.toMatchObject({
      code: "data",
      message: expect.stringContaining("a folder"),
    });
  });
});

describe("openAppend", () => {
  it("keeps lines in the order of the calls, across openings", async () => {
    const path = join(folder, "log", "events.jsonl");
    const first = await openAppend(path);
    await Promise.all([first.append("one"), first.append("zwei ü"), first.append("")]);
    await first.close();
    await first.close();
    const second = await openAppend(path);
    await second.append("four");
    await second.close();
    expect(await readFile(path, "utf8")).toBe("one\nzwei ü\n\nfour\n");
  });

  it.each([
    ["a short log", "whole\n", "cut sho"],
    ["a log without a whole line", "", "cut short"],
    ["a cut line longer than a piece", "whole\n", "x".repeat(200_000)],
    ["a log that ends well", "whole\nwhole\n", ""],
  ])("removes the line that a crash cut short: %s", async (_, whole, cut) => {
    const path = join(folder, "events.jsonl");
    await appendFile(path, whole + cut);
    const log = await openAppend(path);
    await log.append("next");
    await log.close();
    expect(await readFile(path, "utf8")).toBe(`${whole}next\n`);
  });

  it("refuses a line feed, and lines after closing", async () => {
    const log = await openAppend(join(folder, "l"));
    await expect(log.append("a\nb")).rejects.toMatchObject({ code: "internal" });
    const pending = log.append("a");
    await log[Symbol.asyncDispose]();
    await pending;
    await expect(log.append("b")).rejects.toMatchObject({ code: "internal" });
    expect(await readFile(join(folder, "l"), "utf8")).toBe("a\n");
  });

  it.skipIf(!existsSync(fullDevice))("reports a full disk, at every attempt", async () => {
    const log = await openAppend(fullDevice);
    for (let i = 0; i < 2; i++) {
      await expect(log.append("x")).rejects.toMatchObject({ code: "storage", message: expect.stringContaining("the disk is full") });
    }
    await log.close();
  });
});

describe("sha256", () => {
  // FIPS 180-2, appendix B.1.
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  it("hashes bytes, text and files alike", async () => {
    await writeFile(join(folder, "abc"), "abc");
    expect(sha256Hex("abc")).toBe(abc);
    expect(sha256Hex(Uint8Array.of(97, 98, 99))).toBe(abc);
    expect(await sha256HexOfFile(join(folder, "abc"), "model")).toBe(abc);
  });

  it("hashes a file larger than one piece", async () => {
    const bytes = Uint8Array.from({ length: 300_001 }, (_, i) => i * 31);
    await writeFile(join(folder, "large"), bytes);
    expect(await sha256HexOfFile(join(folder, "large"), "model")).toBe(sha256Hex(bytes));
  });

  it("names a missing file", async () => {
    await expect(sha256HexOfFile(join(folder, "none"), "model")).rejects.toMatchObject({ code: "data" });
  });
});
