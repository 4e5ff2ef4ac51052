import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseConfig, type RunConfig } from "../run/config.ts";
import { keepConfig, paperFiles } from "./record.ts";

const out = mkdtempSync(join(tmpdir(), "sheaf-record-"));
afterAll(() => rmSync(out, { recursive: true, force: true }));

const config = (epochs: number): RunConfig => parseConfig({ training: { epochs }, checkpointSeconds: 7 });
const keep = (id: string, epochs: number): Promise<void> => keepConfig(out, { id, config: config(epochs) });
const pathOf = (id: string): string => join(out, paperFiles.config(id));

describe("a job's configuration", () => {
  it("is kept once, and does not change with how often checkpoints are written", async () => {
    await keep("a", 3);
    const kept = readFileSync(pathOf("a"), "utf8");
    await keepConfig(out, { id: "a", config: { ...config(3), checkpointSeconds: 90 } });
    expect(readFileSync(pathOf("a"), "utf8")).toBe(kept);
  });

  it("stays the same where a later version has more keys", async () => {
    await keep("b", 3);
    const { serve, rho, ...older } = JSON.parse(readFileSync(pathOf("b"), "utf8")) as Record<string, unknown>;
    expect([serve, rho]).not.toContain(undefined);
    const text = JSON.stringify(older);
    writeFileSync(pathOf("b"), text);
    await keep("b", 3);
    expect(readFileSync(pathOf("b"), "utf8")).toBe(text);
  });

  it("is refused where it is another, or cannot be read", async () => {
    await keep("c", 3);
    await expect(keep("c", 4)).rejects.toMatchObject({ code: "config", message: expect.stringContaining("with other settings") });
    writeFileSync(pathOf("c"), "{");
    await expect(keep("c", 3)).rejects.toMatchObject({ code: "config" });
    writeFileSync(pathOf("c"), '{"epochs": "many"}');
    await expect(keep("c", 3)).rejects.toMatchObject({ code: "config" });
  });
});
