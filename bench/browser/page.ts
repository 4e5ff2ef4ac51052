/** Lets the bench train with either engine in one page. */
import { openSheaf } from "./sheafTrainer.ts";
import { missingKernels, openTensorflow, version } from "./tensorflowTrainer.ts";
import { batchSize, macs, type Trainer } from "./workload.ts";

export type EngineName = "sheaf" | "tfjs-wasm" | "tfjs-wasm-composed" | "tfjs-cpu";

const openers: { readonly [E in EngineName]: (threads: number) => Promise<Trainer> } = {
  sheaf: openSheaf,
  "tfjs-wasm": (threads) => openTensorflow("wasm", "kernel", threads),
  "tfjs-wasm-composed": (threads) => openTensorflow("wasm", "composed", threads),
  "tfjs-cpu": () => openTensorflow("cpu", "kernel", 1),
};
const open = new Map<EngineName, Trainer>();
let steps = 0;

Object.assign(globalThis, {
  bench: {
    /** Opens an engine and gives the losses of its first steps, or why it cannot train. */
    async open(
      name: EngineName,
      threads: number,
      first: number,
    ): Promise<{ readonly losses: readonly number[] } | { readonly failure: string }> {
      try {
        const trainer = await openers[name](threads);
        const losses: number[] = [];
        for (let step = 0; step < first; step++) losses.push(await trainer.step(step));
        open.set(name, trainer);
        return { losses };
      } catch (error) {
        return { failure: error instanceof Error ? error.message : String(error) };
      }
    },
    /** Milliseconds a step, over at least one step and `milliseconds`. */
    async time(name: EngineName, milliseconds: number): Promise<number> {
      const trainer = open.get(name) as Trainer;
      const started = performance.now();
      let done = 0;
      do {
        await trainer.step(steps++);
        done++;
      } while (performance.now() - started < milliseconds);
      return (performance.now() - started) / done;
    },
    missing: () => missingKernels("wasm"),
    describe: () => ({
      batchSize,
      macs,
      tfjs: version,
      isolated: (globalThis as { readonly crossOriginIsolated?: boolean }).crossOriginIsolated,
    }),
  },
});
