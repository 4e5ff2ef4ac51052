/** Bad input, each with its exit code, one clear sentence on stderr, no stack trace, and nothing lost. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ErrorCode, exitCodes } from "../../src/util/errors.ts";
import { built, type Outcome, type Scratch, type SpawnOptions, scratch, sha256, sheaf, small, smallest, succeed } from "./sheaf.ts";

const last = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

/** Every command's failure has this form, whatever came before it. */
function expectFailure({ code, stderr, stdout }: Outcome, kind: ErrorCode, says: RegExp): void {
  expect({ code, sentence: last(stderr) }).toEqual({ code: exitCodes[kind], sentence: expect.stringMatching(says) });
  expect(last(stderr)).toMatch(/^sheaf: \S.*\.$/);
  expect(stderr.match(/^sheaf: /gm)).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s+at |node:internal|SheafError|Please report/m);
  expect(stdout).toBe("");
}

/** Any attempt to reach the network fails at once, as on a machine without one. */
const offline: Readonly<Record<string, string>> = {
  NODE_OPTIONS: `--import "data:text/javascript,globalThis.fetch=async()=>{throw new TypeError('fetch failed',{cause:new Error('ENETUNREACH')})}"`,
};

describe.skipIf(!built)("bad input", () => {
  let folder: Scratch;
  /** A finished run that tests copy and damage. */
  let good: string;
  let goodHash: string;
  const run = (args: readonly string[], options: SpawnOptions = {}): Promise<Outcome> => sheaf(args, { cwd: folder.path, ...options });

  beforeAll(async () => {
    folder = await scratch("bad");
    good = folder.at("good");
    await succeed(["run", ...smallest, "--out", good], { cwd: folder.path });
    goodHash = await sha256(join(good, "model.onnx"));
  });
  afterAll(() => folder.remove());

  describe("on the command line", () => {
    it.each([
      [["frobnicate"], /Unknown command 'frobnicate'; see sheaf --help/],
      [["run", "--bathc", "3"], /Unknown option '--bathc'.*Did you mean --batch\?.*see sheaf run --help/],
      [["run", "--epochs", "none"], /'--epochs <n>' argument 'none' is invalid/],
      [["run", "--epochs", "0"], /at least 1/],
      [["predict", "model.onnx"], /Missing required argument 'files'/],
      [["run", "--set", "training.epochs"], /--set expects KEY=VALUE/],
      [["compile", "--network", "tiny"], /needs --out DIR/],
    ])("%j is refused", async (args, says) => {
      expectFailure(await run(args), "usage", says);
    });

    it("prints the failure as one JSON value with --json", async () => {
      for (const args of [
        ["run", "--bogus"],
        ["cost", "--network", "vgg99"],
        ["bench", "step", "--width", "x"],
      ]) {
        const { code, stdout, stderr } = await run([...args, "--json"]);
        const { error } = JSON.parse(stdout) as { error: { code: ErrorCode; exitCode: number; message: string } };
        expect(error.exitCode).toBe(code);
        expect(exitCodes[error.code]).toBe(code);
        expect(error.message).toMatch(/\.$/);
        expect(stderr.trimEnd().split("\n")).toHaveLength(1);
      }
    });

    it("shows the stack trace with --verbose alone", async () => {
      const { stderr } = await run(["cost", "--network", "vgg99", "--verbose"]);
      expect(stderr).toMatch(/^\s+at /m);
    });
  });

  describe("in the configuration", () => {
    it.each<readonly [string, readonly string[], ErrorCode, RegExp]>([
      ["an unknown network", ["--network", "vgg12"], "config", /Unknown network "vgg12"; known networks are .*vgg11/],
      [
        "an unknown data set",
        ["--data-set", "mnist"],
        "config",
        /no data set named "mnist" and no file or folder of that path; choose one of cifar10/,
      ],
      ["an unknown key", ["--set", "training.epoch=3"], "config", /training: .*"epoch".*Known keys there: epochs/],
      ["an unknown head", ["--set", "head=H9"], "config", /"H0"\|.*\|"H5", got "H9"/],
      ["a share above 1", ["--rho", "1.5"], "config", /rho: .*got 1.5/],
      [
        "an unknown class",
        ["--set", 'fleet.devices=[{"profile":"phone-mid","classes":["zebra"]}]'],
        "config",
        /Unknown class "zebra".*circle/,
      ],
      [
        "an unknown profile",
        ["--set", 'fleet.devices=[{"profile":"abacus"}]'],
        "config",
        /No device profile is called "abacus"; the catalog has .*phone-mid/,
      ],
      [
        "two devices of one name",
        ["--set", 'fleet.devices=[{"profile":"laptop","id":"a"},{"profile":"laptop","id":"a"}]'],
        "config",
        /"a" is taken/,
      ],
      [
        "a device without memory for the narrowest sub-model",
        ["--set", 'fleet.devices=[{"profile":"phone-mid","memoryBytes":1000}]'],
        "plan",
        /phone-mid.* needs .* of memory .* has 1\.0 kB/,
      ],
    ])("%s", async (_, args, kind, says) => {
      expectFailure(await run(["run", ...small, ...args, "--out", folder.at("never")]), kind, says);
      expect(await readdir(folder.path)).not.toContain("never");
    });

    it("a file that is no YAML, one that holds no keys, and one that is not there", async () => {
      await writeFile(folder.at("bad.yaml"), "seed: [1, 2\n");
      await writeFile(folder.at("list.yaml"), "- 1\n");
      expectFailure(await run(["plan", "--config", "bad.yaml"]), "config", /bad\.yaml is not readable YAML or JSON/);
      expectFailure(await run(["plan", "--config", "list.yaml"]), "config", /list\.yaml must hold keys and values/);
      expectFailure(await run(["plan", "--config", "none.yaml"]), "data", /none\.yaml: no such file/);
    });

    it("a network file with an unknown layer, with too few logits, and one that is no JSON", async () => {
      const write = (name: string, value: unknown): Promise<void> => writeFile(folder.at(name), JSON.stringify(value));
      const plan = (network: string): Promise<Outcome> =>
        run(["plan", "--data-set", "glyphs", "--train-count", "50", "--test-count", "10", "--network", network]);
      await write("warp.json", { name: "x", layers: [{ name: "a", type: "warp", inputs: ["input"] }] });
      expectFailure(await plan("warp.json"), "network", /Layer "a" has unknown type "warp"; known types are .*conv2d/);
      await write("short.json", {
        name: "x",
        layers: [
          { name: "pool", type: "globalAvgPool", inputs: ["input"] },
          { name: "flat", type: "flatten", inputs: ["pool"] },
          { name: "out", type: "linear", inputs: ["flat"], outFeatures: 3, bias: true },
        ],
      });
      expectFailure(await plan("short.json"), "network", /short\.json ends in 3 logits, but the data has 10 classes/);
      await writeFile(folder.at("no.json"), "layers");
      expectFailure(await plan("no.json"), "network", /no\.json is not JSON/);
    });
  });

  describe("in data and models", () => {
    it("a data file cut short", async () => {
      const cifar = folder.at("cut", "cifar-10-batches-bin");
      await mkdir(cifar, { recursive: true });
      const names = Array.from({ length: 10 }, (_, i) => `class${i}`);
      await writeFile(join(cifar, "batches.meta.txt"), `${names.join("\n")}\n`);
      for (const name of ["data_batch_1.bin", "test_batch.bin"]) {
        const records = new Uint8Array(20 * 3073);
        for (let i = 0; i < 20; i++) records[i * 3073] = i % 10;
        await writeFile(join(cifar, name), name === "test_batch.bin" ? records : records.subarray(0, 20 * 3073 - 7));
      }
      const outcome = await run(["run", ...small.slice(2), "--data-set", "cifar10", "--data", folder.at("cut"), "--out", "cut-run"]);
      expectFailure(outcome, "data", /data_batch_1\.bin.*3073/);
    });

    it("a set that is not there and cannot be fetched, within seconds", async () => {
      const empty = folder.at("empty");
      await mkdir(empty);
      const before = performance.now();
      const outcome = await run(["data", "inspect", "cifar10", "--data", empty], { env: offline });
      expectFailure(outcome, "unavailable", /could not be reached \(.*ENETUNREACH.*--data-set glyphs/);
      expect(performance.now() - before).toBeLessThan(20_000);
    });

    it("images that are none, models that are none, parts that are none", async () => {
      await writeFile(folder.at("text.txt"), "hello");
      expectFailure(await run(["predict", good, "text.txt"]), "data", /text\.txt: expected a whole JPEG, PNG or WebP image/);
      expectFailure(await run(["predict", good, "none.png"]), "data", /none\.png/);
      expectFailure(await run(["predict", "text.txt", "text.txt"]), "corrupt", /text\.txt cannot be read: it is not an ONNX model/);
      expectFailure(await run(["eval", "none.onnx"]), "data", /none\.onnx: no such file/);
      expectFailure(await run(["report", folder.at("empty-run")]), "data", /report\.json: no such file/);
      expectFailure(await run(["export", good, "toaster"]), "usage", /no part "toaster"; it has H0, H1, H2, /);
      expectFailure(await run(["export", good, "H2", "--format", "safetensors"]), "usage", /exported as onnx, not safetensors/);
    });

    it("a model cut short, and one evaluated on other classes", async () => {
      const bytes = await readFile(join(good, "model.onnx"));
      await writeFile(folder.at("cut.onnx"), bytes.subarray(0, bytes.length / 2));
      expectFailure(await run(["eval", "cut.onnx"]), "corrupt", /cut\.onnx cannot be read/);
      const cifar = folder.at("other", "cifar-10-batches-bin");
      await mkdir(cifar, { recursive: true });
      await writeFile(join(cifar, "batches.meta.txt"), "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n");
      const records = new Uint8Array(10 * 3073);
      for (let i = 0; i < 10; i++) records[i * 3073] = i;
      for (const name of ["data_batch_1.bin", "test_batch.bin"]) await writeFile(join(cifar, name), records);
      const outcome = await run(["eval", good, "--data-set", "cifar10", "--data", folder.at("other")]);
      expectFailure(outcome, "data", /knows the classes circle, .* but cifar10 has airplane, /);
    });
  });

  describe("in training", () => {
    it("a loss that becomes NaN stops everything with the step and a remedy", async () => {
      const outcome = await run(["run", ...small, "--learning-rate", "1e6", "--out", "nan"]);
      expectFailure(outcome, "diverged", /loss became .* at step \d+ of \d+ .*lower the learning rate/);
      expect(await readdir(folder.at("nan"))).not.toContain("run.lock");
    });
  });

  describe("in a run directory", () => {
    const copy = async (name: string): Promise<string> => {
      await cp(good, folder.at(name), { recursive: true });
      return folder.at(name);
    };
    const resume = (path: string, ...more: string[]): Promise<Outcome> => run(["run", ...smallest, "--out", path, "--resume", ...more]);
    const flip = async (file: string, share: number): Promise<void> => {
      const bytes = await readFile(file);
      const at = Math.floor(bytes.length * share);
      bytes[at] = (bytes[at] as number) ^ 1;
      await writeFile(file, bytes);
    };

    it("is not written over: neither a run nor a folder with other things", async () => {
      expectFailure(await run(["run", ...smallest, "--out", good]), "config", /holds a run already; add --resume/);
      await mkdir(folder.at("mine"));
      await writeFile(folder.at("mine", "thesis.txt"), "precious");
      expectFailure(await run(["run", ...smallest, "--out", "mine"]), "config", /mine is not empty and holds no run/);
      expectFailure(await resume("mine"), "config", /mine is not empty and holds no run/);
      expectFailure(await run(["train", ...smallest, "--out", "mine"]), "config", /mine is not empty and holds no run/);
      expect(await readdir(folder.at("mine"))).toEqual(["thesis.txt"]);
      await writeFile(folder.at("file"), "");
      expectFailure(await run(["run", ...smallest, "--out", "file/run"]), "storage", /file\/run: .*a file, not a folder/);
    });

    it("is not resumed with another configuration", async () => {
      expectFailure(await resume(good, "--seed", "7"), "config", /another configuration \(there "seed": 0, now "seed": 7\)/);
      expect(await sha256(join(good, "model.onnx"))).toBe(goodHash);
    });

    it.each([
      ["raspberry-pi-4.safetensors", 0.9],
      ["raspberry-pi-4.safetensors", 0.001],
      ["desktop.statistics.safetensors", 0.7],
    ])("says so when checkpoints/%s has a flipped bit (at %d of it), and is whole again without that file", async (name, share) => {
      const path = await copy(`flip-${name}-${share}`);
      const file = join(path, "checkpoints", name);
      await flip(file, share);
      const outcome = await resume(path);
      expectFailure(outcome, "corrupt", /delete/);
      expect(last(outcome.stderr)).toContain(join("checkpoints", name));
      await rm(file);
      expect((await resume(path)).code).toBe(0);
      expect(await sha256(join(path, "model.onnx"))).toBe(goodHash);
    });

    it("says so when a checkpoint of a job under way is damaged, and is whole again without it", async () => {
      const path = await copy("flip-checkpoint");
      const checkpoints = join(path, "checkpoints");
      await rm(join(checkpoints, "desktop.safetensors"));
      const file = join(checkpoints, "desktop.checkpoint");
      await flip(file, 0.8);
      const outcome = await resume(path);
      expectFailure(outcome, "corrupt", /desktop\.checkpoint cannot be used: .*; delete it to train from the start/);
      await rm(file);
      expect((await resume(path)).code).toBe(0);
      expect(await sha256(join(path, "model.onnx"))).toBe(goodHash);
    });

    it("computes statistics anew when a sub-model was trained anew", async () => {
      const path = await copy("again");
      const checkpoints = join(path, "checkpoints");
      await rm(join(checkpoints, "desktop.safetensors"));
      await rm(join(checkpoints, "desktop.checkpoint"));
      expect((await resume(path)).code).toBe(0);
      expect(await sha256(join(path, "model.onnx"))).toBe(goodHash);
    });
  });
});
