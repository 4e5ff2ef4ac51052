/** Graph to the ONNX protobuf format. With `read.ts`, the only place that knows protobuf. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import type { Tensor } from "../util/tensor.ts";
import { type Attribute, type Graph, irVersion, opsetVersion, type Value } from "./graph.ts";
import { onnxDType } from "./ops.ts";

function attributeProto(name: string, value: Attribute): AttributeProto {
  if (typeof value === "number") return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string") {
    return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ("float" in value) return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INTS, ints: value.map(BigInt) });
}

function tensorProto(name: string, value: Tensor): TensorProto {
  const { buffer, byteOffset, byteLength } = value.data;
  return create(TensorProtoSchema, {
    name,
    dataType: onnxDType[value.dtype],
    dims: value.shape.map(BigInt),
    rawData: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
  });
}

function valueInfo(value: Value, batchAxis: string | undefined): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: onnxDType[value.dtype],
          shape: {
            dim: value.shape.map((extent, axis) =>
              create(TensorShapeProto_DimensionSchema, {
                value:
                  batchAxis !== undefined && axis === 0
                    ? { case: "dimParam", value: batchAxis }
                    : { case: "dimValue", value: BigInt(extent) },
              }),
            ),
          },
        },
      },
    },
  });
}

export interface WriteOptions {
  /** Declares the first axis of every input and output as this symbolic extent, so that any batch size may be fed. */
  readonly batchAxis?: string;
  /** Version of Sheaf, for the model's producer field. */
  readonly producerVersion?: string;
}

/** Serializes a graph; the same graph always gives the same bytes. */
export function writeOnnx(graph: Graph, options: WriteOptions = {}): Uint8Array<ArrayBuffer> {
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(irVersion),
    producerName: "sheaf",
    producerVersion: options.producerVersion ?? "",
    docString: graph.doc,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(opsetVersion) })],
    metadataProps: Object.entries(graph.metadata).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
    graph: create(GraphProtoSchema, {
      name: graph.name,
      node: graph.nodes.map((n) =>
        create(NodeProtoSchema, {
          name: n.name,
          opType: n.op,
          input: [...n.inputs],
          output: [...n.outputs],
          attribute: Object.entries(n.attributes).map(([key, value]) => attributeProto(key, value)),
        }),
      ),
      initializer: [...graph.initializers].map(([name, value]) => tensorProto(name, value)),
      input: graph.inputs.map((v) => valueInfo(v, options.batchAxis)),
      output: graph.outputs.map((v) => valueInfo(v, options.batchAxis)),
    }),
  });
  return toBinary(ModelProtoSchema, model) as Uint8Array<ArrayBuffer>;
}
