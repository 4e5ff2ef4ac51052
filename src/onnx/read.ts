/** The ONNX protobuf format to a graph. With `write.ts`, the only place that knows protobuf. */
import { fromBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
  TensorProto_DataLocation,
  type ValueInfoProto,
} from "onnx-buf";
import { SheafError } from "../util/errors.ts";
import { bytesPerElement, type DType, type DTypeData, sizeOf, type Tensor, tensor } from "../util/tensor.ts";
import type { ForeignAttribute, ForeignGraph, ForeignNode, ForeignValue } from "./foreign.ts";
import { type Attribute, type Graph, type Node, opsetVersion, type Value } from "./graph.ts";
import { dtypeOfOnnx, type OpType, opRules } from "./ops.ts";

export interface ReadOptions {
  /** What the file is called in errors; "The ONNX file" by default. */
  readonly what?: string;
  /** Stands for every symbolic extent, such as the batch axis; -1 by default. */
  readonly symbolicExtent?: number;
}

interface Reader {
  readonly symbolicExtent: number;
  fail(sentence: string, cause?: unknown): never;
}

function dtypeOf(reader: Reader, number: number, what: string): DType {
  return dtypeOfOnnx(number) ?? reader.fail(`${what} has data type ${number}, which Sheaf does not use`);
}

/** Copies raw bytes, which may lie unaligned, into an array of their own (`slice` would not: Node's Buffer shares memory there). */
function fromRaw(dtype: DType, raw: Uint8Array): DTypeData[DType] {
  const { buffer } = new Uint8Array(raw);
  const arrays: { readonly [D in DType]: (buffer: ArrayBuffer) => DTypeData[D] } = {
    float32: (b) => new Float32Array(b),
    float64: (b) => new Float64Array(b),
    int32: (b) => new Int32Array(b),
    int64: (b) => new BigInt64Array(b),
    uint8: (b) => new Uint8Array(b),
    bool: (b) => new Uint8Array(b),
  };
  return arrays[dtype](buffer as ArrayBuffer);
}

/** The typed fields, which other writers use instead of raw bytes. */
function fromFields(dtype: DType, proto: TensorProto): DTypeData[DType] {
  const fields: { readonly [D in DType]: () => DTypeData[D] } = {
    float32: () => Float32Array.from(proto.floatData),
    float64: () => Float64Array.from(proto.doubleData),
    int32: () => Int32Array.from(proto.int32Data),
    int64: () => BigInt64Array.from(proto.int64Data),
    uint8: () => Uint8Array.from(proto.int32Data),
    bool: () => Uint8Array.from(proto.int32Data),
  };
  return fields[dtype]();
}

function readTensor(reader: Reader, proto: TensorProto, what = `initializer "${proto.name}"`): Tensor {
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) {
    reader.fail(`${what} lies in another file; save the model as one file`);
  }
  const dtype = dtypeOf(reader, proto.dataType, what);
  const shape = proto.dims.map(Number);
  const size = sizeOf(shape);
  const { rawData } = proto;
  if (rawData.length > 0 && rawData.length !== size * bytesPerElement[dtype]) {
    reader.fail(`${what} of shape [${shape.join(", ")}] needs ${size * bytesPerElement[dtype]} bytes, got ${rawData.length}`);
  }
  const data = rawData.length > 0 ? fromRaw(dtype, rawData) : fromFields(dtype, proto);
  if (data.length !== size) reader.fail(`${what} of shape [${shape.join(", ")}] needs ${size} values, got ${data.length}`);
  return tensor(dtype, shape, data);
}

function readAttribute(reader: Reader, where: string, proto: AttributeProto): Attribute {
  switch (proto.type) {
    case AttributeProto_AttributeType.INT:
      return Number(proto.i);
    case AttributeProto_AttributeType.FLOAT:
      return { float: proto.f };
    case AttributeProto_AttributeType.STRING:
      return new TextDecoder().decode(proto.s);
    case AttributeProto_AttributeType.INTS:
      return proto.ints.map(Number);
    default:
      return reader.fail(`${where} has an attribute "${proto.name}" of a type that Sheaf does not use (${proto.type})`);
  }
}

function readValue(reader: Reader, proto: ValueInfoProto): Value {
  const what = `"${proto.name}"`;
  const type = proto.type?.value;
  if (type?.case !== "tensorType") return reader.fail(`${what} is not a tensor`);
  if (!type.value.shape) return reader.fail(`${what} has no shape`);
  const shape = type.value.shape.dim.map(({ value }) => (value.case === "dimValue" ? Number(value.value) : reader.symbolicExtent));
  return { name: proto.name, dtype: dtypeOf(reader, type.value.elemType, what), shape };
}

function readNode(reader: Reader, proto: NodeProto): Node {
  const where = `node "${proto.name}" (${proto.opType})`;
  if (!isStandard(proto.domain) || !Object.hasOwn(opRules, proto.opType)) {
    reader.fail(`${where} is an operator that Sheaf does not know; it knows ${Object.keys(opRules).join(", ")}`);
  }
  const entries = proto.attribute.map((a) => [a.name, readAttribute(reader, where, a)] as const);
  return {
    op: proto.opType as OpType,
    name: proto.name,
    inputs: proto.input,
    outputs: proto.output,
    attributes: Object.fromEntries(entries),
  };
}

/** Infers every node's outputs, as the builder did when the graph was written. */
function inferValues(reader: Reader, known: Map<string, Value>, initializers: ReadonlyMap<string, Tensor>, nodes: readonly Node[]): void {
  for (const node of nodes) {
    const where = `node "${node.name}" (${node.op})`;
    const inputs = node.inputs.map((name) => known.get(name) ?? reader.fail(`${where} reads "${name}", which nothing before it defines`));
    const rule = opRules[node.op];
    if (inputs.length < rule.arity[0] || inputs.length > rule.arity[1]) {
      reader.fail(`${where} takes ${rule.arity.join(" to ")} inputs, got ${inputs.length}`);
    }
    const call = { op: node.op, name: node.name, inputs, attributes: node.attributes, outputCount: node.outputs.length };
    const inferred = rule.infer({ ...call, constant: (i) => initializers.get(node.inputs[i] ?? "") });
    node.outputs.forEach((name, i) => {
      const type = inferred[i] ?? reader.fail(`${where} has ${inferred.length} outputs, not ${node.outputs.length}`);
      known.set(name, { name, dtype: type.dtype, shape: type.shape });
    });
  }
}

function readGraph(reader: Reader, model: ModelProto, proto: GraphProto): Graph {
  const initializers = new Map(proto.initializer.map((t) => [t.name, readTensor(reader, t)]));
  // Writers of old list initializers among the inputs as well.
  const inputs = proto.input.filter((v) => !initializers.has(v.name)).map((v) => readValue(reader, v));
  const nodes = proto.node.map((n) => readNode(reader, n));
  const values = new Map<string, Value>(inputs.map((v) => [v.name, v]));
  for (const [name, { dtype, shape }] of initializers) values.set(name, { name, dtype, shape });
  inferValues(reader, values, initializers, nodes);
  const outputs = proto.output.map(({ name }) => values.get(name) ?? reader.fail(`nothing defines its output "${name}"`));
  const metadata = Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]));
  return { name: proto.name, inputs, outputs, nodes, initializers, values, metadata, doc: model.docString };
}

function readerOf(what: string, symbolicExtent: number): Reader {
  return {
    symbolicExtent,
    fail(sentence, cause) {
      throw new SheafError("corrupt", `${what} cannot be read: ${sentence}.`, cause === undefined ? {} : { cause });
    },
  };
}

function parseModel(reader: Reader, bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    return reader.fail("it is not an ONNX model, or it was cut short; get it again", cause);
  }
}

const isStandard = (domain: string): boolean => domain === "" || domain === "ai.onnx";
const standardOpset = (model: ModelProto): bigint | undefined => model.opsetImport.find(({ domain }) => isStandard(domain))?.version;

/**
 * Reads a graph of the operators in `ops.ts`. Shapes of inner values and outputs are inferred anew from the inputs'.
 * Throws `corrupt` on bytes that are not a whole ONNX model, and on a model that Sheaf cannot hold: another operator set,
 * an unknown operator, tensors in other files.
 */
export function readOnnx(bytes: Uint8Array, options: ReadOptions = {}): Graph {
  const what = options.what ?? "The ONNX file";
  const reader = readerOf(what, options.symbolicExtent ?? -1);
  const model = parseModel(reader, bytes);
  if (!model.graph) return reader.fail("it holds no graph; expected an ONNX model");
  const opset = standardOpset(model);
  if (opset !== BigInt(opsetVersion)) {
    reader.fail(`it uses ONNX operator set ${opset ?? "unknown"}, Sheaf reads ${opsetVersion}; convert it with ONNX's version converter`);
  }
  try {
    return readGraph(reader, model, model.graph);
  } catch (error) {
    // Shape inference reports a defect of Sheaf; here the file is at fault.
    if (error instanceof SheafError && error.code === "corrupt") throw error;
    return reader.fail(`its graph is inconsistent, ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

function foreignAttribute(reader: Reader, where: string, proto: AttributeProto): ForeignAttribute {
  const text = new TextDecoder();
  switch (proto.type) {
    case AttributeProto_AttributeType.INT:
      return { type: "int", value: Number(proto.i) };
    case AttributeProto_AttributeType.FLOAT:
      return { type: "float", value: proto.f };
    case AttributeProto_AttributeType.STRING:
      return { type: "string", value: text.decode(proto.s) };
    case AttributeProto_AttributeType.INTS:
      return { type: "ints", value: proto.ints.map(Number) };
    case AttributeProto_AttributeType.FLOATS:
      return { type: "floats", value: [...proto.floats] };
    case AttributeProto_AttributeType.TENSOR:
      if (proto.t && dtypeOfOnnx(proto.t.dataType)) return { type: "tensor", value: readTensor(reader, proto.t, `${where}, its tensor`) };
      return { type: "other" };
    default:
      return { type: "other" };
  }
}

function foreignNode(reader: Reader, proto: NodeProto, index: number): ForeignNode {
  const name = proto.name === "" ? `#${index + 1}` : proto.name;
  const where = `node "${name}" (${proto.opType})`;
  return {
    op: isStandard(proto.domain) ? proto.opType : `${proto.domain}.${proto.opType}`,
    name,
    inputs: proto.input,
    outputs: proto.output,
    attributes: Object.fromEntries(proto.attribute.map((a) => [a.name, foreignAttribute(reader, where, a)])),
  };
}

function foreignValue(proto: ValueInfoProto): ForeignValue {
  const type = proto.type?.value;
  if (type?.case !== "tensorType") return { name: proto.name, dtype: undefined, shape: undefined };
  const shape = type.value.shape?.dim.map(({ value }) =>
    value.case === "dimValue" && value.value > 0n
      ? Number(value.value)
      : value.case === "dimParam" && value.value !== ""
        ? value.value
        : "?",
  );
  return { name: proto.name, dtype: dtypeOfOnnx(type.value.elemType), shape };
}

/**
 * Reads any ONNX model as plain data: any operator set and operators, symbolic extents, optional inputs left out (as empty names).
 * Nothing is inferred or checked beyond the file itself; what a node means is for the reader of the result to say.
 * Throws `corrupt` on bytes that are not a whole ONNX model, and when tensors lie in other files.
 */
export function readForeign(bytes: Uint8Array, options: Pick<ReadOptions, "what"> = {}): ForeignGraph {
  const reader = readerOf(options.what ?? "The ONNX file", -1);
  const model = parseModel(reader, bytes);
  const proto = model.graph;
  if (!proto) return reader.fail("it holds no graph; expected an ONNX model");
  const opset = standardOpset(model);
  if (opset === undefined) return reader.fail("it does not say which ONNX operator set it uses; save it again with the tool that made it");
  const external = proto.initializer.filter((t) => t.dataLocation === TensorProto_DataLocation.EXTERNAL);
  if (external.length > 0) {
    const files = new Set(external.map((t) => t.externalData.find(({ key }) => key === "location")?.value ?? "an unnamed file"));
    reader.fail(`${external.length} of its weights lie in another file (${[...files].join(", ")}); save the model as one file`);
  }
  const known = proto.initializer.filter((t) => dtypeOfOnnx(t.dataType));
  const initializers = new Map(known.map((t) => [t.name, readTensor(reader, t)]));
  const listed = new Set(proto.initializer.map((t) => t.name));
  return {
    name: proto.name,
    producer: [model.producerName, model.producerVersion].filter((text) => text !== "").join(" "),
    opset: Number(opset),
    inputs: proto.input.filter((v) => !listed.has(v.name)).map(foreignValue),
    outputs: proto.output.map(foreignValue),
    nodes: proto.node.map((n, i) => foreignNode(reader, n, i)),
    initializers,
    metadata: Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value])),
  };
}
