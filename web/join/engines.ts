/** Which engine of this browser trains fastest: measured, one candidate after another, each in a worker of its own. */
import type { Engine, MeasureAnswer, MeasureRequest } from "../device/engine.ts";

/** A candidate that cannot be used has no speed but a reason. */
export type Measured = MeasureRequest & ({ readonly macsPerSecond: number } | { readonly reason: string });

/** How much longer than the first a candidate may take, its files included; a software imitation of a graphics processor takes longer, and would not win. */
const patience = 4;
const leastPatienceMs = 30_000;

function measure(request: MeasureRequest, limitMs: number | undefined): Promise<Measured> {
  const worker = new Worker(new URL("../device/measure.ts", import.meta.url), { type: "module" });
  return new Promise<Measured>((resolve) => {
    const fail = (reason: string): void => resolve({ ...request, reason });
    const late = limitMs === undefined ? undefined : setTimeout(() => fail("It took too long."), limitMs);
    worker.onmessage = ({ data }: MessageEvent<MeasureAnswer>) => {
      clearTimeout(late);
      if (data.type === "measured") resolve({ ...request, macsPerSecond: data.macsPerSecond });
      else fail(data.reason);
    };
    worker.onerror = () => fail("It could not be started.");
    worker.postMessage(request);
  }).finally(() => worker.terminate());
}

/** Most threads: beyond, small sub-models gain nothing. */
const mostThreads = 8;

/** What this browser might train with. */
function candidates(): readonly MeasureRequest[] {
  const cores = Math.min(mostThreads, navigator.hardwareConcurrency || 1);
  return [
    { provider: "wasm", threads: 1 },
    ...(globalThis.crossOriginIsolated && cores > 1 ? [{ provider: "wasm" as const, threads: cores }] : []),
    ...("gpu" in navigator ? [{ provider: "webgpu" as const, threads: 1 }] : []),
  ];
}

/** Measures all candidates. Throws where none can train. */
export async function chooseEngine(tell: (measured: readonly Measured[]) => void): Promise<Engine> {
  const measured: Measured[] = [];
  const started = performance.now();
  let limitMs: number | undefined;
  for (const candidate of candidates()) {
    // The first can train everywhere, and is waited for however busy the machine is.
    measured.push(await measure(candidate, limitMs));
    limitMs ??= Math.max(leastPatienceMs, patience * (performance.now() - started));
    tell([...measured]);
  }
  const usable = measured.flatMap((each) => ("macsPerSecond" in each ? [each] : []));
  const [best] = usable.sort((a, b) => b.macsPerSecond - a.macsPerSecond);
  if (best) return best;
  const [first] = measured;
  throw new Error(`This browser cannot train: ${first && "reason" in first ? first.reason : "it has no WebAssembly."}`);
}
