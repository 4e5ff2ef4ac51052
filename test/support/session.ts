/** Runs a graph on ONNX Runtime with plain tensors: all that the tests of compiled programs need. Not tuned; `src/runtime` is. */
// biome-ignore lint/style/noRestrictedImports: the compiler is judged by ONNX Runtime itself, without Sheaf's own session in between.
import * as ort from "onnxruntime-node";
import type { Graph } from "../../src/onnx/graph.ts";
import { verify } from "../../src/onnx/verify.ts";
import { type WriteOptions, writeOnnx } from "../../src/onnx/write.ts";
import type { DType, Tensor } from "../../src/util/tensor.ts";

export type Tensors = ReadonlyMap<string, Tensor>;

export interface GraphRunner {
  run(feeds: Tensors): Promise<Map<string, Tensor>>;
  close(): Promise<void>;
}

/** Verifies the graph and opens a session of one thread. */
export async function openGraph(graph: Graph, options: WriteOptions = {}): Promise<GraphRunner> {
  const session = await ort.InferenceSession.create(writeOnnx(verify(graph), options), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  return {
    async run(feeds) {
      const inputs: Record<string, ort.Tensor> = {};
      for (const { name } of graph.inputs) {
        const value = feeds.get(name);
        if (!value) throw new Error(`No value for input "${name}".`);
        inputs[name] = new ort.Tensor(value.dtype as "float32", value.data as Float32Array, value.shape);
      }
      const outputs = await session.run(inputs);
      return new Map(
        Object.entries(outputs).map(([name, o]) => [
          name,
          { dtype: o.type as DType, shape: o.dims, data: (o.data as Float64Array).slice() } as Tensor,
        ]),
      );
    },
    close: () => session.release(),
  };
}

/** Runs a graph once. */
export async function runGraph(graph: Graph, feeds: Tensors, options: WriteOptions = {}): Promise<Map<string, Tensor>> {
  const runner = await openGraph(graph, options);
  try {
    return await runner.run(feeds);
  } finally {
    await runner.close();
  }
}
