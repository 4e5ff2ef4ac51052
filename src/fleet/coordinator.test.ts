/** A coordinator as `sheaf serve` starts it: what it says of itself. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { startCoordinator } from "./coordinator.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-coordinator-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("a coordinator", () => {
  it("names its address, found out when it began to listen, in its description and its lines to join", async () => {
    await using coordinator = await startCoordinator({ store: root, host: "127.0.0.1", port: 0, log: () => undefined });
    expect(coordinator.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const description = (await (await fetch(`${coordinator.url}/v1/openapi.json`)).json()) as { servers: readonly { url: string }[] };
    expect(description.servers).toEqual([{ url: coordinator.url }]);
    expect(JSON.stringify(await coordinator.joinLine(1, 1))).toContain(`sheaf join ${coordinator.url}#`);
  });
});
