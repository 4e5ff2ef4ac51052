/** A worker that measures one engine and ends: what its session takes of memory goes with it, and WebAssembly's threads are set once in a worker's life. */
import "./platform.ts";
import { measureTraining } from "../../src/agent/benchmark.ts";
import { openSession, useRuntimeFiles } from "../../src/runtime/session.web.ts";
import { type MeasureAnswer, type MeasureRequest, runtimePath } from "./engine.ts";

useRuntimeFiles(runtimePath);

const answer = (message: MeasureAnswer): void => self.postMessage(message);

self.addEventListener("message", async ({ data }: MessageEvent<MeasureRequest>) => {
  const { provider, threads } = data;
  try {
    if (provider === "webgpu") {
      const { gpu } = navigator as { readonly gpu?: { requestAdapter(): Promise<unknown> } };
      if (!(await gpu?.requestAdapter())) return answer({ type: "unavailable", reason: "This browser offers no graphics processor." });
    }
    const macsPerSecond = await measureTraining((model, options) => openSession(model, { ...options, provider, threads }));
    answer({ type: "measured", macsPerSecond });
  } catch (error) {
    answer({ type: "unavailable", reason: error instanceof Error ? error.message : String(error) });
  }
});
