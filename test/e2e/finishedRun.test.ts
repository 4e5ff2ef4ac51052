/** A finished run: its directory, its model, and what every command says about it, to people and as JSON. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePng } from "../../src/data/images.node.ts";
import { readOnnx } from "../../src/onnx/read.ts";
import { openSession } from "../../src/runtime/session.node.ts";
import { decodeSafetensors } from "../../src/util/safetensors.ts";
import { floats } from "../../src/util/tensor.ts";
import { built, filesBelow, json, type Scratch, scratch, sha256, small, succeed } from "./sheaf.ts";

type Json = Readonly<Record<string, unknown>>;
const devices = ["raspberry-pi-4", "phone-mid", "laptop-browser", "jetson-nano", "desktop"];
const glyphs = ["circle", "triangle", "square", "star", "cross", "crescent", "arrow", "heart", "spiral", "gap"];

interface RunJson {
  readonly accuracy: Readonly<Record<string, number>>;
  readonly compute: {
    readonly ratio: { readonly min: number; readonly median: number; readonly max: number };
    readonly byDevice: readonly { readonly id: string; readonly ratio: number; readonly totalMacs: number }[];
  };
  readonly bytes: Readonly<Record<string, number>>;
  readonly model: string;
  readonly modelSha256: string;
  readonly report: string;
}
interface EvalJson {
  readonly accuracy: number;
  readonly perClass: readonly number[];
  readonly confusion: readonly (readonly number[])[];
  readonly samples: number;
}

describe.skipIf(!built)("a finished run", () => {
  let folder: Scratch;
  let out: string;
  let result: RunJson;
  beforeAll(async () => {
    folder = await scratch("finished");
    out = folder.at("run");
    result = (await json(["run", ...small, "--out", out])) as RunJson;
  });
  afterAll(() => folder.remove());
  const at = (name: string): string => join(out, name);
  const text = (name: string): Promise<string> => readFile(at(name), "utf8");

  describe("its directory", () => {
    it("holds what the documentation says, and nothing half-written", async () => {
      expect(await readdir(out)).toEqual(
        expect.arrayContaining([
          "MODEL_CARD.md",
          "checkpoints",
          "config.resolved.json",
          "events.jsonl",
          "manifest.json",
          "metrics.csv",
          "model.onnx",
          "report.html",
          "report.json",
        ]),
      );
      expect((await filesBelow(out)).filter((name) => /\.tmp$|\.lock$/.test(name))).toEqual([]);
    });

    it("has a manifest whose hashes are those of the files", async () => {
      const manifest = JSON.parse(await text("manifest.json")) as { files: Record<string, string>; seed: number };
      expect(Object.keys(manifest.files)).toEqual(expect.arrayContaining(["model.onnx", "report.html", "config.resolved.json"]));
      for (const [name, hash] of Object.entries(manifest.files)) expect([name, await sha256(at(name))]).toEqual([name, hash]);
      expect(manifest).toMatchObject({ seed: 0, sheafVersion: expect.any(String), machine: { cores: expect.any(Number) } });
    });

    it("has events as lines of JSON from start to finish, and a curve for every job", async () => {
      const events = (await text("events.jsonl"))
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { type: string; at: string; job?: string });
      expect(events[0]?.type).toBe("started");
      expect(events.at(-1)?.type).toBe("finished");
      for (const { at: time } of events) expect(Number.isNaN(Date.parse(time))).toBe(false);
      const trained = events.filter(({ type }) => type === "trained").map(({ job }) => job);
      expect(trained.toSorted()).toEqual([...devices, "central", "slim"].toSorted());
      const [header, ...rows] = (await text("metrics.csv")).trimEnd().split("\n");
      expect(header).toBe("job,epoch,step,loss,accuracy,learningRate");
      expect(rows).toHaveLength(2 * 7);
      for (const row of rows)
        expect(
          row
            .split(",")
            .slice(1)
            .every((cell) => Number.isFinite(Number(cell))),
        ).toBe(true);
    });

    it("has a report that fetches nothing and a card with the accuracy", async () => {
      const html = await text("report.html");
      expect(html).toMatch(/^<!doctype html>/i);
      // Attributes that load something, stylesheets that do, and scripts.
      expect(html).not.toMatch(/\s(src|srcset|data|poster|action)\s*=\s*["']?\s*(https?:)?\/\//i);
      expect(html).not.toMatch(/<(link|script|iframe|object|embed|base)\b|url\(\s*["']?https?:|@import/i);
      // Pictures of samples are in the page itself, and small.
      const pictures = [...html.matchAll(/<img src="([^"]*)"/g)].map((match) => match[1] ?? "");
      expect(pictures).toHaveLength(10);
      for (const picture of pictures) expect(picture).toMatch(/^data:image\/webp;base64,/);
      expect(pictures.join("").length).toBeLessThan(150_000);
      expect(html.match(/<svg/g)?.length ?? 0).toBeGreaterThanOrEqual(6);
      for (const id of devices) expect(html).toContain(id);
      const card = await text("MODEL_CARD.md");
      expect(card).toContain(`${(100 * (result.accuracy.H2 ?? 0)).toFixed(1)}`);
      expect(card).toMatch(/augmentation: crop \d+, flip \w+, cutout \d+$/m);
    });
  });

  describe("its model", () => {
    it("takes raw images of any batch and answers with logits and probabilities", async () => {
      const bytes = await readFile(at("model.onnx"));
      const graph = readOnnx(bytes);
      expect(graph.inputs).toEqual([{ name: "image", dtype: "float32", shape: [-1, 3, 32, 32] }]);
      expect(graph.outputs).toEqual(["logits", "probabilities"].map((name) => ({ name, dtype: "float32", shape: [-1, 10] })));
      expect(JSON.parse(graph.metadata.classNames ?? "")).toEqual(glyphs);
      const session = await openSession(bytes);
      try {
        const pixels = Float32Array.from({ length: 5 * 3072 }, (_, i) => (i * 97) % 256);
        const five = await session.run({ image: floats("float32", [5, 3, 32, 32], pixels) });
        const one = await session.run({ image: floats("float32", [1, 3, 32, 32], pixels.subarray(2 * 3072, 3 * 3072)) });
        expect([five.logits?.shape, one.probabilities?.shape]).toEqual([
          [5, 10],
          [1, 10],
        ]);
        const [p5, p1, l1] = [five.probabilities, one.probabilities, one.logits].map((t) => t?.data as Float32Array) as [
          Float32Array,
          Float32Array,
          Float32Array,
        ];
        p1.forEach((p, i) => {
          expect(p).toBeCloseTo(p5[20 + i] as number, 4);
        });
        expect(p1.reduce((a, b) => a + b)).toBeCloseTo(1, 4);
        expect(p1.indexOf(Math.max(...p1))).toBe(l1.indexOf(Math.max(...l1)));
      } finally {
        await session.dispose();
      }
    });

    it("is what the export of its head gives, byte for byte; the other parts are models too", async () => {
      for (const part of ["H2", "H0", "H1", "central", "slim", "phone-mid"]) {
        const file = folder.at(`${part}.onnx`);
        const exported = (await json(["export", out, part, "--file", file])) as { file: string; sha256: string; classNames: string[] };
        expect(exported).toMatchObject({ file, sha256: await sha256(file) });
        expect(exported.sha256 === result.modelSha256).toBe(part === "H2");
        const session = await openSession(await readFile(file));
        const { probabilities } = await session.run({ image: floats("float32", [2, 3, 32, 32], new Float32Array(2 * 3072)) });
        expect(probabilities?.shape).toEqual([2, exported.classNames.length]);
        if (part === "phone-mid") expect(exported.classNames.at(-1)).toBe("other");
        await session.dispose();
      }
      expect(await sha256(at("central.onnx"))).not.toBe(result.modelSha256);
    });

    it("has weights that can be taken out as safetensors", async () => {
      await json(["export", out, "desktop", "--format", "safetensors", "--file", folder.at("desktop.safetensors")]);
      const { tensors, metadata } = decodeSafetensors(await readFile(folder.at("desktop.safetensors")), "export");
      expect(tensors.size).toBeGreaterThan(5);
      expect(JSON.parse(metadata.network ?? "")).toMatchObject({ layers: expect.any(Array) });
    });
  });

  describe("as JSON", () => {
    it("run ends in one object with accuracy, compute, bytes and model", () => {
      expect(Object.keys(result.accuracy).sort()).toEqual(["H0", "H1", "H2", "central", "slim"]);
      for (const value of Object.values(result.accuracy)) expect(value * 200).toBeCloseTo(Math.round(value * 200), 6);
      const ratios = result.compute.byDevice.map((d) => d.ratio).sort((a, b) => a - b);
      expect(result.compute.byDevice.map((d) => d.id)).toEqual(devices);
      expect(result.compute.ratio).toEqual({ min: ratios[0], median: ratios[2], max: ratios[4] });
      for (const key of ["down", "up", "model"]) expect(result.bytes[key]).toBeGreaterThan(0);
      expect(result.model).toBe(at("model.onnx"));
      expect(result.report).toBe(at("report.html"));
    });

    it("names the model's own hash", async () => {
      expect(result.modelSha256).toBe(await sha256(at("model.onnx")));
      expect((await readFile(at("model.onnx"))).length).toBe(result.bytes.model);
    });

    it("eval's accuracy, perClass and confusion agree with one another and with run", async () => {
      const e = (await json(["eval", out, "--test-count", "200"])) as EvalJson;
      expect(e.samples).toBe(200);
      expect(e.accuracy).toBe(result.accuracy.H2);
      const right = e.confusion.map((row, c) => row[c] as number);
      const totals = e.confusion.map((row) => row.reduce((a, b) => a + b, 0));
      expect(totals.reduce((a, b) => a + b)).toBe(200);
      expect(right.reduce((a, b) => a + b) / 200).toBeCloseTo(e.accuracy, 12);
      e.perClass.forEach((value, c) => {
        expect(value).toBeCloseTo((right[c] as number) / (totals[c] as number), 12);
      });
    });

    it("predict ranks the classes of an image", async () => {
      const pixels = Float32Array.from({ length: 3072 }, (_, i) => (i * 31) % 256);
      await writePng(folder.at("image.png"), Uint8Array.from(pixels), { channels: 3, height: 32, width: 32 });
      const answer = (await json(["predict", out, folder.at("image.png"), "--top", "10"])) as {
        predictions: { class: string; classes: { class: string; probability: number }[] }[];
      };
      const [first] = answer.predictions;
      expect(first?.classes.map((c) => c.class).toSorted()).toEqual(glyphs.toSorted());
      expect(first?.class).toBe(first?.classes[0]?.class);
      expect(first?.classes.reduce((sum, c) => sum + c.probability, 0)).toBeCloseTo(1, 4);
    });

    it("cost of VGG-11 is the stated one", async () => {
      const cost = (await json(["cost", "--network", "vgg11"])) as Record<string, number>;
      expect((cost.macs as number) / 1e6).toBeCloseTo(152.8, 1);
      expect((cost.parameters as number) / 1e6).toBeCloseTo(9.23, 2);
      expect(cost.activationBytes).toBeGreaterThan(1e6);
    });

    it("plan, data, doctor, report, bench step and train print one object each", async () => {
      const plan = (await json(["plan", ...small])) as { devices: { id: string; classes: string[]; ratio: number }[] };
      expect(plan.devices.map((d) => d.id)).toEqual(devices);
      expect(new Set(plan.devices.flatMap((d) => d.classes))).toEqual(new Set(glyphs));
      const data = (await json(["data"])) as { dataSets: { name: string }[] };
      expect(data.dataSets.map((d) => d.name)).toEqual(["cifar10", "cifar100", "speech-commands", "speech-commands-12", "glyphs"]);
      const looked = (await json(["data", "inspect", "glyphs", "--train-count", "50", "--test-count", "20"])) as Json;
      expect(looked).toMatchObject({ train: 50, test: 20, shape: [3, 32, 32] });
      expect(await json(["doctor"])).toMatchObject({ ok: true, checks: expect.any(Array) });
      const before = await sha256(at("report.html"));
      expect(await json(["report", out])).toEqual({ report: at("report.html"), card: at("MODEL_CARD.md") });
      expect(await sha256(at("report.html"))).toBe(before);
      expect(await json(["bench", "step", "--network", "tiny", "--batch", "8", "--threads", "1", "--steps", "3"])).toEqual(
        expect.any(Object),
      );
      const train = (await json([
        ..."train --data-set glyphs --network tiny --epochs 1 --train-count 200 --test-count 50 --out".split(" "),
        folder.at("train"),
      ])) as Json;
      expect(train).toMatchObject({
        accuracy: expect.any(Number),
        model: folder.at("train", "model.onnx"),
        modelSha256: await sha256(folder.at("train", "model.onnx")),
      });
      expect(
        (await readFile(folder.at("train", "events.jsonl"), "utf8"))
          .trimEnd()
          .split("\n")
          .map((line) => (JSON.parse(line) as { type: string }).type),
      ).toEqual(["started", "trained", "evaluated", "finished"]);
    });
  });

  it("is resumed when finished: nothing is trained again and nothing changes", async () => {
    const { stderr } = await succeed(["run", ...small, "--out", out, "--resume"]);
    expect(stderr).toMatch(/Resumed: .*central had finished/);
    expect(stderr).not.toMatch(/epoch|Statistics pass/);
    expect(await sha256(at("model.onnx"))).toBe(result.modelSha256);
  });

  it("is told to people in tables whose columns line up", async () => {
    await writeFile(folder.at("x"), "");
    const { stdout } = await succeed(["report", out, "--out", folder.at("page")]);
    expect(stdout).toBe(`${folder.at("page", "report.html")}\n${folder.at("page", "MODEL_CARD.md")}\n`);
    const cost = (await succeed(["cost", "--network", "tiny"])).stdout.split("\n\n")[0]?.split("\n") ?? [];
    expect(new Set(cost.map((line) => line.length)).size).toBe(1);
  });
});
