import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Environment } from "./find.node.ts";
import { defaultPreparation } from "./load.node.ts";
import { checkOwnName, deletePrepared, register, registered, registeredSets, registryFile, unregister } from "./registry.node.ts";

let folder: string;
let env: Environment;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-registry-"));
  env = { XDG_CACHE_HOME: folder };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const photos = { path: "/data/photos", preparation: { imageSize: { height: 64, width: 48, channels: 1 } } } as const;

describe("names of data of one's own", () => {
  it("are found again with their settings, and are no more once removed", async () => {
    expect((await registeredSets(env)).size).toBe(0);
    await register("photos", photos, env);
    const everything = { path: "/x", preparation: { ...defaultPreparation, words: ["yes"], silence: true }, records: "/r.bin" };
    await register("all", everything, env);
    expect(await registered("photos", env)).toEqual(photos);
    expect(await registered("all", env)).toEqual(everything);
    expect(await registered("other", env)).toBeUndefined();
    expect([...(await registeredSets(env)).keys()]).toEqual(["all", "photos"]);
    expect(await unregister("photos", env)).toEqual(photos);
    expect(await registered("photos", env)).toBeUndefined();
    await expect(unregister("photos", env)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("those added are all"),
    });
  });

  it("stand for something else when added again", async () => {
    await register("photos", photos, env);
    await register("photos", { path: "/elsewhere", preparation: {} }, env);
    expect(await registered("photos", env)).toEqual({ path: "/elsewhere", preparation: {} });
  });

  it.each(["cifar10", "glyphs", "auto"])("%s is Sheaf's own", (name) => {
    expect(() => checkOwnName(name)).toThrow(/name of Sheaf's own/);
  });
  it.each(["", "a/b", "../a", "a.npz", "ä", "-a", "a b"])("%j is refused: it could be a path, or nothing", (name) => {
    expect(() => checkOwnName(name)).toThrow(/letters, digits/);
  });

  it.each([
    ["cut short", '{"format":"sheaf-datasets/1","se'],
    ["empty", ""],
    ["of another version", '{"format":"sheaf-datasets/9","sets":{}}'],
    ["with a wrong setting", '{"format":"sheaf-datasets/1","sets":{"a":{"path":"/a","preparation":{"resize":"squeeze"}}}}'],
    ["of another kind", "[]"],
  ])("a list %s is told with its path and what to do, and is not written over", async (_what, text) => {
    const file = registryFile(env);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    const attempts = [registeredSets(env), registered("a", env), register("b", photos, env), unregister("a", env)];
    for (const result of await Promise.allSettled(attempts)) {
      expect(result.status === "rejected" && result.reason).toMatchObject({
        code: "data",
        message: expect.stringMatching(/datasets\.json is damaged.*delete it/),
      });
    }
    // What cannot be a name is not looked up.
    expect(await registered("./photos", env)).toBeUndefined();
    expect(await readFile(file, "utf8")).toBe(text);
  });
});

describe("deletePrepared", () => {
  const prepare = async (): Promise<string> => {
    const records = join(folder, "sheaf", "prepared", "abc.bin");
    await mkdir(dirname(records), { recursive: true });
    await writeFile(records, "records");
    await writeFile(records.replace(".bin", ".json"), "{}");
    return records;
  };

  it("deletes records and their description, once", async () => {
    const records = await prepare();
    expect(await deletePrepared({ ...photos, records }, env)).toEqual([records.replace(".bin", ".json"), records]);
    expect(await deletePrepared({ ...photos, records }, env)).toEqual([]);
  });

  it("leaves what another name needs, and what lies outside the cache", async () => {
    const records = await prepare();
    await register("twin", { ...photos, records }, env);
    expect(await deletePrepared({ ...photos, records }, env)).toEqual([]);
    const foreign = join(folder, "mine.bin");
    await writeFile(foreign, "mine");
    expect(await deletePrepared({ ...photos, records: foreign }, env)).toEqual([]);
    expect(await readFile(foreign, "utf8")).toBe("mine");
  });
});
