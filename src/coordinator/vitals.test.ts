import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openMetrics } from "./metrics.ts";
import { addVitals, openVitals } from "./vitals.node.ts";

it("tells memory, lag, connections and the log's size, and gauges the same", async () => {
  const logFile = join(await mkdtemp(join(tmpdir(), "sheaf-vitals-")), "log.sqlite");
  const monitor = openVitals({ logFile, connections: () => 7 });
  expect(monitor.read()).toMatchObject({ connections: 7, logBytes: 0 });
  await writeFile(logFile, new Uint8Array(100));
  await writeFile(`${logFile}-wal`, new Uint8Array(11));
  // The event loop is held up for longer than anything else here takes.
  await new Promise((resolve) => setTimeout(resolve, 60));
  for (const until = performance.now() + 300; performance.now() < until; );
  await new Promise((resolve) => setTimeout(resolve, 60));
  const vitals = monitor.read();
  expect(vitals.logBytes).toBe(111);
  expect(vitals.eventLoopLagMaxMs).toBeGreaterThan(100);
  expect(vitals.residentBytes).toBeGreaterThan(vitals.heapBytes);
  const metrics = openMetrics();
  addVitals(metrics, () => vitals);
  expect(metrics.text()).toContain(`sheaf_event_loop_lag_seconds{quantile="1"} ${vitals.eventLoopLagMaxMs / 1000}`);
  expect(metrics.text()).toContain("sheaf_log_bytes 111");
  monitor.close();
  monitor.close();
});
