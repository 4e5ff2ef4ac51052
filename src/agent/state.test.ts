import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sha256Hex } from "../util/hash.node.ts";
import { tensor } from "../util/tensor.ts";
import { openAgentState } from "./agentState.node.ts";
import { type AgentState, memoryState } from "./state.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-agent-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

let made = 0;
const folder = (): string => join(root, `state${made++}`);
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const checkpoint = (step: number) => ({
  job: "t",
  fingerprint: "f",
  step,
  lossSum: 0.5,
  correct: 3,
  curve: [],
  seconds: 1,
  state: new Map([["w", tensor("float32", [2], Float32Array.of(1, step))]]),
});

describe.each([
  ["memory", async () => memoryState()],
  ["a folder", () => openAgentState(folder())],
] as const)("an agent's state in %s", (_, open: () => Promise<AgentState>) => {
  it("begins empty and gives back what was written", async () => {
    const state = await open();
    expect(await state.readIdentity()).toBeUndefined();
    expect(await state.readRecord()).toEqual({});
    await state.writeIdentity("secret");
    const enrolled = { url: "https://c:1", serverId: "s", deviceId: "d" };
    await state.writeRecord({ enrolled });
    expect(await state.readIdentity()).toBe("secret");
    expect(await state.readRecord()).toEqual({ enrolled });
    await state[Symbol.asyncDispose]();
    await state[Symbol.asyncDispose]();
  });

  it("keeps checkpoints by task until they are cleared", async () => {
    await using state = await open();
    const [a, b] = [state.checkpoints("run.a"), state.checkpoints("run.b")];
    expect(await a.load()).toBeUndefined();
    await a.clear();
    await a.save(checkpoint(4));
    expect((await state.checkpoints("run.a").load())?.step).toBe(4);
    expect(await b.load()).toBeUndefined();
    await a.clear();
    expect(await a.load()).toBeUndefined();
  });

  it("keeps objects by their hash, and only under it", async () => {
    await using state = await open();
    const bytes = bytesOf("content");
    const name = sha256Hex(bytes);
    expect(await state.readObject(name)).toBeUndefined();
    await expect(state.writeObject(name, bytesOf("other"))).rejects.toMatchObject({ code: "corrupt" });
    await state.writeObject(name, bytes);
    expect(await state.readObject(name)).toEqual(bytes);
  });

  it("goes on with a download where it was", async () => {
    await using state = await open();
    const name = sha256Hex("hello world");
    const first = await state.openSink(name);
    await first.append(bytesOf("hello "));
    const second = await state.openSink(name);
    expect(second.length).toBe(6);
    await second.append(bytesOf("world"));
    expect(await second.digest()).toBe(name);
    expect(await state.readObject(name)).toBeUndefined();
    await second.keep();
    expect(await state.readObject(name)).toEqual(bytesOf("hello world"));
    const wrong = await state.openSink(sha256Hex("x"));
    await wrong.append(bytesOf("y"));
    await wrong.reset();
    expect([wrong.length, await wrong.digest(), (await wrong.bytes()).length]).toEqual([0, sha256Hex(""), 0]);
  });

  it("sweeps away what is not named", async () => {
    await using state = await open();
    const [kept, gone, begun] = ["kept", "gone", "begun"].map((text) => sha256Hex(text)) as [string, string, string];
    await state.writeObject(kept, bytesOf("kept"));
    await state.writeObject(gone, bytesOf("gone"));
    await (await state.openSink(begun)).append(bytesOf("beg"));
    for (const task of ["run.a", "run.b"]) await state.checkpoints(task).save(checkpoint(1));
    await state.sweep({ objects: new Set([kept]), tasks: new Set(["run.b"]) });
    expect(await state.readObject(kept)).toBeDefined();
    expect(await state.readObject(gone)).toBeUndefined();
    expect((await state.openSink(begun)).length).toBe(0);
    expect(await state.checkpoints("run.a").load()).toBeUndefined();
    expect(await state.checkpoints("run.b").load()).toBeDefined();
  });
});

describe("a state folder", () => {
  it("hides the identity from others, also when a backup lost its rights", async () => {
    const path = folder();
    const state = await openAgentState(path);
    await state.writeIdentity("secret");
    const mode = async (name: string): Promise<number> => (await stat(join(path, name))).mode & 0o777;
    expect([await mode("."), await mode("identity")]).toEqual([0o700, 0o600]);
    await state[Symbol.asyncDispose]();
    await rm(join(path, "identity"));
    await writeFile(join(path, "identity"), "secret\n", { mode: 0o644 });
    await using again = await openAgentState(path);
    expect(await again.readIdentity()).toBe("secret");
    expect(await mode("identity")).toBe(0o600);
  });

  it("is one agent's at a time, by whatever name, and free again afterwards", async () => {
    const path = folder();
    const first = await openAgentState(path);
    const link = `${path}-link`;
    await symlink(path, link);
    for (const name of [path, link])
      await expect(openAgentState(name)).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringMatching(/Another agent is using/),
      });
    await first[Symbol.asyncDispose]();
    await using second = await openAgentState(link);
    expect(await second.readRecord()).toEqual({});
  });

  it("is free after its owner was killed", async () => {
    const path = folder();
    const script = `import { openAgentState } from ${JSON.stringify(new URL("./agentState.node.ts", import.meta.url).href)};
      await openAgentState(${JSON.stringify(path)}); console.log("open"); setInterval(() => {}, 1000);`;
    const file = join(root, "owner.mjs");
    await writeFile(
      file,
      `import { createJiti } from ${JSON.stringify(import.meta.resolve("jiti"))};\n${script.replace(/import (\{.*?\}) from (".*?")/, "const $1 = await createJiti(import.meta.url).import($2)")}`,
    );
    const owner = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] });
    await once(owner.stdout, "data");
    await expect(openAgentState(path)).rejects.toMatchObject({ code: "unavailable" });
    owner.kill("SIGKILL");
    await once(owner, "exit");
    await using state = await openAgentState(path);
    expect(state.where).toBe(path);
  });

  it("says what is wrong with a record that is none, and keeps no damaged object", async () => {
    const path = folder();
    await using state = await openAgentState(path);
    await writeFile(join(path, "agent.json"), '{"work": 3}');
    await expect(state.readRecord()).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("join again") });
    const name = sha256Hex("good");
    await state.writeObject(name, bytesOf("good"));
    await writeFile(join(path, "objects", name), "gooD");
    expect(await state.readObject(name)).toBeUndefined();
    expect(await readdir(join(path, "objects"))).toEqual([]);
    expect(await state.freeDiskBytes()).toBeGreaterThan(0);
    await expect(readFile(join(path, "identity"))).rejects.toThrow();
  });
});
