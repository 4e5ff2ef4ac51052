import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { networkCost } from "../network/shapes.ts";
import { loadNetworkModule } from "./modules.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-network-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function file(source: string): Promise<string> {
  const path = join(folder, `network${files++}.ts`);
  await writeFile(path, source);
  return path;
}

const input = { channels: 1, height: 4, width: 4, mean: [0], std: [1] };
const linear = (outFeatures: string): string =>
  `({ name: "n", input, layers: [{ name: "flat", type: "flatten", inputs: ["input"] }, { name: "fc", type: "linear", inputs: ["flat"], outFeatures: ${outFeatures}, bias: true }] })`;
const definition = (build: string, more: string = ""): string =>
  `export default { name: "mine", ${more} build(input: unknown, classes: number) { ${build} } };`;

describe("loadNetworkModule", () => {
  it("builds a network for any number of classes, and keeps its rates", async () => {
    const path = await file(definition(`return ${linear("classes")};`, "learningRate: { wide: 0.1, narrow: 0.2 },"));
    const { name, title, learningRate, build } = await loadNetworkModule(path);
    expect({ name, title, learningRate }).toEqual({ name: "mine", title: "mine", learningRate: { wide: 0.1, narrow: 0.2 } });
    expect(networkCost(build(input, 7)).parameters).toBe(7 * 17);
  });

  it.each([
    ["exports no default", "export const a = 1;", /no default export \(it exports only a\)/],
    ["exports a number", "export default 1;", /default export must be what defineNetwork returns.*got 1/],
    ["has no build", 'export default { name: "a" };', /build must be a function.*got undefined/],
    ["has wrong rates", definition("", "learningRate: { wide: 0 },"), /learningRate must be \{ wide, narrow \}.*got \{"wide":0\}/],
  ])("refuses a module that %s", async (_what, source, says) => {
    const path = await file(source);
    const failure = await loadNetworkModule(path).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "network", message: expect.stringMatching(says) });
    expect((failure as Error).message).toContain(path);
  });

  it.each([
    ["gives nothing", "", /what build gives must be a network.*got undefined/],
    ["fails", 'throw new Error("no idea.");', /build failed: no idea;/],
    ["ends in other logits", `return ${linear("3")};`, /3 logits, but the data has 7 classes/],
    ["has a layer that there is not", `return ${linear("classes").replace('"linear"', '"lineal"')};`, /lineal/],
  ])("refuses a build that %s", async (_what, body, says) => {
    const path = await file(definition(body));
    const { build } = await loadNetworkModule(path);
    const attempt = (): unknown => build(input, 7);
    expect(attempt).toThrow(says);
    expect(attempt).toThrow(path);
    expect(attempt).toThrow(expect.objectContaining({ code: "network" }));
  });
});
