/** A disk that fills up in mid-run: one sentence, exit code 9, and a run that can be resumed once there is room. */
import { spawnSync } from "node:child_process";
import { cp, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exitCodes } from "../../src/util/errors.ts";
import { built, type Outcome, type Scratch, scratch, sha256, sheaf, small, smallest, succeed } from "./sheaf.ts";

const shellLimits = process.platform !== "win32";
/** Mounting a small file system needs the right to; without it those tests are skipped. */
const canMount = ((): boolean => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const tried = spawnSync("sh", ["-c", 'd=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs "$d" && umount "$d" && rmdir "$d"']);
  return tried.status === 0;
})();
if (!canMount)
  console.log("No right to mount a tmpfs: the test of a full disk is skipped; the one with a limit on file sizes stands in for it.");

function expectStorageError({ code, stderr }: Outcome, reason: RegExp): void {
  const last = stderr.trimEnd().split("\n").at(-1);
  expect({ code, last }).toEqual({ code: exitCodes.storage, last: expect.stringMatching(reason) });
  expect(last).toMatch(/^sheaf: Cannot write \/.*\.$/);
  expect(stderr).not.toMatch(/^\s+at |ENOSPC|EFBIG/m);
}

describe.skipIf(!built)("a disk that takes no more", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("full");
    await succeed(["run", ...smallest, "--out", folder.at("free")]);
  });
  afterAll(() => folder.remove());

  it.skipIf(!canMount)("is said, nothing whole is lost, and a copy with room is resumed to the same model", async () => {
    await succeed(["run", ...small, "--out", folder.at("roomy")]);
    const disk = folder.at("disk");
    await mkdir(disk);
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=150k", "tmpfs", disk]).status).toBe(0);
    try {
      const out = join(disk, "run");
      expectStorageError(await sheaf(["run", ...small, "--out", out]), /the disk is full; free some space or choose another folder/);
      expect((await readdir(out, { recursive: true })).filter((name) => name.endsWith(".tmp"))).toEqual([]);
      expectStorageError(await sheaf(["run", ...small, "--out", out, "--resume"]), /the disk is full/);
      for (const line of (await readFile(join(out, "events.jsonl"), "utf8")).trimEnd().split("\n")) JSON.parse(line);
      await cp(out, folder.at("moved"), { recursive: true });
    } finally {
      spawnSync("umount", [disk]);
    }
    const { stderr } = await succeed(["run", ...small, "--out", folder.at("moved"), "--resume"]);
    expect(stderr).toMatch(/Resumed: /);
    expect(await sha256(folder.at("moved", "model.onnx"))).toBe(await sha256(folder.at("roomy", "model.onnx")));
  });

  it.skipIf(!shellLimits)("is said the same way where files may not grow", async () => {
    const out = folder.at("limited");
    // Blocks of 512 bytes: room for the configuration and the log, not for a sub-model.
    expectStorageError(await sheaf(["run", ...smallest, "--out", out], { shellPrefix: "ulimit -f 8" }), /larger than is allowed/);
    await succeed(["run", ...smallest, "--out", out, "--resume"]);
    expect(await sha256(join(out, "model.onnx"))).toBe(await sha256(folder.at("free", "model.onnx")));
  });

  it.skipIf(!shellLimits)("is said by export, which leaves no half of a file", async () => {
    const outcome = await sheaf(["export", folder.at("free"), "H2", "--file", folder.at("x", "H2.onnx")], { shellPrefix: "ulimit -f 8" });
    expectStorageError(outcome, /larger than is allowed/);
    expect(await readdir(folder.at("x"))).toEqual([]);
  });
});
