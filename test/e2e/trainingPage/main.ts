/** Lets a test train in a page. */
import { openSession, useRuntimeFiles } from "../../../src/runtime/session.web.ts";
import { lossesOf, type Trained } from "./steps.ts";

useRuntimeFiles("/ort/");
Object.assign(globalThis, {
  train: (trained: Trained, steps: number, provider: "wasm" | "webgpu", threads: number) =>
    lossesOf(openSession, trained, steps, { provider, threads }),
});
