/** What README.md and docs/ say, held against what Sheaf does: command lines, options, configuration keys, JSON fields, exit codes, links, examples. */
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Command, CommanderError } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { layers } from "../architecture.mjs";
import { type CommandEntry, complete, outlineOf } from "../src/cli/command.ts";
import { commands } from "../src/cli/commands/table.ts";
import { configJsonSchema, parseConfig } from "../src/run/config.ts";
import { exitCodes } from "../src/util/errors.ts";
import { killAll, start as startProcess } from "./e2e/processes.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = [
  "README.md",
  "docs/ablation.md",
  "docs/baselines.md",
  "docs/cli.md",
  "docs/configuration.md",
  "docs/dashboard.md",
  "docs/data.md",
  "docs/engine.md",
  "docs/extending.md",
  "docs/fleet.md",
  "docs/import.md",
  "docs/library.md",
  "docs/method.md",
  "docs/paper.md",
  "docs/results.md",
  "docs/simulate.md",
];
const read = (page: string): string => readFileSync(join(root, page), "utf8");
const nameOf = ({ name }: CommandEntry): string => (typeof name === "string" ? name : name.join(" "));
const commandOf = (entry: CommandEntry): Promise<Command> => complete(outlineOf(entry), entry, new AbortController().signal);
const flagsOf = async (entry: CommandEntry): Promise<string[]> => (await commandOf(entry)).options.map((option) => option.long ?? "");

/** Every `sheaf ...` command line of a page: lines of code blocks, and inline code. */
function commandLines(text: string): string[] {
  const lines = text.split("\n").flatMap((line) => line.match(/^(?: {4})?(?:npx )?sheaf (.+)$/)?.[1] ?? []);
  const inline = [...text.matchAll(/`(?:npx )?sheaf ([^`]+)`/g)].map((match) => match[1] as string);
  return [...lines, ...inline];
}

/** Splits like a shell, as far as documentation needs it: words, and single quotes around one. */
const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => (match[1] ?? match[2]) as string).filter((word) => word !== "...");

/** Parses a command line without running it; throws what commander would say. */
async function parse(line: string): Promise<void> {
  const typed = words(line);
  const isTyped = (name: string): boolean => name.split(" ").every((word, i) => typed[i] === word);
  // `sheaf data` alone is the default command of that name.
  if (typed.length === 1 && commands.some(({ name, isDefault }) => isDefault && name[0] === typed[0])) return;
  const entry = commands.find((candidate) => isTyped(nameOf(candidate)));
  if (!entry) throw new Error(`no command in "sheaf ${line}"`);
  const rest = typed.slice(nameOf(entry).split(" ").length);
  // `sheaf eval` in running text names the command and runs nothing.
  if (rest.length === 0) return;
  const command = (await commandOf(entry))
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .action(() => {});
  try {
    await command.parseAsync(rest, { from: "user" });
  } catch (error) {
    throw error instanceof CommanderError ? new Error(`sheaf ${line}: ${error.message}`) : error;
  }
  const { set = [] } = command.opts<{ set?: string[] }>();
  for (const assignment of set) expect(keyOf(assignment), `--set ${assignment}`).toBe(true);
}

type Schema = {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly default?: unknown;
  readonly const?: unknown;
};

/** Keys of a schema with the set of their defaults, in dotted form; a list's entries go by `[]`. Variants of a union are put together. */
function leavesOf(schema: Schema, path: string, into = new Map<string, Set<unknown>>()): Map<string, Set<unknown>> {
  const add = (key: string, value: unknown): void => void into.set(key, (into.get(key) ?? new Set()).add(value));
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const key = path ? `${path}.${name}` : name;
    if (child.properties) leavesOf(child, key, into);
    else if (child.oneOf) {
      for (const variant of child.oneOf) leavesOf(variant, key, into);
    } else if (child.const !== undefined) into.set(key, new Set());
    else add(key, child.default);
    if (child.items?.properties) leavesOf(child.items, `${key}[]`, into);
  }
  return into;
}
const configKeys = leavesOf(configJsonSchema() as Schema, "");
function keyOf(assignment: string): boolean {
  return configKeys.has(assignment.slice(0, assignment.indexOf("=")));
}

describe("command lines", () => {
  for (const page of pages) {
    it(`of ${page} parse`, async () => {
      for (const line of commandLines(read(page))) await parse(line);
    });
  }

  it("are found at all, and wrong ones are refused", async () => {
    expect(commandLines(read("README.md")).length).toBeGreaterThan(10);
    expect(commandLines(read("docs/cli.md")).length).toBeGreaterThan(20);
    await expect(parse("run --no-such-option")).rejects.toThrow("unknown option");
    await expect(parse("eval --json")).rejects.toThrow("missing required argument");
    await expect(parse("runn")).rejects.toThrow("no command");
    await expect(parse("run --set training.epoch=3")).rejects.toThrow("training.epoch");
  });

  it("given as examples in the help parse too", async () => {
    for (const entry of commands) for (const [line] of (await entry.load()).examples) await parse(line);
  });
});

/** The part of docs/cli.md about one command. */
function section(name: string): string {
  const [, text = ""] = read("docs/cli.md").split(`### sheaf ${name}\n`);
  return text.split(/\n##+ /)[0] as string;
}

describe("docs/cli.md", () => {
  it("has a section for every command with every option", async () => {
    const everywhere = new Set(await flagsOf(commands.find((entry) => nameOf(entry) === "doctor") as CommandEntry));
    const common = read("docs/cli.md").split("## Exit codes")[0] as string;
    for (const flag of everywhere) expect(common, flag).toContain(`\`${flag}`);
    for (const entry of commands) {
      const text = section(nameOf(entry));
      expect(text, `a section for ${nameOf(entry)}`).not.toBe("");
      expect(commandLines(text).length, `an example of ${nameOf(entry)}`).toBeGreaterThan(0);
      for (const flag of await flagsOf(entry)) if (!everywhere.has(flag)) expect(text, `${nameOf(entry)} ${flag}`).toContain(`\`${flag}`);
    }
  });

  it("lists every exit code", () => {
    for (const [name, code] of Object.entries(exitCodes)) expect(read("docs/cli.md")).toContain(`| ${code} | \`${name}\` |`);
  });

  it("and README.md list every command", () => {
    for (const entry of commands) expect(read("README.md")).toContain(`| \`sheaf ${nameOf(entry)}\` |`);
  });
});

describe("docs/configuration.md", () => {
  const rows = new Map(
    [...read("docs/configuration.md").matchAll(/^\| `([^`]+)` \| (.+?) \| /gm)].map((m) => [m[1] as string, m[2] as string]),
  );

  it("has every key and no other", () => {
    expect([...rows.keys()].sort()).toEqual([...configKeys.keys()].sort());
  });

  it("states the defaults", () => {
    const real = parseConfig({}) as unknown;
    for (const [key, defaults] of configKeys) {
      const stated = rows.get(key) ?? "";
      const values = [...stated.replace(/\(`\w+`\)/g, "").matchAll(/`([^`]+)`/g)].map((m) => m[1] as string);
      if (key.endsWith(".type")) {
        const value = key.split(".").reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], real);
        expect(stated, key).toBe(`\`${JSON.stringify(value)}\``);
      } else if (stated === "none") {
        for (const value of defaults) expect(value, key).toBeUndefined();
      } else {
        expect(values.map((text) => JSON.parse(text) as unknown).sort(), key).toEqual([...defaults].sort());
      }
    }
  });

  it("has an example that is a configuration", async () => {
    const { parse: parseYaml } = await import("yaml");
    const yaml = read("docs/configuration.md").match(/```yaml\n([\s\S]*?)```/)?.[1] ?? "";
    const example = parseConfig(parseYaml(yaml));
    expect(example).toEqual(parseConfig(parseYaml(read("examples/fleet.yaml"))));
  });
});

describe("README.md", () => {
  it("has exactly two set-up commands, which package.json knows", () => {
    const setUp = [...read("README.md").matchAll(/npm ci && npm (\w+)/g)].map((match) => match[1]);
    expect(setUp).toEqual(["start", "test"]);
  });

  it("lists the folders in layer order", () => {
    const listed = [...(read("README.md").split("## Folders")[1] ?? "").matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
    expect(listed).toEqual(layers.flat());
  });

  it("names the doors of package.json", () => {
    const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, unknown> };
    const doors = Object.keys(exports).filter((door) => door !== "./package.json");
    for (const door of doors) expect(read("README.md")).toContain(`\`sheaf/${door.slice(2)}\``);
  });
});

describe("docs/library.md", () => {
  const sections = read("docs/library.md").split("\n## ").slice(1);
  const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, unknown> };
  const doors = Object.keys(exports).flatMap((door) => (door === "./package.json" ? [] : [door.slice(2)]));

  it("has a section for every door", () => {
    expect(sections.map((text) => text.match(/^`sheaf\/(\w+)`/)?.[1]).sort()).toEqual([...doors].sort());
  });

  for (const door of doors) {
    it(`lists what sheaf/${door} exports, and nothing else`, async () => {
      const platform = ["data", "train", "runtime"].includes(door) ? ".node" : "";
      const names = Object.keys((await import(`../src/${door}${platform}.ts`)) as object);
      const text = sections.find((candidate) => candidate.startsWith(`\`sheaf/${door}\``)) ?? "";
      expect([...text.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]).sort()).toEqual(names.sort());
    });
  }
});

/** Anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map((m) =>
    (m[1] as string)
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );

describe("pages", () => {
  it("are all checked here", async () => {
    const files = (await readdir(join(root, "docs"))).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
    expect(["README.md", ...files.sort()]).toEqual(pages);
  });

  for (const page of pages) {
    it(`${page}: every link leads somewhere, and no path is of one machine`, () => {
      const text = read(page);
      for (const [, target = ""] of text.matchAll(/\]\(([^)]+)\)/g)) {
        if (target.startsWith("http")) continue;
        const [file = "", anchor] = target.split("#");
        const path = file === "" ? page : join(dirname(page), file);
        expect(existsSync(join(root, path)), target).toBe(true);
        if (anchor !== undefined) expect(anchorsOf(read(path)), target).toContain(anchor);
      }
      expect(text).not.toMatch(/\/(?:work|home|root|tmp|Users)\/|\.\.\/shared/);
    });
  }
});

describe("what commands print", () => {
  let folder = "";
  beforeAll(async () => {
    if (!existsSync(join(root, "dist/cli/main.js"))) throw new Error("dist/ is not built; run npm run build before these tests.");
    folder = await mkdtemp(join(tmpdir(), "sheaf-docs-"));
  });
  afterAll(async () => {
    await killAll();
    await rm(folder, { recursive: true, force: true });
  });

  const sheaf = async (...typed: readonly string[]): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(root, "dist/cli/main.js"), ...typed, "--json"], {
      cwd: folder,
      // What is added and removed here is not the user's.
      env: { ...process.env, XDG_CACHE_HOME: join(folder, "cache") },
    });
    return JSON.parse(stdout) as unknown;
  };
  /** Names of all fields, but for those of objects whose keys are names of devices, classes or packages. */
  const byName = new Set(["channels", "codewords", "ownClassAccuracy", "onnxruntime", "files"]);
  const fieldsOf = (value: unknown): string[] => {
    if (Array.isArray(value)) return value.flatMap(fieldsOf);
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([name, inner]) => (byName.has(name) ? [name] : [name, ...fieldsOf(inner)]));
  };
  const expectDocumented = (value: unknown, text: string, what: string): void => {
    const fields = new Set(fieldsOf(value));
    expect(fields.size, what).toBeGreaterThan(0);
    for (const field of fields) expect(text.replaceAll("[]`", "`"), `${what}: ${field}`).toContain(`\`${field}\``);
  };
  const small = ["--data-set", "glyphs", "--train-count", "200", "--network", "tiny"];

  it("is documented field by field: a run and what is done with it", async () => {
    const run = await sheaf("run", ...small, "--test-count", "50", "--epochs", "1", "--batch", "16", "--out", "run");
    expectDocumented(run, section("run"), "run");
    const inspected = await sheaf("data", "inspect", "glyphs", "--train-count", "100", "--test-count", "20", "--out", "seen");
    expectDocumented(inspected, section("data inspect"), "data inspect");
    expectDocumented(await sheaf("eval", "run", "--test-count", "50"), section("eval"), "eval");
    expectDocumented(await sheaf("predict", "run", "seen/samples.png"), section("predict"), "predict");
    expectDocumented(await sheaf("export", "run", "H0"), section("export"), "export");
    expectDocumented(await sheaf("report", "run"), section("report"), "report");

    const directory = read("docs/cli.md").split("## The run directory")[1] ?? "";
    for (const name of await readdir(join(folder, "run"))) {
      if (name !== "H0.onnx") expect(directory, name).toContain(`\`${name}${name === "checkpoints" ? "/" : ""}\``);
    }
    const events = (await readFile(join(folder, "run/events.jsonl"), "utf8")).trim().split("\n");
    for (const line of events) {
      const event = JSON.parse(line) as { type: string };
      expect(directory, event.type).toContain(`\`${event.type}\``);
      expectDocumented(event, directory, event.type);
    }
    const { machine: _, ...manifest } = JSON.parse(await readFile(join(folder, "run/manifest.json"), "utf8")) as Record<string, unknown>;
    expectDocumented(manifest, directory, "manifest.json");
    expect(directory).toContain(`\`${(await readFile(join(folder, "run/metrics.csv"), "utf8")).split("\n")[0]}\``);
  });

  it("is documented field by field: commands without a run", async () => {
    expectDocumented(await sheaf("plan", ...small), section("plan"), "plan");
    expectDocumented(await sheaf("cost", "--network", "tiny"), section("cost"), "cost");
    expectDocumented(await sheaf("data", "list"), section("data list"), "data list");
    const module = join(root, "examples/dataSet.ts");
    expectDocumented(await sheaf("data", "add", "documented", module), section("data add"), "data add");
    expectDocumented(await sheaf("data", "remove", "documented"), section("data remove"), "data remove");
    expectDocumented(await sheaf("doctor"), section("doctor"), "doctor");
    const model = join(root, "test/fixtures/import/old-opset7.onnx");
    expectDocumented(await sheaf("import", model, "--out", "imported"), section("import"), "import");
    expectDocumented(await sheaf("bench", "step", "--network", "tiny", "--batch", "4", "--steps", "1"), section("bench step"), "bench");
    expectDocumented(await sheaf("compile", "--network", "tiny", "--batch", "4", "--out", "step"), section("compile"), "compile");
    const { optimizer: _, ...description } = JSON.parse(await readFile(join(folder, "step/train.json"), "utf8")) as Record<string, unknown>;
    expectDocumented(description, section("compile"), "train.json");
    const train = await sheaf("train", ...small, "--test-count", "50", "--epochs", "1", "--batch", "16", "--out", "train");
    expectDocumented(train, section("train"), "train");
    const baseline = await sheaf(
      "baseline",
      "heteroFl",
      ...small,
      "--test-count",
      "50",
      "--epochs",
      "1",
      "--batch",
      "16",
      "--out",
      "baseline",
    );
    expectDocumented(baseline, section("baseline"), "baseline");
    const shape = ["--ratio", "4", "--candidates", "uniform", "--epochs", "1", "--batch", "16", "--out", "shape"];
    expectDocumented(await sheaf("shape", ...small, ...shape), section("shape"), "shape");
  });

  it("is documented field by field: commands of a live fleet", async () => {
    const store = ["--store", join(folder, "fleet")];
    const data = ["--data-set", "glyphs", "--train-count", "200", "--test-count", "40"];
    const training = ["--network", "tiny", "--epochs", "1", "--sub-width", "0.5", "--batch", "16", "--set", "serve.minimumDevices=1"];
    const served = startProcess(["serve", ...data, ...training, ...store, "--port", "0", "--json"], folder);
    const started = JSON.parse((await served.until(/^\{.*\}$/m))[0]) as { readonly url: string; readonly joinLine: string };
    expectDocumented(started, section("serve"), "serve");
    const address = started.joinLine.split(" ").at(-1) as string;
    const joining = ["join", address, ...data, "--state", join(folder, "device"), "--name", "ann", "--profile", "raspberry-pi-4", "--json"];
    const joined = startProcess(joining, folder);
    expectDocumented(JSON.parse((await joined.until(/^\{.*\}$/m))[0]), section("join"), "join");
    const installed = ["join", address, ...data, "--state", join(folder, "other"), "--name", "bob", "--profile", "phone-mid", "--install"];
    // In a process with a home of its own, where the unit goes.
    const unit = startProcess([...installed, "--json"], folder);
    expectDocumented(JSON.parse((await unit.until(/^\{.*\}$/m))[0]), section("join"), "join --install");
    expect(await unit.ended).toBe(0);
    // The rest is best asked once all is done.
    let status: { readonly runs: readonly { readonly status: string; readonly config?: unknown }[]; readonly devices: unknown };
    do {
      status = (await sheaf("status", ...store)) as typeof status;
    } while (status.runs[0]?.status !== "finished");
    expectDocumented({ ...status, runs: [] }, `${section("status")}${section("devices list")}`, "status");
    expectDocumented(await sheaf("harvest", ...store, "--file", "now.onnx"), section("harvest"), "harvest");
    const run = `${section("runs list")}${section("runs create")}`;
    expectDocumented(await sheaf("runs", ...store), run, "runs");
    const created = await sheaf("runs", "create", "second", ...data, ...training, "--set", "serve.minimumDevices=9", ...store);
    expectDocumented(created, run, "runs create");
    for (const action of ["pause", "resume", "cancel", "archive"])
      expectDocumented(await sheaf("runs", action, "second", ...store), run, action);
    expectDocumented(await sheaf("devices", ...store), section("devices list"), "devices");
    expectDocumented(await sheaf("devices", "invite", ...store), section("devices invite"), "devices invite");
    expectDocumented(await sheaf("devices", "revoke", "bob", ...store), section("devices list"), "devices revoke");
    expectDocumented(await sheaf("audit", "verify", ...store), section("audit verify"), "audit verify");
    expectDocumented(await sheaf("backup", "fleet.tar", ...store), section("backup"), "backup");
    const restored = await sheaf("restore", "fleet.tar", "--store", join(folder, "restored"));
    expectDocumented(restored, `${section("restore")}${section("backup")}`, "restore");
    expectDocumented(await sheaf("doctor", started.url), section("doctor"), "doctor URL");
    const authority = ["--authority", join(folder, "ca")];
    expectDocumented(await sheaf("cert", "server", "fleet.example", ...authority), section("cert server"), "cert server");
    const issued = (await sheaf("cert", "device", "pi", ...authority)) as { readonly serial: string };
    expectDocumented(issued, section("cert device"), "cert device");
    expectDocumented(await sheaf("cert", "revoke", issued.serial, ...authority), section("cert revoke"), "cert revoke");
    joined.child.kill("SIGINT");
    served.child.kill("SIGINT");
    expect([await joined.ended, await served.ended]).toEqual([0, 0]);
    const ended = ["serve", ...data, ...training, ...store, "--port", "0", "--until-finished"];
    expectDocumented(await sheaf(...ended), section("serve"), "serve --until-finished");
  });

  it("README.md's first library example runs", async () => {
    const source = read("README.md").match(/```js\n([\s\S]*?)```/)?.[1] ?? "";
    // Read from standard input in the checkout, so that `sheaf/run` is this package.
    const child = spawn(process.execPath, ["--input-type=module", "-"], { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end(source.replace('"runs/library"', JSON.stringify(join(folder, "library"))));
    let output = "";
    for await (const chunk of child.stdout) output += String(chunk);
    expect(output).toContain("central has trained");
    expect(output.trim().split("\n").at(-1)).toMatch(/^0\.\d+ 0\.\d+ [\d.]+ .*model\.onnx$/);
  });
});
