import { describe, expect, it } from "vitest";
import { openMemorySamples } from "../data/samples.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { computeFrozenScores, frozenGraph, scoresAlone } from "./frozenScores.ts";
import { assembleGlobal, branchGraph } from "./globalModel.ts";
import { columnOf, layOut } from "./harvested.ts";
import { makeHead } from "./makeHead.ts";
import { classNames, imagesOf, parts, randomDataset, untrained } from "./parts.fixture.ts";

const dataset = randomDataset(11);
const samples = Uint32Array.of(7, 2, 9, 0, 3);
const classCount = classNames.length;

const frozenOf = async (harvested: ReturnType<typeof untrained>, device: string, signal?: AbortSignal): Promise<Float32Array> => {
  const graph = frozenGraph(harvested, device, classCount);
  if (!graph) return scoresAlone(harvested, classCount, samples.length);
  await using session = await openSession(writeOnnx(graph, { batchAxis: "N" }));
  using source = openMemorySamples(dataset);
  return await computeFrozenScores(session, classCount, source, samples, { batchSize: 2, ...(signal ? { signal } : {}) });
};

describe("frozen scores", () => {
  it.each([
    ["every class owned", parts],
    ["a class that nobody owns", parts.map((part) => ({ ...part, taskSet: part.taskSet.filter((id) => id !== 5) }))],
    ["a device alone", parts.slice(0, 1)],
  ])("and the device's own log-probabilities add up to the logits of H0: %s", async (_, of) => {
    const harvested = untrained("tiny", of);
    await using global = await openSession(
      writeOnnx(assembleGlobal(harvested, makeHead("H0", { harvested, classCount }), { classNames }), { batchAxis: "N" }),
    );
    await using branches = await openSession(writeOnnx(branchGraph(harvested), { batchAxis: "N" }));
    const logits = (await global.run({ image: imagesOf(dataset) })).logits?.data as Float32Array;
    const scores = (await branches.run({ image: imagesOf(dataset) })).logProbabilities?.data as Float32Array;
    const layout = layOut(harvested.map((h) => h.subModel));
    for (const branch of layout.branches) {
      const frozen = await frozenOf(harvested, branch.device);
      expect(frozen).toHaveLength(samples.length * classCount);
      samples.forEach((sample, row) => {
        for (let c = 0; c < classCount; c++) {
          const own = scores[sample * layout.logProbabilities + columnOf(branch, c)] as number;
          expect((frozen[row * classCount + c] as number) + own).toBeCloseTo(logits[sample * classCount + c] as number, 3);
        }
      });
    }
  });

  it("stop when asked to, and when a branch is broken", async () => {
    await expect(frozenOf(untrained(), "phone", AbortSignal.abort())).rejects.toMatchObject({ code: "interrupted" });
    const broken = untrained();
    broken[1]?.parameters.get("classifier.bias")?.data.fill(Number.NaN as never);
    await expect(frozenOf(broken, "phone")).rejects.toMatchObject({ code: "diverged" });
  });
});
