/** The table of commands: each entry leads to its own command, and what is not asked for is not loaded. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commands } from "../../src/cli/commands/table.ts";
import { built, command, type Scratch, scratch, sheaf } from "./sheaf.ts";

const recorder = new URL("recordModules.mjs", import.meta.url).href;

describe("the table of commands", () => {
  it("leads from each name to the command whose examples begin with it", async () => {
    for (const { name, isDefault, load } of commands) {
      const words = typeof name === "string" ? [name] : name;
      const [[line] = [""]] = (await load()).examples;
      const typed = line.split(" ");
      // A default command's example may leave the inner name out.
      expect([words, ...(isDefault ? [[words[0]]] : [])], line).toContainEqual(typed.slice(0, typed.length === 1 ? 1 : words.length));
    }
  });

  it("has no name twice, and no command twice", async () => {
    expect(new Set(commands.map(({ name }) => String(name))).size).toBe(commands.length);
    expect(new Set(await Promise.all(commands.map(({ load }) => load()))).size).toBe(commands.length);
  });
});

describe.skipIf(!built)("what is loaded", () => {
  let folder: Scratch;
  let runs = 0;
  beforeAll(async () => {
    folder = await scratch("modules");
  });
  afterAll(() => folder.remove());

  /** The packages, and the modules of commands, that `run` loads in the process to which it gives this environment. */
  async function loadedBy(run: (env: Readonly<Record<string, string>>) => Promise<unknown>) {
    const file = folder.at(`${++runs}.txt`);
    await run({ NODE_OPTIONS: `--import ${recorder}`, SHEAF_TEST_MODULES: file });
    const urls = (await readFile(file, "utf8")).trimEnd().split("\n");
    const found = (pattern: RegExp): readonly string[] => [...new Set(urls.flatMap((url) => url.match(pattern)?.[1] ?? []))].sort();
    return { packages: found(/\/node_modules\/((?:@[^/]+\/)?[^/]+)\/.*\.[cm]?js$/), commands: found(/\/dist\/cli\/commands\/(\w+)\.js$/) };
  }
  const small = ["commander", "picocolors"];

  it.each<readonly [line: string, code: number, commands: readonly string[]]>([
    ["--version", 0, []],
    ["--help", 0, []],
    ["runs --help", 0, []],
    ["runn", 2, []],
    ["cost --help", 0, ["cost"]],
    ["help run", 0, ["run"]],
    ["devices help list", 0, ["runs", "status"]],
    ["run --epochs none", 2, ["run"]],
    ["cert --authority", 2, []],
  ])("by `sheaf %s`", async (line, code, modules) => {
    const loaded = await loadedBy(async (env) => expect((await sheaf(line.split(" "), { env, cwd: folder.path })).code).toBe(code));
    expect(loaded).toEqual({ packages: small, commands: [...modules, "table"].sort() });
  });

  it("by a command is what it needs and no more", async () => {
    const loaded = await loadedBy(async (env) =>
      expect((await sheaf(["cost", "--network", "tiny"], { env, cwd: folder.path })).code).toBe(0),
    );
    expect(loaded.packages).toContain("zod");
    for (const heavy of ["onnxruntime-node", "libsql", "sharp", "yaml", "onnx-buf"]) expect(loaded.packages).not.toContain(heavy);
    expect(loaded.commands).toEqual(["cost", "table"]);
  });

  it("by all commands' options and examples is no large package", async () => {
    const table = new URL("commands/table.js", pathToFileURL(command)).href;
    const script = `const { commands } = await import(${JSON.stringify(table)}); for (const { load } of commands) await load();`;
    const loaded = await loadedBy((env) =>
      promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], { env: { ...process.env, ...env } }),
    );
    expect(loaded.packages).toEqual(small);
    expect(loaded.commands.length).toBeGreaterThan(20);
  });
});
