/** Lets a test train in a page. */
import { openSession, useRuntimeFiles } from "../../../src/runtime/session.web.ts";
import { lossesOf } from "./steps.ts";

useRuntimeFiles("/ort/");
Object.assign(globalThis, {
  train: (steps: number, provider: "wasm" | "webgpu", threads: number) => lossesOf(openSession, steps, { provider, threads }),
});
